// What a search says of itself: how much was found, in what, how fast; and honest words where nothing was.

import { byId, h } from "./dom.js";
import { decimal, t } from "./text.js";

/** The window's title. */
export function showTitle({ phrases, like }) {
  const texts = [...phrases, ...like.map(() => t("term.like"))];
  document.title = texts.length > 0 ? `${texts.join(", ")} – sorce` : "sorce";
}

/** The line above the grid. `known` is the index's own note. */
export function showStatus(results, shown, min, known) {
  const { photos, regions, took_ms: took, encode_ms: encode, notes } = results.facts;
  const loaded = results.hits.length;
  const found = min === null ? t(results.more ? "status.first" : "status.hits", { n: shown }) : t("status.above", { n: shown, loaded, least: decimal(min) });
  const searched = t("status.searched", { index: results.state.index, photos, regions, took: Math.round(took) });
  const encoded = encode ? t("status.encoded", { encode: Math.round(encode) }) : "";
  byId("status").replaceChildren(h("b", {}, found), ` · ${searched}${encoded}`);
  // What is known of the index stands beside its settings already.
  const news = (notes ?? []).filter((note) => note !== known);
  byId("notes").replaceChildren(...news.map((note) => h("p", { class: "banner" }, note)));
}

/** Without a search: what there is, and how to begin. */
export function showWelcome(index) {
  byId("status").textContent = "";
  byId("notes").replaceChildren();
  message(
    h("h2", {}, t("welcome.title")),
    index ? h("p", {}, index.photos === 0 ? t("nothing.empty") : t("welcome.index", { photos: index.photos, index: index.name })) : null,
    h("ul", {}, ...["text", "several", "picture", "box"].map((each) => h("li", {}, t(`welcome.${each}`)))),
  );
}

/** Nothing reaches the slider: the nearest is shown below these words. */
export function showNothingAbove(min, nearest) {
  message(h("h2", {}, t("nothing.above", { least: decimal(min) })), h("p", {}, t("nothing.nearest", { similarity: decimal(nearest) })));
}

export function showNothing(notes) {
  message(h("h2", {}, t("nothing.found")), notes.length === 0 ? h("p", {}, t("nothing.why")) : null);
}

export function showError(error) {
  byId("status").textContent = "";
  byId("notes").replaceChildren();
  const id = error.requestId ? t("error.id", { id: error.requestId }) : null;
  message(h("h2", {}, t("error.title")), h("p", { role: "alert" }, error.message), id ? h("p", { class: "note" }, id) : null);
}

export function showNoMessage() {
  byId("message").replaceChildren();
}

export function busy(is) {
  byId("progress").hidden = !is;
  byId("main").setAttribute("aria-busy", String(is));
}

function message(...parts) {
  byId("message").replaceChildren(h("div", { class: "message" }, ...parts.filter((part) => part !== null)));
}
