// Copies the text of the element that a button names, and says so. Where the clipboard is closed to the page (plain
// HTTP, no permission) the text is selected instead, so that the keys of the browser copy it.
"use strict";

(() => {
  document.documentElement.classList.add("scripts");
  const said = document.createElement("span");
  said.className = "hidden";
  said.setAttribute("role", "status");
  document.body.append(said);

  function selected(source) {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    let copied = false;
    try {
      copied = document.execCommand("copy");
    } catch {
      copied = false;
    }
    if (copied) selection.removeAllRanges();
    return copied;
  }

  async function copy(source) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      return selected(source);
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    if (!source) return;
    const label = (button.dataset.label ||= button.textContent);
    const text = (await copy(source)) ? "Copied" : "Selected: copy with the keyboard";
    button.textContent = text;
    said.textContent = text;
    clearTimeout(Number(button.dataset.timer));
    button.dataset.timer = setTimeout(() => {
      button.textContent = label;
      said.textContent = "";
    }, 2000);
  });
})();
