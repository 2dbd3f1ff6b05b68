// Solves a challenge with several workers (work-solver.js), says how far it is, and hands over what it bought.
(() => {
  "use strict";
  const page = document.getElementById("work");
  if (!page) return;
  const part = (name) => document.getElementById(name);
  const says = (name, values = {}) =>
    part(`says-${name}`).textContent.replace(/\{(\w+)\}/g, (_, word) => values[word] ?? "");
  const bar = part("bar"), told = part("told"), loud = part("loud"), fault = part("fault");
  const start = part("start"), cancel = part("cancel"), given = part("given"), key = page.dataset.key;
  const count = Math.max(1, Math.min(16, navigator.hardwareConcurrency || 2));
  const number = (n) => Math.round(n).toLocaleString(document.documentElement.lang);
  const lasting = (seconds) =>
    seconds < 1 ? says("moment") : seconds < 100 ? says("seconds", { n: Math.ceil(seconds) }) : says("minutes", { n: Math.ceil(seconds / 60) });
  let stop = () => {};

  class Refused extends Error {}

  async function ask(path, body) {
    let answer, said;
    try {
      answer = await fetch(path, {
        method: "POST", headers: { "Content-Type": "application/json", "X-LW-Public": key }, body: JSON.stringify(body), credentials: "omit",
      });
      said = await answer.json();
    } catch {
      throw new Refused(says("away"));
    }
    if (!answer.ok) throw new Refused(says("refused", { why: said.error_description || said.error }));
    return said;
  }

  function read(text) {
    let found;
    try { found = JSON.parse(text); } catch { throw new Refused(says("unread")); }
    const quoteId = found?.quoteId;
    found = found?.powChallenge || found;
    const challenge = found && { ...found, quoteId: found.quoteId || quoteId };
    const whole = challenge && typeof challenge.projectPublicKey === "string" && /^[0-9a-f]{32}$/.test(challenge.challengeHex) &&
      /^[0-9a-f]{64}$/.test(challenge.targetHex) && challenge.difficultyBits > 0 && challenge.expiresAtUnix > 0;
    if (!whole) throw new Refused(says("unread"));
    return challenge;
  }

  function solve(challenge) {
    const expected = 2 ** challenge.difficultyBits, began = performance.now(), workers = [];
    let tries = 0, heard = -Infinity, drawn = -Infinity;
    return new Promise((resolve, reject) => {
      const end = (then, value) => { workers.forEach((one) => one.terminate()); clearInterval(clock); then(value); };
      stop = () => end(reject, new Refused(says("cancelled")));
      const clock = setInterval(() => {
        if (Date.now() / 1000 > challenge.expiresAtUnix) end(reject, new Refused(says("late")));
      }, 1000);
      const show = () => {
        const now = performance.now(), speed = tries / Math.max(0.001, (now - began) / 1000);
        if (now - drawn < 150) return;
        drawn = now;
        bar.value = 1 - Math.exp(-tries / expected);
        const values = { tries: number(tries), speed: number(speed), usual: lasting(expected / speed), most: lasting(4.6 * expected / speed) };
        told.textContent = says("progress", values);
        if (now - heard > 8000) { heard = now; loud.textContent = says("progress", values); }
      };
      for (let i = 0; i < count; i++) {
        const worker = new Worker(page.dataset.solver);
        workers.push(worker);
        worker.onerror = () => end(reject, new Refused(says("broken")));
        worker.onmessage = ({ data }) => {
          tries += data.tries;
          if (data.hash) { bar.value = 1; end(resolve, { ...data, seconds: (performance.now() - began) / 1000, tries }); }
          else show();
        };
        worker.postMessage({
          prefix: `${challenge.projectPublicKey}:${challenge.challengeHex}:`, target: challenge.targetHex, from: i * 1e12,
        });
      }
    });
  }

  function solution(challenge, found) {
    const { quoteId, challengeHex, expiresAtUnix, difficultyBits, signature } = challenge;
    return { quoteId, challengeHex, nonce: found.nonce, hashHex: found.hash, expiresAtUnix, difficultyBits, signature };
  }

  function busy(is) {
    start.hidden = is;
    part("running").hidden = !is;
    if (is) { bar.value = 0; told.textContent = loud.textContent = says("begun", { n: count }); cancel.focus(); }
  }

  async function work() {
    fault.hidden = given.hidden = true;
    try {
      const asked = key ? await ask("/api/mcp/start", {}) : null;
      const challenge = asked ? { ...asked.powChallenge, quoteId: asked.quoteId } : read(part("challenge").value);
      busy(true);
      const found = await solve(challenge);
      const bought = key ? await ask("/api/mcp/confirm", solution(challenge, found)) : { proof_of_work: solution(challenge, found) };
      busy(false);
      part("result").value = key ? bought.jwt : JSON.stringify(bought, null, 2);
      if (key) part("refresh").value = bought.refreshToken;
      part("took").textContent = says(key ? "token" : "solved", {
        tries: number(found.tries), time: lasting(found.seconds), sats: bought.remainingBudgetSats, minutes: Math.floor(bought.expiresIn / 60),
      });
      start.textContent = says("again");
      given.hidden = false;
      part("given-heading").focus();
    } catch (why) {
      busy(false);
      if (!(why instanceof Refused)) throw why;
      fault.textContent = why.message;
      fault.hidden = false;
      start.focus();
    }
  }

  page.hidden = false;
  start.addEventListener("click", work);
  cancel.addEventListener("click", () => stop());
  page.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
})();
