"use strict";

// The views of the page: jobs, a job's pictures, workers; base.js has what they are made of.

const viewer = document.getElementById("viewer");

// ---- jobs --------------------------------------------------------------------------------------

function showJobs() {
  const list = make("ul", { class: "list" });
  const empty = make(
    "div", { class: "empty quiet", hidden: true },
    make("p", {}, "No jobs yet."),
    make("p", {}, "Submit one with ", make("code", {}, "dreamfarm submit job.yaml"), "."),
  );
  const more = make("button", { class: "more", type: "button", hidden: true }, "Show more");
  let pages = 1;
  more.onclick = () => {
    pages += 1;
    view.refresh();
  };
  main.replaceChildren(make("h1", { class: "quiet" }, "Jobs"), make("br"), list, empty, more);
  show("jobs", async (mine) => {
    const jobs = [];
    let next = null;
    for (let page = 0; page < pages; page += 1) {
      const answer = await call("GET", "/v1/jobs" + (next ? `?after=${encodeURIComponent(next)}` : ""));
      if (mine.ended) return;
      jobs.push(...answer.items);
      next = answer.next;
      if (!next) break;
    }
    sync(list, jobs, (job) => job.id, makeJobRow, updateJobRow);
    empty.hidden = jobs.length > 0;
    more.hidden = !next;
  }, 3);
}

function makeJobRow(job) {
  const bar = meter("Pictures delivered");
  const head = make("div", { class: "row-head" });
  const facts = make("div", { class: "facts number" });
  return make("li", {}, make("a", { class: "card row", href: `#/jobs/${job.id}` }, head, bar, facts));
}

function updateJobRow(row, job) {
  row.querySelector(".row-head").replaceChildren(
    make("strong", {}, job.name), state(job.state), make("span", { class: "grow" }),
    make("span", { class: "quiet" }, ago(job.created_at)),
  );
  fillTally(row.querySelector(".meter"), job.images);
  row.querySelector(".facts").replaceChildren(
    ...[
      fact(tallyText(job.images)), fact(job.owner), fact(job.model), fact(`priority ${job.priority}`),
      fact(job.eta_seconds && !job.finished_at ? `about ${duration(job.eta_seconds)} left` : ""),
    ].filter(Boolean),
  );
}

// ---- one job -----------------------------------------------------------------------------------

