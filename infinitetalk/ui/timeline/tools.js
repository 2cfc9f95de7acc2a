// What the timeline's parts share. The files are joined in one function: nothing here is seen by the rest of the page.
const TRACKS = { ruler: [0, 20], source: [22, 58], pins: [82, 26], chunks: [110, 34], voice: [148, 34], spans: [186, 22] };
const THUMB_HEIGHT = 54, SNAP_PIXELS = 7, HISTORY = 100;

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
