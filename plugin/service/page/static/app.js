// The page's state and what follows from it: the address, the search, the grid and the open photo.

import { ask, pictureOf } from "./api.js";
import { openCode, openExport, openLogin, save } from "./dialogs.js";
import { byId } from "./dom.js";
import { showConditions } from "./filters.js";
import { Grid } from "./grid.js";
import { reaches, weakest } from "./hits.js";
import { Marks } from "./marks.js";
import { copy, say } from "./notices.js";
import { PhotoDialog } from "./photo.js";
import * as report from "./report.js";
import { Searches } from "./search.js";
import { Selection } from "./selection.js";
import { Settings } from "./settings.js";
import { EMPTY, isAsking, likeBox, likeRegion, likeUpload, parseLike, readState, requestOf, searchKey, writeState } from "./state.js";
import { Terms } from "./terms.js";
import { decimal, t } from "./text.js";

const BARREN = 3; // pages in a row without a hit above the slider, after which the page stops asking by itself
const MOST_EXPORTED = 1000; // photos or marks of one file, as the server's limit
const AHEAD = 5; // hits before the end at which the photo view asks for more

export class App {
  state = EMPTY;
  results = null;
  session = null;
  indices = [];
  marks = new Marks();
  selection = new Selection();
  #previews = new Map();
  #unfolded = new Set();
  #barren = 0;
  #isNearest = false;

