// What leaves the page: hits and marks as files, and the search as code.

import { openCode, openExport, save } from "./dialogs.js";
import { say } from "./notices.js";
import { EMPTY, isAsking, requestOf } from "./state.js";
import { t } from "./text.js";

const MOST = 1000; // photos or marks of one file, as the server's limit

/** Saves the hits of the grid, or those that are selected, in the form that the user chooses. */
export function exportHits(state, { hits, selection, hasPictures }) {
  const shown = hits.slice(0, MOST).map((hit) => hit.id);
  const selected = selection.ids.slice(0, MOST);
  openExport({
    selected: selected.length,
    all: shown.length,
    hasPictures,
    body: (all) => ({ index: state.index, request: shownRequest(state), photo_ids: all ? shown : selected, marks: [] }),
  });
}

export function exportMarks({ index }, { all }) {
  const marks = all.slice(0, MOST);
  const request = requestOf({ ...EMPTY, index, phrases: [marks[0].phrase] });
  save({ format: "lines", index, request, photo_ids: [], marks });
}

export function showCode(state) {
  if (isAsking(state)) openCode(shownRequest(state));
  else say(t("code.nothing"), true);
}

// What the page shows: the slider is a floor of the search itself.
const shownRequest = (state) => ({ ...requestOf(state), min_similarity: state.min });
