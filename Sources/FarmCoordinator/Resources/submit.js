// The form of a job: what to render, from which references, how often; with a plan of it before anything is sent.

import { call, get, jobPath, list, may } from "./api.js";
import { calmly, choice, count, definitions, duration, field, make, plural, setText } from "./base.js";
import { dropZone, ReferenceSets } from "./references.js";
import { rangeText } from "./space.js";
import { digestOf, send } from "./upload.js";
import { act, begin, complain, say } from "./views.js";

/** The parts of a list as `3.5, 4.5`. */
const parts = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);
/** Numbers where they are numbers, so that the coordinator says what is wrong with the others. */
const numbers = (text) => parts(text).map((part) => (isFinite(part) ? Number(part) : part));

export function showSubmit(parameters) {
  if (!may("submitter")) {
    begin("submit", "Submit", make("h1", {}, "Submit"), make("p", { class: "quiet" }, "This token may look and not submit."));
    return;
  }
  const files = new Map();
  const loras = [];
  const input = (name, properties = {}) => make("input", { name, autocomplete: "off", ...properties });
  const f = {
    name: input("name", { placeholder: "spring-campaign", maxLength: 120 }),
    model: choice([
      ["", "the farm's default"]
    ], "", { name: "model" }),
    prompt: make("textarea", { name: "prompt", rows: 4, placeholder: "a woman from [ref#1] wears the jacket from [ref#2]",
      data: { search: "" } }),
    seed: input("seed", { placeholder: "1-4", value: "1-4" }),
    size: input("size", { placeholder: "the model's, or 1024x1024, 768x1024" }),
    guidance: input("guidance", { placeholder: "the model's, or 3.5, 4.5", inputMode: "decimal" }),
    steps: input("steps", { placeholder: "the model's, or 12", inputMode: "numeric" }),
    negative: input("negative"),
    priority: input("priority", { type: "number", min: 0, max: 100, placeholder: "50" }),
    pool: input("pool", { placeholder: "any" }),
    combination: input("combination", { placeholder: "prompt * references * seed" }),
    finishBy: input("finish_by", { type: "datetime-local" }),
    startAfter: input("start_after", { type: "datetime-local" }),
  };
  const references = new ReferenceSets(files, () => changed());
  const loraList = make("ul", { class: "loras" });
  const plan = make("div", { class: "plan", role: "status" }, make("p", { class: "quiet" }, "Write a prompt, and the plan stands here."));
  const text = make("pre", { class: "log", tabIndex: 0 });
  const button = make("button", { type: "submit", disabled: true }, "Submit");
  const bar = make("progress", { max: 1, value: 0, hidden: true, "aria-label": "Files sent" });
  const form = make(
    "form", { class: "submit", noValidate: true },
    make("section", { class: "card" }, make("h2", {}, "What"),
      field("Prompts", f.prompt, "One a line; several are compared. [ref#1] stands for the reference in slot 1."), references.element),
    make("section", { class: "card" }, make("h2", {}, "How often, how large"),
      make("div", { class: "fields" }, field("Seeds", f.seed, "As 7, 1-8 or 1,4,9"), field("Sizes", f.size,
          "Width x height, multiples of 16"),
        field("Guidance", f.guidance), field("Steps", f.steps))),
    make("section", { class: "card" }, make("h2", {}, "Job"),
      make("div", { class: "fields" }, field("Name", f.name), field("Model", f.model), field("Priority", f.priority, "0 to 100"), field(
        "Wanted by", f.finishBy)),
      make("details", {}, make("summary", {}, "More"),
        make("div", { class: "fields" }, field("Negative prompt", f.negative), field("Pool", f.pool), field("Not before", f.startAfter),
          field("Combination", f.combination, "a * b: each with each; (a, b): in pairs")),
        make("h3", {}, "LoRAs"), loraList, dropZone("Drop .safetensors here, or choose files", ".safetensors", takeLoras))),
  );
  const aside = make("aside", { class: "card plan-card", "aria-label": "Plan" }, make("h2", {}, "Plan"), plan, bar, button,
    make("details", {}, make("summary", {}, "As a file"), make("p", { class: "quiet" }, "For ", make("code", {}, "dreamfarm submit"),
      ":"), text));
  form.append(aside);
  const mine = begin("submit", "Submit a job", make("div", { class: "page-head" }, make("h1", {}, "Submit a job")), form);

  async function takeLoras(added) {
    for (const file of added) {
      const sha256 = await digestOf(await file.arrayBuffer());
      files.set(sha256, file);
      addLora(file.name, sha256, 1);
    }
    changed();
  }

  function addLora(name, sha256, weight) {
    const factor = make("input", { type: "number", step: 0.05, min: -16, max: 16, value: weight, "aria-label": `Weight of ${name}` });
    const remove = make("button", { type: "button", class: "icon", "aria-label": `Remove ${name}` }, "×");
    const lora = { file: name, sha256, factor };
    const row = make("li", { class: "row-head" }, name, make("span", { class: "grow" }), make("label", { class: "inline" }, "weight",
      factor), remove);
    remove.onclick = () => {
      loras.splice(loras.indexOf(lora), 1);
      row.remove();
      changed();
    };
    factor.oninput = () => changed();
    loras.push(lora);
    loraList.append(row);
  }

  /** The job as the form says it. */
  function specification() {
    const job = { specification: "dreamfarm/1", parameters: {}, render: {} };
    const set = (key, values) => {
      if (values.length === 1) job.render[key] = values[0];
      else if (values.length > 1) job.parameters[key] = values;
    };
    const prompts = f.prompt.value.split("\n").map((line) => line.trim()).filter(Boolean);
    job.parameters.prompt = prompts.length === 1 ? prompts[0] : prompts;
    if (references.value) job.parameters.references = references.value;
    if (f.seed.value.trim()) job.parameters.seed = f.seed.value.trim();
    if (f.size.value.trim()) job.parameters.size = parts(f.size.value);
    if (f.guidance.value.trim()) job.parameters.guidance = numbers(f.guidance.value);
    set("steps", numbers(f.steps.value));
    set("negative_prompt", f.negative.value.trim() ? [f.negative.value.trim()] : []);
    if (loras.length) job.render.loras = loras.map((one) => ({ file: one.file, sha256: one.sha256, weight: Number(one.factor.value) }));
    if (Object.keys(job.render).length === 0) delete job.render;
    if (f.name.value.trim()) job.name = f.name.value.trim();
    if (f.model.value) job.model = f.model.value;
    if (f.priority.value) job.priority = Number(f.priority.value);
    if (f.pool.value.trim()) job.requirements = { pool: f.pool.value.trim() };
    if (f.combination.value.trim()) job.combination = f.combination.value.trim();
    const whole = (value) => new Date(value).toISOString().replace(/\.\d+Z$/, "Z");
    if (f.finishBy.value) job.finish_by = whole(f.finishBy.value);
    if (f.startAfter.value) job.start_after = whole(f.startAfter.value);
    return job;
  }

  let turn = 0;
  async function lookAhead() {
    const number = ++turn;
    const job = specification();
    setText(text, JSON.stringify(job, null, 2));
    button.disabled = true;
    if (job.parameters.prompt.length === 0) return plan.replaceChildren(make("p", { class: "quiet" },
      "Write a prompt, and the plan stands here."));
    try {
      const view = await call("POST", "/v1/jobs?dry_run=true", job);
      if (number !== turn || mine.ended) return;
      showPlan(view);
      button.disabled = false;
      setText(button, `Submit ${plural(view.images, "picture")}`);
    } catch (error) {
      if (number !== turn || mine.ended) return;
      if (error.status !== 422 && error.status !== 400) return complain(error);
      const problems = error.problems.length ? error.problems : [{ path: "", message: error.message }];
      plan.replaceChildren(make("p", { class: "trouble" }, "Not yet a job:"),
        make("ul", { class: "problems" }, problems.map((one) => make("li", {}, one.path ? make("code", {}, one.path) : "",
          ` ${one.message}`))));
    }
    return undefined;
  }

  function showPlan(view) {
    const lacking = view.missing_blobs.filter((digest) => !files.has(digest));
    plan.replaceChildren(
      make("p", { class: "value number" }, count(view.images)), make("p", { class: "quiet" }, view.images === 1 ? "picture" : "pictures"),
      definitions([
        ["Tasks", `${count(view.tasks)}, ${plural(view.images_per_task, "picture")} each`],
        ["Time", view.estimated_seconds ? `about ${duration(view.estimated_seconds)} if it had the farm alone` : "not known yet"],
        ["Workers", view.eligible_workers ? `${count(view.eligible_workers)} can run it` : "none can run it now"],
        ["Model", view.model], ["Group", view.group ? `${view.group}: ${view.group_reason ?? ""}` : ""],
        ["To send", view.missing_blobs.length ? plural(view.missing_blobs.length, "file") : ""],
      ]),
      make("ul", { class: "problems warm" },
        view.warnings.map((one) => make("li", {}, make("code", {}, one.path), ` ${one.message}`)),
        view.unrunnable.map((one) => make("li", {}, one.sentence)),
        lacking.length ? make("li", {}, `The farm has ${plural(lacking.length, "file")} no more; drop them again.`) : ""),
    );
  }

  const changed = calmly(lookAhead, 450);
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const job = specification();
    const made = await act(button, async () => {
      bar.hidden = false;
      await send(files, (share) => (bar.value = share));
      return call("POST", "/v1/jobs", job);
    }, (view) => `“${view.name}” is submitted.`);
    bar.hidden = true;
    if (!made) return;
    say("The job is submitted.");
    location.hash = `#/jobs/${made.id}`;
  });
  const onPaste = (event) => {
    const pasted = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
    if (pasted.length === 0) return;
    event.preventDefault();
    references.take(references.sets.at(-1), pasted);
  };
  document.addEventListener("paste", onPaste);
  mine.onEnd.push(() => document.removeEventListener("paste", onPaste));

  /** Fills the form from another job, or from one picture of it. */
  async function fillFrom(id, index) {
    const [job, axes, { items }] = await Promise.all([
      get(jobPath(id)), get(jobPath(id, "/axes")), get(`${jobPath(id, "/images")}?index=${index ?? 0}`),
    ]);
    const settings = items[0]?.settings;
    if (mine.ended || !settings) return;
    const of = (parameter, single) => (index === null ? axes.axes.find((axis) => axis.parameter === parameter)?.values : null) ?? [single];
    f.name.value = job.name;
    f.model.value = job.model;
    f.prompt.value = of("prompt", settings.prompt).join("\n");
    f.seed.value = rangeText(of("seed", settings.seed));
    f.size.value = of("size", `${settings.width}x${settings.height}`).join(", ");
    f.guidance.value = of("guidance", settings.guidance).join(", ");
    f.steps.value = of("steps", settings.steps).join(", ");
    f.negative.value = settings.negative_prompt;
    f.priority.value = job.priority === 50 ? "" : job.priority;
    f.pool.value = job.requirements?.pool ?? "";
    references.fill(of("references", settings.references));
    for (const one of settings.loras) addLora(one.file, one.sha256, one.weight);
    changed();
  }

  list("/v1/models", {}, 200).then(async ({ items }) => {
    f.model.append(...items.map((model) => make("option", { value: model.name },
      `${model.name}${model.is_default ? ", the default" : ""}`)));
    const like = parameters.get("like");
    if (like) await fillFrom(like, parameters.get("image"));
    else f.prompt.focus();
  }).catch(complain);
}