function showJob(id) {
  const head = make("div", { class: "job-head" });
  const title = make("h1");
  const line = make("div", { class: "row-head" });
  const bar = meter("Pictures delivered");
  const facts = make("div", { class: "facts number" });
  const why = make("ul", { class: "why" });
  head.append(title, line, bar, facts, why);
  const grid = make("ul", { class: "grid" });
  const more = make("button", { class: "more", type: "button", hidden: true }, "Show more pictures");
  main.replaceChildren(head, grid, more);

  const base = `/v1/jobs/${encodeURIComponent(id)}`;
  const pictures = new Map(); // by index: { row, image }
  const steps = new Map(); // by index: the latest step
  let next = null;
  let hasImages = false;
  let stream = null;
  let pending = 0;

  async function load(mine) {
    const answer = await call("GET", base + "/images" + (next ? `?after=${encodeURIComponent(next)}` : ""));
    if (mine.ended) return;
    hasImages = true;
    for (const image of answer.items) place(image);
    next = answer.next;
    more.hidden = !next;
  }

  function place(image) {
    let known = pictures.get(image.index);
    if (!known) {
      known = { row: makePicture(), image };
      pictures.set(image.index, known);
      grid.append(known.row);
    }
    known.image = image;
    updatePicture(known.row, image, steps.get(image.index));
  }

  /** Looks again at the page of images that holds `index`; several at once become one. */
  const changed = new Set();
  let look = 0;
  function again(mine, index) {
    if (!pictures.has(index)) return;
    changed.add(index);
    clearTimeout(look);
    look = setTimeout(async () => {
      const wanted = [...changed].sort((a, b) => a - b);
      changed.clear();
      try {
        while (wanted.length > 0 && !mine.ended) {
          const first = wanted[0];
          const answer = await call("GET", base + "/images" + (first > 0 ? `?after=${first - 1}` : ""));
          for (const image of answer.items) if (pictures.has(image.index)) place(image);
          const last = answer.items.length ? answer.items[answer.items.length - 1].index : Infinity;
          while (wanted.length > 0 && wanted[0] <= last) wanted.shift();
        }
      } catch (error) {
        complain(error);
      }
    }, 250);
  }

  function listen(mine, after) {
    stream = new EventSource(`${base}/events?after=${after}`);
    mine.onEnd.push(() => stream.close());
    const on = (names, action) => {
      for (const name of names) {
        stream.addEventListener(name, (message) => action(JSON.parse(message.data), name));
      }
    };
    on(["image.delivered", "image.failed", "image.cancelled", "image.doubted"], (event) => {
      if (event.data.index !== undefined) again(mine, event.data.index);
      soon(mine);
    });
    on(["job.started", "job.paused", "job.resumed", "job.succeeded", "job.failed", "job.cancelled",
      "job.retried", "job.prioritized", "job.grouped"], (event, name) => {
      soon(mine);
      if (/cancelled|failed|retried/.test(name)) for (const index of pictures.keys()) again(mine, index);
    });
    on(["step"], (step) => {
      if (step.image === undefined) return;
      steps.set(step.image, step);
      const known = pictures.get(step.image);
      if (known && known.image.state !== "delivered") updatePicture(known.row, known.image, step);
    });
  }

  /** The job's own line, a moment after something happened. */
  function soon(mine) {
    clearTimeout(pending);
    pending = setTimeout(() => mine.refresh(), 300);
  }

  more.onclick = () => load(view).catch(complain);
  show("jobs", async (mine) => {
    const job = await call("GET", base);
    if (mine.ended) return;
    document.title = `${job.name} · dreamfarm`;
    title.textContent = job.name;
    line.replaceChildren(
      state(job.state), make("span", { class: "quiet number" }, tallyText(job.images)),
      make("span", { class: "grow" }),
      job.images.delivered > 0 ? make("a", { href: base + "/archive", download: "" }, "Download all") : "",
    );
    fillTally(bar, job.images);
    const took = job.started_at && job.finished_at
      ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : null;
    facts.replaceChildren(
      ...[
        fact(job.owner), fact(job.model), fact(`priority ${job.priority}`),
        fact(`submitted ${ago(job.created_at)}`), fact(took === null ? "" : `took ${duration(took)}`),
        fact(job.eta_seconds && !job.finished_at ? `about ${duration(job.eta_seconds)} left` : ""),
        fact(job.id),
      ].filter(Boolean),
    );
    const reasons = (job.waiting || []).map((one) => `${one.tasks} waiting: ${one.sentence}`);
    if (job.reason) reasons.unshift(job.reason);
    why.className = job.state === "failed" ? "why bad" : "why";
    why.replaceChildren(...reasons.map((text) => make("li", {}, text)));
    if (!hasImages) await load(mine);
    if (!stream && !mine.ended) listen(mine, job.event_number || 0);
  }, 10);
}

function makePicture() {
  const frame = make("button", { class: "frame", type: "button" });
  return make("li", { class: "picture" }, frame, make("p"));
}

function updatePicture(row, image, step) {
  const settings = image.settings || {};
  const frame = row.querySelector(".frame");
  row.className = `picture ${image.state}`;
  frame.style.setProperty("--shape", `${settings.width || 1} / ${settings.height || 1}`);
  const caption = image.failure && image.state === "failed" ? image.failure.message : image.doubt || settings.prompt || image.name;
  const text = row.querySelector("p");
  text.textContent = caption;
  text.title = caption;
  frame.disabled = image.state !== "delivered";
  if (image.state === "delivered") {
    const source = `/v1/images/${image.id}/content`;
    let picture = frame.querySelector("img.final");
    if (!picture || picture.dataset.digest !== image.digest) {
      picture = make("img", { class: "final", loading: "lazy", decoding: "async", alt: caption, src: source });
      picture.dataset.digest = image.digest;
      frame.replaceChildren(picture);
      frame.onclick = () => openPicture(image, source);
    }
    return;
  }
  frame.onclick = null;
  const isMoving = step && (image.state === "waiting" || image.state === "rendering");
  if (!isMoving) return frame.replaceChildren(make("span", {}, image.state));
  let bar = frame.querySelector(".meter");
  if (!bar) frame.replaceChildren(make("span"), (bar = meter("Steps done")));
  const phase = step.phase && step.phase !== "denoising" ? step.phase : `step ${step.step} of ${step.steps}`;
  frame.querySelector("span").textContent = phase;
  fill(bar, [["rendering", step.step]], step.steps);
  if (step.has_preview) {
    const source = `/v1/images/${image.id}/preview?step=${step.step}`;
    let picture = frame.querySelector("img.preview");
    if (!picture) frame.prepend((picture = make("img", { class: "preview", alt: "" })));
    if (picture.getAttribute("src") !== source) picture.src = source;
  }
}

