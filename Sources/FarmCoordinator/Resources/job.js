// A job: how it stands, its images as a field and as a grid, filters among them, and what can be done about it.

import { call, get, jobPath, may } from "./api.js";
import { calmly, chips, choice, count, facts, field, fillTally, forecast, duration, make, meter, moment, plural, setText, state,
  tallyText } from "./base.js";
import { showCompare } from "./compare.js";
import { Marks, makeDraftBar } from "./drafts.js";
import { Field } from "./field.js";
import { PictureGrid } from "./grid.js";
import { follow } from "./live.js";
import { openSheet } from "./sheet.js";
import { ImageSpace, isNumeric, stateNames, valueText } from "./space.js";
import { act, ask, begin, complain, keepFresh, openDialog, say } from "./views.js";
import { openViewer } from "./viewer.js";

const isOver = (job) => ["succeeded", "failed", "cancelled"].includes(job.state);

/** The head of a job's page: name, standing, why it waits, and what can be done. */
function makeHead(id) {
  const title = make("h1", {}, "…");
  const line = make("div", { class: "row-head" });
  const bar = meter("Pictures delivered");
  const about = make("div", { class: "facts number" });
  const why = make("ul", { class: "why" });
  const actions = make("div", { class: "buttons" });
  const element = make("div", { class: "job-head" }, make("div", { class: "row-head" }, title, make("span", { class: "grow" }), actions),
    line, bar, about, why);

  function update(job, pictures) {
    setText(title, job.name);
    line.replaceChildren(state(job.state), make("span", { class: "number" }, tallyText(job.images)),
      job.is_lifted ? make("span", { class: "state" }, "lifted") : "");
    fillTally(bar, job.images);
    const took = job.started_at && job.finished_at ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : null;
    about.replaceChildren(...facts(
      !isOver(job) && job.eta_seconds ? make("b", {}, `about ${forecast(job.eta_seconds)}`) : "",
      job.owner, job.model, `priority ${job.priority}`, make("span", {}, "submitted ", moment(job.created_at)),
      took === null ? "" : `took ${duration(took)}`,
      job.tasks && !isOver(job) ? `${plural(job.tasks.leased, "task")} at work, ${
        count(job.tasks.live - job.tasks.leased - (job.images.drafted ?? 0))} to come` : "",
      job.requirements?.pool ? `pool ${job.requirements.pool}` : "", job.numeric_class, make("code", { title: "Id" }, job.id),
    ));
    const reasons = (job.waiting ?? []).map((one) => `${plural(one.tasks, "task")}: ${one.sentence}`);
    if (job.reason) reasons.unshift(job.reason);
    why.className = job.state === "failed" ? "why bad" : "why";
    why.replaceChildren(...reasons.map((text) => make("li", {}, text)));
    // Buttons stay while they are the same, with whoever is at one of them.
    const form = JSON.stringify([job.state, job.images.failed, job.images.delivered > 0, Boolean(pictures)]);
    if (actions.dataset.form === form) return;
    actions.dataset.form = form;
    actions.replaceChildren(...buttons(job, pictures));
  }

  function buttons(job, pictures) {
    const made = [];
    const add = (text, action, kind = "soft") => {
      const button = make("button", { type: "button", class: kind }, text);
      button.onclick = () => action(button);
      made.push(button);
    };
    const post = (verb, done) => (button) => act(button, () => call("POST", jobPath(id, `/${verb}`)), done);
    if (may("submitter") && !isOver(job)) {
      if (job.state === "paused") add("Resume", post("resume", "The job goes on."), "");
      else add("Pause", post("pause", "The job is held."));
      add("Priority …", async (button) => {
        const answer = await askPriority(job);
        if (answer) await act(button, () => call("PATCH", jobPath(id), answer), "The priority is set.");
      });
      add("Cancel …", async (button) => {
        const yes = await ask(`Cancel “${job.name}”?`, {
          details: `${plural(job.images.waiting + job.images.rendering + (job.images.drafted ?? 0), "picture")} will not be rendered; those delivered stay.`,
          button: "Cancel the job", isDanger: true,
        });
        if (yes !== null) await act(button, () => call("POST", jobPath(id, "/cancel")), "The job is cancelled.");
      });
    }
    if (may("submitter") && job.images.failed > 0) add(`Retry ${count(job.images.failed)} failed`, post("retry", "They are tried again."));
    if (may("submitter") && isOver(job)) add("Delete …", (button) => remove(job, button));
    if (job.images.delivered > 0) {
      add("Contact sheet", () => pictures && openSheet(job, pictures()));
      made.push(make("a", { class: "button soft", href: jobPath(id, "/archive"), download: "" }, "Download all"));
    }
    if (may("submitter")) made.push(make("a", { class: "button soft", href: `#/submit?like=${job.id}` }, "Submit one like it"));
    return made;
  }

  async function remove(job, button) {
    const found = await act(button, () => call("DELETE", `${jobPath(id)}?what_if=true`));
    if (!found) return;
    const yes = await ask(`Delete “${job.name}”?`, {
      details: `${plural(found.outputs, "picture")} and the job's history go; ${plural(found.dependents.length, "job")} wait for it.`
        + " There is no way back.",
      button: "Delete", isDanger: true,
    });
    if (yes === null) return;
    const gone = await act(button, () => call("DELETE", jobPath(id)), "The job is deleted.");
    if (gone) location.hash = "#/jobs";
  }

  return { element, update };
}

