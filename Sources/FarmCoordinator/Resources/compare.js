// Pictures of a job side by side: one axis down, another across, the others held.

import { blobPicture, draftOf, fitFor, get, jobPath, pictureOf, query } from "./api.js";
import { choice, count, field, make, plural, setText } from "./base.js";
import { follow } from "./live.js";
import { ImageSpace, stateNames, valueText } from "./space.js";
import { complain } from "./views.js";
import { openViewer } from "./viewer.js";

const linesAtOnce = 12;
const mostColumns = 24;
const letters = { drafted: "p", delivered: "d", doubted: "d", failed: "f", cancelled: "c" };

/** What stands at the head of a line or a column: a value, references as pictures. */
function headOf(axis, value) {
  if (axis.parameter !== "references") return [make("span", {}, valueText(axis.parameter, value))];
  return [
    make("div", { class: "heads" }, value.map((one) => (one.sha256
      ? make("img", { src: blobPicture(one.sha256, 128), alt: `${one.task}: ${one.image}`, decoding: "async" }) : ""))),
    make("span", {}, valueText(axis.parameter, value)),
  ];
}

export async function showCompare(mine, job, body, parameters, soon) {
  const { space, after } = await ImageSpace.load(job.id);
  if (mine.ended) return null;
  const back = make("a", { class: "button soft", href: `#/jobs/${job.id}` }, "All pictures");
  if (space.axes.length === 0) {
    body.replaceChildren(back, make("p", { class: "quiet" }, "Nothing varies in this job, so there is nothing to compare."));
    return { shown: () => space.filter({}) };
  }
  const names = space.axes.map((axis) => axis.parameter);
  // The same seed across what is compared, where there are seeds.
  const preferred = ["references", "prompt", "guidance", "loras", ...names].filter((name) => names.includes(name));
  const columns = names.includes(parameters.get("columns")) ? parameters.get("columns") : preferred.find((name) => name !== "seed") ??
    preferred[0];
  const others = names.filter((name) => name !== columns);
  const lines = others.includes(parameters.get("lines")) ? parameters.get("lines") : others.includes("seed") ? "seed" : others[0];
  const held = others.filter((name) => name !== lines);
  const fixed = Object.fromEntries(held.map((name) => [name, Math.min(space.axis(name).values.length - 1, Number(parameters.get(
    name)) || 0)]));

  const go = (changes) => {
    const values = { columns, ...(lines ? { lines } : {}), ...fixed, ...changes };
    location.hash = query(`#/jobs/${job.id}/compare`, values);
  };
  const titled = (list) => list.map((name) => [name, space.axis(name).title]);
  const controls = [field("Across", choice(titled(names), columns, { onchange: (event) => go({ columns: event.target.value,
      lines: undefined }) }))];
  if (lines) controls.push(field("Down", choice(titled(others), lines, { onchange: (event) => go({ lines: event.target.value }) })));
  for (const name of held) {
    const axis = space.axis(name);
    const options = axis.values.slice(0, 500).map((value, position) => [position, valueText(name, value).slice(0, 60)]);
    controls.push(field(axis.title, choice(options, fixed[name], { onchange: (event) => go({ [name]: event.target.value }) })));
  }
  const across = space.axis(columns);
  const down = lines ? space.axis(lines) : null;
  const most = Math.min(mostColumns, across.values.length);
  const table = make("table", { class: "compare" });
  const headLine = make("tr", {}, make("td", {}), across.values.slice(0, most).map((value) => make("th", { scope: "col" }, headOf(
    across, value))));
  const rows = make("tbody");
  table.style.setProperty("--columns", most);
  table.append(make("caption", { class: "unseen" }, `${across.title} across${down ? `, ${down.title} down` : ""}`), make("thead", {},
    headLine), rows);
  const more = make("button", { type: "button", class: "more", hidden: true }, "Show more");
  const note = make("p", { class: "quiet", role: "status" });
  body.replaceChildren(
    make("div", { class: "filters" }, back, ...controls), note,
    make("div", { class: "compare-frame", tabIndex: 0, role: "region", "aria-label": "Pictures side by side" }, table), more,
  );
  setText(note, most < across.values.length ? `The first ${most} of ${count(across.values.length)} across.` : plural(down?.values
    .length ?? 1, "line"));

  const cells = new Map();
  const order = [];
  const steps = new Map();
  let viewer = null;
  let next = 0;

  function cellFor(index) {
    if (index === undefined) return make("td", { class: "quiet" }, "—");
    const button = make("button", { type: "button", class: "frame", data: { index } }, make("span", { class: "word" }, stateNames[space
      .states[index]]));
    button.onclick = () => {
      viewer = openViewer(order, order.indexOf(index), { job, steps, moved: (at) => at === null && (viewer = null) });
    };
    button.setAttribute("aria-label", `Image ${index}, ${stateNames[space.states[index]]}`);
    cells.set(index, button);
    order.push(index);
    return make("td", {}, button);
  }

  function draw(image) {
    const button = cells.get(image.index);
    if (!button) return;
    const settings = image.settings ?? {};
    button.setAttribute("aria-label", `Image ${image.index}, ${image.state}, seed ${settings.seed}: ${settings.prompt}`);
    button.style.setProperty("--shape", `${settings.width || 1} / ${settings.height || 1}`);
    if (image.state === "delivered") {
      button.replaceChildren(make("img", { class: "final loaded", src: pictureOf(image, fitFor(button.clientWidth)), alt: "",
        decoding: "async" }));
    } else if (image.state === "drafted" && image.draft) {
      button.replaceChildren(make("img", { class: "final loaded", src: draftOf(image, fitFor(button.clientWidth)), alt: "",
        decoding: "async" }), make("span", { class: "word" }, image.state));
    } else {
      button.replaceChildren(make("span", { class: "word" }, image.state));
    }
  }

  async function load(indices) {
    for (let from = 0; from < indices.length; from += 200) {
      const part = indices.slice(from, from + 200);
      const page = await get(query(jobPath(job.id, "/images"), { index: part.join(","), limit: part.length }));
      if (mine.ended) return;
      page.items.forEach(draw);
    }
  }

  async function addLines() {
    const last = Math.min(down?.values.length ?? 1, next + linesAtOnce);
    const added = [];
    for (; next < last; next += 1) {
      const row = make("tr", {}, down ? make("th", { scope: "row" }, headOf(down, down.values[next])) : make("td"));
      for (let column = 0; column < most; column += 1) {
        const index = space.at({ ...fixed, [columns]: column, ...(down ? { [lines]: next } : {}) })[0];
        row.append(cellFor(index));
        if (index !== undefined) added.push(index);
      }
      rows.append(row);
    }
    more.hidden = next >= (down?.values.length ?? 1);
    await load(added);
  }
  more.onclick = () => addLines().catch(complain);
  mine.onEnd.push(() => viewer?.close());
  follow(mine, job.id, after, {
    image: (index, kind) => {
      soon();
      if (!space.note(index, letters[kind.split(".")[1]]) || !cells.has(index)) return;
      load([index]).catch(complain);
      viewer?.changed(index);
    },
    job: soon,
    step: (step) => {
      steps.set(step.image, step);
      viewer?.step(step);
      const button = cells.get(step.image);
      if (button && space.states[step.image] !== "d") setText(button.querySelector(".word") ?? button,
        `step ${step.step} of ${step.steps}`);
    },
    look: () => load([...cells.keys()].filter((index) => "wr".includes(space.states[index]))).catch(complain),
  });
  await addLines();
  return { shown: () => order };
}
