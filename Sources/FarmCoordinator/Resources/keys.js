// Keyboard shortcuts, and the list of them.

import { byId, make } from "./base.js";
import { openDialog, say } from "./views.js";

const places = { f: "#/", j: "#/jobs", q: "#/queue", w: "#/workers", s: "#/submit" };

const shortcuts = [
  ["g then f", "Fleet"], ["g then j", "Jobs"], ["g then q", "Queue"], ["g then w", "Workers"], ["g then s", "Submit"],
  ["/", "Search or filter"], ["arrows, Home, End, Page", "Move among pictures"], ["Enter", "Open the picture"], ["m", "Mark the draft, or not"],
  ["← →", "Previous, next picture, when one is open"], ["t", "Colours: system, dark, light"], ["?", "This list"], ["Esc", "Close"],
];

function showHelp() {
  if (document.querySelector("dialog.help")) return;
  openDialog("Keyboard shortcuts", { class: "help small" }, make("h2", {}, "Keyboard shortcuts"),
    make("dl", { class: "keys" }, shortcuts.map(([key, text]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {},
      text)))));
}

const themes = ["system", "dark", "light"];

function showTheme() {
  const theme = document.documentElement.dataset.theme ?? "system";
  const text = `Colours: ${theme === "system" ? "as the system has them" : theme}`;
  byId("theme").textContent = { system: "◐", dark: "●", light: "○" }[theme];
  byId("theme").setAttribute("aria-label", text);
  return text;
}

function turnTheme() {
  const theme = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % themes.length];
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  localStorage.setItem("dreamfarm-theme", theme);
  say(showTheme());
  dispatchEvent(new Event("dreamfarm-theme"));
}

export function listenToKeys() {
  let goes = 0;
  byId("theme").onclick = turnTheme;
  byId("help").onclick = showHelp;
  showTheme();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.(
        "input:not([type=checkbox], [type=range]), select, textarea")) return;
    if (event.key === "?") return showHelp();
    if (document.querySelector("dialog[open]")) return;
    if (Date.now() - goes < 1500 && places[event.key]) {
      event.preventDefault();
      goes = 0;
      location.hash = places[event.key];
    } else if (event.key === "g") {
      goes = Date.now();
    } else if (event.key === "/") {
      const search = document.querySelector("main [data-search]");
      if (!search) return;
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "t") {
      turnTheme();
    }
  });
}
