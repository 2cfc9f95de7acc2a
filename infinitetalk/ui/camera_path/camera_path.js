// The camera's path: six curves over the film, one of them edited by its points, by pointer or keys.
//
// `mountCameraPath(root, host)` draws into `root` and returns {update(state)}; `host.changed(points)` is called when an
// edit has ended. State: {id, points: [[seconds, x, y, z, yaw, pitch, roll], ...], seconds}; another id starts anew.
(() => {
  const SHIFT = { unit: "%", factor: 100, least: 0.1, most: 2, of: " of the distance to the person" };
  const TURN = { unit: "\u00b0", factor: 1, least: 4, of: "" };
  // sign: which way of the path's own axes is up in the picture of the curve.
  const CHANNELS = [
    { name: "Sideways", up: "right", down: "left", sign: 1, ...SHIFT },
    { name: "Up and down", up: "up", down: "down", sign: -1, ...SHIFT },
    { name: "To and fro", up: "closer", down: "away", sign: 1, ...SHIFT },
    { name: "Pan", up: "right", down: "left", sign: 1, ...TURN, most: 180 },
    { name: "Tilt", up: "up", down: "down", sign: 1, ...TURN, most: 80 },
    { name: "Roll", up: "clockwise", down: "anticlockwise", sign: 1, ...TURN, most: 180 },
  ];
  const FRAME = 1 / 25, HISTORY = 100, WIDTH = 1000, HEIGHT = 200, SAMPLES = 240;
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const el = (tag, attributes = {}, ...children) => {
    const node = document.createElementNS(["svg", "polyline", "line"].includes(tag) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml", tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value); else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };

  // Slopes at the points such that the curve never passes a point's value (Fritsch and Carlson): what is drawn is what is filmed.
  const slopes = (t, v) => {
    const n = t.length, d = t.slice(1).map((x, i) => (v[i + 1] - v[i]) / (x - t[i])), h = t.slice(1).map((x, i) => x - t[i]);
    if (n === 2) return [d[0], d[0]];
    const inner = d.slice(1).map((right, i) => {
      if (d[i] * right <= 0) return 0;
      const a = 2 * h[i + 1] + h[i], b = h[i + 1] + 2 * h[i];
      return (a + b) / (a / d[i] + b / right);
    });
    const end = (h0, h1, d0, d1) => {
      const s = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
      if (s * d0 <= 0) return 0;
      return d0 * d1 < 0 && Math.abs(s) > 3 * Math.abs(d0) ? 3 * d0 : s;
    };
    return [end(h[0], h[1], d[0], d[1]), ...inner, end(h[n - 2], h[n - 3], d[n - 2], d[n - 3])];
  };
  const curve = (points, channel) => {
    const t = points.map((p) => p[0]), v = points.map((p) => p[channel + 1]), m = t.length > 1 ? slopes(t, v) : [0];
    return (x) => {
      if (x <= t[0]) return v[0];
      if (x >= t[t.length - 1]) return v[v.length - 1];
      let i = 0;
      while (t[i + 1] < x) i++;
      const h = t[i + 1] - t[i], s = (x - t[i]) / h, r = 1 - s;
      return v[i] * r * r * (1 + 2 * s) + v[i + 1] * s * s * (1 + 2 * r) + h * s * r * (m[i] * r - m[i + 1] * s);
    };
  };

  class CameraPath {
    constructor(root, host) {
      this.host = host;
      this.root = root;
      this.channel = 0;
      this.selected = 0;
      this.past = [];
      this.future = [];
      this.tabs = CHANNELS.map((channel, index) => el("button", {
        type: "button", role: "radio", class: `cp-tab cp-${index}`, title: `Edit this curve (${index + 1})`, onclick: () => this.choose(index),
      }, channel.name));
      this.lines = CHANNELS.map((_, index) => el("polyline", { class: `cp-line cp-${index}` }));
      this.svg = el("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
        el("line", { class: "cp-rest", x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }), ...this.lines);
      this.layer = el("div", { class: "cp-points" });
      this.top = el("span", { class: "cp-top" });
      this.bottom = el("span", { class: "cp-bottom" });
      this.stage = el("div", { class: "cp-stage", ondblclick: (e) => this.added(e) }, this.svg, this.top, this.bottom, this.layer);
      this.status = el("p", { class: "help cp-status", role: "status" });
      const button = (text, title, action) => el("button", { type: "button", class: "tl-button", title, onclick: action }, text);
      this.undoing = button("Undo", "Take the last change back (Ctrl+Z)", () => this.undo());
      this.redoing = button("Redo", "Make it again (Ctrl+Shift+Z)", () => this.redo());
      this.removing = button("Remove point", "Remove the chosen point (Delete)", () => this.remove());
      this.thinning = button("Fewer points", "Keep about half of the points, those that matter: a calmer camera", () => this.change(() => this.thin()));
      root.replaceChildren(
        el("div", { class: "cp-tabs", role: "radiogroup", "aria-label": "Which curve is edited" }, ...this.tabs), this.stage, this.status,
        el("div", { class: "cp-bar" }, button("Add point", "In the longest stretch without one; or double-click the curve (+)", () => this.add()),
          this.removing, this.thinning, button("Camera at rest", "Set this curve to 0 throughout", () => this.change(() => this.points.forEach((p) => { p[this.channel + 1] = 0; }))),
          button("Start over", "The path as it was", () => this.change(() => { this.points = this.first.map((p) => [...p]); })), this.undoing, this.redoing));
      root.hidden = true;
      root.addEventListener("keydown", (e) => this.key(e));
    }

    update(state) {
      this.root.hidden = !state;
      if (!state) { this.state = null; return; }
      if (state.id === this.state?.id) return;
      this.state = state;
      this.points = state.points.map((p) => [...p]);
      this.first = state.points.map((p) => [...p]);
      this.past = [];
      this.future = [];
      const most = CHANNELS.map((c, i) => Math.max(...this.points.map((p) => Math.abs(p[i + 1]))) / c.least);
      this.channel = most.indexOf(Math.max(...most));  // the one that moves most
      this.selected = this.points.length - 1;
      this.scale();
      this.draw();
    }

    // What the curve's height stands for; only between edits, lest a point runs away from the pointer.
    scale() {
      this.reach = CHANNELS.map((c, i) => Math.min(c.most, Math.max(c.least, 1.3 * Math.max(...this.points.map((p) => Math.abs(p[i + 1]))))));
    }

    x(seconds) { return WIDTH * seconds / this.state.seconds; }
    y(value, channel) { return HEIGHT / 2 * (1 - CHANNELS[channel].sign * value / this.reach[channel]); }

    draw() {
      const { seconds } = this.state, { channel } = this, c = CHANNELS[channel];
      CHANNELS.forEach((_, index) => {
        const at = curve(this.points, index), line = this.lines[index];
        const samples = Array.from({ length: SAMPLES + 1 }, (_, i) => seconds * i / SAMPLES);
        line.setAttribute("points", samples.map((t) => `${this.x(t).toFixed(1)},${this.y(at(t), index).toFixed(1)}`).join(" "));
        line.classList.toggle("chosen", index === channel);
        line.style.display = index === channel || this.points.some((p) => p[index + 1]) ? "" : "none";
        this.tabs[index].setAttribute("aria-checked", String(index === channel));
        this.tabs[index].tabIndex = index === channel ? 0 : -1;
      });
      this.svg.append(this.lines[channel]);  // on top
      this.top.textContent = `${c.up} ${this.amount(this.reach[channel])}`;
      this.bottom.textContent = `${c.down} ${this.amount(this.reach[channel])}`;
      while (this.layer.children.length > this.points.length) this.layer.lastChild.remove();
      while (this.layer.children.length < this.points.length) {
        const index = this.layer.children.length;
        this.layer.append(el("button", { type: "button", class: "cp-point", onpointerdown: (e) => this.pressed(e, index), onfocus: () => this.select(index) }));
      }
      this.points.forEach((point, index) => {
        const node = this.layer.children[index];
        node.style.left = `${100 * point[0] / seconds}%`;
        node.style.top = `${100 * this.y(point[channel + 1], channel) / HEIGHT}%`;
        node.className = `cp-point cp-${channel}${index === this.selected ? " chosen" : ""}`;
        node.tabIndex = index === this.selected ? 0 : -1;
        node.setAttribute("aria-label", `${this.words(index)} Arrow keys move it.`);
      });
      this.status.textContent = this.words(this.selected);
      this.undoing.disabled = !this.past.length;
      this.redoing.disabled = !this.future.length;
      this.removing.disabled = this.selected === 0 || this.points.length < 2;
      this.thinning.disabled = this.points.length < 4;
    }

    amount(value) {
      const c = CHANNELS[this.channel], shown = Math.abs(value) * c.factor;
      return `${shown.toFixed(shown < 10 ? 1 : 0)}${c.unit === "%" ? " %" : c.unit}`;
    }

    words(index) {
      const point = this.points[index], value = point[this.channel + 1], c = CHANNELS[this.channel];
      const where = Math.abs(value * c.factor) < 0.05 ? "at rest" : `${this.amount(value)}${c.of} ${value * c.sign > 0 ? c.up : c.down}`;
      return `Point ${index + 1} of ${this.points.length}, ${point[0].toFixed(2)} s: ${where}.`;
    }

    choose(index) {
      this.channel = index;
      this.draw();
      this.tabs[index].focus();
    }

    select(index) {
      this.selected = clamp(index, 0, this.points.length - 1);
      this.draw();
    }

    change(edit) {
      const before = this.points.map((p) => [...p]);
      edit();
      this.ended(before);
    }

    ended(before) {
      this.selected = clamp(this.selected, 0, this.points.length - 1);
      if (JSON.stringify(before) === JSON.stringify(this.points)) { this.draw(); return; }
      this.past.push(before);
      if (this.past.length > HISTORY) this.past.shift();
      this.future = [];
      this.tell();
    }

    tell() {
      this.scale();
      this.draw();
      this.host.changed(this.points.map((p) => p.map((value) => Math.round(value * 1e5) / 1e5)));
    }

    undo() { this.back(this.past, this.future); }
    redo() { this.back(this.future, this.past); }

    back(from, to) {
      if (!from.length) return;
      to.push(this.points.map((p) => [...p]));
      this.points = from.pop();
      this.selected = clamp(this.selected, 0, this.points.length - 1);
      this.tell();
    }

    // A point keeps between its neighbours; the first stays at the film's start.
    place(index, seconds, value) {
      const { points } = this, c = CHANNELS[this.channel];
      const low = index ? points[index - 1][0] + FRAME : 0, high = index + 1 < points.length ? points[index + 1][0] - FRAME : this.state.seconds;
      if (index) points[index][0] = clamp(Math.round(seconds / FRAME) * FRAME, low, Math.max(low, high));
      points[index][this.channel + 1] = clamp(value, -c.most, c.most);
    }

    insert(seconds) {
      const at = CHANNELS.map((_, index) => curve(this.points, index)(seconds));
      const index = this.points.findIndex((p) => p[0] > seconds), place = index < 0 ? this.points.length : index;
      const near = [this.points[place - 1], this.points[place]].some((p) => p && Math.abs(p[0] - seconds) < FRAME * 0.99);
      if (near) return;
      this.points.splice(place, 0, [seconds, ...at]);
      this.selected = place;
    }

    add() {
      const ends = [...this.points.map((p) => p[0]), this.state.seconds];
      const gaps = ends.slice(1).map((t, i) => t - ends[i]), widest = gaps.indexOf(Math.max(...gaps));
      this.change(() => this.insert(Math.round((ends[widest] + gaps[widest] / (widest === gaps.length - 1 ? 1 : 2)) / FRAME) * FRAME));
      this.layer.children[this.selected].focus();
    }

    added(e) {
      if (e.target.closest(".cp-point")) return;
      const area = this.stage.getBoundingClientRect();
      this.change(() => {
        const count = this.points.length;
        this.insert(Math.round((e.clientX - area.left) / area.width * this.state.seconds / FRAME) * FRAME);
        if (this.points.length > count) this.place(this.selected, this.points[this.selected][0], this.value(e, area));
      });
      this.layer.children[this.selected].focus();
    }

    remove() {
      if (this.selected === 0 || this.points.length < 2) return;
      const { selected } = this;
      this.change(() => this.points.splice(selected, 1));
      this.layer.children[this.selected].focus();
    }

    // Points without which the path would leave its place least go first.
    thin() {
      const weights = [1, 1, 0.5, ...[1, 1, 0.5].map((w) => w * Math.PI / 180)];  // about how far the picture moves
      const kept = (tolerance) => {
        const stay = new Set([0, this.points.length - 1]), open = [[0, this.points.length - 1]];
        while (open.length) {
          const [a, b] = open.pop();
          let worst = tolerance, at = -1;
          for (let i = a + 1; i < b; i++) {
            const s = (this.points[i][0] - this.points[a][0]) / (this.points[b][0] - this.points[a][0]);
            const off = Math.max(...weights.map((w, k) => w * Math.abs(this.points[i][k + 1] - this.points[a][k + 1] * (1 - s) - this.points[b][k + 1] * s)));
            if (off > worst) { worst = off; at = i; }
          }
          if (at > 0) { stay.add(at); open.push([a, at], [at, b]); }
        }
        return this.points.filter((_, i) => stay.has(i));
      };
      const wanted = Math.max(2, Math.floor(this.points.length / 2));
      let tolerance = 1e-4, fewer = this.points;
      while (fewer.length > wanted) { fewer = kept(tolerance); tolerance *= 1.25; }
      this.points = fewer.map((p) => [...p]);
    }

    value(e, area) {
      const { sign } = CHANNELS[this.channel];
      return sign * this.reach[this.channel] * (1 - 2 * clamp((e.clientY - area.top) / area.height, 0, 1));
    }

    pressed(e, index) {
      if (e.button) return;
      e.preventDefault();
      const node = this.layer.children[index], area = this.stage.getBoundingClientRect(), before = this.points.map((p) => [...p]);
      node.focus();
      node.setPointerCapture(e.pointerId);
      let moved = false;
      const move = (now) => {
        if (!moved && Math.hypot(now.clientX - e.clientX, now.clientY - e.clientY) < 3) return;
        moved = true;
        const across = now.shiftKey ? before[index][0] : (now.clientX - area.left) / area.width * this.state.seconds;  // Shift: only up and down
        this.place(index, across, this.value(now, area));
        this.draw();
      };
      const end = (cancelled) => {
        node.removeEventListener("pointermove", move);
        node.removeEventListener("pointerup", up);
        node.removeEventListener("pointercancel", cancel);
        if (cancelled) { this.points = before; this.draw(); return; }
        this.ended(before);
      };
      const up = () => end(false), cancel = () => end(true);
      node.addEventListener("pointermove", move);
      node.addEventListener("pointerup", up);
      node.addEventListener("pointercancel", cancel);
    }

    key(e) {
      if (!this.state) return;
      const held = e.ctrlKey || e.metaKey, name = e.key.toLowerCase();
      const press = (action) => { e.preventDefault(); e.stopPropagation(); action(); };
      if (held && name === "z") return press(() => (e.shiftKey ? this.redo() : this.undo()));
      if (held && name === "y") return press(() => this.redo());
      if (held) return;
      if (e.target.classList.contains("cp-tab")) {
        const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
        if (by) press(() => this.choose((this.channel + by + CHANNELS.length) % CHANNELS.length));
        return;
      }
      if (/^[1-6]$/.test(e.key)) return press(() => { this.channel = Number(e.key) - 1; this.draw(); });
      if (e.key === "+") return press(() => this.add());
      if (!e.target.classList.contains("cp-point")) return;
      if (e.key === "Delete" || e.key === "Backspace") return press(() => this.remove());
      const go = { Home: 0, End: this.points.length - 1, PageUp: this.selected - 1, PageDown: this.selected + 1 }[e.key];
      if (go !== undefined) return press(() => { this.select(go); this.layer.children[this.selected].focus(); });
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
      if (!step) return;
      press(() => this.change(() => {
        const by = e.shiftKey ? 10 : 1, c = CHANNELS[this.channel], point = this.points[this.selected];
        const fine = c.factor === 100 ? 0.005 : 0.2;  // half a percent, a fifth of a degree
        this.place(this.selected, point[0] + by * step[0] * FRAME, point[this.channel + 1] + c.sign * by * step[1] * fine);
      }));
    }
  }

  window.mountCameraPath = (root, host) => new CameraPath(root, host);
})();
