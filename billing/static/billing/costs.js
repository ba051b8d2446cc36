// Helps with the form of the cost reports; without it the form asks just the same.
(() => {
  const form = document.getElementById("costs-form");
  if (!form) return;
  const range = form.elements.range;

  // An address says what differs from the usual, and nothing else.
  form.addEventListener("submit", () => {
    for (const field of form.elements) {
      const isDay = field.name === "start" || field.name === "end";
      if (field.name && (!field.value || (isDay && range.value !== "custom"))) field.disabled = true;
    }
  });
  window.addEventListener("pageshow", () => {
    for (const field of form.elements) field.disabled = false;
  });

  const show = () => form.requestSubmit();
  for (const name of ["by", "then", "measure"]) form.elements[name].addEventListener("change", show);
  for (const name of ["start", "end"]) form.elements[name].addEventListener("change", () => { range.value = "custom"; });
  range.addEventListener("change", () => { if (range.value !== "custom") show(); else form.elements.start.focus(); });
  for (const name of ["by", "then"]) form.elements[name].addEventListener("change", () => { form.elements.sort.value = ""; }, { capture: true });

  for (const input of form.querySelectorAll("[data-suggest]")) {
    const list = document.createElement("datalist");
    list.id = `${input.name}-suggestions`;
    input.after(list);
    input.setAttribute("list", list.id);
    let asked = null;
    let timer = 0;
    const suggest = async () => {
      const text = input.value.trim();
      if (text === asked) return;
      asked = text;
      const answer = await fetch(`${input.dataset.suggest}&${new URLSearchParams({ q: text })}`, { headers: { Accept: "application/json" } });
      if (!answer.ok || text !== asked) return;
      list.replaceChildren(...(await answer.json()).map((value) => Object.assign(document.createElement("option"), { value })));
    };
    input.addEventListener("focus", suggest);
    input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(suggest, 150);
    });
    input.addEventListener("change", () => {
      if ([...list.options].some((option) => option.value === input.value)) show();
    });
  }
})();
