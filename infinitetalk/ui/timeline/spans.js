// Stretches that are guided otherwise than the rest: {start, stop, prompt,
// reference_placement, control_strength} each, a bar
// with two ends to pull. control_strength: factor of the control strength of pose and camera networks there.
const STRENGTHS = [["0", "not at all"], ["0.5", "half as strongly"], ["1.5", "half again as strongly"], ["2", "twice as strongly"]];

class Spans {
  constructor(timeline, layer) {
    this.timeline = timeline;
    this.layer = layer;
    this.list = [];
    this.selected = null;  // index
    this.prompt = el("input", {
      type: "text", maxlength: "2000", placeholder: "as in the rest of the film",
      onchange: () => this.set({ prompt: this.prompt.value.trim() || null }),
    });
    this.placement = el("select", { onchange: () => this.set({ reference_placement: this.placement.value || null }) });
    this.help = el("span", { class: "tl-help" });
    this.promptField = el("label", { class: "tl-wide" }, "What happens in this stretch", this.prompt);
    this.placementField = el("label", {}, "Reference placement", this.placement, this.help);
    this.control_strength = el("select", { onchange: () => this.set({ control_strength: this.control_strength.value === "" ? null : Number(this.control_strength.value) }) });
    this.strengthField = el("label", {}, "Control strength", this.control_strength);
    this.editor = el("div", { class: "tl-editor", hidden: "" }, this.promptField, this.placementField, this.strengthField);
    // Keys typed here are words, not the timeline's commands.
    this.editor.addEventListener("keydown", (event) => event.stopPropagation());
  }

  get chosen() { return this.selected === null ? null : this.list[this.selected]; }

  // Whether this film has anything that a stretch can differ in.
  get possible() {
    const guides = this.timeline.state?.guides;
    return Boolean(guides && (guides.prompt || guides.placements.length || guides.control_strength));
  }

  get firstField() {
    const { guides } = this.timeline.state;
    return guides.prompt ? this.prompt : guides.placements.length ? this.placement : this.control_strength;
  }

  take(list) {
    this.list = (list || []).map((span) => ({ ...span }));
    if (this.selected !== null && this.selected >= this.list.length) this.selected = null;
  }

  sort() {
    const { chosen } = this;
    this.list.sort((a, b) => a.start - b.start);
    this.selected = chosen ? this.list.indexOf(chosen) : null;
  }

  select(index) {
    const before = this.selected;
    this.selected = index;
    if (index !== null) this.timeline.pins.select(null);
    if (before !== null) this.layer.children[before]?.classList.remove("chosen");
    if (index !== null) this.layer.children[index]?.classList.add("chosen");
    this.timeline.describe();
  }

  add() {
    const { timeline } = this;
    if (!this.possible) return;
    const chunk = timeline.state.chunks[timeline.chunkAt(timeline.time)];
    timeline.edit(() => {
      const span = { start: timeline.frame(chunk.new_start), stop: timeline.frame(chunk.stop), prompt: null, reference_placement: null, control_strength: null };
      this.list.push(span);
      timeline.pins.selected = null;
      this.selected = this.list.length - 1;
    });
    this.firstField.focus({ preventScroll: true });
  }

  set(change) {
    const { chosen } = this;
    if (!chosen || Object.keys(change).every((key) => chosen[key] === change[key])) return;
    this.timeline.edit(() => Object.assign(chosen, change));
  }

  remove() {
    if (this.selected === null) return;
    this.timeline.edit(() => { this.list.splice(this.selected, 1); this.selected = null; });
    this.timeline.focus();
  }

  // The span as it becomes when `end` (start, stop or both) is moved by so many seconds.
  moved(span, end, seconds) {
    const { timeline } = this, one = 1 / timeline.state.frame_rate, { duration } = timeline.state;
    if (end === "start") return { start: clamp(timeline.frame(span.start + seconds), 0, span.stop - one), stop: span.stop };
    if (end === "stop") return { start: span.start, stop: clamp(timeline.frame(span.stop + seconds), span.start + one, duration) };
    const start = clamp(timeline.frame(span.start + seconds), 0, duration - (span.stop - span.start));
    return { start, stop: start + span.stop - span.start };
  }

