// What is drawn rather than made of elements: ruler, source, chunks, voices, cuts.
class Painter {
  constructor(timeline, canvas) {
    this.timeline = timeline;
    this.canvas = canvas;
    this.palette = null;
  }

  colors() {
    if (this.palette) return this.palette;
    const style = getComputedStyle(this.canvas);
    const names = ["ink", "faint", "line", "planned", "running", "finished", "stale", "context", "wave", "cut", "ghost", "path-0", "path-1", "path-2", "path-3"];
    return this.palette = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--tl-${name}`).trim()]));
  }

  draw() {
    const { timeline, canvas } = this, { width, height } = timeline, scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const g = canvas.getContext("2d"), c = this.colors();
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, width, height);
    g.textBaseline = "middle";
    this.ruler(g, c, width);
    this.source(g, c, width);
    this.path(g, c);
    this.chunks(g, c);
    this.voices(g, c, width);
    g.fillStyle = c.cut;
    const top = TRACKS.source[0], bottom = TRACKS.chunks[0] + TRACKS.chunks[1];
    for (const cut of timeline.state.cuts) g.fillRect(Math.round(timeline.x(cut)), top, 2, bottom - top);
  }

  ruler(g, c, width) {
    const { timeline } = this, [start, stop] = timeline.view, span = stop - start;
    const step = [0.04, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800].find((s) => s / span * width >= 58) || 3600;
    g.font = "11px ui-sans-serif, system-ui, sans-serif";
    for (let t = Math.ceil(start / step - 1e-6) * step; t <= stop + 1e-6; t += step) {
      const x = timeline.x(t);
      g.fillStyle = c.line; g.fillRect(Math.round(x), 14, 1, 6);
      g.fillStyle = c.faint; g.fillText(step < 1 ? clock(t) : clock(t).slice(0, -2), x + 3, 9);
    }
  }

  source(g, c, width) {
    const { timeline } = this, top = TRACKS.source[0] + 2;
    const any = timeline.pictures.at(timeline.sourceAt(timeline.view[0]));
    const each = any ? THUMB_HEIGHT * any.naturalWidth / any.naturalHeight : THUMB_HEIGHT;
    for (let x = 0; x < width; x += each + 2) {
      const at = clamp(timeline.seconds(x), 0, timeline.state.duration), image = timeline.pictures.at(timeline.sourceAt(at));
      if (image) g.drawImage(image, x, top, each, THUMB_HEIGHT);
      else { g.fillStyle = c.line; g.fillRect(x, top, each, THUMB_HEIGHT); }
    }
  }

  // How the camera moves, over the source that it films.
  path(g, c) {
    const { timeline } = this, lines = timeline.state.camera || [], middle = TRACKS.source[0] + TRACKS.source[1] / 2;
    g.lineJoin = "round";
    lines.forEach((values, kind) => {
      if (!values.some(Boolean)) return;
      for (const [width, color] of [[4, "rgba(255, 255, 255, 0.75)"], [2, c[`path-${kind}`]]]) {
        g.lineWidth = width; g.strokeStyle = color;
        g.beginPath();
        values.forEach((value, i) => g.lineTo(timeline.x(timeline.state.duration * i / (values.length - 1)), middle - value / 100 * (THUMB_HEIGHT / 2 - 3)));
        g.stroke();
      }
    });
  }

  chunks(g, c) {
    const { timeline } = this, [top, height] = TRACKS.chunks, chunks = timeline.state.chunks;
    const pinned = new Map(timeline.pins.list.map((pin) => [timeline.chunkAt(pin.time), pin]));
    for (let i = Math.max(0, timeline.chunkAt(timeline.view[0]) - 1); i < chunks.length && chunks[i].start <= timeline.view[1]; i++) {
      const chunk = chunks[i], left = timeline.x(chunk.new_start), right = timeline.x(chunk.stop);
      g.fillStyle = c[chunk.status] || c.planned;
      g.fillRect(left + 0.5, top, Math.max(1, right - left - 1), height);
      if (right - left <= 14) continue;
      const start = timeline.x(chunk.start), pin = pinned.get(i), ghost = Math.max(start, left - 8) + 6;
      if (i) { g.fillStyle = c.context; g.fillRect(start, top + height - 5, left - start, 5); }  // the nine frames it looks back at
      // The default reference, and what replaces it.
      g.strokeStyle = c.ghost; g.lineWidth = 1.5; g.setLineDash(pin ? [2, 2] : []);
      g.beginPath(); g.arc(ghost, top - 8, 4, 0, 7); g.stroke();
      if (pin) { g.beginPath(); g.moveTo(ghost + 4, top - 8); g.lineTo(timeline.x(pin.time), top - 8); g.stroke(); }
      g.setLineDash([]);
      if (right - left > 26) {
        g.fillStyle = chunk.status === "planned" ? c.ink : "#fff"; g.font = "600 11px ui-sans-serif, system-ui, sans-serif";
        g.fillText(String(chunk.index + 1), left + 6, top + height / 2);
        if (chunk.control_strength != null && right - left > 70) {  // how strongly pose and camera networks act
          g.textAlign = "right"; g.fillText(`\u00d7${chunk.control_strength}`, right - 6, top + height / 2); g.textAlign = "left";
        }
      }
    }
  }

  voices(g, c, width) {
    const { timeline } = this, [top, height] = TRACKS.voice, voices = timeline.state.voices, each = height / Math.max(1, voices.length);
    g.fillStyle = c.wave;
    voices.forEach((voice, row) => {
      const middle = top + each * (row + 0.5);
      for (let x = 0; x < width; x += 2) {
        const from = Math.floor(timeline.seconds(x) * voice.rate), to = Math.max(from + 1, Math.floor(timeline.seconds(x + 2) * voice.rate));
        let peak = 0;
        for (let i = Math.max(0, from); i < Math.min(voice.peaks.length, to, from + 400); i++) if (voice.peaks[i] > peak) peak = voice.peaks[i];
        const half = Math.max(0.5, peak / 100 * each / 2);
        g.fillRect(x, middle - half, 1.4, 2 * half);
      }
    });
  }
}
