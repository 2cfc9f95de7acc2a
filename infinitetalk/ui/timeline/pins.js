// Keyframes: {time, source, image, url} each, a button in the stage, pictures of the source or of the user's own.
class Pins {
  constructor(timeline, layer, picker) {
    this.timeline = timeline;
    this.layer = layer;
    this.picker = picker;
    this.list = [];
    this.selected = null;  // index
    picker.addEventListener("change", () => this.picked());
  }

  get chosen() { return this.selected === null ? null : this.list[this.selected]; }

  take(list) {
    this.list = list.map((pin) => ({ ...pin }));
    if (this.selected !== null && this.selected >= this.list.length) this.selected = null;
  }

  sort() {
    const { chosen } = this;
    this.list.sort((a, b) => a.time - b.time);
    this.selected = chosen ? this.list.indexOf(chosen) : null;
  }

  select(index) {
    const before = this.selected;
    this.selected = index;
    if (index !== null) this.timeline.spans.select(null);
    if (before !== null) this.layer.children[before]?.classList.remove("chosen");
    if (index !== null) {
      this.layer.children[index]?.classList.add("chosen");
      this.timeline.goTo(this.list[index].time);
      this.timeline.follow();
    } else this.timeline.describe();
  }

  add() {
    const { timeline } = this;
    if (!timeline.state) return;
    if (timeline.state.source.kind === "image") { this.selected = null; this.picker.click(); return; }
    timeline.edit(() => {
      this.list.push({ time: timeline.frame(timeline.time), source: timeline.frame(timeline.sourceAt(timeline.time)), image: null, url: null });
      this.selected = this.list.length - 1;
    });
  }

  async picked() {
    const { timeline } = this, file = this.picker.files[0], target = this.chosen, at = timeline.frame(timeline.time);
    this.picker.value = "";
    if (!file) return;
    timeline.say(`Taking ${file.name}\u2026`);
    let stored;
    try { stored = await timeline.host.upload(file); } catch {
      timeline.say(`${file.name} could not be taken; try again or choose another picture.`);
      return;
    }
    timeline.edit(() => {
      const pin = target && this.list.includes(target) ? target : { time: at };
      Object.assign(pin, { source: null, image: stored.path, url: stored.url });
      if (pin !== target) this.list.push(pin);
      this.selected = this.list.indexOf(pin);
    });
  }

  remove() {
    if (this.selected === null) return;
    this.timeline.edit(() => { this.list.splice(this.selected, 1); this.selected = null; });
    this.timeline.focus();
  }

  nudge(frames) {
    const { timeline, chosen } = this;
    timeline.edit(() => { chosen.time = clamp(timeline.frame(chosen.time + frames / timeline.state.frame_rate), 0, timeline.lastFrame()); });
    timeline.goTo(chosen.time);
    this.layer.children[this.selected]?.focus({ preventScroll: true });
  }

  place() {
    while (this.layer.children.length > this.list.length) this.layer.lastChild.remove();
    this.list.forEach((pin, i) => {
      const node = this.layer.children[i] || this.make(i);
      const picture = pin.url || this.timeline.pictures.at(pin.source ?? 0)?.src, image = node.firstChild;
      if (picture && image.src !== picture) image.src = picture;
      if (image.hidden !== !picture) image.hidden = !picture;
      node.classList.toggle("chosen", i === this.selected);
      const label = `Keyframe at ${clock(pin.time)}, ${pin.image ? "own picture" : `source at ${clock(pin.source)}`}`;
      if (node.title !== label) { node.title = label; node.setAttribute("aria-label", label); }
    });
    this.move();
  }

  make(index) {
    const node = el("button", {
      type: "button", class: "tl-pin", onkeydown: (event) => this.key(event, index),
      onfocus: () => { if (this.selected !== index) this.select(index); },
    }, el("img", { alt: "" }));
    this.layer.append(node);
    return node;
  }

  move() {
    const { timeline } = this;
    this.list.forEach((pin, i) => {
      const node = this.layer.children[i];
      if (!node) return;
      // Out of sight stays in the document, so that the Tab key reaches every keyframe.
      const x = clamp(timeline.x(pin.time), -40, timeline.width + 40).toFixed(1);
      if (node.at !== x) { node.at = x; node.style.transform = `translateX(${x}px)`; }
    });
  }

  key(event, index) {
    const frames = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (frames) { this.selected = index; this.nudge(frames * (event.shiftKey ? 10 : 1)); }
    else if (event.key === "Delete" || event.key === "Backspace") { this.selected = index; this.remove(); }
    else if (event.key === "Enter" || event.key === "r") { this.selected = index; this.picker.click(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
