// What leaves the page: hits and marks as files, and the search as code.

import { openCode, openExport, save } from "./dialogs.js";
import { say } from "./notices.js";
import { EMPTY, isAsking, requestOf } from "./state.js";
import { t } from "./text.js";

/** Saves the hits of the grid, or those that are selected, in the form that the user chooses. */
export function exportHits(state, { hits, selection, hasMore, hasPictures }) {
  const shown = hits.map((hit) => hit.id);
  const selected = selection.ids;
  openExport({
    selected: selected.length,
    all: shown.length,
    hasMore,
    hasPictures,
    body: (all) => ({ index: state.index, request: shownRequest(state), photo_ids: all ? shown : selected, marks: [] }),
  });
}

export function exportMarks({ index }, { all: marks }) {
  const request = requestOf({ ...EMPTY, index, phrases: [marks[0].phrase] });
  save({ format: "lines", index, request, photo_ids: [], marks });
}

export function showCode(state) {
  if (isAsking(state)) openCode(shownRequest(state));
  else say(t("code.nothing"), true);
}

// What the page shows: the slider is a floor of the search itself.
const shownRequest = (state) => ({ ...requestOf(state), min_similarity: state.min });
