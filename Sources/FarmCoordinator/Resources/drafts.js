// Drafts of a job: which of them are marked, and the bar that keeps or drops them.

import { call, jobPath, may } from "./api.js";
import { make, plural, setText } from "./base.js";
import { act, ask, say } from "./views.js";

/** The drafts that somebody has marked, by index; `changed` is called with each that is marked or not any more. */
export class Marks {
  constructor(space, changed) {
    this.space = space;
    this.changed = changed;
    this.marked = new Set();
  }

  isDraft(index) {
    return this.space.states[index] === "p";
  }

  has(index) {
    return this.marked.has(index) && this.isDraft(index);
  }

  set(index, isMarked) {
    if (isMarked && !this.isDraft(index)) return;
    if (isMarked) this.marked.add(index);
    else this.marked.delete(index);
    this.changed(index);
  }

  toggle(index) {
    if (!this.isDraft(index)) return;
    this.set(index, !this.has(index));
    say(`Image ${index} ${this.has(index) ? "marked" : "not marked"}`);
  }

  /** The marked ones that are still drafts, ascending. */
  list() {
    return [...this.marked].filter((index) => this.isDraft(index)).sort((a, b) => a - b);
  }
}

/** Keeps drafts of these indices; null for all that wait. */
export const keep = (id, images, button) => act(
  button, () => call("POST", jobPath(id, "/keep"), images ? { images } : { all: true }),
  images ? `${plural(images.length, "draft")} kept: to be finished.` : "All drafts are kept: to be finished.",
);

/** Drops drafts of these indices after a question; null for all that wait. */
export async function drop(id, images, waiting, button) {
  const yes = await ask(`Drop ${plural(images ? images.length : waiting, "draft")}?`, {
    details: "They are cancelled, and their pictures and checkpoints go. There is no way back.", button: "Drop", isDanger: true,
  });
  if (yes === null) return undefined;
  return act(button, () => call("POST", jobPath(id, "/drop"), images ? { images } : { rest: true }), "The drafts are dropped.");
}

/** The bar of a job's drafts; `shown` gives the indices that the filter leaves. */
export function makeDraftBar(id, space, marks, shown) {
  const words = make("span", { class: "number" });
  const button = (text, kind, action) => {
    const made = make("button", { type: "button", class: kind }, text);
    made.onclick = () => action(made);
    return made;
  };
  const keepMarked = button("", "", async (made) => {
    const images = marks.list();
    if (await keep(id, images, made)) for (const index of images) marks.set(index, false);
  });
  const dropMarked = button("", "soft", (made) => drop(id, marks.list(), 0, made));
  const markShown = button("Mark those shown", "soft", () => {
    for (const index of shown()) marks.set(index, true);
  });
  const unmark = button("Unmark", "plain", () => {
    for (const index of marks.list()) marks.set(index, false);
  });
  const dropRest = button("Drop all that wait …", "soft", (made) => drop(id, null, space.tally().p, made));
  const element = make("div", { class: "card drafts", role: "group", "aria-label": "Drafts" }, words, make("span", { class: "grow" }),
    may("submitter") ? [keepMarked, dropMarked, markShown, unmark, dropRest] : null);

  function update() {
    const waiting = space.tally().p;
    const marked = marks.list().length;
    element.hidden = waiting === 0;
    setText(words, `${plural(waiting, "draft")} to decide${marked ? `, ${marked} marked` : ""}`);
    for (const one of [keepMarked, dropMarked, unmark]) one.hidden = marked === 0;
    dropRest.hidden = marked > 0;
    setText(keepMarked, `Keep ${plural(marked, "draft")}`);
    setText(dropMarked, `Drop ${plural(marked, "draft")} …`);
  }

  update();
  return { element, update };
}
