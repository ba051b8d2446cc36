// A page that follows something under way: what was unfolded stays so, an ended login is shown instead of an empty page, and
// a server or database that is away for a moment is asked again at the next interval.
(() => {
  const open = new Set();
  document.addEventListener("toggle", (event) => {
    const id = event.target.id;
    if (id) event.target.open ? open.add(id) : open.delete(id);
  }, true);
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status < 400 && !event.detail.serverResponse.includes('id="live"')) {
      event.detail.shouldSwap = false;
      window.location.reload();
    }
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of [...open]) document.getElementById(id)?.setAttribute("open", "");
  });
})();
