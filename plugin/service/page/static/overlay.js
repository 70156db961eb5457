// Boxes over a photo, in the photo's own coordinates: they stay on it at any size and zoom.
// `--px` is how many pixels of the photo one pixel of the screen covers, so that lines stay thin.

import { s } from "./dom.js";
import { decimal } from "./text.js";

const LETTER = 8; // pixels of the screen, the width of a letter of a label

/** An empty overlay for a photo of this size. */
export function overlay(width, height) {
  return s("svg", { class: "overlay", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
}

/** A box in the colour and with the letter of its phrase. `label` adds the similarity. */
export function drawn({ list, letter, match, place: beside = 0 }, { label = false, dashed = false, value = match.similarity } = {}) {
  const [x1, y1, x2, y2] = match.box;
  const place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  const text = label ? `${letter} ${decimal(value)}`.trim() : letter;
  return s(
    "g",
    { class: dashed ? "box dashed" : "box", "data-list": list, "data-region": match.region },
    s("rect", { class: "halo", ...place }),
    s("rect", { class: "line", ...place }),
    text === "" ? null : labelOf(text, match.box, beside),
  );
}

/** Darkens all but one box. */
export function shade(width, height, [x1, y1, x2, y2]) {
  return s("path", { class: "shade", d: `M0 0H${width}V${height}H0ZM${x1} ${y1}V${y2}H${x2}V${y1}Z` });
}

function labelOf(text, [x, y, , bottom], beside) {
  // The offset is in pixels of the screen, so it stands in the style sheet. Near the upper edge there is no room above.
  const above = y > (bottom - y) / 4;
  // Several phrases may have the same box: their labels stand side by side.
  const style = { "--beside": beside * (text.length * LETTER + LETTER) };
  return s("g", { transform: `translate(${x} ${y})` }, s("text", { class: above ? "label" : "label inside", style }, text));
}