function askPriority(job) {
  return new Promise((resolve) => {
    const number = make("input", { type: "number", min: 0, max: 100, value: job.priority, required: true });
    const lifted = make("input", { type: "checkbox", checked: Boolean(job.is_lifted) });
    const form = make(
      "form", { method: "dialog", class: "ask" }, make("h2", {}, `Priority of “${job.name}”`),
      field("0 to 100; it orders one owner's jobs", number),
      may("operator") ? make("label", { class: "check" }, lifted, "Above all owners' shares") : null,
      make("div", { class: "buttons" }, make("button", { value: "yes" }, "Set"), make("button", { value: "no", class: "plain",
        formNoValidate: true }, "Cancel")),
    );
    const dialog = openDialog("Priority", { class: "small" }, form);
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return resolve(null);
      resolve({ priority: Number(number.value), ...(may("operator") ? { is_lifted: lifted.checked } : {}) });
    });
    number.focus();
  });
}

/** The filters of a job's images; `changed` is called with what is chosen. */
function makeFilters(space, filter, changed) {
  const bar = make("div", { class: "filters", role: "search", "aria-label": "Filter pictures" });
  const states = chips("State", [
    ["", "All"], ...Object.entries(stateNames)
  ], filter.state ?? "", (letter) => set("state", letter));
  const text = make("input", { type: "search", value: filter.text ?? "",
  placeholder: "prompt, reference …", "aria-label": "Words in prompts and references", data: { search: "" } });
  text.oninput = calmly(() => set("text", text.value.trim()), 200);
  bar.append(states, text);
  for (const axis of space.axes) {
    if (isNumeric(axis)) {
      const input = make("input", { class: "short", value: filter[axis.parameter] ?? "",
      placeholder: "1-8, 12", "aria-label": `${axis.title}: numbers or ranges` });
      input.oninput = calmly(() => set(axis.parameter, input.value.trim()), 200);
      bar.append(make("label", { class: "inline" }, axis.title, input));
    } else if (axis.values.length <= 500) {
      const options = axis.values.map((value, position) => [String(position), valueText(axis.parameter, value).slice(0, 80)]);
      const select = choice([
        ["", `${axis.title}: all ${axis.values.length}`], ...options
      ], filter[axis.parameter] ?? "", { "aria-label": axis.title });
      select.onchange = () => set(axis.parameter, select.value);
      bar.append(select);
    }
  }
  function set(key, value) {
    filter[key] = value;
    changed();
  }
  function counts() {
    const tally = space.tally();
    for (const chip of states.children) {
      const letter = chip.dataset.value;
      setText(chip, letter ? `${stateNames[letter]} ${count(tally[letter])}` : `All ${count(space.count)}`);
      chip.hidden = letter !== "" && tally[letter] === 0 && filter.state !== letter;
    }
  }
  return { element: bar, counts };
}

export function showJob(id, part, parameters) {
  const head = makeHead(id);
  const body = make("div", { class: "job-body" }, make("p", { class: "quiet" }, "Loading …"));
  const mine = begin("jobs", "Job", head.element, body);
  let job = null;
  let pictures = null;

  const soon = calmly(() => mine.refresh?.(), 400);
  keepFresh(mine, 10, async () => {
    job = await get(jobPath(id));
    if (mine.ended) return;
    mine.title(job.name);
    head.update(job, pictures?.shown);
    if (!pictures) {
      pictures = await (part === "compare" ? showCompare : showPictures)(mine, job, body, parameters, soon);
      if (!mine.ended) head.update(job, pictures?.shown);
    }
  });
}

