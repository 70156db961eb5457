// The page's state and what follows from it: the address, the list of hits and the open photo.

import { ask } from "./api.js";
import { loginAgain, openLogin } from "./dialogs.js";
import { byId } from "./dom.js";
import { Examples } from "./examples.js";
import { exportHits } from "./exports.js";
import { showConditions } from "./filters.js";
import { HitList } from "./list.js";
import { Marks } from "./marks.js";
import { copy, say } from "./notices.js";
import { PhotoDialog } from "./photo.js";
import * as report from "./report.js";
import { compared } from "./search.js";
import { Selection } from "./selection.js";
import { Settings } from "./settings.js";
import { EMPTY, isAsking, searchKey, writeState } from "./state.js";
import { Steps } from "./steps.js";
import { Terms } from "./terms.js";
import { t } from "./text.js";

const AHEAD = 5; // hits before the end at which the photo view asks for more

export class App {
  state = EMPTY;
  session = null;
  indices = [];
  marks = new Marks(() => this.#marked());
  selection = new Selection();
  #shown = null; // the search that the fields show

  constructor() {
    this.list = new HitList(this.#listPage(), this.#tilePage());
    this.examples = new Examples(this.#examplePage());
    this.photo = new PhotoDialog(this.#photoPage());
    this.settings = new Settings({ change: (partial) => this.change(partial), least: (min) => this.#least(min) });
    this.terms = new Terms({
      root: byId("terms"),
      add: byId("add-phrase"),
      addNot: byId("add-not"),
      removed: () => this.submit(),
      previewOf: (like) => this.examples.previewOf(like),
    });
    this.steps = new Steps((state) => this.#apply(state));
    document.addEventListener("login-needed", () => loginAgain(() => this.start()));
  }

  get results() {
    return this.list.results;
  }

  get grid() {
    return this.list.grid;
  }

  /** Asks what there is, and follows the address. */
  async start() {
    try {
      this.session = await ask("api/session");
      if (this.session.login) {
        openLogin(() => this.start());
        return;
      }
      this.indices = (await ask("api/indices")).indices;
    } catch (error) {
      if (error.status !== 401) report.showError(error);
      return;
    }
    byId("no-pictures").hidden = this.session.pictures;
    this.settings.offer(this.indices, this.session);
    this.#shown = null;
    await this.#apply(this.steps.now);
    if (!this.photo.isOpen && !isAsking(this.state)) this.terms.focus();
  }

  /** Searches for what stands in the search box. */
  submit() {
    this.change(this.terms.values);
  }

  /** A new search by the user: a step in the history. Another index has other fields and other photos. */
  async change(partial) {
    await this.steps.taken;
    const other = partial.index !== undefined && partial.index !== this.state.index;
    const reset = other ? { filter: {}, like: [], notLike: [], rank: EMPTY.rank, debias: 0 } : {};
    const state = { ...this.state, ...this.terms.values, photo: null, ...reset, ...partial };
    this.steps.push(state);
    // At once, and not when the hits are there.
    this.state = { ...this.state, photo: null };
    if (this.photo.isOpen) this.photo.close();
    this.#apply(state);
  }

  async open(hit) {
    await this.steps.taken;
    if (this.photo.isOpen) return;
    this.state = { ...this.state, photo: hit.id };
    this.steps.push(this.state, { opened: true });
    this.photo.open(hit);
  }

  select(hit, range = false) {
    if (range) this.selection.reach(hit, this.grid.hits);
    else this.selection.toggle(hit);
    this.#selected();
  }

  clearSelection() {
    this.selection.clear();
    this.#selected();
  }

  judge(hit, match, phrase, right) {
    this.marks.toggle(hit, match, phrase, right);
    this.#marked();
  }

  /** Marks the best box of a hit's first phrase. */
  judgeHit(hit, right) {
    const phrase = this.results.phraseOf(0);
    if (phrase === null) say(t("mark.no-phrase"), true);
    else this.judge(hit, hit.lists[0][0], phrase, right);
  }

  clearMarks() {
    this.marks.clear();
    this.#marked();
  }

  export() {
    const { found, hasMore } = this.results;
    if (found === null) say(t("export.nothing"), true);
    else exportHits({ ...found.state, min: this.state.min }, { hits: this.grid.hits, selection: this.selection, hasMore, hasPictures: this.session.pictures });
  }

  /** The next page of hits, if one of them may be shown. `asked` is by the button. */
  async more(asked = false) {
    if ((await this.list.more(asked)) && this.photo.isOpen) this.photo.refresh();
  }

  async #apply(given) {
    const index = given.index ?? this.indices[0]?.name ?? null;
    const state = { ...given, index };
    if (index !== this.state.index) this.marks.open(index);
    this.state = state;
    this.#controls();
    if (this.results.isOf(state)) this.list.back();
    else {
      this.clearSelection();
      await this.list.search();
    }
    // Another step may have been taken meanwhile; the slider may have moved.
    if (this.state === state || this.results.isOf(this.state)) this.#follow();
  }

  #controls() {
    const { state } = this;
    const key = searchKey(state);
    // A step to or from a photo leaves what is typed meanwhile.
    if (key !== this.#shown) {
      this.#shown = key;
      this.terms.show(state);
      this.settings.show(state, this.#index());
      showConditions(byId("conditions"), state.filter, (filter) => this.change({ filter }));
      report.showTitle(state);
    }
    this.settings.showLeast(state.min);
    this.#marked();
  }

  // Opens or closes the photo that the address names.
  #follow() {
    const { photo } = this.state;
    if (photo === null) {
      if (this.photo.isOpen) this.photo.close();
    } else if (!this.photo.isOpen || this.photo.hit.id !== photo) {
      const loaded = this.results.shown(this.state.min).find((hit) => hit.id === photo);
      this.photo.open(loaded ?? { id: photo, index: this.state.index });
    }
  }

  // The slider moved: no request, and no step in the history.
  #least(min) {
    this.state = { ...this.state, min };
    this.steps.replace(this.state);
    this.settings.showLeast(min);
    this.results.persist();
    this.list.show();
  }

  #selected() {
    const { size } = this.selection;
    byId("selection").hidden = size === 0;
    byId("selection-count").textContent = t("selection.count", { n: size });
    this.grid.refresh();
  }

  #marked() {
    const { size } = this.marks;
    byId("marks-count").textContent = t("mark.count", { n: size });
    byId("marks-export").disabled = size === 0;
    byId("marks-clear").disabled = size === 0;
    this.grid.refresh();
    if (this.photo.isOpen) this.photo.refresh();
  }

  #index() {
    return this.indices.find(({ name }) => name === this.state.index) ?? null;
  }

  #examplePage() {
    const app = this;
    return {
      get hasPictures() {
        return app.session?.pictures ?? false;
      },
      get index() {
        return app.state.index;
      },
      get asked() {
        return app.terms.values;
      },
      change: (partial) => app.change(partial),
    };
  }

