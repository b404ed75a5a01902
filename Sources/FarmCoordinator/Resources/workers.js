// The workers and groups: found, chosen, and told to drain, sleep, wake or stay away.

import { call, list, may, query } from "./api.js";
import { ago, bytes, calmly, chips, count, duration, facts, fill, flops, make, meter, plural, setText, state, sync } from "./base.js";
import { act, ask, begin, complain, keepFresh, tell } from "./views.js";

const states = ["busy", "idle", "starting", "draining", "asleep", "quarantined", "lost"];

export const wishes = {
  drain: { title: "Drain", details: "It finishes what it holds, and ends.", done: "told to drain" },
  sleep: { title: "Sleep", details: "It finishes what it holds, and waits until it is woken.", done: "told to sleep" },
  wake: { title: "Wake", details: "It works again.", done: "woken" },
  quarantine: { title: "Quarantine", details: "It gets no tasks until it is woken.", done: "put into quarantine", isDanger: true },
};

/** Asks for a reason, then tells workers what is wanted of them. */
export async function wish(verb, workers, button) {
  const one = wishes[verb];
  const whom = workers.length === 1 ? workers[0].name : plural(workers.length, "worker");
  const reason = verb === "wake" ? "" : await ask(`${one.title} ${whom}?`, { details: one.details, button: one.title, wantsReason: true,
    isDanger: one.isDanger });
  if (reason === null) return;
  await act(button, async () => {
    let failed = 0;
    let last = null;
    for (const worker of workers) {
      try {
        await call("POST", `/v1/workers/${worker.id}/${verb}`, reason ? { reason } : {});
      } catch (error) {
        failed += 1;
        last = error;
      }
    }
    if (failed === workers.length) throw last;
    if (failed) tell(`${count(failed)} of ${whom} could not be told.`, "bad");
    else tell(`${whom}: ${one.done}.`);
  });
}

export function wishButtons(workers, kind = "soft") {
  return Object.entries(wishes).map(([verb, one]) => {
    const button = make("button", { type: "button", class: kind, data: { verb } }, one.title);
    button.onclick = () => wish(verb, workers(), button);
    return button;
  });
}

export function showWorkers(parameters) {
  const filter = { state: parameters.get("state") ?? "", search: parameters.get("search") ?? "" };
  const chosen = new Set();
  let everyone = [];
  const search = make("input", { type: "search", value: filter.search,
  placeholder: "name, pool, model, tag, host …", "aria-label": "Search workers", data: { search: "" } });
  const stateChips = chips("State", [
    ["", "All"], ...states.map((name) => [name, name])
  ], filter.state, (value) => change("state", value));
  const all = make("input", { type: "checkbox", "aria-label": "Choose all that are shown" });
  const chosenText = make("span", { class: "number", role: "status" });
  const tools = make("div", { class: "row-head tools", hidden: !may("operator") },
    make("label", { class: "check" }, all, chosenText), make("span", { class: "grow" }),
    ...wishButtons(() => everyone.filter((worker) => chosen.has(worker.id))));
  const rows = make("ul", { class: "list workers", "aria-label": "Workers" });
  const empty = make("div", { class: "empty quiet", hidden: true });
  const groups = make("ul", { class: "list workers", "aria-label": "Groups" });
  const groupSection = make("section", { hidden: true, "aria-labelledby": "groups-head" }, make("h2", { id: "groups-head" }, "Groups"),
    groups);
  const mine = begin("workers", "Workers", make("div", { class: "page-head" }, make("h1", {}, "Workers")),
    make("div", { class: "filters", role: "search", "aria-label": "Filter workers" }, stateChips, search), tools, rows, empty,
    groupSection);

  function change(key, value) {
    filter[key] = value;
    history.replaceState(null, "", query("#/workers", filter));
    draw();
  }
  search.oninput = calmly(() => change("search", search.value.trim()), 150);
  all.onchange = () => {
    chosen.clear();
    if (all.checked) for (const worker of matching()) chosen.add(worker.id);
    draw();
  };

  const wordsOf = (worker) => [worker.name, worker.pool, worker.model, worker.precision, worker.engine, worker.state_reason, worker.group,
    worker.machine?.host, worker.machine?.device, ...worker.tags].join(" ").toLowerCase();
  const matching = () => everyone.filter((worker) => (filter.state ? worker.state === filter.state : worker.state !== "lost")
    && filter.search.toLowerCase().split(/\s+/).every((word) => wordsOf(worker).includes(word)));

  function draw() {
    const shown = matching();
    for (const id of chosen) if (!everyone.some((worker) => worker.id === id)) chosen.delete(id);
    sync(rows, shown.slice(0, 400), (worker) => worker.id, makeWorker, updateWorker);
    for (const row of rows.children) {
      const box = row.querySelector("input");
      box.checked = chosen.has(row.dataset.key);
      box.hidden = !may("operator");
      box.onchange = () => {
        if (box.checked) chosen.add(row.dataset.key);
        else chosen.delete(row.dataset.key);
        drawTools();
      };
    }
    for (const chip of stateChips.children) {
      const name = chip.dataset.value;
      const value = everyone.filter((worker) => (name ? worker.state === name : worker.state !== "lost")).length;
      setText(chip, `${name || "All"} ${count(value)}`);
      chip.hidden = name !== "" && value === 0 && filter.state !== name;
    }
    empty.hidden = shown.length > 0;
    if (!empty.hidden) empty.replaceChildren(everyone.length
      ? make("p", {}, "No worker is like that.")
      : make("p", {}, "No workers yet. Start one with ", make("code", {}, "dreamfarm-worker run --model …"), "."));
    drawTools();
  }

  function drawTools() {
    setText(chosenText, chosen.size ? `${count(chosen.size)} chosen` : "Choose all");
    for (const button of tools.querySelectorAll("button")) button.disabled = chosen.size === 0;
  }

  keepFresh(mine, 3, async () => {
    const [found, ofGroups] = await Promise.all([list("/v1/workers", { lost: true }, 2000), list("/v1/groups", {}, 200)]);
    if (mine.ended) return;
    everyone = found.items;
    draw();
    groupSection.hidden = ofGroups.items.length === 0;
    sync(groups, ofGroups.items, (group) => group.id, makeGroup, updateGroup);
  });
}

