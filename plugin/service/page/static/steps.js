// The browser's history: each search and each opened photo is a step, and the address names it.

import { readState, writeState } from "./state.js";

const LONGEST = 1000; // milliseconds until a step back is no longer waited for

export class Steps {
  #back = Promise.resolve();

  /** `stepped(state)` is called when the user went back or forward. */
  constructor(stepped) {
    addEventListener("popstate", () => {
      history.scrollRestoration = "auto";
      stepped(this.now);
    });
  }

  /** What the address asks for. */
  get now() {
    return readState(location.search);
  }

  /** Resolves once a step back has been taken that was asked for, or does not come: it would undo what is pushed before. */
  get taken() {
    return this.#back;
  }

  push(state, { opened = false } = {}) {
    // Of the step that is left: the page itself scrolls to the hit whose photo was closed.
    if (opened) history.scrollRestoration = "manual";
    history.pushState({ opened }, "", writeState(state));
  }

  /** The same step with another address. */
  replace(state) {
    history.replaceState(history.state, "", writeState(state));
  }

  /** Leaves an opened photo: by a step back, if a step led to it. */
  leave(state) {
    if (history.state?.opened) {
      this.#back = new Promise((resolve) => {
        addEventListener("popstate", resolve, { once: true });
        setTimeout(resolve, LONGEST);
      });
      history.back();
    } else this.replace(state);
  }
}
