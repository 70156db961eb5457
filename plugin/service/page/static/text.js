// The page's texts, one file a language, and numbers and dates as that language writes them.

import { recall, remember } from "./dom.js";

export const LANGUAGES = { en: "English", de: "Deutsch" };

const KEY = "sorce.language";
const ATTRIBUTES = ["aria-label", "placeholder", "title"];

let texts = {};
let language = "en";

export async function loadTexts() {
  const wanted = [recall(KEY), ...navigator.languages.map((each) => each.slice(0, 2))];
  language = wanted.find((each) => each in LANGUAGES) ?? "en";
  const answer = await fetch(new URL(`locale/${language}.json`, import.meta.url));
  texts = await answer.json();
  document.documentElement.lang = language;
  translate(document);
}

export const currentLanguage = () => language;

export function chooseLanguage(chosen) {
  remember(KEY, chosen);
  location.reload();
}

/** The text of a key. `{n}` takes values, and `n` also chooses between `KEY.one` and `KEY.other`. */
export function t(key, values = {}) {
  const plural = `${key}.${new Intl.PluralRules(language).select(values.n ?? 0)}`;
  const text = texts[plural] ?? texts[key] ?? texts[`${key}.other`] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? value.toLocaleString(language) : String(value);
  });
}

/** Fills the elements that name their text: `data-t`, `data-t-aria-label`, `data-t-placeholder`, `data-t-title`. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const name of ATTRIBUTES) {
    for (const element of root.querySelectorAll(`[data-t-${name}]`)) {
      element.setAttribute(name, t(element.getAttribute(`data-t-${name}`)));
    }
  }
}

/** The words for a kind of box; a kind that only an address or a document knows is shown as it is written there. */
export function kindOf(kind) {
  return `kind.${kind}` in texts ? t(`kind.${kind}`) : kind;
}

/** A similarity or a score, with two digits, or three where it is small, as with encoders of the SigLIP family. */
export function decimal(value) {
  const digits = Math.abs(value) < 0.1 && value !== 0 ? 3 : 2;
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const whole = (count) => count.toLocaleString(language);

export function percent(share) {
  return share.toLocaleString(language, { style: "percent", maximumSignificantDigits: 2 });
}

export function bytes(count) {
  const [unit, divisor] = count < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  return (count / divisor).toLocaleString(language, { style: "unit", unit, maximumFractionDigits: 1 });
}

/** A point in time by the camera's clock: an answer without a zone is shown as it stands. */
export function moment(iso) {
  const when = new Date(iso);
  return Number.isNaN(when.getTime()) ? iso : when.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}
