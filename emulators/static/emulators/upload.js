// Announces a file, then sends it piece by piece. What got lost is sent again from where the server says it is.
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const words = document.getElementById("words");
  const progress = document.getElementById("progress");
  const PIECE = Number(form.dataset.piece);
  const TRIES = 8;
  const SIGNED_OUT = "You are signed out. Sign in and upload again.";
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;

  const say = (text, isBad = false) => {
    words.textContent = text;
    words.className = isBad ? "g-bad" : "g-subtle";
  };

  const showErrors = (errors) => {
    let rest = "";
    for (const [name, texts] of Object.entries(errors)) {
      const place = form.querySelector(`[data-field="${{ filename: "file", size: "file" }[name] ?? name}"]`);
      if (!place) { rest += `${texts.join(" ")} `; continue; }
      const line = document.createElement("p");
      line.dataset.error = name;
      line.className = "g-bad";
      line.textContent = texts.join(" ");
      place.append(line);
    }
    say(rest || "Not sent: see above.", true);
  };

  const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

  const send = async (file, url) => {
    let sent = 0;
    for (let failed = 0; sent < file.size;) {
      let answer = null;
      let told = {};
      try {
        answer = await fetch(`${url}?offset=${sent}`, {
          method: "POST",
          headers: { "X-CSRFToken": token, "Content-Type": "application/octet-stream" },
          body: file.slice(sent, sent + PIECE),
        });
        told = await answer.json();
      } catch (error) {
        // No answer: the piece may be there or not. One that came and is no JSON is somebody's page.
        if (!(error instanceof SyntaxError)) answer = null;
      }
      const isOurs = typeof told.received === "number";
      if (answer && (answer.redirected || (answer.ok && !isOurs))) throw new Error(SIGNED_OUT);
      if (answer && answer.ok) {
        failed = told.received > sent ? 0 : failed + 1;
        sent = told.received;
      } else if (answer && answer.status === 409 && isOurs) {
        failed += 1;
        sent = told.received;
      } else if (answer && answer.status < 500 && answer.status !== 429) {
        throw new Error(told.message || `The server refuses it (${answer.status}).`);
      } else {
        failed += 1;
        await pause(Math.min(failed * failed, 30));
      }
      if (failed > TRIES) throw new Error(told.message || "The server does not answer.");
      progress.value = sent / file.size;
      say(`${Math.floor((100 * sent) / file.size)} % is sent. Keep this page open.`);
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const file = document.getElementById("file").files[0];
    if (!file) return;
    const button = form.querySelector("[type=submit]");
    form.elements.filename.value = file.name;
    form.elements.size.value = file.size;
    button.disabled = true;
    form.querySelectorAll("[data-error]").forEach((one) => one.remove());
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (answer.redirected) throw new Error(SIGNED_OUT);
      // What is no JSON is somebody's page: a form from before a login in another tab, or a server that is not well.
      const told = await answer.json().catch((error) => {
        if (error instanceof SyntaxError) return null;
        throw error;
      });
      if (!told || (!answer.ok && !told.errors)) throw new Error(`Load this page again and send the file once more (${answer.status}).`);
      if (!answer.ok) { showErrors(told.errors); return; }
      progress.hidden = false;
      const warn = (leaving) => leaving.preventDefault();
      window.addEventListener("beforeunload", warn);
      try { await send(file, told.piece); } finally { window.removeEventListener("beforeunload", warn); }
      window.location.assign(told.change);
    } catch (error) {
      say(error.message, true);
    } finally {
      button.disabled = false;
    }
  });
})();
