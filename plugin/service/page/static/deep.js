// A huge photo: OpenSeadragon asks for the tiles that are seen, down to the original's pixels.

import { ask } from "./api.js";
import { h, set } from "./dom.js";

let loading = null;

/** Loads the library with the first huge photo, and gives its view. */
export async function deepView(stage, photo, svg, animate) {
  loading ??= loadLibrary();
  const query = new URLSearchParams({ index: photo.index });
  const address = `tiles/${encodeURIComponent(photo.id)}`;
  const [, tiles] = await Promise.all([loading, ask(`${address}.json?${query}`)]);
  if (photo.version) query.set("v", photo.version);
  return new DeepView(stage, photo, svg, animate, {
    width: tiles.width,
    height: tiles.height,
    tileSize: tiles.tile_size,
    tileOverlap: tiles.overlap,
    minLevel: tiles.min_level,
    maxLevel: tiles.max_level,
    getTileUrl: (level, x, y) => `${address}/${level}/${x}_${y}?${query}`,
  });
}

class DeepView {
  #photo;
  #viewer;
  #svg;

  constructor(stage, photo, svg, animate, tileSources) {
    this.#photo = photo;
    this.#svg = svg;
    this.#viewer = window.OpenSeadragon({
      element: stage,
      tileSources,
      drawer: "canvas",
      showNavigationControl: false,
      animationTime: animate ? 0.4 : 0,
      maxZoomPixelRatio: 8,
      visibilityRatio: 1,
      constrainDuringPan: true,
      tabIndex: "",
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    });
    // The page has its own keys, the same for every photo.
    this.#viewer.innerTracker.keyHandler = null;
    this.#viewer.innerTracker.keyDownHandler = null;
    this.#viewer.canvas.append(svg);
    for (const name of ["open", "update-viewport", "resize"]) this.#viewer.addHandler(name, () => this.#place());
  }

  get svg() {
    return this.#svg;
  }

  get zoom() {
    const { viewport } = this.#viewer;
    return viewport.getZoom() / viewport.getHomeZoom();
  }

  zoomBy(factor) {
    this.#viewer.viewport.zoomBy(factor);
    this.#viewer.viewport.applyConstraints();
  }

  pan(right, down) {
    const { viewport } = this.#viewer;
    viewport.panBy(viewport.deltaPointsFromPixels(new window.OpenSeadragon.Point(right, down)));
    viewport.applyConstraints();
  }

  fit() {
    this.#viewer.viewport.goHome();
  }

  zoomTo([x1, y1, x2, y2]) {
    const image = this.#viewer.world.getItemAt(0);
    if (!image) return;
    const [width, height] = [x2 - x1, y2 - y1];
    const around = image.imageToViewportRectangle(x1 - width / 2, y1 - height / 2, width * 2, height * 2);
    this.#viewer.viewport.fitBounds(around);
  }

  close() {
    this.#viewer.destroy();
  }

  #place() {
    const image = this.#viewer.world.getItemAt(0);
    if (!image) return;
    const { Point } = window.OpenSeadragon;
    const from = image.imageToViewerElementCoordinates(new Point(0, 0));
    const to = image.imageToViewerElementCoordinates(new Point(this.#photo.width, this.#photo.height));
    const place = { left: from.x, top: from.y, width: to.x - from.x, height: to.y - from.y };
    for (const [name, value] of Object.entries(place)) this.#svg.style[name] = `${value}px`;
    this.#svg.style.setProperty("--px", this.#photo.width / place.width);
  }
}

function loadLibrary() {
  // OpenSeadragon adds a style sheet of its own unless one is there, and the content policy forbids it. This element
  // has the name that it looks for, and no style.
  document.head.append(set(document.createElementNS("urn:sorce", "style"), { "data-openseadragon-mobile-css": "true" }));
  return new Promise((resolve, reject) => {
    const src = new URL("vendor/openseadragon/openseadragon.min.js", import.meta.url);
    document.head.append(h("script", { src, onload: resolve, onerror: () => reject(new Error("openseadragon")) }));
  });
}
