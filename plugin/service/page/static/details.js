// What is known of a photo: EXIF, attributes and where it lies.

import { h } from "./dom.js";
import { bytes, moment, t } from "./text.js";

/** Fills a description list. A value may be anything that a stranger wrote, so it is text in a direction of its own. */
export function fillDetails(list, photo, copy) {
  const { exif = {}, attributes = {} } = photo;
  const rows = [
    [t("detail.size"), t("detail.pixels", { width: photo.width, height: photo.height })],
    [t("detail.bytes"), photo.bytes === undefined ? null : bytes(photo.bytes)],
    [t("detail.taken"), exif.taken_at ? moment(exif.taken_at) : null],
    [t("detail.camera"), exif.camera],
    [t("detail.keywords"), exif.keywords?.length ? exif.keywords.join(", ") : null],
    [t("detail.location"), exif.location ? exif.location.map((degrees) => degrees.toFixed(5)).join(", ") : null],
    ...Object.entries(attributes).map(([key, value]) => [key, String(value)]),
  ];
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  list.replaceChildren(
    ...known.flatMap(([name, value]) => [h("dt", { dir: "auto" }, name), h("dd", { dir: "auto" }, value)]),
    ...copied(t("detail.path"), pathOf(photo), copy),
    ...copied(t("detail.id"), photo.photo_id, copy),
  );
}

/** The photo's path below its root; the whole of it only where the server shows paths. */
export function pathOf(photo) {
  if (photo.uri) return photo.uri;
  return photo.folder && photo.folder !== "." ? `${photo.folder.replace(/\/$/, "")}/${photo.file_name}` : photo.file_name;
}

function copied(name, value, copy) {
  const title = t("detail.copy", { name });
  const button = h("button", { type: "button", class: "copied", title, onclick: () => copy(value) }, h("bdi", {}, value));
  return [h("dt", {}, name), h("dd", {}, button)];
}
