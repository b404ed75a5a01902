// A picture large, with what it was made from beside it, and where it comes from.

import { blobPicture, draftOf, get, jobPath, list, may, pictureOf } from "./api.js";
import { bytes, definitions, duration, facts, make, moment, setText, state } from "./base.js";
import { drop, keep } from "./drafts.js";
import { stepText } from "./grid.js";
import { complain, openDialog, tell } from "./views.js";

/** The references of a picture's settings as pictures with what is taken of each. */
export function references(settings, fit = 128) {
  return (settings?.references ?? []).map((one) => make(
    "figure", { class: "reference" },
    one.sha256 ? make("img", { src: blobPicture(one.sha256, fit), alt: `Reference ${one.slot}: ${one.image}`, decoding: "async" }) : null,
    make("figcaption", {}, make("b", {}, `${one.task} ${one.slot}`), ` ${one.image.split("/").pop()}`),
  ));
}

/** The settings of a picture that are not as they usually are, and those that everyone asks for. */
function settingsOf(settings) {
  const cfg = settings.true_cfg;
  return definitions([
    ["Seed", String(settings.seed)], ["Size", `${settings.width} × ${settings.height}`], ["Steps", String(settings.steps)],
    ["Guidance", String(settings.guidance)],
    ["First step guidance", settings.first_step_guidance ? String(settings.first_step_guidance) : ""],
    ["Negative prompt", settings.negative_prompt],
    ["True CFG", cfg && cfg.scale > 1 ? `${cfg.scale}, steps ${cfg.start} to ${cfg.end}` : ""],
    ["Reference size", `${settings.ref_res}, ${settings.prepare}`],
    ["Step cache", settings.step_cache ? String(settings.step_cache) : ""],
    ["LoRAs", (settings.loras ?? []).map((one) => `${one.file} × ${one.weight}`).join(", ")],
  ]);
}

/**
 * Opens the picture at `place` of `indices` of a job. `options` has `job`, the job's view, `steps`, the latest step by
 * index, and `moved`, called with each index that is shown and with null at the end.
 */
