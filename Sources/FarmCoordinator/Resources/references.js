// The sets of references of the form: pictures that are dropped, what is taken of each, and in which slot.

import { blobPicture } from "./api.js";
import { choice, make } from "./base.js";
import { tell } from "./views.js";
import { digestOf } from "./upload.js";

const kinds = [["ip", "ip, thing"], ["id", "id, face"], ["style", "style"]];
const side = 112;

/** A picture of a file that is not sent yet, as a canvas: the page loads pictures from nowhere else. */
export async function sketch(file) {
  const canvas = make("canvas", { class: "sketch", width: side, height: side, role: "img", "aria-label": file.name });
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.max(side / picture.width, side / picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    canvas.getContext("2d").drawImage(picture, (side - width) / 2, (side - height) / 2, width, height);
    picture.close();
  } catch {
    return null;
  }
  return canvas;
}

/** A place for files: dropped, pasted or chosen. */
export function dropZone(text, accept, take) {
  const input = make("input", { type: "file", multiple: true, accept, class: "unseen" });
  const zone = make("label", { class: "drop" }, input, make("span", {}, text));
  input.onchange = () => {
    take([...input.files]);
    input.value = "";
  };
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  return zone;
}

export class ReferenceSets {
  /** Sets of references; `files` gets each file by its digest, `changed` is called after every change. */
  constructor(files, changed) {
    this.files = files;
    this.changed = changed;
    this.sets = [];
    this.list = make("ol", { class: "sets", "aria-label": "Sets of references" });
    const add = make("button", { type: "button", class: "soft" }, "Add a set to compare");
    add.onclick = () => this.addSet();
    this.element = make("div", {}, this.list, add);
    this.addSet();
  }

  addSet(references = []) {
    const set = { references: [] };
    set.list = make("ul", { class: "references" });
    const title = make("h3");
    const remove = make("button", { type: "button", class: "plain" }, "Remove the set");
    set.row = make("li", { class: "set" }, make("div", { class: "row-head" }, title, make("span", { class: "grow" }), remove), set.list,
      dropZone("Drop pictures here, paste, or choose files", "image/png,image/jpeg,image/webp", (files) => this.take(set, files)));
    remove.onclick = () => {
      this.sets = this.sets.filter((one) => one !== set);
      set.row.remove();
      if (this.sets.length === 0) this.addSet();
      this.number();
      this.changed();
    };
    this.sets.push(set);
    this.list.append(set.row);
    this.number();
    for (const one of references) {
      const picture = one.sha256 ? make("img", { class: "sketch", src: blobPicture(one.sha256, 256), alt: one.image }) : null;
      this.addReference(set, { image: one.image, sha256: one.sha256 }, picture, one.task, one.slot);
    }
    return set;
  }

  /** Puts these sets in the place of those that are there. */
  fill(sets) {
    for (const set of this.sets) set.row.remove();
    this.sets = [];
    for (const references of sets.length ? sets : [[]]) this.addSet(references);
  }

  number() {
    this.sets.forEach((set, number) => {
      set.row.querySelector("h3").textContent = this.sets.length > 1 ? `Set ${number + 1}` : "References";
      set.row.querySelector(".plain").hidden = this.sets.length === 1 && set.references.length === 0;
    });
  }

  async take(set, files) {
    for (const file of files) {
      const picture = await sketch(file);
      if (!picture) {
        tell(`${file.name} is no picture that the browser can read.`, "bad");
        continue;
      }
      const sha256 = await digestOf(await file.arrayBuffer());
      this.files.set(sha256, file);
      this.addReference(set, { image: file.name, sha256 }, picture);
    }
    this.changed();
  }

  addReference(set, file, picture, task = "ip", slot = 0) {
    const taken = set.references.map((one) => Number(one.slot.value));
    const free = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((number) => !taken.includes(number)) ?? 9;
    const reference = { ...file };
    reference.task = choice(kinds, task, { "aria-label": `What to take from ${file.image}` });
    reference.slot = make("input", { type: "number", min: 1, max: 9, value: slot || free, "aria-label": `Slot of ${file.image}` });
    const remove = make("button", { type: "button", class: "icon", "aria-label": `Remove ${file.image}` }, "×");
    const row = make("li", { class: "reference" }, picture, make("p", { title: file.image }, file.image),
      reference.task, make("label", { class: "inline" }, "[ref#", reference.slot, "]"), remove);
    remove.onclick = () => {
      set.references = set.references.filter((one) => one !== reference);
      row.remove();
      this.number();
      this.changed();
    };
    reference.task.onchange = reference.slot.oninput = () => this.changed();
    set.references.push(reference);
    set.list.append(row);
    this.number();
  }

  /** The sets as a specification has them; those without a picture count where there are several. */
  get value() {
    const sets = this.sets.map((set) => set.references.map((one) => (
      { image: one.image, sha256: one.sha256, task: one.task.value, slot: Number(one.slot.value) })));
    if (sets.length === 1) return sets[0].length ? sets[0] : undefined;
    return sets;
  }
}
