// Draws <canvas data-chart="id of the figures" data-part="days or groups">, and again when light turns dark. Chart.js is unfold's.
(() => {
  const root = document.documentElement;
  const drawn = [];
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const day = (text) => `${Number(text.slice(8))} ${months[Number(text.slice(5, 7)) - 1]}`;

  const written = (unit, value, places) => {
    const text = Math.abs(value).toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
    const sign = value < 0 && /[1-9]/.test(text) ? "−" : ""; // what is rounded to nothing has no sign
    return unit === "$" ? `${sign}$${text}` : `${sign}${text} h`;
  };

  const axis = (unit, options) => {
    const isDark = root.classList.contains("dark");
    const { ticks, ...others } = options;
    return {
      border: { display: false },
      grid: { color: colour(isDark ? "--color-base-800" : "--color-base-200"), drawTicks: false },
      ticks: { color: colour(isDark ? "--color-base-400" : "--color-base-500"), padding: 6, ...ticks },
      ...others,
    };
  };

  // As many places as the axis' step has, so that no two labels say the same; cents at least where it is no whole number.
  const places = (step) => {
    const isShown = (count) => Math.abs(step * 10 ** count - Math.round(step * 10 ** count)) < 1e-6;
    return [0, 2, 3, 4, 5].find(isShown) ?? 6;
  };

  const money = (unit) => ({
    maxTicksLimit: 6,
    callback: (value, _, ticks) => written(unit, value, value ? places((ticks[1]?.value ?? 0) - ticks[0].value) : 0),
  });

  const common = (unit, title) => ({
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    plugins: {
      legend: { display: false },
      tooltip: {
        padding: 10,
        itemSort: (one, other) => Math.abs(other.raw) - Math.abs(one.raw),
        filter: (item) => item.raw !== 0,
        callbacks: { label: (item) => ` ${title(item)}: ${written(unit, item.raw, 2)}` },
      },
    },
  });

  const days = (figures) => {
    const options = common(figures.unit, (item) => item.dataset.label);
    options.plugins.tooltip.callbacks.footer = (items) =>
      items.length > 1 ? `All: ${written(figures.unit, items.reduce((sum, item) => sum + item.raw, 0), 2)}` : "";
    const labels = figures.days.map(day);
    return {
      type: "bar",
      data: {
        labels,
        datasets: figures.series.map((one) => ({
          label: one.name, data: one.values, backgroundColor: colour(`--c-${one.colour}`), categoryPercentage: 0.9, barPercentage: 0.95,
        })),
      },
      options: {
        ...options,
        interaction: { mode: "index", intersect: false },
        scales: {
          x: axis(figures.unit, { stacked: true, grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 14 } }),
          y: axis(figures.unit, { stacked: true, ticks: money(figures.unit) }),
        },
      },
    };
  };

  const groups = (figures) => ({
    type: "bar",
    data: {
      labels: figures.groups.labels.map((name) => short(name, 18)),
      datasets: [{
        data: figures.groups.values, backgroundColor: figures.groups.colours.map((one) => colour(`--c-${one}`)), maxBarThickness: 26,
      }],
    },
    options: {
      ...common(figures.unit, (item) => figures.groups.labels[item.dataIndex]),
      indexAxis: "y",
      scales: {
        x: axis(figures.unit, { ticks: { ...money(figures.unit), maxTicksLimit: 4, maxRotation: 0 } }),
        y: axis(figures.unit, { grid: { display: false }, ticks: { autoSkip: false } }),
      },
    },
  });

  const draw = () => {
    while (drawn.length) drawn.pop().destroy();
    for (const canvas of document.querySelectorAll("canvas[data-chart]")) {
      const figures = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
      drawn.push(new window.Chart(canvas, canvas.dataset.part === "groups" ? groups(figures) : days(figures)));
    }
  };

  window.addEventListener("load", () => {
    draw();
    let wasDark = root.classList.contains("dark");
    new MutationObserver(() => {
      const isDark = root.classList.contains("dark");
      if (isDark !== wasDark) {
        wasDark = isDark;
        draw();
      }
    }).observe(root, { attributes: true, attributeFilter: ["class"] });
  });
})();