function openPicture(image, source) {
  const settings = image.settings || {};
  document.getElementById("viewer-picture").src = source;
  document.getElementById("viewer-picture").alt = settings.prompt || image.name;
  document.getElementById("viewer-caption").replaceChildren(
    make("strong", {}, settings.prompt || image.name),
    make(
      "span", { class: "facts number" },
      ...[
        fact(`seed ${settings.seed}`), fact(`${settings.width}×${settings.height}`), fact(`${settings.steps} steps`),
        fact(`guidance ${settings.guidance}`),
        fact((settings.references || []).map((one) => `${one.task}: ${one.image}`).join(", ")),
        fact(image.size ? bytes(image.size) : ""),
      ].filter(Boolean),
    ),
    make("a", { href: source, download: image.name.split("/").pop() }, image.name),
  );
  viewer.showModal();
}

viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close();
});
viewer.addEventListener("close", () => document.getElementById("viewer-picture").removeAttribute("src"));

// ---- workers -----------------------------------------------------------------------------------

function showWorkers() {
  const list = make("ul", { class: "list workers" });
  const empty = make(
    "div", { class: "empty quiet", hidden: true },
    make("p", {}, "No workers yet."),
    make("p", {}, "Start one with ", make("code", {}, "dreamfarm-worker run --model …"), "."),
  );
  main.replaceChildren(make("h1", { class: "quiet" }, "Workers"), make("br"), list, empty);
  show("workers", async (mine) => {
    const workers = [];
    let next = null;
    do {
      const answer = await call("GET", "/v1/workers" + (next ? `?after=${encodeURIComponent(next)}` : ""));
      workers.push(...answer.items);
      next = answer.next;
    } while (next && workers.length < 1000);
    if (mine.ended) return;
    sync(list, workers, (worker) => worker.id, makeWorker, updateWorker);
    empty.hidden = workers.length > 0;
  }, 2);
}

function makeWorker() {
  return make(
    "li", { class: "card row" },
    make("div", { class: "row-head" }), make("div", { class: "facts number" }), make("div", { class: "list" }),
  );
}

function updateWorker(row, worker) {
  row.querySelector(".row-head").replaceChildren(
    make("strong", {}, worker.name), state(worker.state), make("span", { class: "grow" }),
    make("span", { class: "quiet" }, `seen ${ago(worker.last_seen_at)}`),
  );
  row.querySelector(".facts").replaceChildren(
    ...[
      fact(`pool ${worker.pool}`), fact(worker.model), fact(worker.precision),
      fact(worker.memory_bytes ? bytes(worker.memory_bytes) : ""), fact(worker.speed ? flops(worker.speed) : ""),
      fact((worker.tags || []).join(", ")), fact(worker.state_reason),
    ].filter(Boolean),
  );
  const running = (worker.running || []).filter((step) => step.steps > 0);
  const list = row.querySelector(".list");
  sync(list, running, (step) => step.attempt, () => make("div", { class: "step number" }, make("span"), meter("Steps done")),
    (line, step) => {
      const phase = step.phase && step.phase !== "denoising" ? `${step.phase}, ` : "";
      const speed = step.step_seconds ? `, ${duration(step.step_seconds)} a step` : "";
      const image = step.image === undefined ? "" : `image ${step.image}, `;
      line.querySelector("span").textContent = `${image}${phase}step ${step.step} of ${step.steps}${speed}`;
      fill(line.querySelector(".meter"), [["rendering", step.step]], step.steps);
    });
}

// ---- session and addresses -----------------------------------------------------------------------

function signIn() {
  view?.end();
  view = null;
  notice.hidden = true;
  document.getElementById("nav").hidden = true;
  document.getElementById("leave").hidden = true;
  document.getElementById("who").textContent = "";
  main.replaceChildren(document.getElementById("sign-in").content.cloneNode(true));
  const form = main.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await call("POST", "/v1/session", { token: form.elements.token.value.trim() });
      notice.hidden = true;
      await enter();
    } catch (error) {
      notice.textContent = error instanceof Refusal && error.status === 401
        ? "This token is not known here, or is over." : error.message;
      notice.hidden = false;
    }
  });
  form.elements.token.focus();
}

async function enter() {
  const session = await call("GET", "/v1/session");
  document.getElementById("nav").hidden = false;
  document.getElementById("leave").hidden = false;
  document.getElementById("who").textContent = `${session.owner} · ${session.role}`;
  route();
}

document.getElementById("leave").onclick = async () => {
  await call("DELETE", "/v1/session").catch(() => {});
  signIn();
};

function route() {
  document.title = "dreamfarm";
  const [section, id] = location.hash.replace(/^#\/?/, "").split("/");
  if (section === "workers") showWorkers();
  else if (section === "jobs" && id) showJob(decodeURIComponent(id));
  else showJobs();
}

window.addEventListener("hashchange", () => {
  if (view) {
    route();
    main.focus();
  }
});
enter().catch((error) => {
  complain(error);
  if (!(error instanceof Refusal)) setTimeout(() => location.reload(), 5000);
});
