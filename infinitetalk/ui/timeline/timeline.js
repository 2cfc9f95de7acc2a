// The keyframe timeline: what guides which stretch of the film, seen and edited in one place.
//
// `mountTimeline(root, host)` draws into `root` and returns {update(state)}. The host gives:
//   thumbnails(times) -> Promise of picture addresses, one per instant of the source
//   upload(file)      -> Promise of {path, url} for a keyframe's own picture
//   changed(edits, revision)  called with {pins, cuts, spans} whenever they were edited
//   seek(seconds)     called while the playhead moves, so that players can follow
//   choose(chunk)     called when a chunk's band is chosen
//   again(chunk)      called when a chunk is to be made again; canAgain() -> whether that is possible now
//   film()            address of the finished film, or null
// State, as made by state.py: seconds, times in the film unless a name says otherwise.
//   {id, duration, frame_rate, source: {kind, duration, short}, chunks: [{index, start, new_start, stop, status,
//    reference}], pins: [{time, source, image, url}], cuts: [s], source_cuts: [s of the source], own_cuts: whether they
//    were edited, spans: [{start, stop, prompt, reference_placement, control_strength}], guides: {prompt: bool,
//    placements: [[name, words]], control_strength: bool}, camera: its path as lines of values from -100 to 100, evenly over the film, voices: [{rate, peaks}], revision}
class Timeline {
  constructor(root, host) {
    this.host = host;
    this.state = null;
    this.time = 0;
    this.view = [0, 1];  // seconds at the left and right edge
    this.cuts = null;    // the user's own, seconds of the source; null while they are as found
    this.past = [];
    this.future = [];
    this.pictures = new SourcePictures((times) => host.thumbnails(times), () => this.drawSoon());
    this.build(root);
    this.width = this.height = 1;  // of the stage; asking the browser at every use would lay the page out anew each time
    new ResizeObserver(() => { this.measure(); this.draw(); }).observe(this.stage);
    this.measure();
    new MutationObserver(() => { this.painter.palette = null; this.draw(); }).observe(document.body, { attributeFilter: ["class"] });
  }

  // --- the page's part ---------------------------------------------------------------------------------------------

  build(root) {
    const picker = el("input", { type: "file", accept: "image/*", hidden: "" }), canvas = el("canvas", { "aria-hidden": "true" });
    const pins = el("div", { class: "tl-pins", role: "group", "aria-label": "Keyframes" });
    const spans = el("div", { class: "tl-spans", role: "group", "aria-label": "Stretches guided otherwise" });
    this.head = el("div", { class: "tl-head", "aria-hidden": "true" });
    this.slider = el("div", { class: "tl-slider", tabindex: "0", role: "slider", "aria-label": "Playhead", "aria-valuemin": "0" });
    this.stage = el("div", { class: "tl-stage" }, canvas, this.slider, pins, spans, this.head);
    this.pins = new Pins(this, pins, picker);
    this.spans = new Spans(this, spans);
    this.painter = new Painter(this, canvas);
    new Gestures(this, this.stage);
    this.buttons = {};
    const button = (name, text, title, action) => this.buttons[name] = el("button", {
      type: "button", class: "tl-button", title, "data-action": name, onclick: () => { if (this.state) action(); },
    }, text);
    const group = (...buttons) => el("span", { class: "tl-group" }, ...buttons);
    this.readout = el("output", { class: "tl-time", "aria-live": "off" });
    this.status = el("p", { class: "tl-status", role: "status" });
    this.shown = el("img", { alt: "The source at the playhead", hidden: "" });
    this.film = el("video", { muted: "", playsinline: "", preload: "auto", hidden: "", "aria-label": "The film at the playhead" });
    this.film.muted = true;
    const views = group(
      button("less", "\u2212", "Zoom out (-)", () => this.zoom(1.6)),
      button("fit", "Fit", "Show the whole film (0)", () => this.show(0, this.state.duration)),
      button("more", "+", "Zoom in (+)", () => this.zoom(1 / 1.6)));
    views.classList.add("tl-end");
    root.classList.add("tl");
    root.replaceChildren(
      el("div", { class: "tl-bar" }, this.readout,
        group(
          button("add", "Pin here", "Add a keyframe at the playhead (P)", () => this.pins.add()),
          button("replace", "Own picture", "Give the chosen keyframe a picture of its own (R)", () => picker.click()),
          button("span", "Guide this stretch", "Say what happens in a stretch of the film, or how close it keeps to the source (S)", () => this.spans.add()),
          button("cut", "Cut here", "Let a new shot begin at the playhead, or join two shots (C)", () => this.toggleCut()),
          button("remove", "Delete", "Delete the chosen keyframe or stretch (Delete)", () => { this.pins.remove(); this.spans.remove(); })),
        group(
          button("undo", "Undo", "Undo (Ctrl+Z)", () => this.step(this.past, this.future)),
          button("redo", "Redo", "Redo (Ctrl+Y)", () => this.step(this.future, this.past)),
          button("again", "Make again", "Make the stretch at the playhead once more (T)", () => this.host.again(this.chunkAt(this.time)))),
        views),
      el("div", { class: "tl-body" }, this.stage,
        el("div", { class: "tl-monitor" },
          el("figure", {}, this.shown, el("figcaption", {}, "Source")), el("figure", {}, this.film, el("figcaption", {}, "Film")))),
      this.status, this.spans.editor, picker);
  }

