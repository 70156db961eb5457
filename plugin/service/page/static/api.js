// Requests to the server. Addresses are relative, so that the page works under any base path.

import { t } from "./text.js";

const TRIES = 4;
const MAX_WAIT_S = 30;

/** What the server refused: its sentence, its status, and the request's id for the server's log. */
export class ApiError extends Error {
  constructor(status, message, requestId) {
    super(message);
    this.status = status;
    this.requestId = requestId;
  }
}

/** JSON from an address; with a body it is sent there. `busy(seconds)` is called before each wait of a busy server. */
export async function ask(path, { body, signal, busy } = {}) {
  const sent = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await send(path, { ...sent, signal }, busy);
  return answer.status === 204 ? null : read(answer);
}

/** The bytes of a picture to the server, and its JSON answer. */
export async function upload(path, file) {
  const answer = await send(path, { method: "POST", headers: { "Content-Type": file.type }, body: file });
  return read(answer);
}

/** A file that the server makes, saved by the browser: its name, and how many photos it lacks. */
export async function download(path, body) {
  const answer = await send(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const disposition = answer.headers.get("Content-Disposition") ?? "";
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1];
  const name = encoded ? decodeURIComponent(encoded) : /filename="?([^";]+)"?/.exec(disposition)?.[1];
  const address = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name ?? "sorce";
  link.click();
  // Not at once: the browser still reads it.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  return { file: link.download, missing: Number(answer.headers.get("X-Left-Out") ?? 0) };
}

async function send(path, options, busy = () => {}) {
  for (let tried = 1; ; tried += 1) {
    const answer = await fetch(path, { credentials: "same-origin", ...options }).catch(unanswered);
    if (answer.ok) return answer;
    const wait = Number(answer.headers.get("Retry-After"));
    if (answer.status !== 503 || !wait || tried === TRIES) throw await refusal(answer);
    busy(wait);
    await pause(Math.min(wait, MAX_WAIT_S) * 1000, options.signal);
  }
}

// The browser's own words, such as "Failed to fetch", say too little. An aborted request is no failure.
function unanswered(error) {
  throw error.name === "AbortError" ? error : new ApiError(0, t("error.network"), null);
}

// Something between the page and the server, such as a proxy that asks for a login, may answer in its place.
const read = (answer) => answer.json().catch(unanswered);

async function refusal(answer) {
  const requestId = answer.headers.get("X-Request-Id");
  let message = `${answer.status} ${answer.statusText}`;
  try {
    message = (await answer.json()).error.message ?? message;
  } catch {
    // Not from our server, such as a proxy's page: the status has to do.
  }
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("login-needed"));
  return new ApiError(answer.status, message, requestId);
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** The address of a photo's picture: `kind` is thumb, view or crop. The version lets the browser keep it. */
export function pictureOf(kind, hit, more) {
  const query = new URLSearchParams({ index: hit.index, ...more });
  if (hit.version) query.set("v", hit.version);
  return `${kind}/${encodeURIComponent(hit.id)}?${query}`;
}
