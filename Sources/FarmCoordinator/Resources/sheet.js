// A contact sheet of pictures, drawn here: to be seen, and kept as one file.

import { get, jobPath, pictureOf, query } from "./api.js";
import { calmly, choice, count, field, make } from "./base.js";
import { complain, openDialog } from "./views.js";

const most = 400;

async function imagesOf(job, indices) {
  const items = [];
  for (let from = 0; from < indices.length; from += 200) {
    const part = indices.slice(from, from + 200);
    items.push(...(await get(query(jobPath(job, "/images"), { index: part.join(","), limit: part.length }))).items);
  }
  return items.filter((image) => image.state === "delivered");
}

function picture(source) {
  return new Promise((resolve) => {
    const element = new Image();
    element.onload = () => resolve(element);
    element.onerror = () => resolve(null);
    element.src = source;
  });
}

/** Opens a contact sheet of the delivered ones among the first images of `indices`. */
export function openSheet(job, indices) {
  const canvas = make("canvas", { class: "sheet", role: "img", "aria-label": "Contact sheet" });
  const columns = choice([4, 6, 8, 10, 12].map((value) => [value, String(value)]), indices.length > 60 ? 10 : 6);
  const side = choice([[128, "small"], [256, "medium"], [512, "large"]], indices.length > 120 ? 128 : 256);
  const labels = choice([["seed", "Index and seed"], ["name", "File name"], ["none", "None"]], "seed");
  const status = make("p", { class: "quiet", role: "status" }, "Drawing …");
  const save = make("button", { type: "button", disabled: true }, "Download the sheet");
  const dialog = openDialog(
    "Contact sheet", { class: "wide" },
    make("div", { class: "dialog-head" }, make("h2", {}, "Contact sheet"),
      field("Columns", columns), field("Pictures", side), field("Labels", labels), save),
    status, make("div", { class: "sheet-frame", tabIndex: 0, role: "region", "aria-label": "The sheet" }, canvas),
  );
  let images = null;
  let turn = 0;

  async function draw() {
    const mine = ++turn;
    save.disabled = true;
    try {
      images ??= await imagesOf(job.id, indices.slice(0, most));
      if (images.length === 0) return void (status.textContent = "None of these pictures is delivered yet.");
      const size = Number(side.value);
      const wide = Math.min(Number(columns.value), images.length);
      const label = labels.value === "none" ? 0 : 22;
      const shape = images[0].settings ? images[0].settings.width / images[0].settings.height : 1;
      const [width, height] = shape >= 1 ? [size, Math.round(size / shape)] : [Math.round(size * shape), size];
      const lines = Math.ceil(images.length / wide);
      const [gap, head] = [10, 44];
      canvas.width = wide * (width + gap) + gap;
      canvas.height = head + lines * (height + label + gap) + gap;
      const context = canvas.getContext("2d");
      context.fillStyle = "#14181b";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.fillStyle = "#e8ece9";
      context.font = "600 18px system-ui, sans-serif";
      context.fillText(`${job.name} · ${count(images.length)} pictures`, gap, 29, canvas.width - 2 * gap);
      context.font = "12px system-ui, sans-serif";
      let done = 0;
      const todo = images.map((image, number) => ({ image, number }));
      await Promise.all(Array.from({ length: 6 }, async () => {
        for (let one = todo.shift(); one && mine === turn && dialog.open; one = todo.shift()) {
          const { image, number } = one;
          const [x, y] = [gap + (number % wide) * (width + gap), head + Math.floor(number / wide) * (height + label + gap)];
          const found = await picture(pictureOf(image, size));
          if (mine !== turn) return;
          if (found) {
            const scale = Math.min(width / found.naturalWidth, height / found.naturalHeight);
            const [w, h] = [found.naturalWidth * scale, found.naturalHeight * scale];
            context.drawImage(found, x + (width - w) / 2, y + (height - h) / 2, w, h);
          }
          context.fillStyle = "#aeb8b3";
          if (label) {
            const text = labels.value === "name" ? image.name : `#${image.index}  seed ${image.settings?.seed ?? "?"}`;
            context.fillText(text, x, y + height + 15, width);
          }
          done += 1;
          status.textContent = `${count(done)} of ${count(images.length)} drawn`;
        }
      }));
      if (mine !== turn) return;
      status.textContent = indices.length > most
        ? `${count(images.length)} pictures: those delivered among the first ${most} of ${count(indices.length)}. Filter for others.`
        : `${count(images.length)} pictures, ${canvas.width} × ${canvas.height}`;
      save.disabled = false;
    } catch (error) {
      complain(error);
      dialog.close();
    }
  }

  save.onclick = () => canvas.toBlob((blob) => {
    const address = URL.createObjectURL(blob);
    make("a", { href: address, download: `${job.name || "job"}-sheet.png` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 30000);
  }, "image/png");
  const again = calmly(draw, 50);
  for (const control of [columns, side, labels]) control.onchange = again;
  draw();
}
