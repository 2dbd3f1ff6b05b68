// Fetches this very page every few seconds and puts what is new in place of what is there; without it the page reloads.
// Aloud it says no more than that there is something new: not each row, and not the time of each look.
"use strict";
const EVERY = 2500, news = document.getElementById("news");
const rows = place => place.querySelector(".rows")?.textContent;
async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live"), shown = document.getElementById("live");
      const opened = shown.querySelector("details[open]");
      if (answer.ok && fresh && !opened && !shown.contains(document.activeElement)) {
        if (news) news.textContent = rows(fresh) === rows(shown) ? "" : news.dataset.words;
        shown.replaceChildren(...fresh.childNodes);
      }
    } catch { /* the next look may find the server again */ }
  }
  setTimeout(look, EVERY);
}
setTimeout(look, EVERY);
