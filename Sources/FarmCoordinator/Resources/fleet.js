// The farm at a glance: what needs someone, how fast it goes, when it is done, what waits and why, who works.

import { call, get, list, may } from "./api.js";
import { ago, clock, count, duration, flops, make, plural, setText, sync } from "./base.js";
import { makeRow, updateRow } from "./jobs.js";
import { reasonText } from "./queue.js";
import { act, ask, begin, keepFresh } from "./views.js";

/** Samples of how many pictures were delivered, kept from view to view while the page is open. */
const samples = [];
const span = 10 * 60 * 1000;
let known = new Map();

/** Notes what the live jobs and those that just ended have delivered. */
function sample(jobs) {
  let fresh = 0;
  for (const job of jobs) {
    const before = known.get(job.id);
    const began = job.started_at ? Date.parse(job.started_at) : 0;
    const first = samples[0]?.at ?? Infinity;
    if (before !== undefined) fresh += Math.max(0, job.images.delivered - before);
    else if (began >= first) fresh += job.images.delivered;
    known.set(job.id, job.images.delivered);
  }
  const now = Date.now();
  samples.push({ at: now, delivered: (samples.at(-1)?.delivered ?? 0) + fresh });
  while (samples.length > 2 && samples[1].at < now - span) samples.shift();
  if (known.size > 5000) known = new Map([...known].slice(-1000));
}

/** Pictures a minute between two samples. */
const rate = (from, to) => (to.at > from.at ? (60000 * (to.delivered - from.delivered)) / (to.at - from.at) : 0);

function throughput() {
  const last = samples.at(-1);
  const recent = samples.find((one) => one.at >= last.at - 60000) ?? samples[0];
  return last.at - recent.at < 1500 ? null : rate(recent, last);
}

const lineSpace = "http://www.w3.org/2000/svg";

/** The throughput of the last ten minutes as a line. */
function drawLine(svg) {
  const buckets = Array.from({ length: 40 }, () => 0);
  const now = Date.now();
  for (let number = 1; number < samples.length; number += 1) {
    const place = Math.floor(40 * (1 - (now - samples[number].at) / span));
    if (place >= 0 && place < 40) buckets[place] += samples[number].delivered - samples[number - 1].delivered;
  }
  const top = Math.max(1, ...buckets);
  const points = buckets.map((value, place) => `${(place * 240) / 39},${46 - (42 * value) / top}`).join(" ");
  svg.querySelector("polyline").setAttribute("points", points);
  svg.querySelector("polygon").setAttribute("points", `0,48 ${points} 240,48`);
}

function makeLine() {
  const svg = document.createElementNS(lineSpace, "svg");
  for (const [name, value] of [
      ["viewBox", "0 0 240 48"],
      ["preserveAspectRatio", "none"],
      ["class", "spark"],
      ["aria-hidden", "true"]
    ]) svg.setAttribute(name, value);
  svg.append(document.createElementNS(lineSpace, "polygon"), document.createElementNS(lineSpace, "polyline"));
  return svg;
}

const workerOrder = ["busy", "idle", "starting", "draining", "asleep", "quarantined", "lost"];

