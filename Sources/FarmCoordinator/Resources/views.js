// The view that is shown, what it says when something goes wrong, and how it is kept fresh.

import { Refusal } from "./api.js";
import { byId, make } from "./base.js";

export const main = byId("main");
const notice = byId("notice");
const pulse = byId("pulse");

let view = null;
let onSignedOut = () => {};

export const whenSignedOut = (action) => (onSignedOut = action);

/** Tells readers of the screen what happened. */
export const say = (text) => (byId("said").textContent = text);

/** How fresh the view is: live by events, by looking every few seconds, or not at all. */
export function setPulse(kind) {
  const texts = { live: "live", polling: "every few seconds", away: "not connected" };
  pulse.hidden = !kind;
  if (kind && pulse.dataset.kind !== kind) {
    pulse.dataset.kind = kind;
    pulse.textContent = texts[kind];
  }
}

let noticeTimer = 0;

/** Shows a message for a while, or until the next one. */
export function tell(text, kind = "good", seconds = 6) {
  clearTimeout(noticeTimer);
  notice.dataset.kind = kind;
  notice.textContent = text;
  notice.hidden = false;
  if (seconds) noticeTimer = setTimeout(() => (notice.hidden = true), seconds * 1000);
}

export const hush = () => {
  clearTimeout(noticeTimer);
  notice.hidden = true;
};

/** Shows what went wrong; without a session it asks for a token. */
export function complain(error) {
  if (error?.name === "AbortError") return;
  if (error instanceof Refusal) {
    if (error.status === 401) return onSignedOut();
    return tell(error.message, "bad", 12);
  }
  if (!(error instanceof TypeError && /fetch|network/i.test(error.message))) console.error(error);
  setPulse("away");
  tell("The coordinator does not answer; trying again …", "bad", 0);
}

/** Ends the view that is shown. */
export function endView() {
  view?.end();
  view = null;
}

/** Begins a view: its title, its section, its elements; what it was before ends. */
export function begin(section, title, ...elements) {
  endView();
  const mine = { ended: false, timers: new Set(), onEnd: [], refresh: null };
  mine.end = () => {
    mine.ended = true;
    for (const timer of mine.timers) clearTimeout(timer);
    for (const action of mine.onEnd) action();
  };
  mine.title = (text) => (document.title = `${text} · dreamfarm`);
  view = mine;
  mine.title(title);
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren(...elements);
  setPulse(null);
  return mine;
}

/** Runs `look` now and every so often while the view is shown. */
export function keepFresh(mine, seconds, look) {
  let timer = 0;
  const run = async () => {
    mine.timers.delete(timer);
    clearTimeout(timer);
    if (!document.hidden) {
      try {
        await look(mine);
        if (!mine.ended) {
          if (notice.dataset.kind === "bad" && pulse.dataset.kind === "away") hush();
          if (pulse.hidden || pulse.dataset.kind === "away") setPulse("polling");
        }
      } catch (error) {
        if (!mine.ended) complain(error);
      }
    }
    if (!mine.ended) mine.timers.add((timer = setTimeout(run, seconds * 1000)));
  };
  mine.refresh = run;
  run();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) view?.refresh?.();
});

/** Looks again at what the view shows. */
export const refreshView = () => view?.refresh?.();

/** Runs what a button is for, with the button off meanwhile; says what came of it. */
export async function act(button, action, done) {
  if (button) button.disabled = true;
  try {
    const answer = await action();
    if (done) tell(typeof done === "function" ? done(answer) : done);
    refreshView();
    return answer;
  } catch (error) {
    complain(error);
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** A modal dialog that is gone once it is closed; a click beside it closes it. */
export function openDialog(label, properties, ...children) {
  const close = make("button", { class: "icon close", type: "button", "aria-label": "Close" }, "×");
  const dialog = make("dialog", { "aria-label": label, ...properties }, close, ...children);
  const before = document.activeElement;
  close.onclick = () => dialog.close();
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before?.isConnected) before.focus({ preventScroll: true });
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks before something is done; resolves to the reason that was given, or null for no. */
export function ask(question, { details, button = "Go on", wantsReason = false, isDanger = false } = {}) {
  return new Promise((resolve) => {
    const reason = make("input", { name: "reason", maxLength: 200, placeholder: "why (others see it)", "aria-label": "Reason" });
    const form = make(
      "form", { method: "dialog", class: "ask" },
      make("h2", {}, question), details ? make("p", { class: "quiet" }, details) : null,
      wantsReason ? reason : null,
      make("div", { class: "buttons" },
        make("button", { value: "yes", class: isDanger ? "danger" : "" }, button),
        make("button", { value: "no", class: "plain", formNoValidate: true }, "Cancel")),
    );
    const dialog = openDialog(question, { class: "small" }, form);
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? reason.value.trim() : null));
    (wantsReason ? reason : form.querySelector("button[value=yes]")).focus();
  });
}
