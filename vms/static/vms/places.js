// Suggests places while somebody types a city. Without it the text is resolved just the same.
(() => {
  const input = document.querySelector("[data-places]");
  if (!input) return;
  const list = document.createElement("datalist");
  list.id = "places";
  input.after(list);
  input.setAttribute("list", list.id);
  input.setAttribute("autocomplete", "off");
  let asked = "";
  let timer = 0;
  const suggest = async () => {
    const text = input.value.trim();
    if (text.length < 2 || text === asked) return;
    asked = text;
    const query = new URLSearchParams({ q: text, limit: "8" });
    const answer = await fetch(`${input.dataset.places}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || text !== asked) return;
    const options = (await answer.json()).map((place) => {
      const option = document.createElement("option");
      option.value = [place.name, place.state, place.country].filter(Boolean).join(", ");
      return option;
    });
    list.replaceChildren(...options);
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(suggest, 150);
  });
})();
