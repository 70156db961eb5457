// The grid of hits. Only the rows near the window are in the document, so 1,000 hits cost no more than 200.

import { h } from "./dom.js";
import { Tile } from "./tile.js";
import { aspectOf, justified } from "./rows.js";

const GAP = 8;
const TALLEST = 220;
const TALLEST_ON_PHONE = 150;
const BADGE = 74; // the width of the longest similarity with its letter, and of a gap
const LINE = 22;
const CAPTION = 30; // one line with its margins

export class Grid {
  #element;
  #page;
  #hits = [];
  #rows = [];
  #tops = [];
  #width = 0;
  #caption = CAPTION;
  #complete = true;
  #painted = new Map();
  #tiles = new Map();
  #active = null;
  #waiting = null; // the hit that had the focus before other hits were waited for

  constructor(element, page) {
    this.#element = element;
    this.#page = page;
    new ResizeObserver(() => this.#resized()).observe(element);
    addEventListener("scroll", () => this.#paint(), { passive: true });
  }

  get hits() {
    return this.#hits;
  }

  /** The hit that has the focus, or had it last. */
  get active() {
    return this.#hits[this.positionOf(this.#active)] ?? null;
  }

  positionOf(id) {
    return this.#hits.findIndex((hit) => hit.id === id);
  }

  /** Shows these hits. With `anew`, nothing of the earlier ones is kept. */
  show(hits, { complete, anew = false }) {
    this.#hits = hits;
    this.#complete = complete;
    if (anew) {
      this.stop();
      this.#tiles.clear();
      this.#active = null;
    }
    if (this.positionOf(this.#active) < 0) this.#active = hits[0]?.id ?? null;
    this.#layout();
  }

  /** While other hits are waited for, these cannot be opened, chosen or marked: that would be for the new search. */
  wait(is) {
    if (is) {
      this.stop();
      this.#waiting ??= document.activeElement?.closest(".tile")?.dataset.id ?? null;
    }
    this.#element.inert = is;
    if (is) return;
    // The browser has taken the focus away.
    if (document.activeElement === document.body) this.#tiles.get(this.#waiting)?.picture.focus({ preventScroll: true });
    this.#waiting = null;
  }

  /** Asks for no more pictures of these hits: others are wanted soon, and a browser asks for few at a time. */
  stop() {
    for (const tile of this.#tiles.values()) tile.stop();
  }

  /** Draws the tiles again, with the boxes, marks and selection of now. */
  refresh() {
    for (const tile of this.#tiles.values()) tile.refresh();
    this.#tabStop(this.#active, "0");
  }

  /** Moves the focus to a hit, and scrolls it into view. */
  focus(id) {
    const position = this.positionOf(id);
    if (position < 0) return;
    this.#activate(id);
    const number = this.#rows.findIndex((row) => position < row.first + row.count);
    const top = this.#element.getBoundingClientRect().top + scrollY + this.#tops[number];
    const bottom = top + this.#rows[number].height + this.#caption;
    const covered = this.#page.covered();
    if (top < scrollY + covered) scrollTo({ top: top - covered - GAP });
    else if (bottom > scrollY + innerHeight) scrollTo({ top: bottom - innerHeight + GAP });
    this.#paint();
    this.#tiles.get(id)?.picture.focus({ preventScroll: true });
  }

  /** As `focus`, unless the user has gone elsewhere meanwhile. */
  refocus(id) {
    const { activeElement } = document;
    if (activeElement === document.body || activeElement.closest(".tile")) this.focus(id);
  }

  /** Moves the focus by a key: to the next or previous hit, or to the nearest one of another row. */
  move(key) {
    const position = this.positionOf(this.#active);
    if (position < 0) return;
    const target = {
      ArrowRight: position + 1,
      ArrowLeft: position - 1,
      ArrowDown: this.#across(position, 1),
      ArrowUp: this.#across(position, -1),
      Home: 0,
      End: this.#hits.length - 1,
    }[key];
    if (target >= 0 && target < this.#hits.length) this.focus(this.#hits[target].id);
  }

  /** Called when a tile got the focus in another way. */
  activated(id) {
    if (id !== this.#active) this.#activate(id);
  }

  #activate(id) {
    this.#tabStop(this.#active, "-1");
    this.#active = id;
    this.#tabStop(id, "0");
  }

  // One tile at a time is in the order of the Tab key; the arrows move within the grid.
  #tabStop(id, value) {
    const tile = this.#tiles.get(id);
    for (const each of tile?.element.querySelectorAll("a, input, button") ?? []) each.setAttribute("tabindex", value);
  }

  #across(position, step) {
    const number = this.#rows.findIndex((row) => position < row.first + row.count);
    const other = this.#rows[number + step];
    if (other === undefined) return -1;
    const middle = centre(this.#rows[number], position - this.#rows[number].first);
    const distances = other.widths.map((_, place) => Math.abs(centre(other, place) - middle));
    return other.first + distances.indexOf(Math.min(...distances));
  }

  #resized() {
    if (this.#element.clientWidth !== this.#width) this.#layout();
  }

  #layout() {
    this.#width = this.#element.clientWidth;
    const target = this.#width < 600 ? TALLEST_ON_PHONE : TALLEST;
    this.#rows = justified(this.#hits.map(aspectOf), this.#width, target, GAP);
    // Each phrase's similarity is seen, also below a narrow photo.
    const badges = this.#hits[0]?.lists.length ?? 1;
    const narrowest = Math.min(...this.#rows.flatMap(({ widths }) => widths));
    this.#caption = CAPTION + LINE * (Math.ceil((badges * BADGE) / Math.max(narrowest, BADGE)) - 1);
    this.#element.style.setProperty("--caption", `${this.#caption}px`);
    let top = 0;
    this.#tops = this.#rows.map((row) => {
      const at = top;
      top += row.height + this.#caption + GAP;
      return at;
    });
    this.#element.style.height = `${top}px`;
    const held = document.activeElement;
    const focused = held?.closest(".tile")?.dataset.id;
    for (const row of this.#painted.values()) row.remove();
    this.#painted.clear();
    this.#paint();
    if (focused !== undefined) (held.isConnected ? held : this.#tiles.get(focused)?.picture)?.focus({ preventScroll: true });
  }

  #paint() {
    if (this.#rows.length === 0) {
      this.stop();
      this.#element.replaceChildren();
      this.#tiles.clear();
      return;
    }
    const wanted = this.#near();
    for (const [number, element] of this.#painted) {
      if (!wanted.has(number)) {
        this.#remove(element);
        this.#painted.delete(number);
      }
    }
    for (const number of wanted) if (!this.#painted.has(number)) this.#draw(number);
    this.#forget();
    if (wanted.has(this.#rows.length - 1)) this.#page.atEnd();
  }

  // A window's height above and below, and the row with the focus wherever it is.
  #near() {
    const offset = -this.#element.getBoundingClientRect().top;
    const wanted = new Set();
    this.#rows.forEach((row, number) => {
      const top = this.#tops[number];
      if (top + row.height > offset - innerHeight && top < offset + 2 * innerHeight) wanted.add(number);
    });
    const focused = this.positionOf(document.activeElement?.closest(".tile")?.dataset.id);
    if (focused >= 0) wanted.add(this.#rows.findIndex((row) => focused < row.first + row.count));
    return wanted;
  }

  #draw(number) {
    const row = this.#rows[number];
    const element = h("div", { class: "row", role: "presentation" });
    element.style.transform = `translateY(${this.#tops[number]}px)`;
    for (let place = 0; place < row.count; place += 1) {
      const hit = this.#hits[row.first + place];
      const tile = this.#tiles.get(hit.id) ?? new Tile(hit, this.#page);
      this.#tiles.set(hit.id, tile);
      tile.place(row.first + place + 1, this.#complete ? this.#hits.length : -1);
      tile.resize(row.widths[place], row.height);
      element.append(tile.element);
    }
    this.#painted.set(number, element);
    // In the order of the hits, which is that of the Tab key and of screen readers.
    const after = [...this.#painted.keys()].filter((each) => each > number).sort((one, other) => one - other)[0];
    this.#element.insertBefore(element, this.#painted.get(after) ?? null);
    if (row.first <= this.positionOf(this.#active) && this.positionOf(this.#active) < row.first + row.count) {
      this.#tabStop(this.#active, "0");
    }
  }

  // Its pictures are given up first: Chromium keeps an image for good whose address changes after it was removed.
  #remove(row) {
    for (const tile of this.#tiles.values()) if (row.contains(tile.element)) tile.stop();
    row.remove();
  }

  #forget() {
    for (const [id, tile] of this.#tiles) if (!tile.element.isConnected) this.#tiles.delete(id);
  }
}

function centre(row, place) {
  const left = row.widths.slice(0, place).reduce((sum, width) => sum + width + GAP, 0);
  return left + row.widths[place] / 2;
}