  update(state) {
    if (!state || !state.chunks || !state.chunks.length) { this.state = null; return; }
    const other = !this.state || this.state.id !== state.id;
    const longer = this.state && this.state.duration !== state.duration;
    this.state = state;
    if (other) {
      this.past = []; this.future = []; this.pins.selected = this.spans.selected = null; this.pictures.clear();
    }
    if (other || longer) { this.view = [0, state.duration]; this.time = clamp(this.time, 0, state.duration); }
    // The page answers with what it last got; what is here is as new or newer, and a pointer may hold it.
    if (other || state.revision > (this.revision || 0)) {
      this.pins.take(state.pins);
      this.spans.take(state.spans);
      this.cuts = state.own_cuts ? [...state.source_cuts] : null;
    }
    this.slider.setAttribute("aria-valuemax", state.duration.toFixed(2));
    this.stage.classList.toggle("with-spans", this.spans.possible);
    this.buttons.span.hidden = !this.spans.possible;
    this.buttons.cut.hidden = state.source.kind === "image";
    this.place();
    this.goTo(this.time, false);
  }

  say(words) { this.status.textContent = words; }

  focus() { this.slider.focus({ preventScroll: true }); }

  // --- geometry ----------------------------------------------------------------------------------------------------

  measure() {
    this.width = this.stage.clientWidth || 1;
    this.height = this.stage.clientHeight || 1;
  }

  x(seconds) { return (seconds - this.view[0]) / (this.view[1] - this.view[0]) * this.width; }
  seconds(x) { return this.view[0] + x / this.width * (this.view[1] - this.view[0]); }
  frame(seconds) { return Math.round(seconds * this.state.frame_rate) / this.state.frame_rate; }
  lastFrame() { return this.frame(this.state.duration - 1 / this.state.frame_rate); }

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

  follow() {  // bring the playhead back into view
    const [left, right] = this.view;
    if (this.time < left || this.time > right) this.show(this.time - (right - left) / 2, this.time + (right - left) / 2);
  }

  snapped(seconds, event) {  // to the start of a chunk or shot nearby, unless Alt is held
    if (event && event.altKey) return this.frame(seconds);
    const { chunks, cuts } = this.state, reach = SNAP_PIXELS / this.width * (this.view[1] - this.view[0]);
    let best = null;
    const offer = (at) => { if (Math.abs(at - seconds) <= reach && (best === null || Math.abs(at - seconds) < Math.abs(best - seconds))) best = at; };
    for (let i = this.chunkAt(seconds - reach); i < chunks.length && chunks[i].new_start <= seconds + reach; i++) offer(chunks[i].new_start);
    cuts.forEach(offer);
    return this.frame(best ?? seconds);
  }