  #listPage() {
    const app = this;
    return {
      get state() {
        return app.state;
      },
      get index() {
        return app.#index();
      },
      hitsCame: (hits) => app.settings.showHits(hits, app.state.min),
    };
  }

  #tilePage() {
    const app = this;
    return {
      get hasPictures() {
        return app.session?.pictures ?? false;
      },
      hrefOf: (id) => writeState({ ...app.state, photo: id }),
      least: () => app.list.least,
      isSelected: (id) => app.selection.has(id),
      isUnfolded: (id) => app.results.isUnfolded(id),
      verdict: (hit, { list, match }) => {
        const phrase = app.results.phraseOf(list);
        return phrase === null ? null : app.marks.verdict(hit.id, match.region, phrase);
      },
      covered: () => byId("top").offsetHeight,
      atEnd: () => app.more(),
    };
  }

  #photoPage() {
    const app = this;
    const position = (id) => app.grid.positionOf(id);
    return {
      get hasPictures() {
        return app.session?.pictures ?? false;
      },
      marks: this.marks,
      least: () => app.list.least,
      phraseOf: (list) => app.results.phraseOf(list),
      placeOf: (id) => ({ place: position(id) + 1, count: app.grid.hits.length, more: app.results.hasMore }),
      // A search that fails says so in the place of its hits.
      compared: (id) => (isAsking(this.state) ? compared(this.state, id).catch(() => null) : null),
      neighbour: (id, step) => (position(id) < 0 ? undefined : app.grid.hits[position(id) + step]),
      judge: (...all) => app.judge(...all),
      examples: this.examples,
      moved: (hit) => app.#moved(hit),
      closed: (hit) => app.#closed(hit),
      say,
      copy,
    };
  }

  #moved(hit) {
    this.state = { ...this.state, photo: hit.id };
    this.steps.replace(this.state);
    if (this.grid.positionOf(hit.id) >= this.grid.hits.length - AHEAD) this.more();
  }

  // By Escape or a button: one step back, if a step led here.
  #closed(hit) {
    if (this.state.photo !== null) {
      this.state = { ...this.state, photo: null };
      this.steps.leave(this.state);
    }
    // This comes late: the user may have asked for other hits.
    if (hit !== null && this.results.isOf(this.state)) this.grid.refocus(hit.id);
  }
}
