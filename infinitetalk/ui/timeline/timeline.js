// The keyframe timeline: what guides which stretch of the film, seen and edited in one place.
//
// `mountTimeline(root, host)` draws into `root` and returns {update(state)}. The host gives:
//   thumbnails(times) -> Promise of picture addresses, one per instant of the source
//   upload(file)      -> Promise of {path, url} for a pin's own picture
//   changed(pins)     called with the whole list whenever it was edited
//   seek(seconds)     called while the playhead moves, so that players can follow
//   choose(chunk)     called when a chunk's band is chosen
//   film()            address of the finished film, or null
// State, as made by state.py: seconds, times in the film unless a name says otherwise.
//   {id, duration, frame_rate, source: {kind, duration, short}, chunks: [{index, start, new_start, stop, status,
//    reference}], pins: [{time, source, image, url}], cuts: [s], voices: [{rate, peaks}], revision}
(() => {
  const PIN_SNAP_PIXELS = 7, THUMB_HEIGHT = 54, HISTORY = 100;
  const TRACKS = { ruler: [0, 20], source: [22, 58], pins: [82, 26], chunks: [110, 34], voice: [148, 34] };
  const el = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const clock = (seconds) => {
    const whole = Math.floor(seconds + 1e-6), tenth = Math.floor((seconds - whole + 1e-6) * 10);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}.${tenth}`;
  };

  class Timeline {
    constructor(root, host) {
      this.host = host;
      this.state = null;
      this.pins = [];
      this.selected = null;           // index of a pin
      this.time = 0;
      this.view = [0, 1];             // seconds at the left and right edge
      this.past = [];
      this.future = [];
      this.thumbs = new Map();        // source instant, rounded -> Image
      this.wanted = new Set();
      this.pointers = new Map();
      this.build(root);
      this.width = this.height = 1;   // of the stage; asking the browser at every use would lay the page out anew each time
      new ResizeObserver(() => { this.measure(); this.draw(); }).observe(this.stage);
      this.measure();
      new MutationObserver(() => { this.palette = null; this.draw(); }).observe(document.body, { attributeFilter: ["class"] });
    }

    // --- the page's part -------------------------------------------------------------------------------------------

    build(root) {
      const button = (name, text, title, action) => {
        this[name] = el("button", { type: "button", class: "tl-button", title, "data-action": name, onclick: () => action() }, text);
        return this[name];
      };
      this.readout = el("output", { class: "tl-time", "aria-live": "off" });
      this.told = el("p", { class: "tl-told", role: "status" });
      this.picker = el("input", { type: "file", accept: "image/*", hidden: "", onchange: () => this.picked() });
      this.canvas = el("canvas", { "aria-hidden": "true" });
      this.layer = el("div", { class: "tl-pins", role: "list", "aria-label": "Keyframes" });
      this.head = el("div", { class: "tl-head", "aria-hidden": "true" });
      this.stage = el("div", {
        class: "tl-stage", tabindex: "0", role: "slider", "aria-label": "Playhead", "aria-valuemin": "0",
        onpointerdown: (e) => this.pressed(e), onpointermove: (e) => this.moved(e), onpointerup: (e) => this.released(e),
        onpointercancel: (e) => this.released(e), onwheel: (e) => this.wheeled(e), onkeydown: (e) => this.key(e),
      }, this.canvas, this.layer, this.head);
      this.stage.addEventListener("wheel", () => {}, { passive: false });
      this.shown = el("img", { alt: "The source at the playhead", hidden: "" });
      this.film = el("video", { muted: "", playsinline: "", preload: "auto", hidden: "", "aria-label": "The film at the playhead" });
      this.film.muted = true;
      root.classList.add("tl");
      root.replaceChildren(
        el("div", { class: "tl-bar" }, this.readout,
          el("span", { class: "tl-group" },
            button("add", "Pin here", "Add a keyframe at the playhead (P)", () => this.addPin()),
            button("replace", "Own picture", "Give the chosen keyframe a picture of its own (R)", () => this.picker.click()),
            button("remove", "Delete", "Delete the chosen keyframe (Delete)", () => this.removePin())),
          el("span", { class: "tl-group" },
            button("undo", "Undo", "Undo (Ctrl+Z)", () => this.step(this.past, this.future)),
            button("redo", "Redo", "Redo (Ctrl+Y)", () => this.step(this.future, this.past))),
          el("span", { class: "tl-group tl-end" },
            button("less", "\u2212", "Zoom out (-)", () => this.zoom(1.6)),
            button("fit", "Fit", "Show the whole film (0)", () => this.show(0, this.state.duration)),
            button("more", "+", "Zoom in (+)", () => this.zoom(1 / 1.6)))),
        el("div", { class: "tl-body" }, this.stage,
          el("div", { class: "tl-monitor" },
            el("figure", {}, this.shown, el("figcaption", {}, "Source")), el("figure", {}, this.film, el("figcaption", {}, "Film")))),
        this.told, this.picker);
    }

    update(state) {
      if (!state || !state.chunks || !state.chunks.length) { this.state = null; return; }
      const other = !this.state || this.state.id !== state.id;
      const longer = this.state && this.state.duration !== state.duration;
      this.state = state;
      if (other) {
        this.past = []; this.future = []; this.selected = null; this.thumbs.clear(); this.wanted.clear();
      }
      if (other || longer) { this.view = [0, state.duration]; this.time = clamp(this.time, 0, state.duration); }
      // The page answers with what it was told; a newer edit made meanwhile stands.
      if (other || state.revision === undefined || state.revision >= (this.revision || 0)) this.pins = state.pins.map((p) => ({ ...p }));
      if (this.selected !== null && this.selected >= this.pins.length) this.selected = null;
      this.stage.setAttribute("aria-valuemax", state.duration.toFixed(2));
      this.placePins();
      this.goTo(this.time, false);
    }

    // --- geometry --------------------------------------------------------------------------------------------------

    measure() {
      this.width = this.stage.clientWidth || 1;
      this.height = this.stage.clientHeight || 1;
    }

    x(seconds) { return (seconds - this.view[0]) / (this.view[1] - this.view[0]) * this.width; }
    seconds(x) { return this.view[0] + x / this.width * (this.view[1] - this.view[0]); }
    frame(seconds) { return Math.round(seconds * this.state.frame_rate) / this.state.frame_rate; }

    show(start, stop) {
      const { duration, frame_rate } = this.state;
      const span = clamp(stop - start, Math.min(duration, 8 / frame_rate), duration);
      const left = clamp(start, 0, duration - span);
      this.view = [left, left + span];
      this.draw();
    }

    zoom(factor, around = this.time) {
      const [left, right] = this.view;
      if (around < left || around > right) around = (left + right) / 2;
      this.show(around - (around - left) * factor, around + (right - around) * factor);
    }

    snapped(seconds, event) {
      const state = this.state;
      if (event && event.altKey) return this.frame(seconds);
      const reach = PIN_SNAP_PIXELS / this.width * (this.view[1] - this.view[0]);
      let best = null;
      const offer = (at) => { if (Math.abs(at - seconds) <= reach && (best === null || Math.abs(at - seconds) < Math.abs(best - seconds))) best = at; };
      for (let i = this.firstChunk(seconds - reach); i < state.chunks.length && state.chunks[i].new_start <= seconds + reach; i++) offer(state.chunks[i].new_start);
      state.cuts.forEach(offer);
      return this.frame(best ?? seconds);
    }

    firstChunk(seconds) {  // the chunk whose new frames hold this instant
      const chunks = this.state.chunks;
      let low = 0, high = chunks.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (chunks[middle].new_start <= seconds + 1e-6) low = middle; else high = middle - 1;
      }
      return low;
    }

    sourceAt(seconds) {  // as streaming.plan.reference_seconds
      const { kind, duration, short } = this.state.source;
      if (kind === "image" || seconds < duration) return kind === "image" ? 0 : seconds;
      const last = Math.max(0, duration - 1 / this.state.frame_rate);
      if (short !== "ping-pong" || last <= 0) return last;
      const phase = seconds % (2 * last);
      return phase <= last ? phase : 2 * last - phase;
    }

    // --- the playhead ----------------------------------------------------------------------------------------------

    goTo(seconds, tell = true) {
      if (!this.state) return;
      const { duration, chunks, frame_rate } = this.state;
      this.time = clamp(seconds, 0, Math.max(0, duration - 1 / frame_rate));
      const chunk = chunks[this.firstChunk(this.time)];
      this.readout.value = `${clock(this.time)} of ${clock(duration)}`;
      this.stage.setAttribute("aria-valuenow", this.time.toFixed(2));
      this.stage.setAttribute("aria-valuetext", `${clock(this.time)}, chunk ${chunk.index + 1} of ${chunks.length}, ${chunk.status}`);
      this.describe(chunk);
      this.showFrames();
      if (tell) this.host.seek(this.time);
      this.draw();
    }

    showFrames() {
      const at = this.sourceAt(this.time);
      const known = this.thumb(at);
      if (known) { this.shown.src = known.src; this.shown.hidden = false; }
      const film = this.host.film();
      if (film && this.film.src !== film) this.film.src = film;
      this.film.hidden = !film;
      if (film) this.film.currentTime = this.time + 0.5 / this.state.frame_rate;
    }

    describe(chunk) {
      const pin = this.selected === null ? null : this.pins[this.selected];
      const span = `Chunk ${chunk.index + 1}, ${clock(chunk.new_start)} to ${clock(chunk.stop)}`;
      const guide = pin && this.firstChunk(pin.time) === chunk.index ? (pin.image ? "this keyframe's own picture" : `the source at ${clock(pin.source)}`)
        : chunk.pinned ? "a keyframe" : this.state.source.kind === "image" ? "the portrait" : `the source at ${clock(chunk.reference)}, the default`;
      this.told.textContent = `${span}: guided by ${guide}. A reference guides the chunk; it does not fix a frame.`;
      for (const [name, off] of [["replace", pin === null], ["remove", pin === null], ["undo", !this.past.length], ["redo", !this.future.length]]) this[name].disabled = off;
    }

    // --- keyframes -------------------------------------------------------------------------------------------------

    edit(change) {
      this.past.push(JSON.stringify(this.pins));
      if (this.past.length > HISTORY) this.past.shift();
      this.future = [];
      change();
      this.told_host();
    }

    told_host() {
      this.revision = (this.revision || 0) + 1;
      const chosen = this.selected === null ? null : this.pins[this.selected];
      this.pins.sort((a, b) => a.time - b.time);
      this.selected = chosen ? this.pins.indexOf(chosen) : null;
      this.placePins();
      this.goTo(this.time, false);
      this.host.changed(this.pins.map(({ time, source, image, url }) => ({ time, source, image, url })), this.revision);
    }

    step(from, to) {
      if (!from.length) return;
      to.push(JSON.stringify(this.pins));
      this.pins = JSON.parse(from.pop());
      this.selected = null;
      this.told_host();
    }

    addPin() {
      if (!this.state) return;
      if (this.state.source.kind === "image") { this.selected = null; this.picker.click(); return; }
      this.edit(() => {
        this.pins.push({ time: this.frame(this.time), source: this.frame(this.sourceAt(this.time)), image: null, url: null });
        this.selected = this.pins.length - 1;
      });
    }

    async picked() {
      const file = this.picker.files[0];
      this.picker.value = "";
      if (!file) return;
      const target = this.selected === null ? null : this.pins[this.selected];
      const at = this.frame(this.time);
      this.told.textContent = `Taking ${file.name}\u2026`;
      let stored;
      try { stored = await this.host.upload(file); } catch { this.told.textContent = `${file.name} could not be taken; try again or choose another picture.`; return; }
      this.edit(() => {
        const pin = target && this.pins.includes(target) ? target : { time: at };
        Object.assign(pin, { source: null, image: stored.path, url: stored.url });
        if (pin !== target) this.pins.push(pin);
        this.selected = this.pins.indexOf(pin);
      });
    }

    removePin() {
      if (this.selected === null) return;
      this.edit(() => { this.pins.splice(this.selected, 1); this.selected = null; });
      this.stage.focus({ preventScroll: true });
    }

    nudge(frames) {
      const pin = this.pins[this.selected];
      this.edit(() => { pin.time = clamp(this.frame(pin.time + frames / this.state.frame_rate), 0, this.lastFrame()); });
      this.goTo(pin.time);
      this.layer.children[this.selected]?.focus({ preventScroll: true });
    }

    lastFrame() { return this.frame(this.state.duration - 1 / this.state.frame_rate); }

    select(index) {
      const before = this.selected;
      this.selected = index;
      if (index !== null) { this.goTo(this.pins[index].time); this.follow(); } else this.goTo(this.time, false);
      if (before !== null) this.layer.children[before]?.classList.remove("chosen");
      if (index !== null) this.layer.children[index]?.classList.add("chosen");
    }

    follow() {  // bring the playhead back into view
      const [left, right] = this.view;
      if (this.time < left || this.time > right) this.show(this.time - (right - left) / 2, this.time + (right - left) / 2);
    }

    placePins() {
      while (this.layer.children.length > this.pins.length) this.layer.lastChild.remove();
      this.pins.forEach((pin, i) => {
        let node = this.layer.children[i];
        if (!node) {
          node = el("button", { type: "button", class: "tl-pin", role: "listitem", onkeydown: (e) => this.pinKey(e, i), onfocus: () => { if (this.selected !== i) this.select(i); } }, el("img", { alt: "" }));
          this.layer.append(node);
        }
        const picture = pin.url || this.thumb(pin.source ?? 0)?.src;
        const image = node.firstChild;
        if (picture && image.src !== picture) image.src = picture;
        if (image.hidden !== !picture) image.hidden = !picture;
        node.classList.toggle("chosen", i === this.selected);
        const label = `Keyframe at ${clock(pin.time)}, ${pin.image ? "own picture" : `source at ${clock(pin.source)}`}`;
        if (node.title !== label) { node.title = label; node.setAttribute("aria-label", label); }
      });
      this.movePins();
    }

    movePins() {
      const width = this.width;
      this.pins.forEach((pin, i) => {
        const node = this.layer.children[i];
        if (!node) return;
        // Out of sight stays in the document, so that the Tab key reaches every keyframe.
        const x = clamp(this.x(pin.time), -40, width + 40).toFixed(1);
        if (node.at !== x) { node.at = x; node.style.transform = `translateX(${x}px)`; }
      });
    }

    // --- pointer, wheel, keys --------------------------------------------------------------------------------------

    pressed(event) {
      if (!this.state || event.button > 0) return;
      const rect = this.stage.getBoundingClientRect(), x = event.clientX - rect.left, y = event.clientY - rect.top;
      this.stage.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, x);
      if (this.pointers.size === 2) { this.drag = { pinch: this.spread(), view: [...this.view] }; return; }
      const node = event.target.closest?.(".tl-pin");
      if (node) {
        const index = [...this.layer.children].indexOf(node);
        this.select(index);
        this.drag = { pin: this.pins[index], from: x, moved: false };
        return;
      }
      this.stage.focus({ preventScroll: true });
      this.select(null);
      this.drag = { scrub: true };
      const at = this.seconds(x);
      const [top, height] = TRACKS.chunks;
      if (y >= top && y <= top + height) this.host.choose(this.firstChunk(at));
      this.goTo(this.snapped(at, event));
    }

    moved(event) {
      if (!this.state || !this.drag || !this.pointers.has(event.pointerId)) return;
      const x = event.clientX - this.stage.getBoundingClientRect().left;
      this.pointers.set(event.pointerId, x);
      if (this.drag.pinch) {
        const now = this.spread(), [left, right] = this.drag.view, scale = this.drag.pinch[1] / Math.max(8, now[1]);
        const fixed = left + this.drag.pinch[0] / this.width * (right - left), span = (right - left) * scale;
        const start = fixed - now[0] / this.width * span;
        this.show(start, start + span);
      } else if (this.drag.pin) {
        if (!this.drag.moved && Math.abs(x - this.drag.from) < 4) return;
        if (!this.drag.moved) { this.past.push(JSON.stringify(this.pins)); this.future = []; this.drag.moved = true; }
        this.drag.pin.time = clamp(this.snapped(this.seconds(x), event), 0, this.lastFrame());
        this.goTo(this.drag.pin.time);
      } else if (this.drag.scrub) this.goTo(this.snapped(this.seconds(x), event));
    }

    released(event) {
      this.pointers.delete(event.pointerId);
      const drag = this.drag;
      if (!this.pointers.size) this.drag = null;
      if (drag?.pin && drag.moved) { this.selected = this.pins.indexOf(drag.pin); this.told_host(); }
    }

    spread() {  // middle and distance of two fingers
      const [a, b] = [...this.pointers.values()];
      return [(a + b) / 2, Math.abs(a - b)];
    }

    wheeled(event) {
      if (!this.state) return;
      const across = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
      // A wheel over the page scrolls the page, until the timeline was clicked or Ctrl is held.
      if (!across && !event.ctrlKey && !event.metaKey && !this.stage.contains(document.activeElement)) return;
      event.preventDefault();
      const [left, right] = this.view;
      if (across) {
        const by = (event.deltaX || event.deltaY) / this.width * (right - left);
        this.show(left + by, right + by);
      } else this.zoom(Math.exp(clamp(event.deltaY, -120, 120) / 300), this.seconds(event.clientX - this.stage.getBoundingClientRect().left));
    }

    key(event) {
      if (!this.state || event.defaultPrevented) return;
      const { frame_rate, chunks, duration } = this.state, one = 1 / frame_rate, chunk = this.firstChunk(this.time);
      const command = event.ctrlKey || event.metaKey;
      const actions = {
        ArrowLeft: () => this.goTo(this.frame(this.time - (event.shiftKey ? 1 : one))),
        ArrowRight: () => this.goTo(this.frame(this.time + (event.shiftKey ? 1 : one))),
        Home: () => this.goTo(0), End: () => this.goTo(duration),
        PageUp: () => this.goTo(chunks[this.time - chunks[chunk].new_start > one / 2 ? chunk : Math.max(0, chunk - 1)].new_start),
        PageDown: () => this.goTo(chunks[Math.min(chunks.length - 1, chunk + 1)].new_start),
        "+": () => this.zoom(1 / 1.6), "=": () => this.zoom(1 / 1.6), "-": () => this.zoom(1.6), 0: () => this.show(0, duration),
        p: () => this.addPin(), r: () => { if (this.selected !== null) this.picker.click(); }, Delete: () => this.removePin(), Backspace: () => this.removePin(),
        Enter: () => this.host.choose(chunk),
      };
      let action = actions[event.key];
      if (command) action = { z: () => (event.shiftKey ? this.redo : this.undo).click(), Z: () => this.redo.click(), y: () => this.redo.click() }[event.key];
      if (!action) return;
      event.preventDefault();
      event.stopPropagation();
      action();
      this.follow();
    }

    pinKey(event, index) {
      const frames = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (frames) { this.selected = index; this.nudge(frames * (event.shiftKey ? 10 : 1)); }
      else if (event.key === "Delete" || event.key === "Backspace") { this.selected = index; this.removePin(); }
      else if (event.key === "Enter" || event.key === "r") { this.selected = index; this.picker.click(); }
      else return;
      event.preventDefault();
      event.stopPropagation();
    }

    // --- pictures of the source ------------------------------------------------------------------------------------

    thumb(at) {
      const key = Math.round(at * 5) / 5;  // one every 0.2 s at most
      const known = this.thumbs.get(key);
      if (known === undefined) this.wanted.add(key);
      if (this.wanted.size && !this.asking) { this.asking = true; setTimeout(() => this.ask(), 60); }
      return known && known.naturalWidth ? known : null;
    }

    async ask() {
      const state = this.state, times = [...this.wanted].slice(0, 24);
      times.forEach((t) => this.wanted.delete(t));
      try {
        const addresses = await this.host.thumbnails(times);
        if (this.state && state && this.state.id === state.id) {
          times.forEach((time, i) => {
            const image = new Image();
            this.thumbs.set(time, image);
            image.onload = () => { this.drawSoon(); };
            if (addresses[i]) image.src = addresses[i];
          });
          // What was seen long ago is asked for again when it comes back into view.
          while (this.thumbs.size > 600) this.thumbs.delete(this.thumbs.keys().next().value);
        }
      } catch { times.forEach((t) => this.thumbs.set(t, null)); }
      this.asking = false;
      if (this.wanted.size) { this.asking = true; setTimeout(() => this.ask(), 30); }
    }

    drawSoon() {
      if (this.soon) return;
      this.soon = requestAnimationFrame(() => { this.soon = 0; if (this.state) { this.showFrames(); this.placePins(); this.draw(); } });
    }

    // --- drawing ---------------------------------------------------------------------------------------------------

    colors() {
      if (this.palette) return this.palette;
      const style = getComputedStyle(this.stage);
      const read = (name) => style.getPropertyValue(name).trim();
      return this.palette = Object.fromEntries(["ink", "faint", "line", "planned", "running", "finished", "stale", "context", "wave", "cut", "ghost"].map((n) => [n, read(`--tl-${n}`)]));
    }

    draw() {
      if (!this.state) return;
      const { width, height } = this, scale = window.devicePixelRatio || 1;
      if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
        this.canvas.width = Math.round(width * scale); this.canvas.height = Math.round(height * scale);
      }
      const g = this.canvas.getContext("2d"), c = this.colors();
      g.setTransform(scale, 0, 0, scale, 0, 0);
      g.clearRect(0, 0, width, height);
      this.drawRuler(g, c, width);
      this.drawSource(g, c, width);
      this.drawChunks(g, c, width);
      this.drawVoices(g, c, width);
      g.fillStyle = c.cut;
      for (const cut of this.state.cuts) g.fillRect(Math.round(this.x(cut)), TRACKS.source[0], 2, TRACKS.chunks[0] + TRACKS.chunks[1] - TRACKS.source[0]);
      this.movePins();
      const x = this.x(this.time);
      this.head.hidden = x < -1 || x > width + 1;
      this.head.style.transform = `translateX(${x.toFixed(1)}px)`;
    }

    drawRuler(g, c, width) {
      const span = this.view[1] - this.view[0];
      const step = [0.04, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800].find((s) => s / span * width >= 58) || 3600;
      g.font = "11px ui-sans-serif, system-ui, sans-serif"; g.textBaseline = "middle";
      for (let t = Math.ceil(this.view[0] / step - 1e-6) * step; t <= this.view[1] + 1e-6; t += step) {
        const x = this.x(t);
        g.fillStyle = c.line; g.fillRect(Math.round(x), 14, 1, 6);
        g.fillStyle = c.faint; g.fillText(step < 1 ? clock(t) : clock(t).slice(0, -2), x + 3, 9);
      }
    }

    drawSource(g, c, width) {
      const [top, height] = TRACKS.source;
      const any = this.thumb(this.sourceAt(this.view[0]));
      const each = any ? THUMB_HEIGHT * any.naturalWidth / any.naturalHeight : THUMB_HEIGHT;
      for (let x = 0; x < width; x += each + 2) {
        const image = this.thumb(this.sourceAt(clamp(this.seconds(x), 0, this.state.duration)));
        if (image) g.drawImage(image, x, top + 2, each, THUMB_HEIGHT);
        else { g.fillStyle = c.line; g.fillRect(x, top + 2, each, THUMB_HEIGHT); }
      }
    }

    drawChunks(g, c, width) {
      const [top, height] = TRACKS.chunks, pinned = new Map(this.pins.map((p) => [this.firstChunk(p.time), p]));
      const chunks = this.state.chunks;
      for (let i = Math.max(0, this.firstChunk(this.view[0]) - 1); i < chunks.length && chunks[i].start <= this.view[1]; i++) {
        const chunk = chunks[i], left = this.x(chunk.new_start), right = this.x(chunk.stop);
        g.fillStyle = c[chunk.status] || c.planned;
        g.fillRect(left + 0.5, top, Math.max(1, right - left - 1), height);
        if (i && right - left > 14) {  // the nine frames it looks back at
          g.fillStyle = c.context; g.fillRect(this.x(chunk.start), top + height - 5, left - this.x(chunk.start), 5);
        }
        const ghost = this.x(chunk.start), pin = pinned.get(i);
        if (right - left > 14) {
          g.strokeStyle = c.ghost; g.lineWidth = 1.5; g.setLineDash(pin ? [2, 2] : []);
          g.beginPath(); g.arc(Math.max(ghost, left - 8) + 6, top - 8, 4, 0, 7); g.stroke();
          if (pin) { g.beginPath(); g.moveTo(Math.max(ghost, left - 8) + 10, top - 8); g.lineTo(this.x(pin.time), top - 8); g.stroke(); }
          g.setLineDash([]);
        }
        if (right - left > 26) { g.fillStyle = chunk.status === "planned" ? c.ink : "#fff"; g.font = "600 11px ui-sans-serif, system-ui, sans-serif"; g.fillText(String(chunk.index + 1), left + 6, top + height / 2); }
      }
    }

    drawVoices(g, c, width) {
      const [top, height] = TRACKS.voice, voices = this.state.voices, each = height / Math.max(1, voices.length);
      voices.forEach((voice, row) => {
        g.fillStyle = c.wave;
        const middle = top + each * (row + 0.5);
        for (let x = 0; x < width; x += 2) {
          const from = Math.floor(this.seconds(x) * voice.rate), to = Math.max(from + 1, Math.floor(this.seconds(x + 2) * voice.rate));
          let peak = 0;
          for (let i = Math.max(0, from); i < Math.min(voice.peaks.length, to, from + 400); i++) if (voice.peaks[i] > peak) peak = voice.peaks[i];
          const half = Math.max(0.5, peak / 100 * each / 2);
          g.fillRect(x, middle - half, 1.4, 2 * half);
        }
      });
    }
  }

  window.mountTimeline = (root, host) => new Timeline(root, host);
})();
