// One search at a time. A late answer never replaces a newer one: each search has a number, and ends the one before.

import { ask } from "./api.js";
import { compact } from "./hits.js";
import { PAGE, requestOf } from "./state.js";

export class Searches {
  #number = 0;
  #controller = null;
  #paging = false;

  constructor(busy) {
    this.busy = busy;
  }

  /** The first page of hits; null if a newer search was started meanwhile. */
  async run(state) {
    const { number, signal } = this.#next();
    const answer = await this.#ask(number, requestOf(state), signal);
    if (answer === null) return null;
    const { hits, more, nearest, ...facts } = answer;
    return { state, hits: hits.map(compact), next: PAGE, more, nearest: nearest ? compact(nearest) : null, facts };
  }

  /** Adds the next page to the results of `run`. True if hits came. */
  async extend(results) {
    if (!results.more || this.#paging) return false;
    this.#paging = true;
    const number = this.#number;
    try {
      const answer = await this.#ask(number, requestOf(results.state, results.next), this.#controller.signal);
      if (answer === null) return false;
      // A photo that moved between two answers is shown once.
      const known = new Set(results.hits.map((hit) => hit.id));
      results.hits.push(...answer.hits.filter((hit) => !known.has(hit.photo_id)).map(compact));
      results.next += PAGE;
      results.more = answer.more && answer.hits.length > 0;
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
