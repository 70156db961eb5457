// The small dialogs: export, code, help and login.

import { ask, download } from "./api.js";
import { byId, h, set } from "./dom.js";
import { fillHelp } from "./keys.js";
import { copy, say } from "./notices.js";
import { t } from "./text.js";

const FORMATS = ["json", "csv", "coco", "yolo", "zip"];
const CODES = ["curl", "python", "template", "command"];

/** Asks what to export in which format, and saves the file. `body(all)` is the request without its format. */
export function openExport({ selected, all, hasMore, hasPictures, body }) {
  const dialog = byId("export");
  const [ofSelected, ofAll] = dialog.querySelectorAll("[name=what]");
  ofSelected.parentElement.hidden = selected === 0;
  ofSelected.checked = selected > 0;
  ofAll.checked = selected === 0;
  byId("export-selected").textContent = t("export.selected", { n: selected });
  byId("export-all").textContent = t(hasMore ? "export.loaded" : "export.all", { n: all });
  const legend = byId("export-formats").firstElementChild;
  byId("export-formats").replaceChildren(legend, ...FORMATS.filter((each) => hasPictures || each !== "zip").map(formatChoice));
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue !== "go") return;
    const format = dialog.querySelector("[name=format]:checked").value;
    save({ format, ...body(ofAll.checked) });
  };
  dialog.showModal();
}

/** Saves the file that the server makes of this. */
export async function save(body) {
  try {
    const { file, missing } = await download("api/export", body);
    say(t("export.done", { file }));
    if (missing > 0) say(t("export.missing", { n: missing }), true);
  } catch (error) {
    say(error.message, true);
  }
}

/** The request in other forms, ready to paste. */
export async function openCode(request) {
  const dialog = byId("code");
  try {
    const forms = await ask("api/code", { body: { request } });
    if (document.querySelector("dialog[open]")) return;
    const known = CODES.filter((each) => forms[each]);
    const choose = (name) => {
      byId("code-text").textContent = forms[name];
      for (const tab of byId("code-tabs").children) {
        const chosen = tab.dataset.name === name;
        set(tab, { "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1" });
        if (chosen) set(byId("code-text"), { "aria-labelledby": tab.id });
      }
    };
    byId("code-tabs").replaceChildren(...known.map((name) => tabOf(name, known, choose)));
    choose(known[0]);
    byId("code-copy").onclick = () => copy(byId("code-text").textContent);
    dialog.showModal();
  } catch (error) {
    say(error.message, true);
  }
}

export function openHelp() {
  fillHelp(byId("help-keys"));
  byId("help").showModal();
}

/** Asks for the key where the page asks for one: else the browser does, as for a caller's own credentials. */
export function loginAgain(entered) {
  ask("api/session").then(({ login }) => login && openLogin(entered), () => {});
}

/** Asks for the key until the server takes it. */
export function openLogin(entered) {
  const dialog = byId("login");
  if (dialog.open) return;
  // Nothing works without the key, so Escape does not close it.
  dialog.oncancel = (event) => event.preventDefault();
  byId("login-form").onsubmit = async (event) => {
    event.preventDefault();
    try {
      await ask("api/login", { body: { key: byId("login-key").value } });
      byId("login-key").value = "";
      byId("login-error").textContent = "";
      dialog.close();
      entered();
    } catch (error) {
      byId("login-error").textContent = error.status === 401 ? t("login.wrong") : error.message;
      byId("login-key").select();
    }
  };
  dialog.showModal();
}

function formatChoice(name, place) {
  const radio = h("input", { type: "radio", name: "format", value: name });
  radio.checked = place === 0;
  return h("label", { class: "check" }, radio, " ", h("b", {}, t(`export.${name}`)), ` ${t(`export.${name}.about`)}`);
}

function tabOf(name, known, choose) {
  const tab = h("button", { type: "button", role: "tab", id: `code-${name}`, "data-name": name, "aria-controls": "code-text" }, t(`code.${name}`));
  tab.addEventListener("click", () => choose(name));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const other = known[(known.indexOf(name) + step + known.length) % known.length];
    choose(other);
    byId(`code-${other}`).focus();
  });
  return tab;
}
