// What every view is made of: elements, words for numbers and times, rows that follow a list.

/** Makes an element; text is always text, never markup. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") element.className = value;
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key in element && key !== "list" && key !== "form") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== ""));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Replaces an element's text where it changed, so that nobody is told the same again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---- words -------------------------------------------------------------------------------------

const counts = new Intl.NumberFormat("en");
export const count = (value) => counts.format(value ?? 0);

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

export function ago(text) {
  if (!text) return "";
  const seconds = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  return seconds < 5 ? "just now" : `${duration(seconds)} ago`;
}

export function duration(seconds) {
  if (seconds === undefined || seconds === null || !isFinite(seconds)) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${count(Math.round(seconds / 86400))} d`;
}

function scaled(value, base, units) {
  let index = 0;
  while (value >= base && index < units.length - 1) {
    value /= base;
    index += 1;
  }
  return `${value >= 100 || index === 0 ? Math.round(value) : value.toPrecision(2)} ${units[index]}`;
}
export const bytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
export const flops = (value) => scaled(value, 1000, ["FLOP/s", "kFLOP/s", "MFLOP/s", "GFLOP/s", "TFLOP/s", "PFLOP/s"]);

export function moment(text) {
  if (!text) return null;
  const date = new Date(text);
  return make("time", { dateTime: text, title: date.toLocaleString() }, ago(text));
}

/** A time of day, with the day where it is not today. */
export function clock(date) {
  const isToday = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return isToday ? time : `${date.toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" })} ${time}`;
}

/** What is left and when it is over, as "12 min, at 03:41". */
export function forecast(seconds) {
  if (!seconds || !isFinite(seconds)) return "";
  return `${duration(seconds)}, until ${clock(new Date(Date.now() + seconds * 1000))}`;
}

// ---- small parts -------------------------------------------------------------------------------

export const state = (name) => make("span", { class: "state", data: { state: name } }, name.replaceAll("_", " "));

export const fact = (text) => (text ? make("span", {}, text) : null);

export const facts = (...items) => items.filter(Boolean).map((item) => (typeof item === "string" ? make("span", {}, item) : item));

export function meter(label) {
  return make("div", { class: "meter", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 });
}

/** Shows parts of a whole in a meter, each part by its class; the first is its value. */
export function fill(bar, parts, total) {
  for (const [name, value] of parts) {
    let part = bar.querySelector("." + name);
    if (!part) bar.append((part = make("i", { class: name })));
    part.style.width = total > 0 ? `${(100 * value) / total}%` : "0";
  }
  bar.setAttribute("aria-valuenow", total > 0 ? Math.round((100 * parts[0][1]) / total) : 0);
}

export const totalOf = (tally) => tally.waiting + tally.rendering + (tally.drafted ?? 0) + tally.delivered + tally.failed
  + tally.cancelled;

export function fillTally(bar, tally) {
  fill(bar, ["delivered", "rendering", "drafted", "failed", "cancelled"].map((name) => [name, tally[name] ?? 0]), totalOf(tally));
}

export function tallyText(tally) {
  const parts = [`${count(tally.delivered)} of ${plural(totalOf(tally), "picture")}`];
  for (const name of ["rendering", "drafted", "failed", "cancelled"]) {
    if (tally[name]) parts.push(`${count(tally[name])} ${name}`);
  }
  return parts.join(" · ");
}

/** A list of names with their values. */
export function definitions(entries) {
  return make("dl", { class: "definitions" }, entries.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** A field of a form with its label. */
export function field(label, control, hint) {
  return make("label", { class: "field" }, make("span", {}, label), control, hint ? make("small", { class: "quiet" }, hint) : null);
}

/** A choice among options, each a value and a text. */
export function choice(options, value, properties = {}) {
  const select = make("select", properties, options.map(([option, text]) => make("option", { value: option }, text)));
  select.value = value;
  return select;
}

/** Buttons of which one is pressed: a filter. */
export function chips(label, options, current, choose) {
  const group = make("div", { class: "chips", role: "group", "aria-label": label });
  group.append(...options.map(([value, text]) => {
    const chip = make("button", { type: "button", class: "chip", data: { value } }, text);
    chip.setAttribute("aria-pressed", String(value === current));
    chip.onclick = () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === chip));
      choose(value);
    };
    return chip;
  }));
  return group;
}

/** Calls `action` once things have been quiet for a while. */
export function calmly(action, milliseconds = 250) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

/** Keeps the children of `list` in the order of `items`, making and updating rows by key. */
export function sync(list, items, key, create, update) {
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
