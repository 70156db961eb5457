// Drawing a box on a photo, by pointer or by keys.

import { s, set } from "./dom.js";

const LEAST = 4; // pixels of the photo
const KEY_STEP = 0.02; // of the photo's shorter side

export class Drawing {
  #photo;
  #svg;
  #rect = null;
  #start = null;
  #box = null;

  constructor(photo, svg, changed) {
    this.#photo = photo;
    this.#svg = svg;
    this.changed = changed;
    // All pointers end here while drawing, so that the photo stays where it is.
    this.layer = s("rect", { class: "drawing", x: 0, y: 0, width: photo.width, height: photo.height });
    set(this.layer, {
      onpointerdown: (event) => this.#down(event),
      onpointermove: (event) => this.#move(event),
      onpointerup: (event) => this.#up(event),
    });
    this.#rect = s("rect", { class: "drawn" });
    svg.append(this.layer, this.#rect);
  }

  /** The box in pixels of the photo; null before one is drawn. */
  get box() {
    return this.#box;
  }

  /** Arrows move the box, with Shift they size it. The first one puts a box in the middle. */
  key(key, sizes) {
    const { width, height } = this.#photo;
    const step = Math.min(width, height) * KEY_STEP;
    const [right, down] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[key];
    const [x1, y1, x2, y2] = this.#box ?? [width * 0.4, height * 0.4, width * 0.6, height * 0.6];
    if (this.#box === null) this.#set([x1, y1, x2, y2]);
    else if (sizes) this.#set([x1, y1, Math.max(x2 + right, x1 + LEAST), Math.max(y2 + down, y1 + LEAST)]);
    else this.#set([x1 + right, y1 + down, x2 + right, y2 + down]);
  }

  remove() {
    this.layer.remove();
    this.#rect.remove();
  }

  #down(event) {
    event.stopPropagation();
    this.layer.setPointerCapture(event.pointerId);
    this.#start = this.#at(event);
  }

  #move(event) {
    event.stopPropagation();
    if (this.#start === null) return;
    const [x, y] = this.#at(event);
    const [left, top] = this.#start;
    this.#set([Math.min(x, left), Math.min(y, top), Math.max(x, left), Math.max(y, top)]);
  }

  #up(event) {
    event.stopPropagation();
    this.#start = null;
  }

  #at({ clientX, clientY }) {
    const { left, top, width, height } = this.#svg.getBoundingClientRect();
    const [right, down] = [(clientX - left) / width, (clientY - top) / height];
    return [clamp(right, 0, 1) * this.#photo.width, clamp(down, 0, 1) * this.#photo.height];
  }

  #set([x1, y1, x2, y2]) {
    const { width, height } = this.#photo;
    const [across, down] = [Math.min(x2 - x1, width), Math.min(y2 - y1, height)];
    const [left, top] = [clamp(x1, 0, width - across), clamp(y1, 0, height - down)];
    set(this.#rect, { x: left, y: top, width: across, height: down });
    const large = across >= LEAST && down >= LEAST;
    this.#box = large ? [left, top, left + across, top + down] : null;
    this.changed(this.#box);
  }
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}
