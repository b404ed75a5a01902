// One worker, or one group: how it is, what it is at, and what it did.

import { call, get, list, may } from "./api.js";
import { ago, bytes, definitions, duration, flops, make, moment, setText, state, sync } from "./base.js";
import { dissolveGroup, showSteps, wishButtons } from "./workers.js";
import { act, ask, begin, keepFresh } from "./views.js";

const pageOfHistory = 50;

export function showWorker(id) {
  const title = make("h1", {}, "…");
  const standing = make("span");
  const reason = make("p", { class: "why" });
  const about = make("div");
  const steps = make("div", { class: "list steps" });
  const history = make("tbody");
  const none = make("p", { class: "quiet", hidden: true }, "Nothing yet.");
  const more = make("button", { class: "more", type: "button", hidden: true }, "Show more");
  let worker = null;
  let most = pageOfHistory;
  const remove = make("button", { type: "button", class: "soft" }, "Remove …");
  const mine = begin("workers", "Worker",
    make("div", { class: "row-head page-head" }, title, standing, make("span", { class: "grow" }),
      make("div", { class: "buttons", hidden: !may("operator") }, wishButtons(() => [worker]), remove)),
    reason, make("div", { class: "halves" },
      make("section", { class: "card", "aria-labelledby": "at-head" }, make("h2", { id: "at-head" }, "At work"), steps),
      make("section", { class: "card", "aria-labelledby": "about-head" }, make("h2", { id: "about-head" }, "About"), about)),
    make("section", { class: "card", "aria-labelledby": "history-head" }, make("h2", { id: "history-head" }, "Attempts"),
      make("div", { class: "table-frame", tabIndex: 0, role: "region", "aria-label": "Table of attempts" }, make("table", { class: "number" },
        make("thead", {}, make("tr", {}, ["Began", "Took", "Outcome", "Job", "What happened"].map((text) => make(
        "th", { scope: "col" }, text)))), history)),
      none, more));
  more.onclick = () => {
    most += pageOfHistory;
    mine.refresh();
  };
  remove.onclick = async () => {
    const yes = await ask(`Remove ${worker.name}?`, { details: "Its keys are over, and what it holds is given to others.",
      button: "Remove", isDanger: true });
    if (yes === null) return;
    const gone = await act(remove, async () => (await call("DELETE", `/v1/workers/${worker.id}`), true), `${worker.name} is removed.`);
    if (gone) location.hash = "#/workers";
  };

  const names = new Map();
  async function nameOf(job) {
    if (!names.has(job)) names.set(job, get(`/v1/jobs/${job}`).then((found) => found.name, () => job.slice(0, 8)));
    return names.get(job);
  }

  keepFresh(mine, 3, async () => {
    const path = `/v1/workers/${encodeURIComponent(id)}`;
    const [found, attempts] = await Promise.all([get(path), list(`${path}/attempts`, {}, most)]);
    if (mine.ended) return;
    worker = found;
    mine.title(worker.name);
    setText(title, worker.name);
    standing.replaceChildren(state(worker.state));
    setText(reason, worker.state_reason ?? "");
    reason.hidden = !worker.state_reason;
    showSteps(steps, worker.running ?? []);
    if (steps.children.length === 0) steps.replaceChildren(make("p", { class: "quiet" }, "nothing at the moment"));
    const machine = worker.machine ?? {};
    about.replaceChildren(definitions([
      ["Seen", ago(worker.last_seen_at)],
      ["Registered", moment(worker.registered_at)],
      ["Pool", worker.pool],
      ["Tags", worker.tags.join(", ")],
      ["Model", worker.model],
      ["Precision", worker.precision],
      ["Numeric class", worker.numeric_class],
      ["Memory", worker.memory_bytes ?
        `${bytes(worker.memory_bytes)}${worker.free_memory_bytes ? `, ${bytes(worker.free_memory_bytes)} free` : ""}` : ""
      ],
      ["Speed", worker.speed ? flops(worker.speed) : ""],
      ["Host", machine.host],
      ["Device", machine.device],
      ["Processor", machine.processor],
      ["Threads", machine.threads ? String(machine.threads) : ""],
      ["System", machine.system],
      ["Engine", worker.engine],
      ["Group", worker.group ? `${worker.group}, rank ${worker.rank}` : ""],
      ["Failures in a row", worker.failures_in_a_row ? String(worker.failures_in_a_row) : ""], ["Id", make("code", {}, worker.id)],
    ]));
    sync(history, attempts.items, (attempt) => attempt.id, makeAttempt, updateAttempt);
    none.hidden = attempts.items.length > 0;
    more.hidden = !attempts.next;
  });

  function makeAttempt(attempt) {
    const link = make("a", { href: `#/jobs/${attempt.job}` }, attempt.job.slice(0, 8));
    nameOf(attempt.job).then((name) => setText(link, name));
    return make("tr", {}, make("td"), make("td"), make("td"), make("td", {}, link), make("td", { class: "words" }));
  }

  function updateAttempt(row, attempt) {
    const [began, took, outcome, , words] = row.children;
    began.replaceChildren(moment(attempt.started_at));
    const end = attempt.finished_at ? Date.parse(attempt.finished_at) : Date.now();
    setText(took, duration((end - Date.parse(attempt.started_at)) / 1000));
    outcome.replaceChildren(state(attempt.outcome ?? "running"));
    setText(words, attempt.failure?.message ?? (attempt.parked ? `parked at step ${attempt.parked.step}` : ""));
  }
}

