// The list of films: its buttons tell the page what to do; focus and a name being typed outlive a list drawn anew.
(() => {
  window.mountFilms = (root, act) => {
    let held = null; // data-key of the button with the focus
    let naming = null; // { film, text, start, end } while a name is typed

    const row = (film) => root.querySelector(`li[data-film="${CSS.escape(film)}"]`);
    const button = (key) => root.querySelector(`[data-key="${CSS.escape(key)}"]`);

    const stopNaming = (keep) => {
      const { film, text, first } = naming;
      naming = null;
      const place = row(film)?.querySelector(".film-title");
      place?.querySelector("input")?.remove();
      place?.classList.remove("naming");
      if (keep && text.trim() !== first) {
        const words = place?.querySelector("strong");
        if (words && text.trim()) words.textContent = text.trim();
        act({ action: "rename", film, name: text });
      }
      button(`rename ${film}`)?.focus({ preventScroll: true });
    };

    const showNaming = () => {
      const place = row(naming.film)?.querySelector(".film-title");
      if (!place) { naming = null; return; }
      const input = document.createElement("input");
      input.type = "text";
      input.maxLength = 80;
      input.value = naming.text;
      input.setAttribute("aria-label", "Name of the film");
      place.classList.add("naming");
      place.append(input);
      const note = () => Object.assign(naming, { text: input.value, start: input.selectionStart, end: input.selectionEnd });
      input.addEventListener("input", note);
      input.addEventListener("keyup", () => { if (naming) note(); });
      input.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        stopNaming(event.key === "Enter");
      });
      input.addEventListener("blur", () => { if (naming && input.isConnected) stopNaming(true); });
      input.focus({ preventScroll: true });
      input.setSelectionRange(naming.start, naming.end);
    };

    root.addEventListener("focusin", (event) => { held = event.target.dataset?.key || null; });
    root.addEventListener("focusout", (event) => { if (event.relatedTarget) held = null; });
    document.addEventListener("pointerdown", (event) => { if (!event.target.closest?.("[data-key]")) held = null; });
    root.addEventListener("click", (event) => {
      const pressed = event.target.closest?.("[data-do]");
      if (!pressed || pressed.ariaDisabled === "true") return;
      const film = pressed.closest("li")?.dataset.film || null;
      if (pressed.dataset.do === "rename") {
        const first = row(film).querySelector("strong").textContent;
        naming = { film, first, text: first, start: 0, end: first.length };
        showNaming();
      } else {
        act({ action: pressed.dataset.do, film });
      }
    });
    // Alt and an arrow move the film whose button has the focus.
    root.addEventListener("keydown", (event) => {
      const action = { ArrowUp: "up", ArrowDown: "down" }[event.key];
      const line = event.target.closest?.("li");
      if (!event.altKey || !action || !line?.querySelector(`[data-do=${action}]`)) return;
      event.preventDefault();
      if (line.querySelector(`[data-do=${action}]`).ariaDisabled !== "true") act({ action, film: line.dataset.film });
    });
    // As soon as the list was drawn anew, before the next key arrives.
    new MutationObserver(() => {
      const focus = document.activeElement;
      if (naming && !row(naming.film)?.querySelector("input")) {
        root.querySelectorAll(".film-title.naming").forEach((place) => { place.classList.remove("naming"); place.querySelector("input")?.remove(); });
        showNaming();
      } else if (held && focus?.dataset?.key !== held && (root.contains(focus) || focus === document.body)) {
        button(held)?.focus({ preventScroll: true });
      }
    }).observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-key"] });
  };
})();