export function openViewer(indices, place, options) {
  const { job } = options;
  const stage = make("div", { class: "stage" });
  const panel = make("div", { class: "panel", tabIndex: 0, role: "region", "aria-label": "About the picture" });
  const before = make("button", { class: "icon turn", type: "button", "aria-label": "Previous picture (left arrow)" }, "‹");
  const after = make("button", { class: "icon turn next", type: "button", "aria-label": "Next picture (right arrow)" }, "›");
  const dialog = openDialog("Picture", { class: "viewer" }, make("div", { class: "stage-frame" }, stage, before, after), panel);
  let shown = null;
  let isOver = false;

  async function show(to) {
    place = Math.min(indices.length - 1, Math.max(0, to));
    const index = indices[place];
    shown = index;
    before.disabled = place === 0;
    after.disabled = place === indices.length - 1;
    options.moved(index);
    try {
      const page = await get(`${jobPath(job.id, "/images")}?index=${index}`);
      if (shown !== index || isOver) return;
      draw(page.items[0]);
    } catch (error) {
      complain(error);
    }
  }

  function draw(image) {
    if (!image) return;
    const settings = image.settings ?? {};
    const step = options.steps.get(image.index);
    if (image.state === "delivered") {
      const picture = make("img", { class: "large", src: pictureOf(image), alt: settings.prompt || image.name });
      picture.onclick = () => stage.classList.toggle("whole");
      stage.replaceChildren(picture);
    } else if (image.state === "drafted" && image.draft?.digest) {
      const picture = make("img", { class: "large", src: draftOf(image), alt: `Draft after step ${image.draft.step}` });
      picture.onclick = () => stage.classList.toggle("whole");
      stage.replaceChildren(picture);
    } else if (step?.has_preview) {
      stage.replaceChildren(make("img", { class: "large preview", src: `/v1/images/${image.id}/preview?step=${step.step}`,
        alt: "What it looks like so far" }));
    } else {
      stage.replaceChildren(make("p", { class: "quiet word" }, step ? stepText(step) : image.state));
    }
    const conditions = references(settings, 256);
    const history = make("ol", { class: "history" });
    panel.replaceChildren(
      make("h2", {}, `Image ${image.index}`, " ", state(image.state)),
      image.doubt ? make("p", { class: "trouble" }, image.doubt) : "",
      image.failure ? make("p", { class: "trouble" }, image.failure.message) : "",
      make("p", { class: "prompt" }, settings.prompt || image.name),
      conditions.length ? make("div", { class: "references", role: "group", "aria-label": "References" }, conditions) : "",
      settings.seed === undefined ? "" : settingsOf(settings),
      buttons(image, settings),
      make("h3", {}, "Provenance"),
      definitions([
        ["File", image.name], ["Model", job.model], ["Model digest", code(job.model_digest)],
        ["Numeric class", image.numeric_class],
        ["Draft", image.draft ? `after step ${image.draft.step}${image.draft.decision ? `, ${image.draft.decision}` : ""}` : ""],
        ["Delivered", image.delivered_at ? moment(image.delivered_at) : ""],
        ["SHA-256", image.digest ? code(image.digest) : ""], ["Bytes", image.size ? bytes(image.size) : ""],
        ["Image", code(image.id)],
      ]),
      make("h3", {}, "Attempts"), history,
    );
    if (image.task) attempts(image, history);
    else history.replaceWith(make("p", { class: "quiet" }, "none"));
  }

  const code = (text) => make("code", { class: "digest", title: text }, text);

  function buttons(image, settings) {
    const copy = make("button", { type: "button", class: "soft" }, "Copy settings");
    copy.onclick = async () => {
      try {
        await navigator.clipboard.writeText(JSON.stringify(settings, null, 2));
        tell("The settings are in the clipboard.");
      } catch {
        tell("The browser lets no page write to the clipboard here.", "bad");
      }
    };
    return make(
      "div", { class: "buttons" },
      image.state === "delivered" ? make("a", { class: "button", href: pictureOf(image), download: image.name.split("/").pop() },
        "Download") : "",
      ...decision(image),
      copy,
      may("submitter") ? make("a", { class: "button soft", href: `#/submit?like=${job.id}&image=${image.index}` },
      "Submit one like it") : "",
    );
  }

  /** What decides a draft. */
  function decision(image) {
    if (image.state !== "drafted" || !may("submitter")) return [];
    const add = (text, kind, action) => {
      const button = make("button", { type: "button", class: kind }, text);
      button.onclick = async () => {
        if (await action(button)) show(place);
      };
      return button;
    };
    return [
      add("Keep the draft", "", (button) => keep(job.id, [image.index], button)),
      add("Drop it …", "soft", (button) => drop(job.id, [image.index], 1, button)),
    ];
  }

  /** The chain of attempts at the picture's task, the one that delivered it marked, and what was logged. */
  async function attempts(image, history) {
    try {
      const [{ items }, { items: lines }] = await Promise.all([
        list(`/v1/tasks/${image.task}/attempts`, {}, 200), list(`/v1/tasks/${image.task}/log`, {}, 200),
      ]);
      if (isOver) return;
      history.replaceChildren(...items.map((attempt) => make(
        "li", { class: attempt.id === image.attempt ? "mine" : "" },
        make("div", { class: "row-head" },
          make("a", { href: `#/workers/${attempt.worker}` }, attempt.worker_name), state(attempt.outcome ?? "running"),
          attempt.id === image.attempt ? make("b", {}, "delivered it") : ""),
        make("div", { class: "facts number" }, facts(
          moment(attempt.started_at),
          attempt.finished_at ? `took ${duration((Date.parse(attempt.finished_at) - Date.parse(attempt.started_at)) / 1000)}` : "",
          attempt.failure?.message, attempt.parked ? `parked at step ${attempt.parked.step}` : "",
        )),
      )));
      if (items.length === 0) history.replaceWith(make("p", { class: "quiet" }, "none yet"));
      if (lines.length) panel.append(
        make("details", {}, make("summary", {}, `Log, ${lines.length} lines`),
          make("pre", { class: "log", tabIndex: 0 }, lines.map((line) => `${line.at.slice(11, 19)} ${line.level} ${line.text}`).join(
            "\n"))),
      );
    } catch (error) {
      complain(error);
    }
  }

  before.onclick = () => show(place - 1);
  after.onclick = () => show(place + 1);
  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    const turns = { ArrowLeft: -1, ArrowRight: 1 };
    if (!(event.key in turns)) return;
    event.preventDefault();
    show(place + turns[event.key]);
  });
  let start = null;
  stage.addEventListener("touchstart", (event) => (start = event.touches.length === 1 ? event.touches[0].clientX :
  null), { passive: true });
  stage.addEventListener("touchend", (event) => {
    const way = start === null ? 0 : event.changedTouches[0].clientX - start;
    if (Math.abs(way) > 60 && !stage.classList.contains("whole")) show(place + (way < 0 ? 1 : -1));
  });
  dialog.addEventListener("close", () => {
    isOver = true;
    options.moved(null);
  });
  dialog.addEventListener("click", (event) => {
    // A link to elsewhere leaves the picture.
    if (event.target.closest("a[href^='#']")) dialog.close();
  });
  show(place);
  return {
    close: () => dialog.open && dialog.close(),
    /** The image that is shown changed, or made a step. */
    changed(index) {
      if (index === shown && !isOver) show(place);
    },
    step(step) {
      if (step.image !== shown || isOver) return;
      const word = stage.querySelector(".word");
      const preview = stage.querySelector(".preview");
      if (word) setText(word, stepText(step));
      if (preview) preview.src = preview.src.replace(/step=\d+/, `step=${step.step}`);
      else if (step.has_preview && word) show(place);
    },
  };
}