function makeWorker(worker) {
  return make(
    "li", { class: "card row" },
    make("div", { class: "row-head" }, make("input", { type: "checkbox", "aria-label": `Choose ${worker.name}` }),
      make("a", { href: `#/workers/${worker.id}` }, make("strong", {}, worker.name)), make("span"), make("span", { class: "grow" }),
      make("span", { class: "quiet number" })),
    make("div", { class: "facts number" }), make("div", { class: "list steps" }),
  );
}

function updateWorker(row, worker) {
  const [, , standing, , seen] = row.querySelector(".row-head").children;
  standing.replaceChildren(state(worker.state), worker.desired_state !== "run" && !["draining", "asleep", "quarantined"].includes(worker
      .state) ?
    make("span", { class: "quiet" }, ` to ${worker.desired_state}`) : "");
  setText(seen, `seen ${ago(worker.last_seen_at)}`);
  row.querySelector(".facts").replaceChildren(...facts(
    worker.state_reason ? make("b", {}, worker.state_reason) : "", `pool ${worker.pool}`, worker.model, worker.precision,
    worker.memory_bytes ? bytes(worker.memory_bytes) : "", worker.speed ? flops(worker.speed) : "", worker.tags.join(", "),
    worker.group ? `rank ${worker.rank} of ${worker.group}` : "", worker.failures_in_a_row ?
    `${plural(worker.failures_in_a_row, "failure")} in a row` : "",
  ));
  showSteps(row.querySelector(".steps"), worker.running ?? []);
}

/** What a worker is at, each attempt with its steps. */
export function showSteps(element, running) {
  sync(element, running.filter((step) => step.steps > 0), (step) => step.attempt,
    () => make("div", { class: "step number" }, make("span"), meter("Steps done")),
    (line, step) => {
      const phase = step.phase && step.phase !== "denoising" ? `${step.phase}, ` : "";
      const speed = step.step_seconds ? `, ${duration(step.step_seconds)} a step` : "";
      setText(line.firstChild,
        `${step.image === undefined ? "" : `image ${step.image}, `}${phase}step ${step.step} of ${step.steps}${speed}`);
      fill(line.lastChild, [
        ["rendering", step.step]
      ], step.steps);
    });
}

function makeGroup(group) {
  const dissolve = make("button", { type: "button", class: "soft" }, "Dissolve …");
  dissolve.onclick = () => dissolveGroup(group.id, group.name, dissolve);
  dissolve.hidden = !may("operator");
  return make(
    "li", { class: "card row" },
    make("div", { class: "row-head" }, make("a", { href: `#/groups/${group.id}` }, make("strong", {}, group.name)), make("span"), make(
      "span", { class: "grow" }), dissolve),
    make("div", { class: "facts number" }), make("ul", { class: "members" }),
  );
}

export async function dissolveGroup(id, name, button) {
  const yes = await ask(`Dissolve ${name}?`, { details: "It finishes what it holds; its members work alone again.", button: "Dissolve",
    isDanger: true });
  if (yes !== null) await act(button, () => call("POST", `/v1/groups/${id}/dissolve`), `${name} ends.`).catch(complain);
}

function updateGroup(row, group) {
  row.querySelector(".row-head").children[1].replaceChildren(state(group.state));
  row.querySelector(".facts").replaceChildren(...facts(
    `${plural(group.size, "member")}`, `epoch ${group.epoch}`, `pool ${group.pool}`, group.model, group.precision, group.speed ?
    flops(group.speed) : "",
    group.formation_seconds ? `formed in ${duration(group.formation_seconds)}` : "", group.reason,
  ));
  sync(row.querySelector(".members"), group.members, (member) => member.worker,
    (member) => make("li", {}, make("a", { href: `#/workers/${member.worker}` }, member.name), make("span", { class: "quiet" })),
    (item, member) => setText(item.lastChild, ` rank ${member.rank}, ${member.phase}${member.is_fit ? "" : ", not fit"}`));
}
