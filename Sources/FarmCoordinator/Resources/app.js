// Where the page begins: who is signed in, and which view an address means.

import { call, get, setSession } from "./api.js";
import { byId, field, make } from "./base.js";
import { showFleet } from "./fleet.js";
import { showJob } from "./job.js";
import { showJobs } from "./jobs.js";
import { listenToKeys } from "./keys.js";
import { showQueue } from "./queue.js";
import { showSubmit } from "./submit.js";
import { begin, complain, endView, hush, main, whenSignedOut } from "./views.js";
import { showGroup, showWorker } from "./worker.js";
import { showWorkers } from "./workers.js";

let isSignedIn = false;

function route() {
  if (!isSignedIn) return;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  hush();
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [section, id, part] = path.split("/").map(decodeURIComponent);
  const parameters = new URLSearchParams(search);
  scrollTo(0, 0);
  if (section === "jobs" && id) showJob(id, part, parameters);
  else if (section === "jobs") showJobs(parameters);
  else if (section === "queue") showQueue(parameters);
  else if (section === "workers" && id) showWorker(id);
  else if (section === "workers") showWorkers(parameters);
  else if (section === "groups" && id) showGroup(id);
  else if (section === "submit") showSubmit(parameters);
  else showFleet();
}

async function enter(session) {
  setSession(session);
  isSignedIn = true;
  localStorage.setItem("dreamfarm-session", "kept");
  byId("nav").hidden = false;
  byId("leave").hidden = false;
  byId("who").textContent = `${session.owner}, ${session.role}`;
  route();
}

function signIn() {
  isSignedIn = false;
  setSession(null);
  localStorage.removeItem("dreamfarm-session");
  hush();
  byId("nav").hidden = true;
  byId("leave").hidden = true;
  byId("who").textContent = "";
  const token = make("input", { name: "token", type: "password", autocomplete: "current-password", required: true });
  const wrong = make("p", { class: "trouble", role: "alert", hidden: true });
  const button = make("button", { type: "submit" }, "Sign in");
  const form = make(
    "form", { class: "card sign-in" },
    make("img", { src: "/page/icon.svg", alt: "", width: 56, height: 56 }), make("h1", {}, "Sign in"),
    make("p", { class: "quiet" }, "With a token of this farm. The first one is in the coordinator’s data folder, in the file ",
      make("code", {}, "token"), "; ", make("code", {}, "dreamfarm tokens create"), " makes more."),
    field("Token", token), wrong, button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await enter(await call("POST", "/v1/session", { token: token.value.trim() }));
    } catch (error) {
      if (error.status !== 401) complain(error);
      wrong.textContent = error.status === 401 ? "The farm does not know this token." : error.message;
      wrong.hidden = false;
      token.focus();
    } finally {
      button.disabled = false;
    }
  });
  begin("", "Sign in", form);
  token.focus();
}

byId("leave").onclick = async () => {
  try {
    await call("DELETE", "/v1/session");
    location.hash = "#/";
    signIn();
  } catch (error) {
    complain(error);
  }
};

document.querySelector(".skip").onclick = (event) => {
  // The address is the view's.
  event.preventDefault();
  main.focus();
};

whenSignedOut(signIn);
addEventListener("hashchange", () => {
  route();
  if (isSignedIn) main.focus({ preventScroll: true });
});
listenToKeys();

// Asked only where someone signed in before: a refusal is an error in every browser's console.
try {
  if (localStorage.getItem("dreamfarm-session")) await enter(await get("/v1/session"));
  else signIn();
} catch (error) {
  if (error.status === 401) signIn();
  else {
    complain(error);
    endView();
    setTimeout(() => location.reload(), 5000);
  }
}
