// Asks now and then whether the invoice on this page is paid, and then shows the token; without it the buttons do, one by one.
// The token is given once: so while this runs nothing else asks, and the page is not left for it.
(() => {
  "use strict";
  const page = document.getElementById("pay");
  if (!page) return;
  const part = (name) => document.getElementById(name), ends = Number(page.dataset.ends);
  let wait = 2000, timer, asking = false;
  const send = (path, body) => fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, credentials: "omit", body: JSON.stringify(body),
  });
  async function look() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      const answer = await send("/api/public/demo/confirm", { sessionId: page.dataset.quote });
      const said = answer.ok ? await answer.json() : {};
      if (said.verified) {
        part("open").hidden = true;
        part("result").value = said.token;
        part("given").hidden = false;
        return part("given-heading").focus();
      }
      wait = answer.ok ? 2000 : Math.min(30000, wait * 2);
    } catch { wait = Math.min(30000, wait * 2); }
    asking = false;
    later();
  }
  function later() {
    timer = setTimeout(() => {
      if (Date.now() / 1000 > ends + 5) location.reload();
      else if (document.hidden) later();
      else look();
    }, wait);
  }
  page.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (event.submitter?.hasAttribute("formaction")) await send("/api/public/demo/pay", { invoice: part("invoice").value }).catch(() => {});
    wait = 1100;
    look();
  });
  part("polls").hidden = false;
  later();
})();