  chunkAt(seconds) {  // the chunk whose new frames hold this instant
    const { chunks } = this.state;
    let low = 0, high = chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (chunks[middle].new_start <= seconds + 1e-6) low = middle; else high = middle - 1;
    }
    return low;
  }

  sourceAt(seconds) {  // as planning.chunks.reference_seconds
    const { kind, duration, short } = this.state.source;
    if (kind === "image" || seconds < duration) return kind === "image" ? 0 : seconds;
    const last = Math.max(0, duration - 1 / this.state.frame_rate);
    if (short !== "ping-pong" || last <= 0) return last;
    const phase = seconds % (2 * last);
    return phase <= last ? phase : 2 * last - phase;
  }

  // --- the playhead ------------------------------------------------------------------------------------------------

  goTo(seconds, tell = true) {
    if (!this.state) return;
    const { duration, chunks, frame_rate } = this.state;
    this.time = clamp(seconds, 0, Math.max(0, duration - 1 / frame_rate));
    const chunk = chunks[this.chunkAt(this.time)];
    this.readout.value = `${clock(this.time)} of ${clock(duration)}`;
    this.slider.setAttribute("aria-valuenow", this.time.toFixed(2));
    this.slider.setAttribute("aria-valuetext", `${clock(this.time)}, chunk ${chunk.index + 1} of ${chunks.length}, ${chunk.status}`);
    this.describe();
    this.showFrames();
    if (tell) this.host.seek(this.time);
    this.draw();
  }

  showFrames() {
    const known = this.pictures.at(this.sourceAt(this.time));
    if (known) { this.shown.src = known.src; this.shown.hidden = false; }
    const film = this.host.film();
    if (film && this.film.src !== film) this.film.src = film;
    this.film.hidden = !film;
    if (film) this.film.currentTime = this.time + 0.5 / this.state.frame_rate;
  }

  describe() {
    if (!this.state) return;
    const { chunks, source, guides } = this.state, chunk = chunks[this.chunkAt(this.time)], pin = this.pins.chosen, span = this.spans.chosen;
    if (span) {
      this.say(`Stretch ${clock(span.start)} to ${clock(span.stop)}: counts for the chunks whose middle lies in it.`);
    } else {
      const guide = pin && this.chunkAt(pin.time) === chunk.index ? (pin.image ? "this keyframe's own picture" : `the source at ${clock(pin.source)}`)
        : chunk.pinned ? "a keyframe" : source.kind === "image" ? "the portrait" : `the source at ${clock(chunk.reference)}, the default`;
      this.say(`Chunk ${chunk.index + 1}, ${clock(chunk.new_start)} to ${clock(chunk.stop)}: guided by ${guide}. A reference guides the chunk; it does not fix a frame.`);
    }
    this.spans.showEditor();
    const off = {
      replace: !pin, remove: !pin && !span, undo: !this.past.length, redo: !this.future.length,
      again: chunk.status !== "finished" || !this.host.canAgain?.(), span: !guides,
    };
    for (const [name, disabled] of Object.entries(off)) this.buttons[name].disabled = disabled;
    this.buttons.cut.textContent = this.cutHere() === null ? "Cut here" : "Join shots";
  }

  // --- edits -------------------------------------------------------------------------------------------------------

  snapshot() { return JSON.stringify([this.pins.list, this.cuts, this.spans.list]); }

  remember() {  // what an edit about to be made can be undone to
    this.past.push(this.snapshot());
    if (this.past.length > HISTORY) this.past.shift();
    this.future = [];
  }

  edit(change) {
    this.remember();
    change();
    this.tellHost();
  }

  step(from, to) {
    if (!from.length) return;
    to.push(this.snapshot());
    this.pins.selected = this.spans.selected = null;
    [this.pins.list, this.cuts, this.spans.list] = JSON.parse(from.pop());
    this.tellHost();
  }

  tellHost() {
    this.revision = (this.revision || 0) + 1;
    this.pins.sort();
    this.spans.sort();
    this.place();
    this.goTo(this.time, false);
    const edits = { pins: this.pins.list, cuts: this.cuts, spans: this.spans.list };
    this.host.changed(JSON.parse(JSON.stringify(edits)), this.revision);
  }

  cutHere() {  // which cut of the source the playhead stands at, or null
    const { source_cuts, frame_rate, source } = this.state;
    if (source.kind === "image") return null;
    const at = this.sourceAt(this.time), near = (cut) => Math.abs(cut - at) < 0.6 / frame_rate;
    return (this.cuts ?? source_cuts).find(near) ?? null;
  }

  toggleCut() {
    const cuts = this.cuts ?? this.state.source_cuts, old = this.cutHere(), at = this.frame(this.sourceAt(this.time));
    if (old === null && at <= 0) { this.say("The film begins here; a cut needs something before it."); return; }
    this.edit(() => { this.cuts = old === null ? [...cuts, at].sort((a, b) => a - b) : cuts.filter((cut) => cut !== old); });
  }

  place() {
    this.pins.place();
    this.spans.place();
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  draw() {
    if (!this.state) return;
    this.painter.draw();
    this.pins.move();
    this.spans.move();
    const x = this.x(this.time);
    this.head.hidden = x < -1 || x > this.width + 1;
    this.head.style.transform = `translateX(${x.toFixed(1)}px)`;
  }

  drawSoon() {
    if (this.soon) return;
    this.soon = requestAnimationFrame(() => { this.soon = 0; if (this.state) { this.showFrames(); this.place(); this.draw(); } });
  }
}

window.mountTimeline = (root, host) => new Timeline(root, host);
