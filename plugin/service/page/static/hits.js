// Hits as the page keeps them. 1,000 of them stay in memory, so only what the grid shows is kept.

export const LETTERS = "ABCD";

const NONE = Object.freeze([]);

/** A hit of /api/search, made small. `lists` holds the boxes found for each phrase, then for each example. */
export function compact(hit) {
  return {
    id: hit.photo_id,
    index: hit.index,
    version: hit.version,
    file: hit.file_name,
    width: hit.width,
    height: hit.height,
    score: hit.score,
    lists: hit.matches.map((list) => list.map(compactMatch)),
    located: hit.seen?.located?.length ? hit.seen.located : NONE,
    reason: hit.seen?.reason ?? null,
    unproved: hit.unproved === true,
    same: hit.same?.length ? hit.same.map(compact) : NONE,
  };
}

function compactMatch({ region_id, box, kind, similarity }) {
  return { region: region_id, box, kind, similarity };
}

/** The letter of a phrase or example; none where there is only one, as there is nothing to tell apart. */
export const letterOf = (hit, list) => (hit.lists.length > 1 ? LETTERS[list] : "");

/** Whether each phrase has a box of at least this similarity: what the server's own floor demands. */
export const reaches = (hit, least) => least === null || weakest(hit) >= least;

/** The best similarity of the phrase that the photo meets least. */
export function weakest(hit) {
  return Math.min(...hit.lists.map((list) => Math.max(...list.map((match) => match.similarity))));
}

/** The boxes to show, the best of each phrase first: `{list, letter, match, place}`. `place` is among those of one corner. */
export function shownBoxes(hit, least) {
  const corners = new Map();
  return hit.lists.flatMap((list, number) =>
    list
      .filter((match) => least === null || match.similarity >= least)
      .map((match) => {
        const corner = `${match.box[0]} ${match.box[1]}`;
        const place = corners.get(corner) ?? 0;
        corners.set(corner, place + 1);
        return { list: number, letter: letterOf(hit, number), match, place };
      }),
  );
}

/** The whole pixels that a box touches: a box smaller than a pixel keeps an area. */
export const inPixels = ([left, top, right, bottom]) => [Math.floor(left), Math.floor(top), Math.ceil(right), Math.ceil(bottom)];

export const areaOf = (box, hit) => ((box[2] - box[0]) * (box[3] - box[1])) / (hit.width * hit.height);
