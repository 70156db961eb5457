// Searching by example: a region, a drawn box or a picture as the question, with a small picture of it.

import { pictureOf } from "./api.js";
import { inPixels } from "./hits.js";
import { say } from "./notices.js";
import { MAX_NOTS, isAsking, likeBox, likeRegion, likeUpload, parseLike } from "./state.js";
import { t } from "./text.js";

export class Examples {
  #page;
  #previews = new Map();

  /** `page` has what is searched for now (`asked`), searches for something else (`change`), and knows the pictures. */
  constructor(page) {
    this.#page = page;
  }

  /** More like the best box of a hit; with `not`, here and below, it counts against photos instead. */
  hit(hit, { not = false } = {}) {
    this.region(hit, hit.lists[0][0].region, { not });
  }

  region(hit, region, { not = false } = {}) {
    const match = hit.lists?.flat().find((each) => each.region === region);
    this.#use(likeRegion(hit.id, region), match ? this.#crop(hit, match.box) : null, not);
  }

  box(hit, box, { not = false } = {}) {
    this.#use(likeBox(hit.id, box), this.#crop(hit, box), not);
  }

  /** `preview` is the address of the uploaded picture. */
  picture(id, preview) {
    this.#use(likeUpload(id), preview, false);
  }

  /** The address of a small picture of an example; null if there is none. */
  previewOf(text) {
    if (this.#previews.has(text)) return this.#previews.get(text);
    const { photo_id: id, box } = parseLike(text);
    if (!id || !this.#page.hasPictures) return null;
    const hit = { id, index: this.#page.index };
    return box ? pictureOf("crop", hit, { box: box.join(","), w: 64 }) : pictureOf("thumb", hit, { w: 64 });
  }

  #use(text, preview, not) {
    if (preview) this.#previews.set(text, preview);
    if (not) return this.#exclude(text);
    // An example is a new question: the texts of the one before would only blur it.
    this.#page.change({ phrases: [], nots: [], like: [text], notLike: [] });
    return scrollTo({ top: 0 });
  }

  // Unlike "more like this", it narrows the search of now.
  #exclude(text) {
    const { nots, notLike, ...wanted } = this.#page.asked;
    if (!isAsking(wanted)) return say(t("exclude.alone"), true);
    if (notLike.includes(text)) return say(t("exclude.already"));
    if (nots.length + notLike.length >= MAX_NOTS) return say(t("exclude.full", { n: MAX_NOTS }), true);
    return this.#page.change({ notLike: [...notLike, text] });
  }

  #crop(hit, box) {
    return this.#page.hasPictures ? pictureOf("crop", hit, { box: inPixels(box).join(","), w: 128 }) : null;
  }
}
