// The keys: one table for what they do and for the help that lists them.

import { h } from "./dom.js";
import { t } from "./text.js";

// Where: "page" is everywhere but in a dialog, "grid" while a hit has the focus, "photo" in the photo view.
export const KEYS = [
  { where: "page", keys: ["/"], act: "search" },
  { where: "page", keys: ["f"], act: "settings" },
  { where: "page", keys: ["ArrowDown"], act: "hits", native: true },
  { where: "page", keys: ["?"], act: "help" },
  { where: "grid", keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"], act: "move" },
  { where: "grid", keys: ["Enter"], act: "open", native: true },
  { where: "grid", keys: ["x"], act: "select" },
  { where: "grid", keys: ["X"], act: "select-range", shown: "Shift+X" },
  { where: "grid", keys: ["r"], act: "right" },
  { where: "grid", keys: ["w"], act: "wrong" },
  { where: "grid", keys: ["m"], act: "like" },
  { where: "grid", keys: ["n"], act: "unlike" },
  { where: "photo", keys: ["ArrowRight"], act: "next" },
  { where: "photo", keys: ["ArrowLeft"], act: "previous" },
  { where: "photo", keys: ["+", "="], act: "zoom-in" },
  { where: "photo", keys: ["-"], act: "zoom-out" },
  { where: "photo", keys: ["0"], act: "fit" },
  { where: "photo", keys: ["z"], act: "to-box" },
  { where: "photo", keys: ["W"], act: "pan-up", shown: "Shift+W" },
  { where: "photo", keys: ["A"], act: "pan-left", shown: "Shift+A" },
  { where: "photo", keys: ["S"], act: "pan-down", shown: "Shift+S" },
  { where: "photo", keys: ["D"], act: "pan-right", shown: "Shift+D" },
  { where: "photo", keys: ["ArrowDown"], act: "next-box" },
  { where: "photo", keys: ["ArrowUp"], act: "previous-box" },
  { where: "photo", keys: ["b"], act: "boxes" },
  { where: "photo", keys: ["i"], act: "panel" },
  { where: "photo", keys: ["m"], act: "like" },
  { where: "photo", keys: ["n"], act: "unlike" },
  { where: "photo", keys: ["d"], act: "draw" },
  { where: "photo", keys: ["r"], act: "right" },
  { where: "photo", keys: ["w"], act: "wrong" },
  { where: "photo", keys: ["c"], act: "copy" },
  { where: "photo", keys: ["?"], act: "help" },
  { where: "photo", keys: ["Escape"], act: "close", native: true },
];

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

/** What a key means there; null while somebody types, and for keys of the browser. */
export function meaning(event, places) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event)) return null;
  return KEYS.find(({ where, keys, native }) => !native && places.includes(where) && keys.includes(event.key)) ?? null;
}

/** The table of keys for the help. */
export function fillHelp(root) {
  const tables = ["page", "grid", "photo"].map((place) =>
    h(
      "table",
      {},
      h("caption", {}, t(`keys.${place}`)),
      h("tbody", {}, ...KEYS.filter(({ where }) => where === place).map(line)),
    ),
  );
  root.replaceChildren(...tables);
}

function line({ where, keys, act, shown }) {
  const names = shown ? [shown] : keys.map((key) => SIGNS[key] ?? key);
  return h("tr", {}, h("th", { scope: "row" }, ...names.map((name) => h("kbd", {}, name))), h("td", {}, t(`keys.${where}.${act}`)));
}

function isTyping({ target, key }) {
  if (target.matches("textarea, [contenteditable]")) return true;
  if (target.matches("select, input[type=range], input[type=radio]")) return key.startsWith("Arrow") || key.length === 1;
  return target.matches("input:not([type=checkbox])");
}