  constructor() {
    this.searches = new Searches((seconds) => say(t("busy", { n: seconds })));
    this.grid = new Grid(byId("grid"), this.#gridPage());
    this.photo = new PhotoDialog(this.#photoPage());
    this.settings = new Settings({ change: (partial) => this.change(partial), least: (min) => this.#least(min) });
    this.terms = new Terms({
      root: byId("terms"),
      add: byId("add-phrase"),
      addNot: byId("add-not"),
      removed: () => this.submit(),
      previewOf: (like) => this.#previewOf(like),
    });
    addEventListener("popstate", () => this.#apply(readState(location.search)));
    document.addEventListener("login-needed", () => this.#loginAgain());
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
    await this.#apply(readState(location.search));
    if (!this.photo.isOpen && !isAsking(this.state)) this.terms.focus();
  }

  /** Searches for what stands in the search box. */
  submit() {
    this.change(this.terms.values);
  }

  /** A new search by the user: a step in the history. Another index has other fields and other photos. */
  change(partial) {
    const other = partial.index !== undefined && partial.index !== this.state.index;
    const reset = other ? { filter: {}, like: [], rank: EMPTY.rank, debias: 0 } : {};
    const state = { ...this.state, ...this.terms.values, photo: null, ...reset, ...partial };
    history.pushState(null, "", writeState(state));
    // At once, and not when the hits are there.
    this.state = { ...this.state, photo: null };
    if (this.photo.isOpen) this.photo.close();
    this.#apply(state);
  }

  /** Adds an example to the search: a region, a drawn box or a picture. `preview` is an address of it. */
  like(text, preview) {
    if (preview) this.#previews.set(text, preview);
    // An example is a new question: the texts of the one before would only blur it.
    this.change({ phrases: [], nots: [], like: [text] });
    scrollTo({ top: 0 });
  }

  /** Searches for more like the best box of a hit. */
  likeHit(hit) {
    this.#likeRegion(hit, hit.lists[0][0].region);
  }

  likePicture(id, preview) {
    this.like(likeUpload(id), preview);
  }

  open(hit) {
    this.state = { ...this.state, photo: hit.id };
    history.pushState({ opened: true }, "", writeState(this.state));
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
    const phrase = this.#phraseOf(0);
    if (phrase === null) say(t("mark.no-phrase"), true);
    else this.judge(hit, hit.lists[0][0], phrase, right);
  }

  clearMarks() {
    this.marks.clear();
    this.#marked();
  }

  exportMarks() {
    const marks = this.marks.all.slice(0, MOST_EXPORTED);
    const request = requestOf({ ...EMPTY, index: this.state.index, phrases: [marks[0].phrase] });
    save({ format: "lines", index: this.state.index, request, photo_ids: [], marks });
  }

  export() {
    if (this.results === null) return say(t("export.nothing"), true);
    const shown = this.grid.hits.slice(0, MOST_EXPORTED).map((hit) => hit.id);
    const selected = this.selection.ids.slice(0, MOST_EXPORTED);
    return openExport({
      selected: selected.length,
      all: shown.length,
      hasPictures: this.session.pictures,
      body: (all) => ({ index: this.state.index, request: this.#request(), photo_ids: all ? shown : selected, marks: [] }),
    });
  }

  code() {
    if (isAsking(this.state)) openCode(this.#request());
    else say(t("code.nothing"), true);
  }

  unfold(id) {
    if (!this.#unfolded.delete(id)) this.#unfolded.add(id);
    this.#refilter();
  }

  /** The next page of hits, if the slider leaves a chance that one of them is shown. `asked` is by the button. */
  async more(asked = false) {
    if (asked) this.#barren = 0;
    const { results } = this;
    if (results === null || !results.more || this.#isOver()) return;
    try {
      const before = this.grid.hits.length;
      if (!(await this.searches.extend(results)) || results !== this.results) return;
      this.#refilter();
      this.#barren = this.grid.hits.length > before ? 0 : this.#barren + 1;
      if (this.photo.isOpen) this.photo.refresh();
    } catch (error) {
      say(error.message, true);
      this.#barren = BARREN;
    }
    byId("more").hidden = !results.more || this.#barren < BARREN;
  }

  // For one phrase the hits come in the order of their similarity, so that none after the last can reach the slider.
  #isOver() {
    const { hits, state } = this.results;
    const { min } = this.state;
    if (this.#barren >= BARREN) return true;
    const inOrder = state.rank === "similarity" && state.debias === 0 && state.locate === 0;
    return min !== null && inOrder && state.phrases.length + state.like.length === 1 && hits.length > 0 && weakest(hits.at(-1)) < min;
  }

  async #apply(given) {
    const index = given.index ?? this.indices[0]?.name ?? null;
    const state = { ...given, index };
    if (index !== this.state.index) this.marks.open(index);
    this.state = state;
    this.#controls();
    if (this.results === null || searchKey(state) !== searchKey(this.results.state)) await this.#search();
    else this.#refilter();
    // Another step may have been taken meanwhile.
    if (this.state === state) this.#follow();
  }

  #controls() {
    const { state } = this;
    this.terms.show(state);
    this.settings.show(state, this.#index());
    showConditions(byId("conditions"), state.filter, (filter) => this.change({ filter }));
    const texts = [...state.phrases, ...state.like.map(() => t("term.like"))];
    document.title = texts.length > 0 ? `${texts.join(", ")} – sorce` : "sorce";
    this.#marked();
  }

  async #search() {
    const { state } = this;
    this.clearSelection();
    this.#unfolded.clear();
    this.#barren = 0;
    if (!isAsking(state)) {
      this.searches.stop();
      this.results = null;
      report.busy(false);
      this.grid.show([], { complete: true, anew: true });
      report.showWelcome(this.#index());
      return;
    }
    report.busy(true);
    try {
      const results = await this.searches.run(state);
      if (results === null) return;
      this.results = results;
      this.#refilter(true);
    } catch (error) {
      this.results = null;
      this.grid.show([], { complete: true, anew: true });
      report.showError(error);
    }
    report.busy(false);
  }

  // Opens or closes the photo that the address names.
  #follow() {
    const { photo } = this.state;
    if (photo === null) {
      if (this.photo.isOpen) this.photo.close();
    } else if (!this.photo.isOpen || this.photo.hit.id !== photo) {
      const loaded = this.#shownHits().find((hit) => hit.id === photo);
      this.photo.open(loaded ?? { id: photo, index: this.state.index });
    }
  }

  // The slider moved: no request, and no step in the history.
  #least(min) {
    this.state = { ...this.state, min };
    history.replaceState(history.state, "", writeState(this.state));
    this.settings.showLeast(min);
    this.#barren = 0;
    if (this.results !== null) this.#refilter();
  }

  #refilter(anew = false) {
    const { results } = this;
    if (results === null) return;
    const { min } = this.state;
    let shown = this.#shownHits();
    const nearest = shown.length > 0 ? null : this.#nearest();
    this.#isNearest = nearest !== null;
    this.settings.showHits(results.hits, min);
    report.showStatus(results, shown.length, min, this.#index()?.note);
    if (nearest !== null) {
      report.showNothingAbove(min ?? 0, weakest(nearest));
      shown = [nearest];
    } else if (shown.length === 0) report.showNothing(results.facts.notes ?? []);
    else report.showNoMessage();
    this.grid.show(shown, { complete: !results.more, anew });
    this.grid.refresh();
    byId("more").hidden = true;
  }

  #shownHits() {
    const all = this.results?.hits.flatMap((hit) => (this.#unfolded.has(hit.id) ? [hit, ...hit.same] : [hit])) ?? [];
    return all.filter((hit) => reaches(hit, this.state.min));
  }

  #nearest() {
    const { hits, nearest } = this.results;
    return hits.reduce((best, hit) => (best === null || weakest(hit) > weakest(best) ? hit : best), nearest);
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

  // For export and code: what the page shows, with the slider as a floor of the search itself.
  #request() {
    return { ...requestOf(this.state), min_similarity: this.state.min };
  }

  #index() {
    return this.indices.find(({ name }) => name === this.state.index) ?? null;
  }

  #phraseOf(list) {
    return this.results?.state.phrases[list] ?? null;
  }

  #previewOf(text) {
    if (this.#previews.has(text)) return this.#previews.get(text);
    const { photo_id: id, box } = parseLike(text);
    if (!id || !this.session?.pictures) return null;
    const hit = { id, index: this.state.index };
    return box ? pictureOf("crop", hit, { box: box.join(","), w: 64 }) : pictureOf("thumb", hit, { w: 64 });
  }

  #loginAgain() {
    // Without a login the browser itself asks, as for a caller's own credentials.
    ask("api/session").then(({ login }) => login && openLogin(() => this.start()), () => {});
  }

  #gridPage() {
    const app = this;
    return {
      get hasPictures() {
        return app.session?.pictures ?? false;
      },
      hrefOf: (id) => writeState({ ...app.state, photo: id }),
      least: () => (app.#isNearest ? null : app.state.min),
      isSelected: (id) => app.selection.has(id),
      isUnfolded: (id) => app.#unfolded.has(id),
      verdict: (hit, { list, match }) => {
        const phrase = app.#phraseOf(list);
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
      least: () => (app.#isNearest ? null : app.state.min),
      phraseOf: (list) => app.#phraseOf(list),
      placeOf: (id) => ({ place: position(id) + 1, count: app.grid.hits.length, more: app.results?.more ?? false }),
      neighbour: (id, step) => (position(id) < 0 ? undefined : app.grid.hits[position(id) + step]),
      judge: (...all) => app.judge(...all),
      likeRegion: (hit, region) => app.#likeRegion(hit, region),
      likeBox: (hit, box) => app.like(likeBox(hit.id, box), app.session.pictures ? cropAddress(hit, box) : null),
      moved: (hit) => app.#moved(hit),
      closed: (hit) => app.#closed(hit),
      say,
      copy,
    };
  }

  #likeRegion(hit, region) {
    const match = hit.lists.flat().find((each) => each.region === region);
    this.like(likeRegion(hit.id, region), match && this.session.pictures ? cropAddress(hit, match.box) : null);
  }

  #moved(hit) {
    this.state = { ...this.state, photo: hit.id };
    history.replaceState(history.state, "", writeState(this.state));
    if (this.grid.positionOf(hit.id) >= this.grid.hits.length - AHEAD) this.more();
  }

  // By Escape or a button: one step back, if a step led here.
  #closed(hit) {
    if (this.state.photo !== null) {
      this.state = { ...this.state, photo: null };
      if (history.state?.opened) history.back();
      else history.replaceState(null, "", writeState(this.state));
    }
    if (hit !== null) this.grid.focus(hit.id);
  }
}

const cropAddress = (hit, box) => pictureOf("crop", hit, { box: box.map(Math.round).join(","), w: 128 });
