// Small pictures of the source, fetched when they come into view and forgotten when there are many.
class SourcePictures {
  // ask(times) -> Promise of addresses; arrived() is called when a picture can be drawn.
  constructor(ask, arrived) {
    this.ask = ask;
    this.arrived = arrived;
    this.clear();
  }

  clear() {
    this.known = new Map();  // instant of the source, rounded -> Image
    this.wanted = new Set();
    this.age = (this.age || 0) + 1;  // an answer about the source before is no longer wanted
  }

  at(seconds) {
    const key = Math.round(seconds * 5) / 5;  // one every 0.2 s at most
    const image = this.known.get(key);
    if (image === undefined) this.wanted.add(key);
    this.fetchSoon(60);
    return image && image.naturalWidth ? image : null;
  }

  fetchSoon(milliseconds) {
    if (!this.wanted.size || this.waiting) return;
    this.waiting = true;
    setTimeout(() => this.fetch(), milliseconds);
  }

  async fetch() {
    const times = [...this.wanted].slice(0, 24), age = this.age;
    times.forEach((time) => this.wanted.delete(time));
    let addresses = [];
    try { addresses = await this.ask(times); } catch { /* they stay blank */ }
    if (age === this.age) {
      times.forEach((time, i) => {
        const image = addresses[i] ? new Image() : null;
        this.known.set(time, image);
        if (image) { image.onload = this.arrived; image.src = addresses[i]; }
      });
      // What was seen long ago is fetched again when it comes back into view.
      while (this.known.size > 600) this.known.delete(this.known.keys().next().value);
    }
    this.waiting = false;
    this.fetchSoon(30);
  }
}
