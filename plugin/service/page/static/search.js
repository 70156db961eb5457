// One search at a time. A late answer never replaces a newer one: each search has a number, and ends the one before.

import { ask } from "./api.js";
import { compact } from "./hits.js";
import { requestOf } from "./state.js";

export class Searches {
  #number = 0;
  #controller = null;
  #paging = false;
  #running = 0;

  constructor(busy) {
    this.busy = busy;
  }

  /** Whether the first page of a search has not come yet. */
  get isRunning() {
    return this.#running === this.#number;
  }

  /** The first page of hits; null if a newer search was started meanwhile. */
  async run(state) {
    const { number, signal } = this.#next();
    this.#running = number;
    const request = requestOf(state);
    const answer = await this.#ask(number, request, signal).finally(() => {
      if (this.#running === number) this.#running = 0;
    });
    if (answer === null) return null;
    const { hits, more, nearest, ...facts } = answer;
    return { state, hits: hits.map(compact), next: request.size, more, nearest: nearest ? compact(nearest) : null, facts };
  }

  /** Adds the next page to the results of `run`. True if hits came. */
  async extend(results) {
    if (!results.more || this.#paging || this.isRunning) return false;
    this.#paging = true;
    const number = this.#number;
    try {
      const request = { ...requestOf(results.state, results.next), shown: results.hits.map((hit) => hit.id) };
      const answer = await this.#ask(number, request, this.#controller.signal);
      if (answer === null) return false;
      add(results, answer);
      results.next += request.size;
      return true;
    } finally {
      this.#paging = false;
    }
  }

  /** Ends the search that runs. */
  stop() {
    this.#next();
  }

  #next() {
    this.#controller?.abort();
    this.#controller = new AbortController();
    this.#number += 1;
    return { number: this.#number, signal: this.#controller.signal };
  }

  async #ask(number, body, signal) {
    try {
      const answer = await ask("api/search", { body, signal, busy: this.busy });
      return number === this.#number ? answer : null;
    } catch (error) {
      if (number !== this.#number) return null;
      throw error;
    }
  }
}

/** A photo as a hit of this search, on whatever page of hits it is; null if the search does not find it. */
export async function compared(state, id) {
  const { hits } = await ask("api/search", { body: { ...requestOf(state), photo_ids: [id], locate: 0, fold: null, size: 1 } });
  return hits.length > 0 ? compact(hits[0]) : null;
}

// Near-duplicates of photos that are shown already go under these.
function add(results, { hits, folded, more }) {
  const known = new Map(results.hits.map((hit) => [hit.id, hit]));
  const there = new Set(results.hits.flatMap((hit) => [hit.id, ...hit.same.map(({ id }) => id)]));
  // A photo that moved between two answers is shown once.
  const fresh = (some) => some.filter((hit) => !there.has(hit.photo_id)).map(compact);
  const again = hits.filter((hit) => known.has(hit.photo_id)).map((hit) => [hit.photo_id, hit.same]);
  for (const [id, some] of [...Object.entries(folded), ...again]) known.get(id).same = [...known.get(id).same, ...fresh(some)];
  results.hits.push(...fresh(hits));
  results.more = more && hits.length + Object.keys(folded).length > 0;
}
