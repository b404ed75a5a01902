// A job as a field: every image a speck in the colour of its state, so that a hundred thousand are seen at once.

import { count, make } from "./base.js";
import { stateNames } from "./space.js";

const height = 56;

/** The colours of the states as the style sheet has them, by letter, each as red, green and blue. */
function colours(element) {
  const found = {};
  const probe = make("i");
  element.append(probe);
  for (const [letter, name] of Object.entries(stateNames)) {
    probe.className = `speck ${name}`;
    found[letter] = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  }
  probe.remove();
  return found;
}

export class Field {
  /** A field of a job's images; `go` is called with the index that is clicked. */
  constructor(space, go) {
    this.space = space;
    this.canvas = make("canvas", { class: "field", height, role: "img" });
    this.element = make("div", { class: "field-frame" }, this.canvas);
    this.canvas.addEventListener("click", (event) => {
      const box = this.canvas.getBoundingClientRect();
      const cell = Math.floor(((event.clientY - box.top) / box.height) * this.lines) * this.columns
        + Math.floor(((event.clientX - box.left) / box.width) * this.columns);
      go(Math.min(space.count - 1, Math.max(0, Math.floor(cell * this.share))));
    });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
    this.onTheme = () => this.changed();
    this.scheme = matchMedia("(prefers-color-scheme: light)");
    this.scheme.addEventListener("change", this.onTheme);
    addEventListener("dreamfarm-theme", this.onTheme);
  }

  end() {
    this.observer.disconnect();
    this.scheme.removeEventListener("change", this.onTheme);
    removeEventListener("dreamfarm-theme", this.onTheme);
    clearTimeout(this.timer);
  }

  /** Draws it anew a moment after something changed. */
  changed() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.draw();
    }, 400);
  }

  draw() {
    const width = this.element.clientWidth;
    if (!width) return;
    const { count: images, states } = this.space;
    // The largest square specks that all images have room as, at least three pixels wide; then several share one.
    let side = 14;
    while (side > 3 && Math.floor(width / side) * Math.floor(height / side) < images) side -= 1;
    this.columns = Math.max(1, Math.floor(width / side));
    this.lines = Math.max(1, Math.min(Math.floor(height / side), Math.ceil(images / this.columns)));
    this.share = Math.max(1, images / (this.columns * this.lines));
    const palette = colours(this.element);
    const [across, down] = [this.columns * side, this.lines * side];
    this.canvas.width = across;
    this.canvas.height = down;
    this.canvas.style.height = `${down}px`;
    this.canvas.style.width = `${across}px`;
    const context = this.canvas.getContext("2d");
    const gap = side > 4 ? 1 : 0;
    for (let cell = 0; cell * this.share < images; cell += 1) {
      const first = Math.floor(cell * this.share);
      const last = Math.min(images, Math.max(first + 1, Math.floor((cell + 1) * this.share)));
      const mixed = [0, 0, 0];
      let weight = 0;
      for (let index = first; index < last; index += 1) {
        // One failure among many is seen.
        const part = states[index] === "f" ? 1 + (last - first) / 2 : 1;
        const colour = palette[states[index]];
        for (let channel = 0; channel < 3; channel += 1) mixed[channel] += part * colour[channel];
        weight += part;
      }
      context.fillStyle = `rgb(${mixed.map((value) => Math.round(value / weight)).join(" ")})`;
      context.fillRect((cell % this.columns) * side, Math.floor(cell / this.columns) * side, side - gap, side - gap);
    }
    const tally = this.space.tally();
    const words = Object.entries(stateNames).filter(([letter]) => tally[letter]).map(([letter, name]) => `${count(tally[letter])} ${name}`);
    this.canvas.setAttribute("aria-label", `All images by state: ${words.join(", ")}`);
  }
}
