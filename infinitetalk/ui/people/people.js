// Boxes around two speakers: seen, moved and resized on the picture, by pointer or keys.
//
// `mountPeople(root, host)` draws into `root` and returns {update(state)}; `host.changed(boxes)` is called with both
// boxes, [top, left, bottom, right] in pixels of the source, when an edit has ended.
// State: {image, width, height, boxes, notice}.
(() => {
  const LEAST = 0.05;                        // of a side
  const NAMES = ["Voice 1", "Voice 2"];
  const CORNERS = ["nw", "ne", "sw", "se"];
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const el = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value); else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };

  class People {
    constructor(root, host) {
      this.host = host;
      this.past = [];
      this.picture = el("img", { alt: "The picture with a box around each speaker", draggable: "false" });
      this.nodes = NAMES.map((name, index) => el("div", {
        class: `pb-box pb-${index}`, tabindex: "0", role: "group", "data-box": String(index),
        onpointerdown: (e) => this.pressed(e, index), onkeydown: (e) => this.key(e, index),
      }, el("span", { class: "pb-name" }, name), ...CORNERS.map((corner) => el("i", { class: `pb-${corner}`, "data-corner": corner }))));
      this.stage = el("div", { class: "pb-stage" }, this.picture, ...this.nodes);
      this.status = el("p", { class: "help", role: "status" });
      const button = (text, title, action) => el("button", { type: "button", class: "tl-button", title, onclick: action }, text);
      this.undoing = button("Undo", "Take the last change back (Ctrl+Z)", () => this.undo());
      root.replaceChildren(this.status, this.stage, el("div", { class: "pb-bar" },
        button("Swap voices", "Give each person the other one's voice", () => this.change(() => this.boxes.reverse())),
        button("Start over", "The boxes as they were suggested", () => this.change(() => { this.boxes = this.first.map((b) => [...b]); })),
        this.undoing));
      this.root = root;
    }

    update(state) {
      this.root.hidden = !state;
      if (!state || state.image === this.state?.image) return;
      this.state = state;
      this.boxes = state.boxes.map((box) => [...box]);
      this.first = state.boxes.map((box) => [...box]);
      this.past = [];
      this.picture.src = state.image;
      this.stage.style.aspectRatio = `${state.width} / ${state.height}`;
      this.stage.style.maxWidth = `calc(340px * ${state.width / state.height})`;
      this.status.textContent = state.notice;
      this.draw();
    }

    draw() {
      const { width, height } = this.state;
      this.boxes.forEach(([top, left, bottom, right], index) => {
        const node = this.nodes[index];
        node.style.left = `${100 * left / width}%`;
        node.style.top = `${100 * top / height}%`;
        node.style.width = `${100 * (right - left) / width}%`;
        node.style.height = `${100 * (bottom - top) / height}%`;
        const percent = (x, of) => `${Math.round(100 * x / of)} %`;
        node.setAttribute("aria-label", `Box of ${NAMES[index]}: from ${percent(left, width)} to ${percent(right, width)} across, `
          + `${percent(top, height)} to ${percent(bottom, height)} down. Arrow keys move it, with Shift they resize it.`);
      });
      this.undoing.disabled = !this.past.length;
    }

    change(edit) {
      const before = this.boxes.map((box) => [...box]);
      edit();
      if (JSON.stringify(before) === JSON.stringify(this.boxes)) return;
      this.past.push(before);
      this.ended();
    }

    ended() {
      this.draw();
      this.host.changed(this.boxes.map((box) => box.map(Math.round)));
    }

    undo() {
      if (!this.past.length) return;
      this.boxes = this.past.pop();
      this.ended();
    }

    // edges: [top, left, bottom, right] that follow; all four move the box as it is.
    moved(index, from, dx, dy, edges) {
      const { width, height } = this.state;
      let [top, left, bottom, right] = from;
      const whole = edges.every(Boolean);
      if (whole) {
        dx = clamp(dx, -left, width - right);
        dy = clamp(dy, -top, height - bottom);
      }
      if (edges[0]) top = clamp(top + dy, 0, whole ? height : bottom - LEAST * height);
      if (edges[1]) left = clamp(left + dx, 0, whole ? width : right - LEAST * width);
      if (edges[2]) bottom = clamp(bottom + dy, whole ? 0 : top + LEAST * height, height);
      if (edges[3]) right = clamp(right + dx, whole ? 0 : left + LEAST * width, width);
      this.boxes[index] = [top, left, bottom, right];
    }

    pressed(e, index) {
      if (e.button) return;
      e.preventDefault();
      const node = this.nodes[index], corner = e.target.dataset.corner;
      node.focus();
      node.setPointerCapture(e.pointerId);
      const edges = corner ? [corner[0] === "n", corner[1] === "w", corner[0] === "s", corner[1] === "e"] : [true, true, true, true];
      const before = this.boxes.map((box) => [...box]), area = this.stage.getBoundingClientRect();
      const move = (now) => {
        this.moved(index, before[index], (now.clientX - e.clientX) / area.width * this.state.width,
          (now.clientY - e.clientY) / area.height * this.state.height, edges);
        this.draw();
      };
      const end = (cancelled) => {
        node.removeEventListener("pointermove", move);
        node.removeEventListener("pointerup", up);
        node.removeEventListener("pointercancel", cancel);
        if (cancelled) { this.boxes = before; this.draw(); return; }
        if (JSON.stringify(before) === JSON.stringify(this.boxes)) return;
        this.past.push(before);
        this.ended();
      };
      const up = () => end(false), cancel = () => end(true);
      node.addEventListener("pointermove", move);
      node.addEventListener("pointerup", up);
      node.addEventListener("pointercancel", cancel);
    }

    key(e, index) {
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "z") { e.preventDefault(); this.undo(); return; }
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
      if (!step) return;
      e.preventDefault();
      const edges = e.shiftKey ? [false, false, true, true] : [true, true, true, true];
      this.change(() => this.moved(index, this.boxes[index], step[0] * 0.02 * this.state.width, step[1] * 0.02 * this.state.height, edges));
    }
  }

  window.mountPeople = (root, host) => new People(root, host);
})();
