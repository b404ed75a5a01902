// The jobs: searched, filtered, each with its latest pictures.

import { get, jobPath, list, pictureOf, query } from "./api.js";
import { calmly, chips, facts, fillTally, forecast, make, meter, moment, plural, setText, state, sync, tallyText } from "./base.js";
import { begin, complain, keepFresh } from "./views.js";

const states = ["running", "drafted", "pending", "paused", "succeeded", "failed", "cancelled"];

export function showJobs(parameters) {
  const filter = { state: parameters.get("state") ?? "", search: parameters.get("search") ?? "", owner: parameters.get("owner") ?? "" };
  const search = make("input", {
    type: "search", value: filter.search, placeholder: "name, owner, model, id …", "aria-label": "Search jobs", data: { search: "" },
  });
  const rows = make("ul", { class: "list", "aria-label": "Jobs" });
  const empty = make("div", { class: "empty quiet", hidden: true });
  const found = make("p", { class: "unseen", role: "status" });
  const more = make("button", { class: "more", type: "button", hidden: true }, "Show more");
  let most = 50;
  const owner = filter.owner ?
    make("a", { class: "chip", href: query("#/jobs", { ...filter,
      owner: "" }), "aria-label": `Only those of ${filter.owner}; show everyone's` }, `${filter.owner} ×`) : "";
  const mine = begin("jobs", "Jobs",
    make("div", { class: "row-head page-head" }, make("h1", {}, "Jobs"), make("span", { class: "grow" }),
      make("a", { class: "button", href: "#/submit" }, "Submit a job")),
    make("div", { class: "filters", role: "search", "aria-label": "Filter jobs" },
      chips("State", [["", "All"], ...states.map((name) => [name, name])], filter.state, (value) => change("state", value)), search, owner),
    found, rows, empty, more);

  function change(key, value) {
    filter[key] = value;
    most = 50;
    history.replaceState(null, "", query("#/jobs", filter));
    mine.refresh();
  }
  search.oninput = calmly(() => change("search", search.value.trim()), 250);
  more.onclick = () => {
    most += 100;
    mine.refresh();
  };
  keepFresh(mine, 4, async () => {
    const asked = JSON.stringify(filter);
    const { items, next } = await list("/v1/jobs", filter, most);
    if (mine.ended || asked !== JSON.stringify(filter)) return;
    sync(rows, items, (job) => job.id, makeRow, updateRow);
    more.hidden = !next;
    setText(found, `${plural(items.length, "job")}${next ? " and more" : ""}`);
    empty.hidden = items.length > 0;
    if (!empty.hidden) empty.replaceChildren(...nothing(filter));
  });
}

const nothing = (filter) => (filter.state || filter.search || filter.owner
  ? [make("p", {}, "No job is like that.")]
  : [
    make("p", { class: "big" }, "No jobs yet."),
    make("p", {}, "Drop pictures into ", make("a", { href: "#/submit" }, "the form"), ", or run ", make("code", {},
      "dreamfarm submit job.yaml"), "."),
  ]);

export function makeRow(job) {
  return make(
    "li", { class: "card row job" },
    make("div", { class: "row-head" },
      make("a", { class: "whole", href: `#/jobs/${job.id}` }, make("strong", {}, job.name)), make("span"),
      make("span", { class: "grow" }), make("span", { class: "quiet" })),
    meter(`Pictures of ${job.name} delivered`), make("div", { class: "facts number" }), make("div", { class: "strip" }),
  );
}

export function updateRow(row, job) {
  const [, standing, , when] = row.querySelector(".row-head").children;
  standing.replaceChildren(state(job.state));
  when.replaceChildren(moment(job.created_at));
  fillTally(row.querySelector(".meter"), job.images);
  row.querySelector(".facts").replaceChildren(...facts(
    tallyText(job.images), job.owner, job.model, job.priority === 50 ? "" : `priority ${job.priority}`,
    job.eta_seconds && !job.finished_at ? `about ${forecast(job.eta_seconds)}` : "", job.reason,
  ));
  // The latest pictures, looked for again as more of them are there.
  const strip = row.querySelector(".strip");
  const step = Math.min(12, job.images.delivered);
  if (strip.dataset.shown === String(step)) return;
  strip.dataset.shown = step;
  watcher.unobserve(row);
  if (step > 0) watcher.observe(row);
}

/** Fetches the first pictures of a row once it is in sight. */
const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target: row } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(row);
    get(query(jobPath(row.dataset.key, "/images"), { state: "delivered", limit: 12 })).then(({ items }) => {
      sync(row.querySelector(".strip"), items, (image) => image.id,
        (image) => make("img", { src: pictureOf(image, 128), alt: "", loading: "lazy", decoding: "async" }), () => {});
    }).catch(complain);
  }
}, { rootMargin: "200px" });
