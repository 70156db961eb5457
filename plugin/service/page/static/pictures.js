// A picture to search by: dropped on the page, pasted, or chosen from the disk.

import { upload } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./text.js";

const LARGEST = 20e6; // bytes, as the server's limit

/**
 * Calls `found(upload, address)` with the server's id and a local address; `failed(message)` says why not. Neither is
 * called if `asked()`, the search of now, has changed meanwhile, or for a picture that another one followed.
 */
export function takePictures({ asked, found, failed }) {
  let last = 0;
  const take = (files) => {
    const file = [...files].find(({ type }) => type.startsWith("image/"));
    if (file) {
      const [number, before] = [(last += 1), asked()];
      const isWanted = () => number === last && before === asked();
      send(file, (...all) => isWanted() && found(...all), (message) => isWanted() && failed(message));
    } else if (files.length > 0) failed(t("picture.none"));
  };
  const choose = byId("file");
  byId("pick").addEventListener("click", () => choose.click());
  choose.addEventListener("change", () => {
    take(choose.files);
    choose.value = "";
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    take(event.clipboardData.files);
  });
  const drop = byId("drop");
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    drop.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    drop.hidden = true;
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
}

async function send(file, found, failed) {
  if (file.size > LARGEST) {
    failed(t("picture.large", { megabytes: LARGEST / 1e6 }));
    return;
  }
  try {
    const { upload: id } = await upload("api/like", file);
    found(id, URL.createObjectURL(file));
  } catch (error) {
    failed(error.message);
  }
}
