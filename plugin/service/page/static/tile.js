// One hit in the grid: its thumbnail with the best boxes, how similar they are, and the crop on hover or focus.

import { pictureOf } from "./api.js";
import { h, icon, set } from "./dom.js";
import { inPixels, shownBoxes } from "./hits.js";
import { drawn, overlay } from "./overlay.js";
import { decimal, t } from "./text.js";

// Few sizes, so that the server's cache is met. Each is the longer side of a thumbnail.
const SIZES = [192, 320, 512];
const CROP = 480;
// So that a pointer on its way over the page asks for nothing.
const REST_MS = 160;

export class Tile {
  #hit;
  #page;
  #width = 0;
  #timer = 0;
  #boxes;

  /** `page` answers what depends on the rest: hrefOf, least, isSelected, verdict, hasPictures, boxesHidden. */
  constructor(hit, page) {
    this.#hit = hit;
    this.#page = page;
    this.picture = h("a", { class: "picture", tabindex: "-1", "data-id": hit.id });
    this.check = h("input", { type: "checkbox", class: "select", tabindex: "-1" });
    this.caption = h("div", { class: "caption" });
    // Beside the link and not in it: its letters are no part of the link's name, which says them in words.
    this.#boxes = set(overlay(hit.width, hit.height), { "aria-hidden": "true" });
    const parts = [this.picture, this.#boxes, this.check, this.caption];
    this.element = h("div", { class: "tile", role: "listitem", "data-id": hit.id }, ...parts);
    set(this.element, {
      onpointerenter: () => this.#rest(),
      onpointerleave: () => this.#leave(),
      onfocusin: () => this.#rest(),
      onfocusout: () => this.#leave(),
    });
    if (page.hasPictures) this.picture.append(this.#thumbnail());
    this.refresh();
  }

  get hit() {
    return this.#hit;
  }

  /** Its place in the list, counted from 1, for screen readers; `count` is -1 while more may come. */
  place(position, count) {
    set(this.element, { "aria-posinset": position, "aria-setsize": count });
  }

  resize(width, height) {
    this.#width = width;
    this.element.style.width = `${width}px`;
    this.element.style.setProperty("--height", `${height}px`);
    this.element.style.setProperty("--px", this.#hit.width / width);
    const image = this.picture.querySelector("img.thumb");
    if (image === null) return;
    const wanted = Math.max(width, height) * Math.min(devicePixelRatio, 2);
    const chosen = SIZES.find((each) => each >= wanted) ?? SIZES.at(-1);
    const address = pictureOf("thumb", this.#hit, { w: chosen });
    if (image.getAttribute("src") !== address) image.src = address;
  }

  /** Ends the requests for its pictures that have not come yet. `resize` asks for the thumbnail again. */
  stop() {
    clearTimeout(this.#timer);
    for (const image of this.picture.querySelectorAll("img")) if (!image.complete) image.removeAttribute("src");
  }

  /** Draws again what the slider, a mark or the selection changes. */
  refresh() {
    const hit = this.#hit;
    const boxes = shownBoxes(hit, this.#page.least());
    const firsts = hit.lists.map((_, list) => boxes.find((each) => each.list === list)).filter(Boolean);
    set(this.picture, { href: this.#page.hrefOf(hit.id) });
    this.#boxes.replaceChildren(...boxes.toReversed().map((each) => drawn(each)));
    const said = firsts.map((each) => `${each.letter} ${decimal(each.match.similarity)}`.trim());
    set(this.picture, { "aria-label": t("tile.name", { file: hit.file, similarity: said.join(", ") }) });
    this.#select();
    this.caption.replaceChildren(...firsts.map(badge), this.#verdict(firsts), this.#name(), this.#same());
  }

  #thumbnail() {
    // The link has the name; the picture adds nothing to it.
    const image = h("img", { class: "thumb", alt: "", loading: "lazy", decoding: "async" });
    set(image, {
      onload: () => this.picture.classList.add("loaded"),
      onerror: () => this.picture.classList.add("missing"),
    });
    return image;
  }

  #select() {
    const selected = this.#page.isSelected(this.#hit.id);
    this.check.checked = selected;
    set(this.check, { "aria-label": t("tile.select", { file: this.#hit.file }) });
    this.element.classList.toggle("selected", selected);
  }

  #verdict(firsts) {
    const verdict = firsts.map((each) => this.#page.verdict(this.#hit, each)).find((each) => each !== null);
    if (verdict === undefined) return "";
    const name = verdict ? "right" : "wrong";
    return h("span", { class: `verdict ${name}`, role: "img", "aria-label": t(`mark.${name}`) }, icon(name));
  }

  #name() {
    return h("bdi", { class: "name", title: this.#hit.file }, this.#hit.file);
  }

  #same() {
    const count = this.#hit.same.length;
    if (count === 0) return "";
    const name = t("tile.same", { n: count });
    const open = String(this.#page.isUnfolded(this.#hit.id));
    return h("button", { type: "button", class: "same", tabindex: "-1", title: name, "aria-label": name, "aria-expanded": open }, `+${count}`);
  }

  #rest() {
    clearTimeout(this.#timer);
    if (this.#page.hasPictures) this.#timer = setTimeout(() => this.#enlarge(), REST_MS);
  }

  #enlarge() {
    if (this.picture.querySelector("img.crop") !== null || this.#width === 0) return;
    const { box } = this.#hit.lists[0][0];
    const image = h("img", { class: "crop", alt: "", decoding: "async" });
    set(image, { onload: () => image.classList.add("loaded"), onerror: () => image.remove() });
    image.src = pictureOf("crop", this.#hit, { box: inPixels(box).join(","), w: CROP });
    this.picture.append(image);
  }

  #leave() {
    clearTimeout(this.#timer);
    // A tile that still has the focus keeps its crop when the pointer leaves.
    if (!this.element.contains(document.activeElement)) this.picture.querySelector("img.crop")?.remove();
  }
}

/** A similarity with the colour and the letter of its phrase. */
export function badge({ list, letter, match }) {
  const text = decimal(match.similarity);
  return h("span", { class: "badge", "data-list": list }, letter === "" ? null : h("b", {}, letter), ` ${text}`);
}
