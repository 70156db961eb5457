// What is searched for and how: one plain object, and its form in the address and in a request.

import { inPixels } from "./hits.js";

export const PAGE = 50;
export const MAX_PHRASES = 4;
export const MAX_NOTS = 2;
export const FOLD = 0.97;

// The fields of a filter: their name in the address, and how their value is read.
const FILTERS = {
  kinds: ["kind", "list"],
  min_area: ["min_area", "number"],
  max_area: ["max_area", "number"],
  min_quality: ["min_quality", "number"],
  folder: ["folder", "text"],
  exclude_folder: ["not_folder", "list"],
  camera: ["camera", "text"],
  since: ["since", "text"],
  until: ["until", "text"],
  keywords: ["keyword", "list"],
  near: ["near", "text"],
  where: ["where", "list"],
};

export const EMPTY = Object.freeze({
  index: null,
  phrases: [],
  nots: [],
  like: [],
  notLike: [],
  filter: {},
  boxes: 1,
  min: null,
  rank: "similarity",
  debias: 0,
  locate: 0,
  fold: true,
  photo: null,
});

export function readState(query) {
  const given = new URLSearchParams(query);
  return {
    ...EMPTY,
    index: given.get("index") || null,
    phrases: texts(given.getAll("q")).slice(0, MAX_PHRASES),
    nots: texts(given.getAll("not")).slice(0, MAX_NOTS),
    like: given.getAll("like").filter(parseLike).slice(0, MAX_PHRASES),
    notLike: given.getAll("not_like").filter(parseLike).slice(0, MAX_NOTS),
    filter: readFilter(given),
    boxes: Math.round(number(given.get("boxes"), 1, 100) ?? 1),
    min: number(given.get("min"), -1, 1),
    rank: given.get("rank") === "product" ? "product" : "similarity",
    debias: number(given.get("debias"), 0, 2) ?? 0,
    locate: Math.round(number(given.get("locate"), 0, 100) ?? 0),
    fold: given.get("fold") !== "off",
    photo: given.get("photo") || null,
  };
}

/** The address's query: only what differs from the usual is in it. */
export function writeState(state) {
  const query = new URLSearchParams();
  if (state.index !== null) query.set("index", state.index);
  for (const text of state.phrases) query.append("q", text);
  for (const text of state.nots) query.append("not", text);
  for (const text of state.like) query.append("like", text);
  for (const text of state.notLike) query.append("not_like", text);
  for (const [name, value] of Object.entries(state.filter)) {
    for (const each of [value].flat()) query.append(FILTERS[name][0], each);
  }
  for (const name of ["boxes", "min", "rank", "debias", "locate", "photo"]) {
    if (state[name] !== EMPTY[name]) query.set(name, state[name]);
  }
  if (!state.fold) query.set("fold", "off");
  return `?${query}`;
}

/** Whether there is anything to search for. */
export const isAsking = (state) => state.phrases.length + state.like.length > 0;

/** What decides the hits: the slider and the open photo do not. */
export const searchKey = (state) => writeState({ ...state, min: null, photo: null });

/** The body of /api/search: the first page, which has all hits that are to be looked at again, or one after it. */
export function requestOf(state, from = 0) {
  return {
    index: state.index,
    phrases: state.phrases,
    nots: state.nots,
    like: state.like.map(parseLike),
    not_like: state.notLike.map(parseLike),
    filter: state.filter,
    boxes: state.boxes,
    min_similarity: null,
    rank: state.rank,
    debias: state.debias,
    locate: from === 0 ? state.locate : 0,
    fold: state.fold ? FOLD : null,
    from,
    size: from === 0 ? Math.max(PAGE, state.locate) : PAGE,
  };
}

// r:PHOTO:REGION, b:PHOTO:BOX, u:UPLOAD or u:UPLOAD:BOX; an id may hold colons.
const LIKE = /^([rbu]):(.+?)(?::([^:]*))?$/s;

/** An example as a request holds it; null for a text that is none. */
export function parseLike(text) {
  const [, kind, id, rest] = LIKE.exec(text) ?? [];
  const box = rest?.split(",").map(Number);
  const isBox = box?.length === 4 && box.every(Number.isFinite);
  if (kind === "r" && id && /^\d+$/.test(rest)) return { photo_id: id, region_id: Number(rest) };
  if (kind === "b" && id && isBox) return { photo_id: id, box };
  if (kind === "u" && id) return isBox ? { upload: id, box } : { upload: id };
  return null;
}

export const likeRegion = (photoId, regionId) => `r:${photoId}:${regionId}`;
export const likeBox = (photoId, box) => `b:${photoId}:${inPixels(box).join(",")}`;
export const likeUpload = (id) => `u:${id}`;

function readFilter(given) {
  const filter = {};
  for (const [name, [key, kind]] of Object.entries(FILTERS)) {
    const values = texts(given.getAll(key));
    if (values.length === 0) continue;
    if (kind === "list") filter[name] = values;
    else if (kind === "text") filter[name] = values[0];
    else if (Number.isFinite(Number(values[0]))) filter[name] = Number(values[0]);
  }
  return filter;
}

function texts(values) {
  return values.map((each) => each.trim()).filter((each) => each !== "");
}

function number(text, least, most) {
  const value = Number(text);
  return text === null || text === "" || !Number.isFinite(value) ? null : Math.min(Math.max(value, least), most);
}
