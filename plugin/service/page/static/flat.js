// A photo that one picture shows with all its pixels, zoomed by @panzoom/panzoom.

import { pictureOf } from "./api.js";
import { h, set } from "./dom.js";
import Panzoom from "./vendor/panzoom/panzoom.es.js";

const STEP = 0.35;
const MARGIN = 20; // pixels of the screen, for the labels of boxes at the edge
const PIXELS_LARGE = 8; // how many pixels of the screen one of the photo covers at most

export class FlatView {
  #photo;
  #sheet;
  #frame;
  #panzoom;
  #observer;
  #wheel = (event) => this.#panzoom.zoomWithWheel(event);
  #fit = 1;

  constructor(stage, photo, svg, animate) {
    this.#photo = photo;
    this.svg = svg;
    const side = Math.max(photo.width, photo.height);
    const image = h("img", { class: "view", alt: "", draggable: "false" });
    set(image, { onerror: () => this.#frame.classList.add("missing") });
    if (photo.hasPicture) image.src = pictureOf("view", photo, { w: side });
    this.#frame = h("div", { class: photo.hasPicture ? "frame" : "frame missing" }, image, svg);
    this.#sheet = h("div", { class: "sheet" }, this.#frame);
    stage.append(this.#sheet);
    this.#panzoom = Panzoom(this.#sheet, {
      minScale: 1,
      maxScale: 100,
      contain: "outside",
      cursor: "default",
      step: STEP,
      animate,
      duration: 150,
      setTransform: (sheet, { scale, x, y }) => {
        sheet.style.transform = `scale(${scale}) translate(${x}px, ${y}px)`;
        this.#measure(scale);
      },
    });
    stage.addEventListener("wheel", this.#wheel, { passive: false });
    this.#observer = new ResizeObserver(() => this.#resized());
    this.#observer.observe(stage);
    this.#resized();
  }

  get zoom() {
    return this.#panzoom.getScale();
  }

  zoomBy(factor) {
    this.#panzoom.zoom(this.zoom * factor);
  }

  pan(right, down) {
    const scale = this.zoom;
    this.#panzoom.pan(-right / scale, -down / scale, { relative: true });
  }

  fit() {
    this.#panzoom.reset();
  }

  /** Fills half of the stage with a box. */
  zoomTo([x1, y1, x2, y2]) {
    const { width, height } = this.#photo;
    const shown = Math.max((x2 - x1) / this.#sheet.clientWidth, (y2 - y1) / this.#sheet.clientHeight) * this.#fit;
    this.#panzoom.zoom(0.5 / shown, { animate: false });
    // The transform scales first, so the way to the middle is measured without the scale. How far it may go is measured
    // on the screen, where the new scale comes with the next frame.
    requestAnimationFrame(() => this.#panzoom.pan((width / 2 - (x1 + x2) / 2) * this.#fit, (height / 2 - (y1 + y2) / 2) * this.#fit));
  }

  close() {
    this.#observer.disconnect();
    this.#sheet.parentElement.removeEventListener("wheel", this.#wheel);
    this.#panzoom.destroy();
    this.#sheet.remove();
  }

  // The frame is as large as the stage allows, in the photo's proportions.
  #resized() {
    const { width, height } = this.#photo;
    const { clientWidth, clientHeight } = this.#sheet;
    if (clientWidth <= 2 * MARGIN || clientHeight <= 2 * MARGIN) return;
    const before = this.#fit;
    this.#fit = Math.min((clientWidth - 2 * MARGIN) / width, (clientHeight - 2 * MARGIN) / height);
    this.#frame.style.width = `${width * this.#fit}px`;
    this.#frame.style.height = `${height * this.#fit}px`;
    this.#panzoom.setOptions({ maxScale: Math.max(PIXELS_LARGE / this.#fit, 4) });
    if (this.zoom > 1) {
      const { x, y } = this.#panzoom.getPan();
      this.#panzoom.pan((x * this.#fit) / before, (y * this.#fit) / before, { animate: false });
    } else this.#panzoom.reset({ animate: false });
    this.#measure(this.zoom);
  }

  #measure(scale) {
    this.svg.style.setProperty("--px", 1 / (this.#fit * scale));
  }
}
