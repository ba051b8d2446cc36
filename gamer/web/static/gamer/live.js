// A page that follows something under way: what was unfolded stays so, an ended login or what is gone meanwhile is shown instead
// of an old page, and a server or database that is away for a moment is asked again at the next interval.
(() => {
  const open = new Set();
  document.addEventListener("toggle", (event) => {
    const id = event.target.id;
    if (id) event.target.open ? open.add(id) : open.delete(id);
  }, true);
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr: { status }, serverResponse } = event.detail;
    if (status === 404 || (status < 400 && !serverResponse.includes('id="live"'))) {
      event.detail.shouldSwap = false;
      window.location.reload();
    }
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of [...open]) document.getElementById(id)?.setAttribute("open", "");
  });
})();
