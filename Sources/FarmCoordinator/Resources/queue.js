// What waits and why: job by job, and task by task where someone looks closer.

import { call, get, jobPath, list, may, query } from "./api.js";
import { chips, count, make, meter, fillTally, plural, setText, state, sync } from "./base.js";
import { act, begin, complain, keepFresh } from "./views.js";

const reasons = {
  no_worker: "no live worker can run it", no_memory: "no worker has the memory", no_precision: "no worker has the precision",
  no_group: "no group of that size", pool_paused: "its pool or the farm is paused", job_paused: "its job is paused",
  dependency: "another job has to succeed first", start_after: "its time has not come", backoff: "rests after a failure", draft: "a draft that somebody is to keep or drop",
  limit: "a limit has no place", quota: "its owner's quota is used up", fair_share: "other owners' turn",
  behind: "behind other tasks", blob_store_full: "the blob store is full", parked: "parked for a more urgent one",
};

export const reasonText = (reason) => reasons[reason] ?? reason.replaceAll("_", " ");

const mostJobs = 40;

export function showQueue(parameters) {
  const pools = make("ul", { class: "pools", "aria-label": "Pools" });
  const rows = make("ul", { class: "list", "aria-label": "Jobs that wait" });
  const empty = make("p", { class: "quiet empty", hidden: true }, "Nothing waits.");
  const more = make("p", { class: "quiet" });
  const filterHolder = make("div", { class: "filters" });
  let reason = parameters.get("reason") ?? "";
  const mine = begin("queue", "Queue", make("div", { class: "page-head" }, make("h1", {}, "Queue")), pools, filterHolder, rows, empty,
    more);

  /** Chips stay while the reasons are the same, with whoever is at one of them. */
  function showFilter(capacity) {
    const names = Object.keys(capacity.waiting).sort();
    const form = names.join();
    if (filterHolder.dataset.form !== form) {
      filterHolder.dataset.form = form;
      filterHolder.replaceChildren(chips("Reason", ["", ...names].map((name) => [name, name]), reason, (value) => {
        reason = value;
        history.replaceState(null, "", query("#/queue", { reason }));
        mine.refresh();
      }));
    }
    for (const chip of filterHolder.querySelectorAll(".chip")) {
      const name = chip.dataset.value;
      setText(chip, name ? `${reasonText(name)} ${count(capacity.waiting[name])}` : `All ${count(capacity.waiting_tasks)}`);
    }
  }

  keepFresh(mine, 5, async () => {
    const [farm, capacity, ...lists] = await Promise.all([
      get("/v1/farm"), get("/v1/capacity"),
      ...["running", "drafted", "pending", "paused"].map((name) => list("/v1/jobs", { state: name }, mostJobs)),
    ]);
    if (mine.ended) return;
    showPools(pools, farm);
    showFilter(capacity);
    const jobs = lists.flatMap(({ items }) => items).filter((job) => job.tasks.live > 0)
      .sort((a, b) => Number(b.is_lifted ?? 0) - Number(a.is_lifted ?? 0) || b.priority - a.priority || a.created_at.localeCompare(b
        .created_at));
    const shown = jobs.slice(0, mostJobs);
    const why = await Promise.all(shown.map((job) => get(jobPath(job.id, "/why")).catch(() => ({ items: [] }))));
    if (mine.ended) return;
    const entries = shown.map((job, number) => ({ job, why: why[number].items }))
      .filter((entry) => !reason || entry.why.some((one) => one.reason === reason));
    sync(rows, entries, (entry) => entry.job.id, makeEntry, updateEntry);
    empty.hidden = entries.length > 0;
    setText(more, jobs.length > mostJobs ? `The first ${mostJobs} jobs; the list of jobs has all.` : "");
  });
}

