// Judgements of boxes, kept in this browser for each index: right or wrong for a phrase.

import { recall, remember } from "./dom.js";

const PREFIX = "sorce.marks.";

export class Marks {
  #index = null;
  #marks = new Map();

  /** `changed()` is called when another tab has written marks, which are then read. */
  constructor(changed) {
    addEventListener("storage", ({ key }) => {
      if (key !== null && key !== PREFIX + this.#index) return;
      this.open(this.#index);
      changed();
    });
  }

  /** Reads the marks of an index. */
  open(index) {
    this.#index = index;
    this.#marks = new Map(stored(index).map((mark) => [keyOf(mark.photo_id, mark.region_id, mark.phrase), mark]));
  }

  get size() {
    return this.#marks.size;
  }

  get all() {
    return [...this.#marks.values()];
  }

  /** true, false, or null without a mark. */
  verdict(photoId, regionId, phrase) {
    return this.#marks.get(keyOf(photoId, regionId, phrase))?.right ?? null;
  }

  /** Sets the mark; the same verdict again takes it away. */
  toggle(hit, match, phrase, right) {
    const key = keyOf(hit.id, match.region, phrase);
    if (this.#marks.get(key)?.right === right) this.#marks.delete(key);
    else this.#marks.set(key, { photo_id: hit.id, region_id: match.region, box: match.box, phrase, right });
    this.#store();
  }

  clear() {
    this.#marks.clear();
    this.#store();
  }

  #store() {
    remember(PREFIX + this.#index, this.#marks.size === 0 ? null : JSON.stringify(this.all));
  }
}

function keyOf(photoId, regionId, phrase) {
  return `${photoId} ${regionId} ${phrase}`;
}

function stored(index) {
  try {
    const found = JSON.parse(recall(PREFIX + index) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}
