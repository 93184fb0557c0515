// Buttons that ask first: what htmx puts into the dialog opens it. Without this script, or where something goes wrong,
// the same links lead to a page of their own.
"use strict";

(() => {
  const dialog = document.getElementById("act");
  if (!dialog || !dialog.showModal) return;

  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== dialog) return;
    if (!dialog.open) dialog.showModal();
    lead();
  });
  // A panel that is put anew at the same moment would take the focus to the button that opened this, and htmx itself
  // gives it to what says autofocus: on a slow machine after the field had it.
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (!dialog.open) return;
    if (event.detail.target === dialog || !dialog.contains(document.activeElement)) lead();
  });

  function lead() {
    const first = dialog.querySelector("input:not([type=hidden]):not([type=checkbox]), [autofocus]");
    if (first) first.focus();
  }

  for (const trouble of ["htmx:responseError", "htmx:sendError"]) {
    document.body.addEventListener(trouble, (event) => {
      // A form that failed says so in the dialog: live.js.
      const link = event.detail.elt;
      if (event.detail.target === dialog && link.href) location.assign(link.href);
    });
  }

  dialog.addEventListener("click", (event) => {
    // A click on the dialog itself is one beside what stands in it.
    if (event.target !== dialog && !event.target.closest("[data-dismiss]")) return;
    event.preventDefault();
    dialog.close();
  });

  dialog.addEventListener("close", () => {
    dialog.replaceChildren();
    document.body.dispatchEvent(new CustomEvent("vibex:refresh"));
  });
})();
