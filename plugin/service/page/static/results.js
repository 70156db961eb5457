// What the last search has found so far, and which of it is shown: the slider, folded photos, further pages.

import { reaches, weakest } from "./hits.js";
import { Searches } from "./search.js";
import { searchKey } from "./state.js";

const BARREN = 3; // pages in a row without a hit above the slider, after which the page stops asking by itself

export class Results {
  #searches;
  #found = null;
  #unfolded = new Set();
  #barren = 0;

  constructor(busy) {
    this.#searches = new Searches(busy);
  }

  /** The answers so far; null if nothing was searched for, or if the search failed. */
  get found() {
    return this.#found;
  }

  get hasMore() {
    return this.#found?.more ?? false;
  }

  /** Whether only the user's wish brings the next page: the last ones had nothing to show. */
  get isBarren() {
    return this.hasMore && this.#barren >= BARREN;
  }

  /** Whether these are the hits of this state. */
  isOf(state) {
    return this.#found !== null && searchKey(state) === searchKey(this.#found.state);
  }

  /** Forgets the hits, and ends the search that runs. */
  clear() {
    this.#searches.stop();
    this.#found = null;
    this.#unfolded.clear();
    this.#barren = 0;
  }

  /** Ends a new search that runs, as the hits of before are wanted again. True if there was one. */
  keep() {
    const { isRunning } = this.#searches;
    if (isRunning) this.#searches.stop();
    return isRunning;
  }

  /** A new search. False if a newer one was started meanwhile. */
  async search(state) {
    this.#unfolded.clear();
    this.#barren = 0;
    const found = await this.#searches.run(state);
    if (found !== null) this.#found = found;
    return found !== null;
  }

  /** Asks for the next page, if the slider leaves a chance that one of its hits is shown. True if an answer came. */
  async extend(least) {
    const found = this.#found;
    if (!this.hasMore || this.#isOver(least)) return false;
    const before = this.shown(least).length;
    try {
      if (!(await this.#searches.extend(found)) || found !== this.#found) return false;
      this.#barren = this.shown(least).length > before ? 0 : this.#barren + 1;
      return true;
    } catch (error) {
      this.#barren = BARREN;
      throw error;
    }
  }

  /** Lets further pages be asked for again: the slider moved, or the user wants them. */
  persist() {
    this.#barren = 0;
  }

  /** Shows the near-duplicates of a hit, or folds them again. */
  unfold(id) {
    if (!this.#unfolded.delete(id)) this.#unfolded.add(id);
  }

  isUnfolded(id) {
    return this.#unfolded.has(id);
  }

  /** The hits that reach the slider. */
  shown(least) {
    const all = this.#found?.hits.flatMap((hit) => (this.#unfolded.has(hit.id) ? [hit, ...hit.same] : [hit])) ?? [];
    return all.filter((hit) => reaches(hit, least));
  }

  /** The hit to show where none reaches the slider; null if nothing was found. */
  nearest() {
    const { hits, nearest } = this.#found;
    return hits.reduce((best, hit) => (best === null || weakest(hit) > weakest(best) ? hit : best), nearest);
  }

  /** The text of a hit's list; null if it was searched by an example. */
  phraseOf(list) {
    return this.#found?.state.phrases[list] ?? null;
  }

  // For one phrase the hits come in the order of their similarity, so that none after the last can reach the slider.
  #isOver(least) {
    const { hits, state } = this.#found;
    if (this.#barren >= BARREN) return true;
    const inOrder = state.rank === "similarity" && state.debias === 0 && state.locate === 0;
    return least !== null && inOrder && state.phrases.length + state.like.length === 1 && hits.length > 0 && weakest(hits.at(-1)) < least;
  }
}
