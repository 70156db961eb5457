// The browser's history: each search and each opened photo is a step, and the address names it.

import { readState, writeState } from "./state.js";

export class Steps {
  #back = Promise.resolve();

  /** `stepped(state)` is called when the user went back or forward. */
  constructor(stepped) {
    // The page itself scrolls to the hit whose photo was closed.
    history.scrollRestoration = "manual";
    addEventListener("popstate", () => stepped(this.now));
  }

  /** What the address asks for. */
  get now() {
    return readState(location.search);
  }

  /** Resolves once a step back has been taken that was asked for: it would undo what is pushed before it. */
  get taken() {
    return this.#back;
  }

  push(state, { opened = false } = {}) {
    history.pushState({ opened }, "", writeState(state));
  }

  /** The same step with another address. */
  replace(state) {
    history.replaceState(history.state, "", writeState(state));
  }

  /** Leaves an opened photo: by a step back, if a step led to it. */
  leave(state) {
    if (history.state?.opened) {
      this.#back = new Promise((resolve) => addEventListener("popstate", resolve, { once: true }));
      history.back();
    } else this.replace(state);
  }
}
