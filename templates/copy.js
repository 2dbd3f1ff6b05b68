// Shows the copy buttons, which work with this script only: each copies the text of the element that it names.
"use strict";
for (const button of document.querySelectorAll("button[data-copies]")) {
  const source = document.getElementById(button.dataset.copies);
  if (!source || !navigator.clipboard) continue;
  const words = button.querySelector("span"), before = words.textContent;
  let timer;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText((source.value ?? source.textContent).trim());
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      return;
    }
    words.textContent = button.dataset.copied;
    button.classList.add("done");
    clearTimeout(timer);
    timer = setTimeout(() => { words.textContent = before; button.classList.remove("done"); }, 2500);
  });
}
