// Two linked players: one clock, one scrubber, side by side or one over the other behind a line that can be moved.
//
// `mountComparison(root)` draws into `root` and returns {show(first, second)}, each {url, label, start}: `start` is the
// instant of the common clock at which a film begins, for single stretches of one.
(() => {
  const FRAME = 0.04, FAR = 0.15;  // seconds: one frame; what is caught up by a jump rather than by going faster
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  class Comparison {
    constructor(root) {
      this.sides = [];
      this.videos = ["first", "second"].map((name) => make("video", { class: `cmp-${name}`, playsinline: "", preload: "auto" }));
      this.names = ["first", "second"].map((name) => make("span", { class: `cmp-name cmp-name-${name}` }));
      this.line = make("i", { class: "cmp-line", "aria-hidden": "true" });
      this.stage = make("div", { class: "cmp-stage side" }, ...this.videos, ...this.names, this.line);
      this.scrub = make("input", { type: "range", min: "0", max: "1", step: "any", value: "0", "aria-label": "Time in both films" });
      this.time = make("output");
      this.play = this.button("Play", "Play both (Space)", () => (this.playing ? this.pause() : this.start()));
      this.layout = this.button("Wipe", "One over the other, with a line to move (W)", () => this.setWipe(!this.wiping));
      this.sound = this.button("", "Whose sound is heard (S)", () => this.hear(1 - this.heard));
      this.edge = make("input", { type: "range", min: "0", max: "100", step: "1", value: "50", "aria-label": "Where the line stands" });
      this.edgeField = make("label", { class: "cmp-edge" }, "Line", this.edge);
      this.told = make("p", { class: "cmp-told", role: "status" });
      this.bar = make("div", { class: "cmp-bar" }, this.play, this.scrub, this.time, this.layout, this.edgeField, this.sound);
      root.classList.add("cmp");
      root.setAttribute("tabindex", "-1");
      root.replaceChildren(this.stage, this.bar, this.told);
      this.scrub.oninput = () => this.at(this.from + this.scrub.value * this.length);
      this.edge.oninput = () => this.moveLine(Number(this.edge.value));
      this.stage.onpointerdown = (event) => { this.stage.setPointerCapture(event.pointerId); this.drag(event); };
      this.stage.onpointermove = (event) => { if (this.stage.hasPointerCapture(event.pointerId)) this.drag(event); };
      this.videos.forEach((video, i) => {
        video.onloadedmetadata = () => this.measured();
        video.onerror = () => { if (video.getAttribute("src")) this.told.textContent = `${this.sides[i].label} cannot be played by this browser.`; };
      });
      root.addEventListener("keydown", (event) => this.key(event));
      this.setWipe(false);
    }

    button(text, title, action) {
      const node = make("button", { type: "button", title }, text);
      node.onclick = action;
      return node;
    }

    show(first, second) {
      this.pause();
      this.sides = [first, second];
      this.videos.forEach((video, i) => {
        video.title = this.names[i].textContent = this.called(i);
        if (video.getAttribute("src") !== this.sides[i].url) video.src = this.sides[i].url;
      });
      this.told.textContent = "";
      this.hear(0);
      this.measured();
    }

    // Two films of one portrait have one name: the letter tells them apart.
    called(which) { return `${"AB"[which]}: ${this.sides[which]?.label || ""}`; }

    measured() {
      const spans = this.videos.map((video, i) => [this.sides[i].start || 0, (this.sides[i].start || 0) + (video.duration || 0)]);
      this.from = Math.max(spans[0][0], spans[1][0]);
      this.to = Math.min(spans[0][1], spans[1][1]);
      this.length = Math.max(0, this.to - this.from);
      const ready = this.videos.every((video) => video.readyState >= 1);
      if (ready && !this.length) this.told.textContent = "The two have no instant in common.";
      else if (ready) this.told.textContent = this.unlike(spans);
      if (ready) this.at(this.from);
    }

    // What of length and size is not the same, in one line.
    unlike(spans) {
      const [first, second] = this.videos.map((video) => `${video.videoWidth} x ${video.videoHeight}`);
      const longer = Math.abs(spans[0][1] - spans[1][1]) > 2 * FRAME ? "One is longer: shown is what both have." : "";
      const sizes = first !== second ? `A is ${first} pixels and B ${second}: each keeps its shape.` : "";
      return [longer, sizes].filter(Boolean).join(" ");
    }

    // The common clock, read from the first film.
    get now() { return this.videos[0].currentTime + (this.sides[0]?.start || 0); }

    at(seconds) {
      this.pause();
      const now = Math.min(this.to - FRAME / 2, Math.max(this.from, seconds));
      this.videos.forEach((video, i) => { video.currentTime = Math.max(0, now - (this.sides[i].start || 0)); });
      this.tell(now);
    }

    tell(now) {
      this.scrub.value = this.length ? (now - this.from) / this.length : 0;
      this.time.value = `${(now - this.from).toFixed(2)} s of ${(this.length || 0).toFixed(2)} s`;
    }

    async start() {
      if (!this.length) return;
      if (this.now >= this.to - 2 * FRAME) this.at(this.from);
      this.playing = true;
      this.play.textContent = "Pause";
      try { await Promise.all(this.videos.map((video) => video.play())); } catch { this.pause(); return; }
      this.follow();
    }

    pause() {
      this.playing = false;
      this.videos.forEach((video) => { video.pause(); video.playbackRate = 1; });
      this.play.textContent = "Play";
    }

    follow() {
      if (!this.playing) return;
      const first = this.videos[0], silent = this.videos[1 - this.heard], offset = (i) => this.sides[i].start || 0;
      const behind = this.videos[this.heard].currentTime + offset(this.heard) - silent.currentTime - offset(1 - this.heard);
      // The silent one keeps to the one that is heard: a little behind it goes faster, far behind it jumps.
      if (Math.abs(behind) > FAR) { silent.currentTime += behind; silent.playbackRate = 1; }
      else silent.playbackRate = Math.abs(behind) > FRAME / 4 ? 1 + Math.max(-0.8, Math.min(1, 10 * behind)) : 1;
      this.tell(this.now);
      if (this.now >= this.to - FRAME || first.ended) { this.pause(); return; }
      requestAnimationFrame(() => this.follow());
    }

    hear(which) {
      this.heard = which;
      this.videos.forEach((video, i) => { video.muted = i !== which; video.playbackRate = 1; });
      this.sound.textContent = `Sound of ${this.called(which)}`;
    }

    setWipe(wiping) {
      this.wiping = wiping;
      this.stage.classList.toggle("wipe", wiping);
      this.stage.classList.toggle("side", !wiping);
      this.layout.setAttribute("aria-pressed", wiping);
      this.edgeField.hidden = !wiping;
      this.moveLine(Number(this.edge.value));
    }

    moveLine(percent) {
      this.edge.value = percent;
      this.stage.style.setProperty("--at", `${percent}%`);
    }

    drag(event) {
      if (!this.wiping) return;
      const box = this.stage.getBoundingClientRect();
      this.moveLine(Math.min(100, Math.max(0, 100 * (event.clientX - box.left) / box.width)));
    }

    key(event) {
      const ranges = event.target === this.scrub || event.target === this.edge, steps = { ArrowLeft: -FRAME, ArrowRight: FRAME };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (steps[event.key] && !ranges) this.at(this.now + steps[event.key] * (event.shiftKey ? 25 : 1));
      else if (event.key === " " && event.target.tagName !== "BUTTON") this.play.click();
      else if (event.key === "w") this.layout.click();
      else if (event.key === "s") this.sound.click();
      else return;
      event.preventDefault();
      event.stopPropagation();
    }
  }

  window.mountComparison = (root) => new Comparison(root);
})();