export function showFleet() {
  const figure = (label, id) => make("div", { class: "card figure" }, make("h2", {}, label), make("p", { class: "value number",
    data: { id } }, "–"), make("p", { class: "quiet number", data: { id: `${id}-more` } }));
  const speed = figure("Throughput", "speed");
  const line = makeLine();
  speed.append(line);
  const attention = make("ul", { class: "attention", "aria-label": "What needs someone" });
  const farm = make("div", { class: "buttons" });
  const reasons = make("ul", { class: "bars" });
  const workers = make("div", { class: "tiles" });
  const workerCounts = make("p", { class: "legend number" });
  const jobs = make("ul", { class: "list", "aria-label": "Running jobs" });
  const noJobs = make("p", { class: "quiet empty" }, "Nothing runs.");
  const view = make(
    "div", { class: "fleet" },
    make("div", { class: "row-head page-head" }, make("h1", {}, "Fleet"), make("span", { class: "grow" }), farm),
    attention,
    make("div", { class: "figures" }, speed, figure("Work left", "left"), figure("Waiting", "waiting"), figure("Workers", "workers")),
    make("div", { class: "halves" },
      make("section", { class: "card", "aria-labelledby": "why-head" }, make("h2", { id: "why-head" }, "Why tasks wait"), reasons),
      make("section", { class: "card", "aria-labelledby": "workers-head" }, make("h2", { id: "workers-head" }, "Workers by state"),
        workerCounts, workers)),
    make("section", { "aria-labelledby": "running-head" }, make("h2", { id: "running-head" }, "Running"), jobs, noJobs),
  );
  const value = (id, text) => setText(view.querySelector(`[data-id="${id}"]`), text);
  const mine = begin("fleet", "Fleet", view);

  keepFresh(mine, 3, async () => {
    const [capacity, everyone, farmView, recent, running] = await Promise.all([
      get("/v1/capacity"), list("/v1/workers", { lost: true }, 2000), get("/v1/farm"),
      list("/v1/jobs", {}, 60), list("/v1/jobs", { state: "running" }, 200),
    ]);
    if (mine.ended) return;
    const live = everyone.items.filter((worker) => worker.state !== "lost");
    const all = new Map([...running.items, ...recent.items].map((job) => [job.id, job]));
    sample(all.values());
    const fast = throughput();
    value("speed", fast === null ? "…" : fast >= 10 ? count(Math.round(fast)) : fast.toFixed(1));
    value("speed-more", fast === null ? "measuring" :
      `pictures a minute · ${capacity.flops_per_second ? flops(capacity.flops_per_second) : "speed not told yet"}`);
    drawLine(line);
    const queued = [...all.values()].filter((job) => ["running", "pending", "paused"].includes(job.state));
    const left = queued.reduce((sum, job) => sum + job.images.waiting + job.images.rendering, 0);
    const work = queued.reduce((sum, job) => sum + (job.cost ?? 0) * (job.images.waiting + job.images.rendering) / Math.max(1,
      total(job)), 0);
    const seconds = capacity.flops_per_second > 0 ? work / capacity.flops_per_second : null;
    value("left", left === 0 ? "none" : seconds ? duration(seconds) : "–");
    value("left-more", left === 0 ? "all is delivered" :
      `${plural(left, "picture")}${seconds ? ` · until about ${clock(new Date(Date.now() + seconds * 1000))}` : ""}`);
    value("waiting", count(capacity.waiting_tasks));
    value("waiting-more", `tasks · ${count(capacity.leased_tasks)} at work`);
    value("workers", count(live.length));
    value("workers-more", `${count(live.filter((one) => one.state === "busy").length)} busy · ${count(capacity.idle)} idle`);
    showReasons(reasons, capacity);
    showWorkers(workers, workerCounts, everyone.items, live);
    showAttention(attention, farmView, capacity, everyone.items, recent.items);
    showSwitch(farm, farmView);
    const shown = running.items.slice(0, 8);
    sync(jobs, shown, (job) => job.id, makeRow, updateRow);
    noJobs.hidden = shown.length > 0;
  });
}

const total = (job) => Object.values(job.images).reduce((sum, value) => sum + value, 0);

function showReasons(element, capacity) {
  const rows = Object.entries(capacity.waiting).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...rows.map(([, value]) => value));
  sync(element, rows.length ? rows : [["none", 0]], ([reason]) => reason,
    () => make("li", {}, make("span"), make("i", { class: "bar-line" }, make("i")), make("b", { class: "number" })),
    (row, [reason, value]) => {
      setText(row.children[0], reason === "none" ? "Nothing waits." : reasonText(reason));
      row.children[1].hidden = row.children[2].hidden = reason === "none";
      row.querySelector("i i").style.width = `${(100 * value) / most}%`;
      setText(row.children[2], count(value));
    });
}