async function showPictures(mine, job, body, parameters, soon) {
  const { space, after } = await ImageSpace.load(job.id);
  if (mine.ended) return null;
  const filter = Object.fromEntries(parameters);
  delete filter.image;
  let shown = [];
  let viewer = null;

  const marks = may("submitter") ? new Marks(space, (index) => {
    grid.marked(index);
    bar.update();
  }) : null;
  const grid = new PictureGrid(job.id, space, (index) => open(index), marks);
  const bar = makeDraftBar(job.id, space, marks ?? new Marks(space, () => {}), () => shown);
  const map = new Field(space, (index) => {
    const place = shown.findIndex((one) => one >= index);
    grid.goTo(place < 0 ? shown.length - 1 : place);
  });
  mine.onEnd.push(() => {
    grid.end();
    map.end();
    viewer?.close();
  });
  const found = make("p", { class: "found number", role: "status" });
  const size = make("input", { type: "range", min: 96, max: 384, step: 8, value: localStorage.getItem("dreamfarm-tile") ??
    176, "aria-label": "Size of the tiles" });
  size.oninput = () => {
    localStorage.setItem("dreamfarm-tile", size.value);
    grid.setWidth(Number(size.value));
  };
  grid.width = Number(size.value);
  const filters = makeFilters(space, filter, apply);
  const compare = space.axes.length ? make("a", { class: "button soft", href: `#/jobs/${job.id}/compare` }, "Compare side by side") : "";
  body.replaceChildren(
    map.element, filters.element, bar.element,
    make("div", { class: "row-head tools" }, found, make("span", { class: "grow" }), compare, make("label", { class: "inline" },
      "Tiles", size)),
    grid.element,
  );

  function address(image) {
    const values = Object.entries(filter).filter(([, value]) => value !== "" && value !== undefined);
    if (image !== null && image !== undefined) values.push(["image", image]);
    const text = new URLSearchParams(values).toString();
    history.replaceState(null, "", `#/jobs/${job.id}${text ? `?${text}` : ""}`);
  }

  function apply(isQuiet = false) {
    const began = performance.now();
    shown = space.filter(filter);
    grid.show(shown);
    filters.counts();
    bar.update();
    setText(found, shown.length === space.count ? plural(space.count, "picture") :
      `${count(shown.length)} of ${plural(space.count, "picture")}`);
    if (isQuiet !== true) address(null);
    performance.measure("dreamfarm-filter", { start: began });
  }

  function open(index) {
    const place = shown.indexOf(index);
    if (place < 0) return;
    viewer = openViewer(shown, place, {
      job, steps: grid.steps,
      moved: (at) => {
        if (at === null) viewer = null;
        if (!mine.ended) address(at);
      },
    });
  }

  /** Images came into or out of what is filtered for. */
  const again = calmly(() => {
    if (filter.state) apply(true);
    else {
      filters.counts();
      bar.update();
    }
  }, 700);
  let delivered = 0;
  const tellDelivered = calmly(() => {
    say(`${plural(delivered, "picture")} delivered`);
    delivered = 0;
  }, 1500);

  // What changes while all states are asked for: the answer may be older.
  const asked = new Set();

  function changed(index, letter) {
    for (const news of asked) news.set(index, letter);
    if (space.note(index, letter) && letter === "d") delivered += 1;
    grid.changed(index);
    viewer?.changed(index);
    map.changed();
    again();
    if (delivered) tellDelivered();
  }

  async function reload() {
    const news = new Map();
    asked.add(news);
    await space.refresh(job.id).finally(() => asked.delete(news));
    if (mine.ended) return;
    for (const [index, letter] of news) space.note(index, letter);
    // What is out of sight is asked for again when it comes.
    for (const index of [...grid.images.keys()]) grid.forget(index);
    for (const index of [...grid.rows.keys()]) grid.changed(index);
    map.changed();
    apply(true);
  }

  apply(true);
  follow(mine, job.id, after, {
    image: (index, kind) => {
      if (index !== undefined) changed(index, { drafted: "p", delivered: "d", doubted: "d", failed: "f", cancelled: "c" }[kind.split(".")[1]]);
      soon();
    },
    job: (kind) => {
      soon();
      if (/cancelled|failed|retried|succeeded|drafts/.test(kind)) reload().catch(complain);
    },
    step: (step) => {
      if (step.image === undefined) return;
      if (space.states[step.image] === "w" && space.note(step.image, "r")) {
        map.changed();
        again();
      }
      grid.step(step);
      viewer?.step(step);
    },
    look: () => {
      soon();
      reload().catch(complain);
    },
  });
  const wanted = parameters.get("image");
  if (wanted !== null) open(Number(wanted));
  return { shown: () => shown };
}