function showPools(element, farm) {
  sync(element, farm.pools, (pool) => pool.name,
    () => make("li", { class: "card pool" }, make("strong"), make("span", { class: "quiet number" }), make("span", { class: "grow" }),
      make("button", { type: "button", class: "soft" })),
    (row, pool) => {
      const [name, counts, , button] = row.children;
      setText(name, pool.name);
      setText(counts,
        `${pool.is_paused ? "paused · " : ""}${count(pool.busy)} busy, ${count(pool.idle)} idle`
        + (pool.other ? `, ${count(pool.other)} other` : "")
        );
      button.hidden = !may("operator");
      setText(button, pool.is_paused ? "Resume" : "Pause");
      button.setAttribute("aria-label", `${button.textContent} the pool ${pool.name}`);
      const verb = pool.is_paused ? "resume" : "pause";
      button.onclick = () => act(button, () => call("POST", `/v1/pools/${encodeURIComponent(pool.name)}/${verb}`),
        `The pool ${pool.name}: ${verb}d.`);
    });
}

function makeEntry({ job }) {
  const tasks = make("details", { class: "tasks" }, make("summary", {}, "Tasks"), make("div", { class: "table-frame", tabIndex: 0,
    role: "region", "aria-label": `Tasks of ${job.name}` }));
  tasks.addEventListener("toggle", () => tasks.open && showTasks(job.id, tasks.lastChild));
  return make(
    "li", { class: "card row" },
    make("div", { class: "row-head" }, make("a", { href: `#/jobs/${job.id}` }, make("strong", {}, job.name)), make("span"),
      make("span", { class: "quiet number" }), make("span", { class: "grow" }), make("span", { class: "quiet number" })),
    meter(`Pictures of ${job.name} delivered`), make("ul", { class: "why" }), tasks,
  );
}

function updateEntry(row, { job, why }) {
  const [, standing, owner, , left] = row.querySelector(".row-head").children;
  standing.replaceChildren(state(job.state));
  setText(owner, `${job.owner} · priority ${job.priority}${job.is_lifted ? ", lifted" : ""}`);
  setText(left, `${plural(job.tasks.live - job.tasks.leased, "task")} to come, ${count(job.tasks.leased)} at work`);
  fillTally(row.querySelector(".meter"), job.images);
  sync(row.querySelector(".why"), why, (one) => one.reason + one.sentence, () => make("li"),
    (item, one) => setText(item, `${plural(one.tasks, "task")}: ${one.sentence}`));
  const tasks = row.querySelector(".tasks");
  if (tasks.open) showTasks(job.id, tasks.lastChild);
}

/** A job's tasks that are not over, each with why it waits or who has it. */
async function showTasks(job, element) {
  try {
    const lists = await Promise.all(["leased", "ready", "blocked"].map((name) => list(jobPath(job, "/tasks"), { state: name }, 60)));
    const tasks = lists.flatMap(({ items }) => items).sort((a, b) => a.number - b.number).slice(0, 100);
    const isMore = lists.some(({ next }) => next);
    element.replaceChildren(make(
      "table", { class: "number" },
      make("thead", {}, make("tr", {}, ["Task", "Images", "State", "Tries", "Why it waits, or who has it"].map((text) => make(
      "th", { scope: "col" }, text)))),
      make("tbody", {}, tasks.map((task) => make(
        "tr", {}, make("td", {}, String(task.number)),
        make("td", {}, make("a", { href: `#/jobs/${job}?image=${task.first_index}` }, task.image_count > 1 ?
          `${task.first_index}–${task.first_index + task.image_count - 1}` : String(task.first_index))),
        make("td", {}, state(task.state)), make("td", {}, `${task.attempts}${task.parks ? `, parked ${task.parks}×` : ""}`),
        make("td", { class: "words" }, task.worker ?
          make("a", { href: `#/workers/${task.worker}` },
            (task.worker_name ?? "a worker")
              + (task.progress ? `, step ${task.progress.step} of ${task.progress.steps}` : ", claimed ahead")
            ) :
          task.waiting?.sentence ?? ""),
      ))),
    ), isMore ? make("p", { class: "quiet" }, "The first ones of each state.") : "");
  } catch (error) {
    complain(error);
  }
}
