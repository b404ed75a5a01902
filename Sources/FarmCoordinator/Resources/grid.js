// A grid of very many pictures, of which only those in sight are elements and only those near it are asked for.

import { draftOf, fitFor, get, jobPath, pictureOf, query } from "./api.js";
import { fill, make, meter, setText } from "./base.js";
import { letterOf, stateNames, valueText } from "./space.js";
import { complain } from "./views.js";

const gap = 10;
const captionHeight = 24;
const pageSize = 120;

export class PictureGrid {
  /**
   * A grid of images of a job; `open` is called with the index of one that is chosen, and `marks` has the drafts that are
   * marked, for who may mark any.
   */
  constructor(job, space, open, marks) {
    this.job = job;
    this.space = space;
    this.open = open;
    this.marks = marks;
    this.indices = [];
    this.images = new Map();
    this.steps = new Map();
    this.rows = new Map();
    this.asked = new Set();
    this.width = 176;
    this.shape = 1;
    this.focus = 0;
    this.element = make("ul", { class: "grid", "aria-label": "Pictures" });
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.onScroll = () => this.schedule();
    addEventListener("scroll", this.onScroll, { passive: true });
    this.observer = new ResizeObserver(() => this.layOut());
    this.observer.observe(this.element);
  }

  end() {
    removeEventListener("scroll", this.onScroll);
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.again);
    this.isOver = true;
  }

  /** Shows the images of these indices, in their order. */
  show(indices) {
    this.indices = indices;
    this.focus = Math.min(this.focus, Math.max(0, indices.length - 1));
    this.layOut();
  }

  setWidth(width) {
    this.width = width;
    this.layOut();
  }

  layOut() {
    const room = this.element.clientWidth;
    if (!room) return;
    // No browser has elements as high as a column of so many.
    const least = this.indices.length > 20000 ? 2 : 1;
    this.columns = Math.max(least, Math.floor((room + gap) / (this.width + gap)));
    this.tile = (room - gap * (this.columns - 1)) / this.columns;
    this.pitch = Math.round(this.tile / this.shape) + captionHeight + gap;
    const lines = Math.ceil(this.indices.length / this.columns);
    this.element.style.height = `${Math.max(0, lines * this.pitch - gap)}px`;
    for (const row of this.rows.values()) row.dataset.place = "";
    this.schedule();
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  /** The places in sight, and a screen more to either side. */
  sight() {
    const top = this.element.getBoundingClientRect().top;
    const first = Math.floor((-top - innerHeight) / this.pitch) * this.columns;
    const last = Math.ceil((-top + 2 * innerHeight) / this.pitch) * this.columns;
    return [Math.max(0, first), Math.min(this.indices.length, last)];
  }

  draw() {
    if (this.isOver || !this.columns) return;
    const [first, last] = this.sight();
    const kept = new Set();
    for (let place = first; place < last; place += 1) {
      const index = this.indices[place];
      kept.add(index);
      let row = this.rows.get(index);
      if (!row) {
        row = this.makeTile(index);
        this.rows.set(index, row);
        this.element.append(row);
      }
      this.put(row, place);
    }
    for (const [index, row] of this.rows) {
      if (!kept.has(index) && !row.contains(document.activeElement)) {
        row.remove();
        this.rows.delete(index);
      }
    }
    this.ask(first, last);
  }

  put(row, place) {
    if (row.dataset.place === String(place)) return;
    row.dataset.place = place;
    const [line, column] = [Math.floor(place / this.columns), place % this.columns];
    row.style.width = `${this.tile}px`;
    row.style.height = `${this.pitch - gap}px`;
    row.style.left = `${column * (this.tile + gap)}px`;
    row.style.top = `${line * this.pitch}px`;
    row.setAttribute("aria-posinset", place + 1);
    row.setAttribute("aria-setsize", this.indices.length);
    setTab(row, place === this.focus ? 0 : -1);
  }

  makeTile(index) {
    const button = make("button", { type: "button", class: "frame", tabIndex: -1 });
    const row = make("li", { class: "tile" }, button, this.marks ? this.makeMark(index) : null,
      make("p", { class: "caption number" }));
    button.onclick = () => {
      this.focusOn(Number(row.dataset.place), false);
      this.open(index);
    };
    this.update(row, index);
    return row;
  }

  /** A box that marks a draft. */
  makeMark(index) {
    const mark = make("input", { type: "checkbox", class: "mark", hidden: true, "aria-label": `Mark the draft of image ${index}` });
    mark.onchange = () => this.marks.set(index, mark.checked);
    return mark;
  }

  /** Draws anew whether a draft is marked. */
  marked(index) {
    const row = this.rows.get(index);
    if (row) this.updateMark(row, index);
  }

  updateMark(row, index) {
    const mark = row.querySelector(".mark");
    if (!mark) return;
    mark.hidden = !this.marks.isDraft(index);
    mark.checked = this.marks.has(index);
    row.classList.toggle("marked", mark.checked);
  }

  /** Draws an image anew, where it is in sight. */
  changed(index) {
    this.asked.delete(index);
    this.images.delete(index);
    const row = this.rows.get(index);
    if (row) this.update(row, index);
    this.askSoon();
  }

  step(step) {
    this.steps.set(step.image, step);
    const row = this.rows.get(step.image);
    if (row) this.update(row, step.image);
  }

  update(row, index) {
    const image = this.images.get(index);
    const step = this.steps.get(index);
    const name = image?.state ?? stateNames[this.space.states[index]];
    const button = row.firstChild;
    const isMoving = step && !["drafted", "delivered", "failed", "cancelled"].includes(name);
    row.dataset.state = isMoving ? "rendering" : name;
    const settings = image?.settings;
    setText(row.lastChild, image ? this.caption(index, settings) : `#${index}`);
    const words = isMoving ? stepText(step) : name;
    button.setAttribute("aria-label", `Image ${index}, ${words}${settings ? `, seed ${settings.seed}: ${settings.prompt}` : ""}`);
    button.classList.toggle("doubted", Boolean(image?.doubt));
    this.updateMark(row, index);
    if (name === "drafted" && image?.draft?.digest) {
      return this.showPicture(button, draftOf(image, fitFor(this.tile ?? this.width)), image.draft.digest);
    }
    if (name === "delivered" && image) return this.showPicture(button, pictureOf(image, fitFor(this.tile ?? this.width)), image.digest);
    // What it looked like last stays until the picture is there.
    if (name === "delivered" && button.querySelector("img")) return;
    if (isMoving) return this.showStep(button, step, image);
    button.replaceChildren(make("span", { class: "word" }, name === "failed" && image?.failure ? image.failure.message : name));
  }

  /** What tells an image from the others: its index, its seed, and what varies and is short. */
  caption(index, settings) {
    const parts = [`#${index}`, `seed ${settings?.seed ?? "?"}`];
    for (const axis of this.space.axes) {
      if (["seed", "prompt", "references"].includes(axis.parameter)) continue;
      const text = valueText(axis.parameter, this.space.value(axis, index));
      if (text.length <= 12) parts.push(`${axis.title.toLowerCase()} ${text}`);
    }
    return parts.join(" · ");
  }

  showPicture(button, source, digest) {
    const shown = button.querySelector("img.final");
    if (shown?.dataset.digest === digest) return;
    const picture = make("img", { class: "final", alt: "", decoding: "async", data: { digest } });
    picture.onload = () => picture.classList.add("loaded");
    picture.onerror = () => button.replaceChildren(make("span", { class: "word" }, "cannot be shown"));
    picture.src = source;
    button.replaceChildren(picture);
  }

  showStep(button, step, image) {
    let bar = button.querySelector(".meter");
    if (!bar) button.replaceChildren(make("span", { class: "word" }), (bar = meter("Steps done")));
    setText(button.querySelector(".word"), stepText(step));
    fill(bar, [["rendering", step.step]], step.steps);
    if (!step.has_preview || !image) return;
    const source = `/v1/images/${image.id}/preview?step=${step.step}`;
    let picture = button.querySelector("img.preview");
    // It may be gone by the time it is asked for: the picture itself comes next.
    if (!picture) button.prepend((picture = make("img", { class: "preview", alt: "", onerror: () => picture.remove() })));
    if (picture.getAttribute("src") !== source) picture.src = source;
  }

  // ---- what is asked for -----------------------------------------------------------------------

  askSoon() {
    clearTimeout(this.again);
    this.again = setTimeout(() => this.schedule(), 200);
  }

  ask(first, last) {
    const wanted = [];
    for (let place = first; place < last && wanted.length < pageSize; place += 1) {
      const index = this.indices[place];
      if (!this.images.has(index) && !this.asked.has(index)) wanted.push(index);
    }
    if (wanted.length === 0) return;
    // While the reader flies by, nothing is asked for.
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.fetch(wanted.filter((index) => this.rows.has(index))), 60);
  }

  async fetch(wanted) {
    if (wanted.length === 0 || this.isOver) return;
    for (const index of wanted) this.asked.add(index);
    try {
      const page = await get(query(jobPath(this.job, "/images"), { index: wanted.join(","), limit: wanted.length }));
      if (this.isOver) return;
      for (const image of page.items) this.keep(image);
      const settings = page.items[0]?.settings;
      const shape = settings ? settings.width / settings.height : this.shape;
      if (Math.abs(shape - this.shape) > 0.01 && !this.hasShape) {
        this.shape = Math.min(3, Math.max(1 / 3, shape));
        this.layOut();
      }
      this.hasShape = true;
      this.schedule();
    } catch (error) {
      for (const index of wanted) this.asked.delete(index);
      complain(error);
    }
  }

  keep(image) {
    // What has long been out of sight goes first.
    if (this.images.size > 5000) for (const index of [...this.images.keys()].slice(0, 1000)) this.forget(index);
    this.images.set(image.index, image);
    this.space.note(image.index, letterOf(image.state));
    const row = this.rows.get(image.index);
    if (row) this.update(row, image.index);
  }

  forget(index) {
    this.images.delete(index);
    this.asked.delete(index);
  }

  // ---- keys ------------------------------------------------------------------------------------

  onKey(event) {
    if (event.key === "m" && this.marks && !event.altKey && !event.ctrlKey && !event.metaKey) {
      this.marks.toggle(this.indices[this.focus]);
      return;
    }
    const moves = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns,
      PageDown: this.columns * 4, PageUp: -this.columns * 4, Home: -Infinity, End: Infinity,
    };
    const move = moves[event.key];
    if (move === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.focusOn(Math.min(this.indices.length - 1, Math.max(0, this.focus + move)));
  }

  focusOn(place, moves = true) {
    const former = this.rows.get(this.indices[this.focus]);
    if (former) setTab(former, -1);
    this.focus = place;
    const top = this.element.getBoundingClientRect().top + Math.floor(place / this.columns) * this.pitch;
    if (moves && (top < 130 || top + this.pitch > innerHeight - 20)) scrollBy(0, top - innerHeight / 3);
    this.draw();
    const button = this.rows.get(this.indices[place])?.firstChild;
    if (!button) return;
    setTab(this.rows.get(this.indices[place]), 0);
    button.focus({ preventScroll: true });
  }

  /** Brings a place into sight. */
  goTo(place) {
    const top = this.element.getBoundingClientRect().top + Math.floor(place / this.columns) * this.pitch;
    scrollBy(0, top - innerHeight / 4);
  }
}

/** Lets a tile be reached by Tab, with its box, or not. */
function setTab(row, value) {
  row.firstChild.tabIndex = value;
  const mark = row.querySelector(".mark");
  if (mark) mark.tabIndex = value;
}

export const stepText = (step) =>
  step.phase && step.phase !== "denoising" ? step.phase : `step ${step.step} of ${step.steps}`;
