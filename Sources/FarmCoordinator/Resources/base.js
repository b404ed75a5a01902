"use strict";

// What the page of a dreamfarm coordinator is made of; app.js has its views. No library, no build.

const main = document.getElementById("main");
const notice = document.getElementById("notice");

// ---- small things ------------------------------------------------------------------------------

/** Makes an element; text is always text, never markup. */
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key === "class") element.className = value;
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

const state = (name) => make("span", { class: "state", data: { state: name } }, name);

const fact = (text) => (text ? make("span", {}, text) : null);

function ago(text) {
  if (!text) return "";
  const seconds = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  if (seconds < 5) return "just now";
  return `${duration(seconds)} ago`;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

function scaled(value, base, units) {
  let index = 0;
  while (value >= base && index < units.length - 1) {
    value /= base;
    index += 1;
  }
  return `${value >= 100 || index === 0 ? Math.round(value) : value.toPrecision(2)} ${units[index]}`;
}
const bytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
const flops = (value) => scaled(value, 1000, ["FLOP/s", "kFLOP/s", "MFLOP/s", "GFLOP/s", "TFLOP/s", "PFLOP/s"]);

function meter(label) {
  return make("div", { class: "meter", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 });
}

/** Shows parts of a whole in a meter, each part by its class. */
function fill(bar, parts, total) {
  for (const [name, count] of parts) {
    let part = bar.querySelector("." + name);
    if (!part) bar.append((part = make("i", { class: name })));
    part.style.width = total > 0 ? `${(100 * count) / total}%` : "0";
  }
  bar.setAttribute("aria-valuenow", total > 0 ? Math.round((100 * parts[0][1]) / total) : 0);
}

function fillTally(bar, tally) {
  const total = totalOf(tally);
  fill(bar, ["delivered", "rendering", "failed", "cancelled"].map((name) => [name, tally[name]]), total);
}
const totalOf = (tally) => tally.waiting + tally.rendering + tally.delivered + tally.failed + tally.cancelled;

function tallyText(tally) {
  const parts = [`${tally.delivered} of ${totalOf(tally)} pictures`];
  for (const name of ["rendering", "failed", "cancelled"]) {
    if (tally[name]) parts.push(`${tally[name]} ${name}`);
  }
  return parts.join(" · ");
}

// ---- the coordinator ---------------------------------------------------------------------------

class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the coordinator answered ${status}`);
    this.status = status;
  }
}

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
    credentials: "same-origin",
  });
  if (!response.ok) {
    throw new Refusal(response.status, await response.json().catch(() => ({})));
  }
  return response.status === 204 ? null : response.json();
}

/** Shows what went wrong; without a session it asks for a token. */
function complain(error) {
  if (error instanceof Refusal && error.status === 401) return signIn();
  notice.textContent =
    error instanceof Refusal ? error.message : "The coordinator does not answer; trying again …";
  notice.hidden = false;
}

// ---- views: each makes its elements once, then refreshes them ------------------------------------

let view = null;

/** Runs `refresh` now and every so often, until another view is shown. */
function show(section, refresh, seconds) {
  view?.end();
  const mine = { ended: false, timer: 0, onEnd: [] };
  mine.end = () => {
    mine.ended = true;
    clearTimeout(mine.timer);
    for (const action of mine.onEnd) action();
  };
  view = mine;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  mine.refresh = async () => {
    clearTimeout(mine.timer);
    if (!document.hidden) {
      try {
        await refresh(mine);
        if (!mine.ended) notice.hidden = true;
      } catch (error) {
        if (!mine.ended) complain(error);
      }
    }
    if (!mine.ended) mine.timer = setTimeout(mine.refresh, seconds * 1000);
  };
  mine.refresh();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) view?.refresh?.();
});

/** Keeps the children of `list` in the order of `items`, making and updating rows by key. */
function sync(list, items, key, create, update) {
  const rows = new Map([...list.children].map((row) => [row.dataset.key, row]));
  let before = null;
  for (const item of items) {
    let row = rows.get(String(key(item)));
    if (!row) {
      row = create(item);
      row.dataset.key = key(item);
    }
    rows.delete(row.dataset.key);
    update(row, item);
    const place = before ? before.nextSibling : list.firstChild;
    if (place !== row) list.insertBefore(row, place);
    before = row;
  }
  for (const row of rows.values()) row.remove();
}
