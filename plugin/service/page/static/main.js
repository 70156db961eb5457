// Where it starts: texts first, then the buttons and keys, then what the address asks for.

import { App } from "./app.js";
import { openHelp } from "./dialogs.js";
import { byId, set } from "./dom.js";
import { exportMarks, showCode } from "./exports.js";
import { meaning } from "./keys.js";
import { say } from "./notices.js";
import { takePictures } from "./pictures.js";
import { searchKey } from "./state.js";
import { loadTexts } from "./text.js";

const wide = matchMedia("(min-width: 900px)");

await loadTexts();
byId("unloaded").remove();
const app = new App();
buttons();
gridEvents();
keys();
takePictures({
  // Without the index, which is not known at first.
  asked: () => searchKey({ ...app.state, index: null }),
  found: (id, address) => app.examples.picture(id, address),
  failed: (message) => say(message, true),
});
await app.start();

function buttons() {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    app.submit();
  });
  byId("terms").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    toHits();
  });
  const clicks = {
    "to-hits": toHits,
    "show-settings": () => showSettings(document.body.classList.contains("no-settings")),
    "show-export": () => app.export(),
    "show-code": () => showCode(app.state),
    "show-help": openHelp,
    "selection-export": () => app.export(),
    "selection-clear": () => app.clearSelection(),
    "marks-export": () => exportMarks(app.state, app.marks),
    "marks-clear": () => app.clearMarks(),
    more: () => app.more(true),
  };
  for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
  // The head grows with what is searched for, and the settings begin below it.
  new ResizeObserver(() => document.documentElement.style.setProperty("--top", `${byId("top").offsetHeight}px`)).observe(byId("top"));
  showSettings(wide.matches);
  wide.addEventListener("change", () => showSettings(wide.matches));
}

// Past the search box, the settings and the filters.
function toHits() {
  const hit = app.grid.active;
  if (hit === null) byId("main").focus();
  else app.grid.focus(hit.id);
}

function showSettings(shown) {
  document.body.classList.toggle("no-settings", !shown);
  set(byId("show-settings"), { "aria-expanded": String(shown) });
}

// One listener for all tiles, which come and go.
function gridEvents() {
  const hitOf = (target) => app.grid.hits[app.grid.positionOf(target.closest(".tile")?.dataset.id)] ?? null;
  byId("grid").addEventListener("click", (event) => {
    const hit = hitOf(event.target);
    if (hit === null) return;
    if (event.target.closest(".same")) return app.list.unfold(hit.id);
    if (event.target.closest(".select")) return app.select(hit, event.shiftKey);
    // With Control or Command the browser opens the link in a tab of its own.
    if (!event.target.closest(".picture") || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (event.shiftKey) app.select(hit, true);
    else app.open(hit);
  });
  byId("grid").addEventListener("focusin", (event) => {
    const hit = hitOf(event.target);
    if (hit !== null) app.grid.activated(hit.id);
  });
}

function keys() {
  document.addEventListener("keydown", (event) => {
    if (app.photo.isOpen && app.photo.drawKey(event)) return event.preventDefault();
    const found = meaning(event, placesOf(event.target));
    if (found === null) return;
    event.preventDefault();
    act(found, event);
  });
}

function placesOf(target) {
  const dialogs = [...document.querySelectorAll("dialog[open]")];
  if (dialogs.length > 0) return dialogs.length === 1 && app.photo.isOpen ? ["photo"] : [];
  return target.closest(".tile") ? ["grid", "page"] : ["page"];
}

function act({ where, act: name }, event) {
  if (name === "help") return openHelp();
  if (where === "photo") return app.photo.act(name);
  const hit = app.grid.active;
  const acts = {
    search: () => app.terms.focus(),
    settings: () => showSettings(document.body.classList.contains("no-settings")),
    move: () => app.grid.move(event.key),
    select: () => app.select(hit),
    "select-range": () => app.select(hit, true),
    right: () => app.judgeHit(hit, true),
    wrong: () => app.judgeHit(hit, false),
    like: () => app.examples.hit(hit),
    unlike: () => app.examples.hit(hit, { not: true }),
  };
  return acts[name]();
}