function showWorkers(element, legend, everyone, live) {
  const shown = live.sort((a, b) => workerOrder.indexOf(a.state) - workerOrder.indexOf(b.state) || a.name.localeCompare(b.name)).slice(0,
    600);
  sync(element, shown, (worker) => worker.id,
    (worker) => make("a", { class: "worker-tile", href: `#/workers/${worker.id}` }),
    (tile, worker) => {
      tile.dataset.state = worker.state;
      tile.title = `${worker.name}: ${worker.state}`;
      tile.setAttribute("aria-label", tile.title);
    });
  const counts = workerOrder.map((name) => [name, everyone.filter((worker) => worker.state === name).length]).filter(([, value]) =>
  value);
  legend.replaceChildren(...(counts.length ?
    counts.map(([name, value]) => make("a", { href: `#/workers?state=${name}`, class: "count" }, make("i", { class: "dot",
      data: { state: name } }), `${count(value)} ${name}`)) :
    [make("span", { class: "quiet" }, "None yet: dreamfarm-worker run --model …")]));
}

function showAttention(element, farm, capacity, workers, jobs) {
  const items = [];
  const add = (key, text, href, kind = "warm") => items.push({ key, text, href, kind });
  if (farm.is_paused) add("farm", "The farm is paused: no task is given out.", "#/queue");
  for (const pool of farm.pools.filter((one) => one.is_paused)) add(`pool-${pool.name}`, `The pool ${pool.name} is paused.`, "#/queue");
  for (const worker of workers.filter((one) => one.state === "quarantined").slice(0, 5)) {
    add(worker.id, `${worker.name} is in quarantine${worker.state_reason ? `: ${worker.state_reason}` : ""}`, `#/workers/${worker.id}`,
      "bad");
  }
  const day = Date.now() - 24 * 3600 * 1000;
  const lost = workers.filter((one) => one.state === "lost" && Date.parse(one.last_seen_at) > day);
  if (lost.length) add("lost", `${plural(lost.length, "worker")} lost in the last day, ${lost[0].name} ${ago(lost[0].last_seen_at)}`,
    "#/workers?state=lost", "bad");
  for (const job of jobs.filter((one) => one.state === "failed" && Date.parse(one.finished_at ?? one.created_at) > day).slice(0, 4)) {
    add(job.id, `${job.name} failed: ${job.reason ?? `${plural(job.images.failed, "picture")} of ${count(total(job))}`}`,
      `#/jobs/${job.id}`, "bad");
  }
  for (const job of jobs.filter((one) => one.state === "drafted").slice(0, 4)) {
    add(`drafts-${job.id}`, `${job.name}: ${plural(job.images.drafted, "draft")} to keep or drop`, `#/jobs/${job.id}`);
  }
  for (const reason of ["no_worker", "no_memory", "no_precision", "no_group", "blob_store_full"]) {
    if (capacity.waiting[reason]) add(reason, `${plural(capacity.waiting[reason], "task")} that nobody can run: ${reasonText(reason)}`,
      "#/queue");
  }
  if (items.length === 0) items.push({ key: "well", text: "All is well. Nothing needs you.", kind: "good" });
  sync(element, items, (item) => item.key, (item) => make("li", {}, make(item.href ? "a" : "span", item.href ? { href: item.href } : {})),
    (row, item) => {
      row.dataset.kind = item.kind;
      setText(row.firstChild, item.text);
    });
}

function showSwitch(element, farm) {
  if (!may("operator") || element.dataset.paused === String(farm.is_paused)) return;
  element.dataset.paused = farm.is_paused;
  const button = make("button", { type: "button", class: farm.is_paused ? "" : "soft" }, farm.is_paused ? "Resume the farm" :
    "Pause the farm …");
  button.onclick = async () => {
    if (farm.is_paused) return act(button, () => call("POST", "/v1/farm/resume"), "Tasks are given out again.");
    const yes = await ask("Pause the farm?", { details: "No task is given out until it goes on; what is at work is finished.",
      button: "Pause" });
    return yes === null ? undefined : act(button, () => call("POST", "/v1/farm/pause"), "The farm is paused.");
  };
  element.replaceChildren(button);
}
