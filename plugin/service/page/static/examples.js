// Searching by example: a region, a drawn box or a picture as the question, with a small picture of it.

import { pictureOf } from "./api.js";
import { likeBox, likeRegion, likeUpload, parseLike } from "./state.js";

export class Examples {
  #page;
  #previews = new Map();

  /** `page` searches for an example (`search`), and says whether the server shows pictures, and of which index. */
  constructor(page) {
    this.#page = page;
  }

  /** More like the best box of a hit. */
  hit(hit) {
    this.region(hit, hit.lists[0][0].region);
  }

  region(hit, region) {
    const match = hit.lists.flat().find((each) => each.region === region);
    this.#search(likeRegion(hit.id, region), match ? this.#crop(hit, match.box) : null);
  }

  box(hit, box) {
    this.#search(likeBox(hit.id, box), this.#crop(hit, box));
  }

  /** `preview` is the address of the uploaded picture. */
  picture(id, preview) {
    this.#search(likeUpload(id), preview);
  }

  /** The address of a small picture of an example; null if there is none. */
  previewOf(text) {
    if (this.#previews.has(text)) return this.#previews.get(text);
    const { photo_id: id, box } = parseLike(text);
    if (!id || !this.#page.hasPictures) return null;
    const hit = { id, index: this.#page.index };
    return box ? pictureOf("crop", hit, { box: box.join(","), w: 64 }) : pictureOf("thumb", hit, { w: 64 });
  }

  #search(text, preview) {
    if (preview) this.#previews.set(text, preview);
    this.#page.search(text);
  }

  #crop(hit, box) {
    return this.#page.hasPictures ? pictureOf("crop", hit, { box: box.map(Math.round).join(","), w: 128 }) : null;
  }
}
