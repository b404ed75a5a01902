// A job's images as points of its axes: which there are, where each stands, and which of them a filter leaves.

import { get, jobPath } from "./api.js";

export const stateNames = { w: "waiting", r: "rendering", p: "drafted", d: "delivered", f: "failed", c: "cancelled" };

/** The letter of a state by its name. */
export const letterOf = (name) => Object.keys(stateNames).find((letter) => stateNames[letter] === name) ?? name[0];

const titles = {
  prompt: "Prompt", references: "References", seed: "Seed", size: "Size", guidance: "Guidance", steps: "Steps",
  negative_prompt: "Negative prompt", true_cfg: "True CFG", first_step_guidance: "First step guidance",
  prepare: "Preparation", ref_res: "Reference size", posterior: "Posterior", noise: "Noise", step_cache: "Step cache",
  max_text_tokens: "Text tokens", loras: "LoRAs",
};

/** Whole numbers as a specification writes them, as `1-8,12`. */
export function rangeText(numbers) {
  const ranges = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([low, high]) => (low === high ? low : `${low}-${high}`)).join(",");
}

/** A value of an axis in a few words. */
export function valueText(parameter, value) {
  if (parameter === "references") {
    if (value.length === 0) return "none";
    return value.map((one) => `${one.task} ${one.image.split("/").pop()}`).join(" + ");
  }
  if (parameter === "loras") return value.map((one) => `${one.file} × ${one.weight ?? 1}`).join(" + ") || "none";
  if (value && typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** Numbers as `1-8, 12`, as a test; null for what is no such list. */
function rangeTest(text) {
  const ranges = [];
  for (const part of text.split(",")) {
    const match = part.trim().match(/^(\d+)(?:\s*-\s*(\d+))?$/);
    if (!match) return null;
    ranges.push([Number(match[1]), Number(match[2] ?? match[1])]);
  }
  return (value) => ranges.some(([low, high]) => value >= low && value <= high);
}

export class ImageSpace {
  constructor(axes, states) {
    this.count = axes.images;
    this.axes = axes.axes.map((axis) => ({ ...axis, title: titles[axis.parameter] ?? axis.parameter }));
    this.setStates(states);
  }

  /** The space of a job, and the number of the event that its states know. */
  static async load(id, signal) {
    const [axes, states] = await Promise.all([get(jobPath(id, "/axes"), signal), get(jobPath(id, "/states"), signal)]);
    return { space: new ImageSpace(axes, states.states), after: states.event_number };
  }

  setStates(text) {
    this.states = Array.from(text.padEnd(this.count, "w"));
  }

  async refresh(id) {
    this.setStates((await get(jobPath(id, "/states"))).states);
  }

  /** Notes that an image is in another state; says whether that is new. */
  note(index, letter) {
    if (index === undefined || this.states[index] === letter) return false;
    this.states[index] = letter;
    return true;
  }

  axis(parameter) {
    return this.axes.find((axis) => axis.parameter === parameter);
  }

  position(axis, index) {
    return Math.floor(index / axis.stride) % axis.values.length;
  }

  value(axis, index) {
    return axis.values[this.position(axis, index)];
  }

  /** How many images are in each state, by its letter. */
  tally() {
    const tally = { w: 0, r: 0, p: 0, d: 0, f: 0, c: 0 };
    for (const letter of this.states) tally[letter] += 1;
    return tally;
  }

  /**
   * The indices that a filter leaves, ascending. It has `state`, a letter; `text`, words that prompts, references or other
   * values have; and for a parameter a position, or for numbers a list as `1-8, 12`.
   */
  filter(filter) {
    const tests = [];
    if (filter.state) tests.push((index) => this.states[index] === filter.state);
    for (const axis of this.axes) {
      const wanted = filter[axis.parameter];
      if (wanted === undefined || wanted === "") continue;
      const test = isNumeric(axis) ? rangeTest(wanted) : null;
      const fits = axis.values.map((value, position) => (test ? test(value) : String(position) === wanted));
      tests.push((index) => fits[this.position(axis, index)]);
    }
    for (const word of (filter.text ?? "").toLowerCase().split(/\s+/).filter(Boolean)) {
      const fits = this.axes.map((axis) => axis.values.map((value) => valueText(axis.parameter, value).toLowerCase().includes(word)));
      tests.push((index) => this.axes.some((axis, number) => fits[number][this.position(axis, index)]));
    }
    const found = [];
    for (let index = 0; index < this.count; index += 1) {
      if (tests.every((test) => test(index))) found.push(index);
    }
    return found;
  }

  /** The images at the positions of `fixed`, a map of parameters; those of zipped axes that never meet are none. */
  at(fixed) {
    const held = Object.entries(fixed).map(([parameter, position]) => [this.axis(parameter), position]);
    // The slowest axis first, so that each leaves few ranges to the next.
    held.sort((first, second) => second[0].stride - first[0].stride);
    let ranges = [[0, this.count]];
    for (const [axis, position] of held) {
      const round = axis.stride * axis.values.length;
      ranges = ranges.flatMap(([low, high]) => {
        const parts = [];
        for (let start = Math.floor(low / round) * round + position * axis.stride; start < high; start += round) {
          const part = [Math.max(low, start), Math.min(high, start + axis.stride)];
          if (part[0] < part[1]) parts.push(part);
        }
        return parts;
      });
    }
    const found = [];
    for (const [low, high] of ranges) for (let index = low; index < high; index += 1) found.push(index);
    return found;
  }
}

/** Whether an axis is of numbers so many that a list of them is no choice. */
export const isNumeric = (axis) => typeof axis.values[0] === "number" && axis.values.length > 12;
