// The list of films: its buttons tell the page what to do, and keep the focus when the list is drawn anew.
(() => {
  window.mountFilms = (root, act) => {
    let held = null;
    root.addEventListener("focusin", (event) => { held = event.target.dataset?.key || null; });
    root.addEventListener("focusout", (event) => { if (event.relatedTarget) held = null; });
    root.addEventListener("click", (event) => {
      const button = event.target.closest?.("[data-do]");
      if (button) act({ action: button.dataset.do, film: button.dataset.film || null });
    });
    return {
      drawn() {
        if (!held || root.contains(document.activeElement)) return;
        root.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
      },
    };
  };
})();
