// Pointer, fingers, wheel and keys on the stage.
class Gestures {
  constructor(timeline, stage) {
    this.timeline = timeline;
    this.stage = stage;
    this.pointers = new Map();
    this.drag = null;
    const on = (name, action, options) => stage.addEventListener(name, (event) => { if (timeline.state) action(event); }, options);
    on("pointerdown", (event) => this.pressed(event));
    on("pointermove", (event) => this.moved(event));
    on("pointerup", (event) => this.released(event));
    on("pointercancel", (event) => this.released(event));
    on("wheel", (event) => this.wheeled(event), { passive: false });
    on("keydown", (event) => this.key(event));
  }

  x(event) { return event.clientX - this.stage.getBoundingClientRect().left; }

  pressed(event) {
    if (event.button > 0) return;
    const { timeline } = this, x = this.x(event), y = event.clientY - this.stage.getBoundingClientRect().top;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, x);
    if (this.pointers.size === 2) { this.drag = { pinch: this.spread(), view: [...timeline.view] }; return; }
    const pin = event.target.closest?.(".tl-pin"), span = event.target.closest?.(".tl-span");
    if (pin) {
      const index = [...timeline.pins.layer.children].indexOf(pin);
      timeline.pins.select(index);
      this.drag = { pin: timeline.pins.list[index], from: x, moved: false };
    } else if (span) {
      const index = [...timeline.spans.layer.children].indexOf(span), chosen = timeline.spans.list[index];
      timeline.spans.select(index);
      this.drag = { span: chosen, was: { ...chosen }, end: timeline.spans.endAt(span, event.clientX), from: x, moved: false };
    } else {
      timeline.focus();
      timeline.pins.select(null);
      timeline.spans.select(null);
      this.drag = { scrub: true };
      const [top, height] = TRACKS.chunks;
      if (y >= top && y <= top + height) timeline.host.choose(timeline.chunkAt(timeline.seconds(x)));
      timeline.goTo(timeline.snapped(timeline.seconds(x), event));
    }
  }

  moved(event) {
    const { timeline, drag } = this;
    if (!drag || !this.pointers.has(event.pointerId)) return;
    const x = this.x(event);
    this.pointers.set(event.pointerId, x);
    if (drag.pinch) return this.pinched(drag);
    if (drag.scrub) return timeline.goTo(timeline.snapped(timeline.seconds(x), event));
    if (!drag.moved && Math.abs(x - drag.from) < 4) return;
    if (!drag.moved) { timeline.remember(); drag.moved = true; }
    if (drag.pin) {
      drag.pin.time = clamp(timeline.snapped(timeline.seconds(x), event), 0, timeline.lastFrame());
      timeline.goTo(drag.pin.time);
    } else {
      const edge = drag.end === "stop" ? drag.was.stop : drag.was.start;
      const by = timeline.snapped(edge + timeline.seconds(x) - timeline.seconds(drag.from), event) - edge;
      Object.assign(drag.span, timeline.spans.moved(drag.was, drag.end, by));
      timeline.spans.place();
    }
  }

  pinched(drag) {
    const { timeline } = this, now = this.spread(), [left, right] = drag.view;
    const span = (right - left) * drag.pinch[1] / Math.max(8, now[1]);
    const start = left + drag.pinch[0] / timeline.width * (right - left) - now[0] / timeline.width * span;
    timeline.show(start, start + span);
  }

  released(event) {
    const { timeline, drag } = this;
    this.pointers.delete(event.pointerId);
    if (drag?.pinch) this.drag = null;  // the finger that stays does not scrub
    if (this.pointers.size) return;
    this.drag = null;
    if (!drag?.moved) return;
    if (drag.pin) timeline.pins.selected = timeline.pins.list.indexOf(drag.pin);
    if (drag.span) timeline.spans.selected = timeline.spans.list.indexOf(drag.span);
    timeline.tellHost();
  }

  spread() {  // middle and distance of two fingers
    const [a, b] = [...this.pointers.values()];
    return [(a + b) / 2, Math.abs(a - b)];
  }

  wheeled(event) {
    const { timeline } = this, across = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    // A wheel over the page scrolls the page, until the timeline was clicked or Ctrl is held.
    if (!across && !event.ctrlKey && !event.metaKey && !this.stage.contains(document.activeElement)) return;
    event.preventDefault();
    const [left, right] = timeline.view;
    if (across) {
      const by = (event.deltaX || event.deltaY) / timeline.width * (right - left);
      timeline.show(left + by, right + by);
    } else timeline.zoom(Math.exp(clamp(event.deltaY, -120, 120) / 300), timeline.seconds(this.x(event)));
  }

  key(event) {
    if (event.defaultPrevented) return;
    const { timeline } = this, { chunks, duration, frame_rate } = timeline.state, one = 1 / frame_rate;
    const here = timeline.chunkAt(timeline.time), step = event.shiftKey ? 1 : one;
    const back = timeline.time - chunks[here].new_start > one / 2 ? here : Math.max(0, here - 1);
    const press = (name) => () => timeline.buttons[name].click();
    const actions = event.ctrlKey || event.metaKey
      ? { z: event.shiftKey ? press("redo") : press("undo"), Z: press("redo"), y: press("redo") }
      : {
        ArrowLeft: () => timeline.goTo(timeline.frame(timeline.time - step)),
        ArrowRight: () => timeline.goTo(timeline.frame(timeline.time + step)),
        Home: () => timeline.goTo(0), End: () => timeline.goTo(duration),
        PageUp: () => timeline.goTo(chunks[back].new_start),
        PageDown: () => timeline.goTo(chunks[Math.min(chunks.length - 1, here + 1)].new_start),
        "+": press("more"), "=": press("more"), "-": press("less"), 0: press("fit"), p: press("add"), r: press("replace"),
        c: press("cut"), s: press("span"), t: press("again"), Delete: press("remove"), Backspace: press("remove"),
        Enter: () => timeline.host.choose(here),
      };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
    timeline.follow();
  }
}