export function showGroup(id) {
  const title = make("h1", {}, "…");
  const standing = make("span");
  const about = make("div");
  const members = make("tbody");
  const dissolve = make("button", { type: "button", class: "soft", hidden: !may("operator") }, "Dissolve …");
  let group = null;
  dissolve.onclick = () => dissolveGroup(group.id, group.name, dissolve);
  const mine = begin("workers", "Group",
    make("div", { class: "row-head page-head" }, title, standing, make("span", { class: "grow" }), dissolve),
    make("section", { class: "card" }, about),
    make("section", { class: "card", "aria-labelledby": "members-head" }, make("h2", { id: "members-head" }, "Members"),
      make("div", { class: "table-frame", tabIndex: 0, role: "region", "aria-label": "Members" }, make("table", { class: "number" },
        make("thead", {}, make("tr", {}, ["Rank", "Worker", "Phase", "Seen", "A step", "Waits", "Sums"].map((text) => make(
        "th", { scope: "col" }, text)))), members))));
  keepFresh(mine, 3, async () => {
    group = await get(`/v1/groups/${encodeURIComponent(id)}`);
    if (mine.ended) return;
    mine.title(group.name);
    setText(title, group.name);
    standing.replaceChildren(state(group.state));
    dissolve.disabled = group.state === "dissolved";
    about.replaceChildren(definitions([
      ["Why", group.origin],
      ["Pool", group.pool],
      ["Model", group.model],
      ["Precision", group.precision],
      ["Numeric class", group.numeric_class],
      ["Epoch", String(group.epoch)],
      ["Speed", group.speed ? flops(group.speed) : ""],
      ["Formed", group.formed_at ? moment(group.formed_at) : "not yet"],
      ["Formation", group.formation_seconds ? duration(group.formation_seconds) : ""],
      ["Reason", group.reason],
      ["Id", make("code", {}, group.id)],
    ]));
    sync(members, group.members, (member) => member.worker,
      (member) => make("tr", {}, make("td", {}, String(member.rank)), make("td", {}, make(
      "a", { href: `#/workers/${member.worker}` }, member.name)), ...Array.from({ length: 5 }, () => make("td"))),
      (row, member) => {
        const [, , phase, seen, step, waits, sums] = row.children;
        const figures = member.figures;
        const each = (value) => (figures?.steps ? duration(value / figures.steps) : "");
        phase.replaceChildren(state(member.phase), member.is_fit ? "" : " not fit");
        setText(seen, ago(member.last_seen_at));
        setText(step, each(figures?.step_seconds));
        setText(waits, each(figures?.wait_seconds));
        setText(sums, each(figures?.reduce_seconds));
      });
  });
}
