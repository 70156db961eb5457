// The boxes of the open photo, in the list and over the photo: each highlights the other.

import { h, set } from "./dom.js";
import { areaOf, letterOf, shownBoxes } from "./hits.js";
import { drawn, shade } from "./overlay.js";
import { badge } from "./tile.js";
import { decimal, kindOf, percent, t } from "./text.js";

export class Boxes {
  #photo;
  #svg;
  #entries;
  #chosen = 0;
  #shade = null;

  /** `verdictOf(entry)` is true, false or null; `changed()` is called when another box is chosen. */
  constructor(list, hit, svg, least, { verdictOf, changed }) {
    this.#photo = hit;
    this.#svg = svg;
    this.verdictOf = verdictOf;
    this.changed = changed;
    this.#entries = [...shownBoxes(hit, least), ...locatedBoxes(hit)].map((box, number) => this.#entry(box, number));
    list.replaceChildren(...this.#entries.map((entry) => h("li", {}, entry.button)));
    // The best box comes last, so that no other covers it.
    svg.append(...this.#entries.toReversed().map((entry) => entry.drawn));
    if (this.#entries.length > 0) this.#mark();
  }

  /** The box that is chosen in the list, or null. */
  get chosen() {
    return this.#entries[this.#chosen]?.box ?? null;
  }

  get count() {
    return this.#entries.length;
  }

  choose(number) {
    this.#chosen = number;
    this.#mark();
    this.changed();
  }

  /** Chooses the next box, or an earlier one with -1. */
  step(by) {
    if (this.#entries.length === 0) return;
    const number = (this.#chosen + by + this.#entries.length) % this.#entries.length;
    this.choose(number);
    this.#entries[number].button.focus();
  }

  /** Shows the verdicts of now. */
  refresh() {
    for (const { box, button } of this.#entries) {
      const verdict = this.verdictOf(box);
      button.dataset.verdict = verdict === null ? "" : verdict ? "right" : "wrong";
    }
  }

  #entry(box, number) {
    const value = box.score ?? box.match.similarity;
    const about = box.score === undefined ? kindOf(box.match.kind) : t("box.located");
    const share = percent(areaOf(box.match.box, this.#photo));
    const button = h(
      "button",
      { type: "button", class: "box-entry" },
      badge({ ...box, match: { ...box.match, similarity: value } }),
      h("span", { class: "about" }, `${about}, ${t("box.share", { share })}`),
    );
    const entry = { box, button, drawn: drawn(box, { label: true, dashed: box.score !== undefined, value }) };
    set(button, {
      onclick: () => this.choose(number),
      onpointerenter: () => this.#highlight(number),
      onpointerleave: () => this.#highlight(null),
      onfocus: () => this.#highlight(number),
      onblur: () => this.#highlight(null),
    });
    set(entry.drawn, {
      onpointerenter: () => this.#highlight(number),
      onpointerleave: () => this.#highlight(null),
      onclick: () => this.choose(number),
    });
    return entry;
  }

  #mark() {
    this.#entries.forEach(({ button }, number) => {
      set(button, { "aria-pressed": String(number === this.#chosen) });
    });
    this.refresh();
  }

  #highlight(number) {
    this.#shade?.remove();
    this.#entries.forEach((entry, each) => {
      entry.button.classList.toggle("on", each === number);
      entry.drawn.classList.toggle("on", each === number);
    });
    if (number === null) return;
    const { button, box } = this.#entries[number];
    this.#shade = shade(this.#photo.width, this.#photo.height, box.match.box);
    this.#svg.prepend(this.#shade);
    button.scrollIntoView({ block: "nearest" });
  }
}

// What a second stage saw: its own boxes, each with a score instead of a similarity.
function locatedBoxes(hit) {
  return hit.located.flatMap(({ instances }, list) =>
    instances.map(({ box, score }) => {
      const match = { region: null, box, kind: "object", similarity: score };
      return { list, letter: letterOf(hit, list), score, match };
    }),
  );
}

/** What a box says in words, for the name of the stage. */
export function said(hit, least) {
  return shownBoxes(hit, least)
    .slice(0, 4)
    .map(({ letter, match }) => `${letter} ${decimal(match.similarity)}`.trim())
    .join(", ");
}
