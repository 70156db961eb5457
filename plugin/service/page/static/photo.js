// The photo view: one photo with its boxes, zoomed and panned, and what to do from there.

import { ask } from "./api.js";
import { Boxes, said } from "./boxes.js";
import { deepView } from "./deep.js";
import { fillDetails, pathOf } from "./details.js";
import { byId, set } from "./dom.js";
import { Drawing } from "./draw.js";
import { FlatView } from "./flat.js";
import { overlay } from "./overlay.js";
import { decimal, t } from "./text.js";

// The longer side of the largest picture of /view. A larger photo comes in tiles.
const LARGEST_VIEW = 2048;
const PAN_SHARE = 0.15;
const WHOLE = 0; // the region that is the whole photo

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class PhotoDialog {
  #page;
  #dialog = byId("photo");
  #stage = byId("stage");
  #number = 0;
  #hit = null;
  #details = null;
  #view = null;
  #boxes = null;
  #drawing = null;

  /** `page` knows the rest: least, marks, phraseOf, placeOf, compared, neighbour, closed, moved, like, hasPictures, say, copy. */
  constructor(page) {
    this.#page = page;
    this.#dialog.addEventListener("close", () => this.#closed());
    for (const button of this.#dialog.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this.act(button.dataset.do));
    }
  }

  get isOpen() {
    return this.#dialog.open;
  }

  get hit() {
    return this.#hit;
  }

  /** Opens a hit; a photo that is none of the loaded hits is looked up first. */
  async open(hit) {
    const number = ++this.#number;
    this.#clear();
    this.#hit = hit;
    this.#header();
    if (!this.#dialog.open) this.#dialog.showModal();
    const known = hit.width !== undefined;
    const shown = known ? this.#show(number) : null;
    try {
      const query = new URLSearchParams({ index: hit.index });
      const asked = ask(`api/photo/${encodeURIComponent(hit.id)}?${query}`);
      const [details, found] = await Promise.all([asked, known ? null : this.#page.compared(hit.id)]);
      if (number !== this.#number) return;
      this.#details = details;
      fillDetails(byId("photo-details"), details, this.#page.copy);
      if (!known) {
        const { width, height, version, file_name: file } = details;
        this.#hit = found ?? { ...hit, width, height, version, file, lists: [], located: [], same: [] };
        this.#header();
        await this.#show(number);
      }
      await shown;
    } catch (error) {
      if (number !== this.#number) return;
      // Of a photo that nothing is known of, there is nothing to see.
      if (!known) this.close();
      this.#page.say(error.message, true);
    }
  }

  close() {
    this.#dialog.close();
  }

  /** Does what a button or a key says. */
  act(name) {
    const { width, height } = this.#stage.getBoundingClientRect();
    const acts = {
      close: () => this.close(),
      next: () => this.#step(1),
      previous: () => this.#step(-1),
      "zoom-in": () => this.#view?.zoomBy(1.5),
      "zoom-out": () => this.#view?.zoomBy(1 / 1.5),
      fit: () => this.#view?.fit(),
      "to-box": () => this.#toBox(),
      "pan-left": () => this.#view?.pan(-PAN_SHARE * width, 0),
      "pan-right": () => this.#view?.pan(PAN_SHARE * width, 0),
      "pan-up": () => this.#view?.pan(0, -PAN_SHARE * height),
      "pan-down": () => this.#view?.pan(0, PAN_SHARE * height),
      "next-box": () => this.#boxes?.step(1),
      "previous-box": () => this.#boxes?.step(-1),
      boxes: () => this.#toggleBoxes(),
      panel: () => this.#togglePanel(),
      draw: () => this.#toggleDrawing(),
      "search-drawn": () => this.#searchDrawn(),
      "exclude-drawn": () => this.#searchDrawn({ not: true }),
      like: () => this.#like(),
      unlike: () => this.#like({ not: true }),
      "like-photo": () => this.#page.examples.region(this.#hit, WHOLE),
      "unlike-photo": () => this.#page.examples.region(this.#hit, WHOLE, { not: true }),
      right: () => this.#judge(true),
      wrong: () => this.#judge(false),
      copy: () => this.#details && this.#page.copy(pathOf(this.#details)),
    };
    acts[name]?.();
  }

  /** Arrows, Enter and Escape while a box is drawn. True if the key was meant for it. */
  drawKey(event) {
    if (this.#drawing === null) return false;
    if (event.key === "Enter" && this.#drawing.box !== null) this.#searchDrawn();
    else if (event.key === "Escape") this.#endDrawing();
    else if (event.key.startsWith("Arrow")) this.#drawing.key(event.key, event.shiftKey);
    else return false;
    return true;
  }

  /** Shows the marks of now. */
  refresh() {
    this.#header();
    this.#boxes?.refresh();
    this.#actions();
  }

  async #show(number) {
    const hit = this.#hit;
    const svg = overlay(hit.width, hit.height);
    const photo = { ...hit, hasPicture: this.#page.hasPictures };
    const huge = photo.hasPicture && Math.max(hit.width, hit.height) > LARGEST_VIEW;
    this.#boxes = new Boxes(byId("photo-boxes"), hit, svg, this.#page.least(), {
      verdictOf: (box) => this.#verdict(box),
      changed: () => this.#actions(),
    });
    this.#actions();
    const view = huge
      ? await deepView(this.#stage, photo, svg, !calm.matches)
      : new FlatView(this.#stage, photo, svg, !calm.matches);
    if (number === this.#number) this.#view = view;
    else view.close();
  }

  #header() {
    const hit = this.#hit;
    byId("photo-name").textContent = hit.file ?? "";
    const { place, count, more } = this.#page.placeOf(hit.id);
    const found = place > 0 ? t(more ? "photo.place.more" : "photo.place", { place, count }) : "";
    const score = hit.score === undefined ? "" : t("photo.score", { score: decimal(hit.score) });
    byId("photo-place").textContent = [found, score].filter(Boolean).join(" · ");
    const boxes = hit.lists ? said(hit, this.#page.least()) : "";
    set(this.#stage, { "aria-label": t("photo.stage", { file: hit.file ?? hit.id, boxes }) });
    byId("photo-reason").textContent = hit.reason ?? (hit.unproved ? t("photo.unproved") : "");
    for (const [name, step] of Object.entries({ next: 1, previous: -1 })) {
      this.#button(name).disabled = !this.#page.neighbour(hit.id, step);
    }
  }

  #button(name) {
    return this.#dialog.querySelector(`[data-do="${name}"]`);
  }

  // What can be done with the chosen box.
  #actions() {
    const chosen = this.#boxes?.chosen ?? null;
    const verdict = chosen === null ? null : this.#verdict(chosen);
    const canMark = chosen !== null && chosen.match.region !== null && this.#page.phraseOf(chosen.list) !== null;
    for (const name of ["like", "unlike", "to-box"]) this.#button(name).disabled = chosen === null;
    for (const [name, right] of Object.entries({ right: true, wrong: false })) {
      this.#button(name).disabled = !canMark;
      set(this.#button(name), { "aria-pressed": String(verdict === right) });
    }
    byId("photo-no-boxes").hidden = (this.#boxes?.count ?? 0) > 0;
  }

  #verdict({ list, match }) {
    const phrase = this.#page.phraseOf(list);
    return phrase === null ? null : this.#page.marks.verdict(this.#hit.id, match.region, phrase);
  }

  #judge(right) {
    const chosen = this.#boxes?.chosen;
    const phrase = chosen ? this.#page.phraseOf(chosen.list) : null;
    if (!chosen || chosen.match.region === null || phrase === null) return;
    this.#page.judge(this.#hit, chosen.match, phrase, right);
  }

  #like(how) {
    const chosen = this.#boxes?.chosen;
    if (!chosen) return;
    if (chosen.match.region === null) this.#page.examples.box(this.#hit, chosen.match.box, how);
    else this.#page.examples.region(this.#hit, chosen.match.region, how);
  }

  #toBox() {
    const chosen = this.#boxes?.chosen;
    if (!chosen || !this.#view) return;
    // The same key leads there and back.
    if (this.#view.zoom > 1.01) this.#view.fit();
    else this.#view.zoomTo(chosen.match.box);
  }

  #step(by) {
    const hit = this.#page.neighbour(this.#hit.id, by);
    if (!hit) return;
    this.#page.moved(hit);
    this.open(hit);
  }

  #toggleBoxes() {
    const hidden = this.#stage.classList.toggle("no-boxes");
    set(this.#button("boxes"), { "aria-pressed": String(!hidden) });
  }

  #togglePanel() {
    const hidden = this.#dialog.classList.toggle("no-panel");
    set(this.#button("panel"), { "aria-expanded": String(!hidden) });
  }

  #toggleDrawing() {
    if (this.#drawing !== null) {
      this.#endDrawing();
    } else if (this.#view !== null) {
      const drawn = (box) => {
        for (const name of ["search-drawn", "exclude-drawn"]) this.#button(name).disabled = box === null;
      };
      this.#drawing = new Drawing(this.#hit, this.#view.svg, drawn);
      drawn(null);
      byId("photo-draw").hidden = false;
      set(this.#button("draw"), { "aria-pressed": "true" });
      this.#stage.focus();
    }
  }

  #searchDrawn(how) {
    const box = this.#drawing?.box;
    if (box) this.#page.examples.box(this.#hit, box, how);
  }

  #endDrawing() {
    this.#drawing?.remove();
    this.#drawing = null;
    byId("photo-draw").hidden = true;
    set(this.#button("draw"), { "aria-pressed": "false" });
  }

  #clear() {
    this.#endDrawing();
    this.#view?.close();
    this.#view = null;
    this.#boxes = null;
    this.#details = null;
    byId("photo-details").replaceChildren();
    byId("photo-boxes").replaceChildren();
  }

  #closed() {
    this.#number += 1;
    this.#clear();
    this.#page.closed(this.#hit);
  }
}
