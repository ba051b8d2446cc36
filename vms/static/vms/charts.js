// The charts of a VM's page: asks the API as the page's own reader, draws with the Chart.js that unfold brings, and asks
// again when the page has looked again. Colours are the page's, so light and dark follow.
(() => {
  const SETS = {
    cpu: [["cpu_percent", "Processor"]],
    memory: [["ram_used_mb", "Memory"], ["gpu_ram_used_mb", "Graphics memory"]],
    disk: [["disk_used_percent", "Disk"]],
    gpu: [["gpu_percent", "Graphics processor"], ["gpu_encoder_percent", "Video encoder"]],
    network: [["sent_mbps", "Sent"], ["received_mbps", "Received"]],
  };
  const SCALES = { ram_used_mb: 1 / 1024, gpu_ram_used_mb: 1 / 1024 };
  const UNITS = { cpu: "%", memory: "GiB", disk: "%", gpu: "%", network: "Mbit/s" };
  const LEAST_MS = 4000;

  const panel = document.getElementById("metrics");
  const charts = {};
  const openedAt = Date.now();
  let chosen = null, windowS = 3600, answer = null, askedAt = 0;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isDark = () => document.documentElement.classList.contains("dark");
  const colours = () => isDark()
    ? { lines: [style("--color-primary-400"), "oklch(79.5% .16 75)"], text: style("--color-base-300"), grid: style("--color-base-800") }
    : { lines: [style("--color-primary-600"), "oklch(60% .15 55)"], text: style("--color-base-600"), grid: style("--color-base-200") };
  const two = (number) => String(number).padStart(2, "0");
  const clock = (text) => {
    const at = new Date(text);
    const hours = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    if (windowS <= 1800) return `${hours}:${two(at.getUTCSeconds())}`;
    return windowS <= 86400 ? hours : `${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${hours}`;
  };
  const figure = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

  function options(unit, paint, hasLegend) {
    return {
      animation: false, responsive: true, maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { display: hasLegend, position: "bottom", labels: { color: paint.text, boxWidth: 12, boxHeight: 2 } },
        tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${figure(item.parsed.y)} ${unit}` } },
      },
      scales: {
        x: { ticks: { color: paint.text, maxTicksLimit: 6, maxRotation: 0, autoSkipPadding: 12 }, grid: { display: false } },
        y: {
          beginAtZero: true, max: unit === "%" ? 100 : undefined, grid: { color: paint.grid }, border: { display: false },
          ticks: { color: paint.text, maxTicksLimit: 5, callback: (value) => `${value} ${unit}` },
        },
      },
    };
  }

  function draw() {
    const paint = colours();
    let isEmpty = true;
    for (const [set, lines] of Object.entries(SETS)) {
      const box = panel.querySelector(`[data-chart="${set}"]`);
      const known = lines
        .map(([name, label]) => ({ name, label, values: answer.metrics[name].values }))
        .filter((line) => line.values.some((value) => value !== null));
      box.hidden = known.length === 0;
      box.querySelector("strong").textContent = known.map((line) => {
        const last = line.values.findLast((value) => value !== null) * (SCALES[line.name] || 1);
        return `${figure(last)} ${UNITS[set]}`;
      }).join(" · ");
      if (!known.length) continue;
      isEmpty = false;
      const drawn = {
        labels: answer.times.map(clock),
        datasets: known.map((line, place) => ({
          label: line.label, data: line.values.map((value) => value === null ? null : value * (SCALES[line.name] || 1)),
          borderColor: paint.lines[place], backgroundColor: paint.lines[place], borderWidth: 1.5, pointRadius: 0,
          pointHitRadius: 8, tension: 0.25, spanGaps: 2,
        })),
      };
      // A single value between gaps has no line: it is shown as a dot.
      for (const one of drawn.datasets) {
        one.pointRadius = one.data.map((value, at) =>
          value !== null && (one.data[at - 1] ?? null) === null && (one.data[at + 1] ?? null) === null ? 2 : 0);
      }
      const chart = charts[set];
      if (chart) {
        chart.data = drawn;
        chart.options = options(UNITS[set], paint, known.length > 1);
        chart.update();
      } else {
        charts[set] = new Chart(box.querySelector("canvas"), { type: "line", data: drawn, options: options(UNITS[set], paint, known.length > 1) });
      }
    }
    say(isEmpty ? panel.dataset.empty : "");
  }

  function say(words) {
    const line = document.getElementById("metrics-words");
    line.textContent = words;
    line.hidden = !words;
  }

  async function ask() {
    askedAt = Date.now();
    const grownS = chosen && "grows" in chosen.dataset ? (Date.now() - openedAt) / 1000 : 0;
    const wanted = windowS = Math.round((chosen ? Number(chosen.dataset.window) : 3600) + grownS);
    try {
      const response = await fetch(`${panel.dataset.url}?window=${wanted}`, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(`${response.status}`);
      const told = await response.json();
      if (wanted !== windowS) return;
      answer = told;
      draw();
    } catch {
      say("What was measured can't be shown just now; the page tries again.");
    }
  }

  document.addEventListener("DOMContentLoaded", ask);
  panel.addEventListener("click", (event) => {
    const button = event.target.closest("[data-window]");
    if (!button) return;
    chosen = button;
    for (const one of panel.querySelectorAll("[data-window]")) one.setAttribute("aria-pressed", String(one === button));
    ask();
  });
  document.addEventListener("htmx:afterSwap", () => Date.now() - askedAt >= LEAST_MS && ask());
  new MutationObserver(() => answer && draw()).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
})();