  place() {
    while (this.layer.children.length > this.list.length) this.layer.lastChild.remove();
    this.list.forEach((span, i) => {
      const node = this.layer.children[i] || this.make(i);
      const strength = STRENGTHS.find(([factor]) => Number(factor) === span.control_strength)?.[1] ?? (span.control_strength == null ? "" : `${span.control_strength} times`);
      const words = [span.prompt, this.words(span.reference_placement), strength && `controlled ${strength}`].filter(Boolean).join("; ") || "like the rest";
      node.classList.toggle("chosen", i === this.selected);
      const label = `Stretch ${clock(span.start)} to ${clock(span.stop)}: ${words}`;
      if (node.title !== label) { node.title = label; node.setAttribute("aria-label", label); node.lastChild.textContent = words; }
    });
    this.move();
  }

  words(reference_placement) {
    return this.timeline.state?.guides?.placements.find(([name]) => name === reference_placement)?.[1].split(":")[0] || "";
  }

  make(index) {
    const node = el("button", {
      type: "button", class: "tl-span", onkeydown: (event) => this.key(event, index),
      onfocus: () => { if (this.selected !== index) this.select(index); },
    }, el("span", {}));
    this.layer.append(node);
    return node;
  }

  move() {
    const { timeline } = this;
    this.list.forEach((span, i) => {
      const node = this.layer.children[i];
      if (!node) return;
      const left = clamp(timeline.x(span.start), -40, timeline.width + 20), right = clamp(timeline.x(span.stop), -20, timeline.width + 40);
      node.style.transform = `translateX(${left.toFixed(1)}px)`;
      node.style.width = `${Math.max(6, right - left).toFixed(1)}px`;
    });
  }

  // Which part of a span's bar a pointer holds.
  endAt(node, x) {
    const rect = node.getBoundingClientRect(), reach = Math.min(10, rect.width / 3);
    return x - rect.left < reach ? "start" : rect.right - x < reach ? "stop" : "both";
  }

  key(event, index) {
    const { timeline } = this, steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (steps) {
      this.selected = index;
      const span = this.chosen, seconds = steps * (event.shiftKey ? 10 : 1) / timeline.state.frame_rate;
      timeline.edit(() => Object.assign(span, this.moved(span, event.altKey ? "stop" : event.ctrlKey ? "start" : "both", seconds)));
      this.layer.children[this.selected]?.focus({ preventScroll: true });
    } else if (event.key === "Delete" || event.key === "Backspace") { this.selected = index; this.remove(); }
    else if (event.key === "Enter") this.firstField.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The fields below the timeline, for the chosen stretch.
  showEditor() {
    const span = this.chosen, guides = this.timeline.state?.guides;
    this.editor.hidden = !span || !guides;
    if (this.editor.hidden) return;
    this.promptField.hidden = !guides.prompt;
    this.placementField.hidden = !guides.placements.length;
    this.strengthField.hidden = !guides.control_strength;
    const own = span.control_strength == null || STRENGTHS.some(([factor]) => Number(factor) === span.control_strength) ? [] : [[String(span.control_strength), `${span.control_strength} times as strongly`]];
    this.control_strength.replaceChildren(el("option", { value: "" }, "as in the rest of the film"),
      ...[...STRENGTHS, ...own].map(([factor, text]) => el("option", { value: factor }, text)));
    this.control_strength.value = span.control_strength == null ? "" : String(span.control_strength);
    if (document.activeElement !== this.prompt) this.prompt.value = span.prompt || "";
    if (this.placement.length !== guides.placements.length + 1) {
      this.placement.replaceChildren(el("option", { value: "" }, "as the rest of the film"),
        ...guides.placements.map(([name, text]) => el("option", { value: name }, text.split(":")[0])));
    }
    this.placement.value = span.reference_placement || "";
    this.help.textContent = guides.placements.find(([name]) => name === span.reference_placement)?.[1].split(": ")[1] || "";
  }
}
