// The hits that are selected, by single choice or as a range with Shift.

export class Selection {
  #hits = new Map();
  #last = null;

  get size() {
    return this.#hits.size;
  }

  get ids() {
    return [...this.#hits.keys()];
  }

  has(id) {
    return this.#hits.has(id);
  }

  clear() {
    this.#hits.clear();
    this.#last = null;
  }

  toggle(hit) {
    if (!this.#hits.delete(hit.id)) this.#hits.set(hit.id, true);
    this.#last = hit.id;
  }

  /** Selects all hits from the last one that was chosen to this one. */
  reach(hit, hits) {
    const [from, to] = [this.#last ?? hit.id, hit.id].map((id) => hits.findIndex((each) => each.id === id));
    if (from < 0) return this.toggle(hit);
    for (const each of hits.slice(Math.min(from, to), Math.max(from, to) + 1)) this.#hits.set(each.id, true);
    this.#last = hit.id;
    return undefined;
  }
}
