// The list of hits: asks for them, shows them in the grid, and says what was found.

import { byId } from "./dom.js";
import { Grid } from "./grid.js";
import { weakest } from "./hits.js";
import { say } from "./notices.js";
import * as report from "./report.js";
import { Results } from "./results.js";
import { isAsking } from "./state.js";
import { t } from "./text.js";

export class HitList {
  #page;
  #isNearest = false;

  /** `page` gives the state and what is known of its index, and is told which hits there are. `tiles` is for the grid. */
  constructor(page, tiles) {
    this.#page = page;
    this.results = new Results((seconds) => say(t("busy", { n: seconds })));
    this.grid = new Grid(byId("grid"), tiles);
  }

  /** The similarity that a box must have to be shown; null if all are shown, as where no hit reaches the slider. */
  get least() {
    return this.#isNearest ? null : this.#page.state.min;
  }

  /** Searches for what the state asks, and shows what is found. */
  async search() {
    const { state, index } = this.#page;
    if (!isAsking(state)) {
      this.#empty();
      this.#wait(false);
      report.showWelcome(index);
      return;
    }
    this.#wait(true);
    try {
      if (!(await this.results.search(state))) return;
      this.show(true);
    } catch (error) {
      this.#empty();
      report.showError(error);
    }
    this.#wait(false);
  }

  /** Shows the hits of before, also where a search for others runs. */
  back() {
    if (this.results.keep()) this.#wait(false);
    this.show();
  }

  /** Shows the hits that reach the slider, or the nearest one. `anew` starts at the top. */
  show(anew = false) {
    const { found } = this.results;
    if (found === null) return;
    const { state, index } = this.#page;
    let shown = this.results.shown(state.min);
    const nearest = shown.length > 0 ? null : this.results.nearest();
    this.#isNearest = nearest !== null;
    this.#page.hitsCame(found.hits);
    report.showStatus(found, shown.length, state.min, index?.note);
    if (nearest !== null) {
      report.showNothingAbove(state.min ?? 0, weakest(nearest));
      shown = [nearest];
    } else if (shown.length === 0) report.showNothing(found.facts.notes ?? []);
    else report.showNoMessage();
    this.grid.show(shown, { complete: !found.more, anew });
    this.grid.refresh();
    byId("more").hidden = !this.results.isBarren;
  }

  /** The next page of hits, if one of them may be shown. True if it came. `asked` is by the button. */
  async more(asked = false) {
    if (asked) this.results.persist();
    let came = false;
    try {
      came = await this.results.extend(this.#page.state.min);
      if (!came) return false;
      this.show();
    } catch (error) {
      say(error.message, true);
    }
    byId("more").hidden = !this.results.isBarren;
    return came;
  }

  /** Shows the near-duplicates of a hit, or folds them again. */
  unfold(id) {
    this.results.unfold(id);
    this.show();
  }

  #wait(is) {
    report.busy(is);
    this.grid.wait(is);
  }

  #empty() {
    this.results.clear();
    this.grid.show([], { complete: true, anew: true });
  }
}
