// The few things a page has to do without asking the server.
(() => {
  const find = (selector) => document.querySelector(selector);
  const button = (id) => find(`button#${id}`) || find(`#${id} button`);
  const visible = (element) => element && element.offsetParent !== null && !element.disabled;

  // --- light and dark: the system's wish, until the visitor says otherwise
  const KEY = "infinitetalk-theme";
  const read = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const apply = () => {
    const chosen = read();
    if (chosen && !new URLSearchParams(location.search).has("__theme")) {
      document.body.classList.toggle("dark", chosen === "dark");
    }
  };

  const playFrom = (seconds) => {
    const live = find("#live video");
    const film = find("#film video");
    const player = visible(film) ? film : live;
    if (!player) return;
    player.currentTime = seconds + 0.01;
    player.play();
  };

  document.addEventListener("click", (event) => {
    const target = event.target.closest ? event.target : event.target.parentElement;
    if (!target) return;
    if (target.closest("#theme-switch")) {
      const dark = !document.body.classList.contains("dark");
      document.body.classList.toggle("dark", dark);
      try { localStorage.setItem(KEY, dark ? "dark" : "light"); } catch { /* private windows may refuse */ }
    }
    const band = target.closest(".band.done");
    if (band) playFrom(Number(band.dataset.start));
    if (target.closest("#generate, #example") && window.innerWidth < 900) {
      setTimeout(() => find("#result-zone")?.scrollIntoView({ behavior: "smooth", block: "start" }), 300);
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const generate = button("generate");
      if (visible(generate)) {
        event.preventDefault();
        document.activeElement?.blur();  // so that a text being typed is sent first
        setTimeout(() => generate.click(), 50);
      }
    } else if (event.key === "Escape" && !event.defaultPrevented && !document.fullscreenElement) {
      const cancel = button("cancel");
      if (visible(cancel)) cancel.click();
    }
  });

  if (document.body) apply();
  document.addEventListener("DOMContentLoaded", apply);
  window.addEventListener("load", () => { apply(); setTimeout(apply, 500); });
})();
