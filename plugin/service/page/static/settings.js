// How to search: the index, the least similarity, boxes, ranking, the second stage, folding; and how the page looks.

import { byId, h, recall, remember, s } from "./dom.js";
import { showFilters } from "./filters.js";
import { weakest } from "./hits.js";
import { LANGUAGES, chooseLanguage, currentLanguage, decimal, t } from "./text.js";

const THEMES = ["auto", "light", "dark"];
const THEME_KEY = "sorce.theme";
const LOCATED = [0, 3, 5, 10, 20];
const STEPS = 200;
const BARS = 40;

export class Settings {
  #change;
  #top = 1;
  #locates = false;
  #names = [];

  /** `change(partial)` is called for what needs a new search, `least(value)` at once while the slider moves. */
  constructor({ change, least }) {
    this.#change = change;
    const slider = byId("least");
    slider.addEventListener("input", () => least(Number(slider.value) === 0 ? null : Number(slider.value)));
    byId("index").addEventListener("change", ({ target }) => change({ index: target.value }));
    byId("boxes").addEventListener("change", ({ target }) => change({ boxes: wholeOf(target) }));
    byId("rank").addEventListener("change", ({ target }) => change({ rank: target.value }));
    byId("debias").addEventListener("change", ({ target }) => change({ debias: Number(target.value) }));
    byId("debias").addEventListener("input", ({ target }) => this.#showDebias(Number(target.value)));
    byId("locate").addEventListener("change", ({ target }) => change({ locate: Number(target.value) }));
    byId("fold").addEventListener("change", ({ target }) => change({ fold: target.checked }));
    this.#look();
  }

  /** Shows the choices that these indices and this session have. */
  offer(indices, session) {
    this.#names = indices.map(({ name }) => name);
    this.#locates = session.locate;
  }

  /**
   * Shows the state, but for the slider; `index` is the entry of /api/indices. What the address asks for has a
   * control, also where the index or the server cannot do it and says so: the user takes it away there.
   */
  show(state, index) {
    const names = [...new Set([...this.#names, ...(state.index === null ? [] : [state.index])])];
    byId("index-setting").hidden = names.length < 2;
    byId("index").replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    byId("index").value = state.index;
    byId("about-index").textContent = index ? t("index.about", index) : "";
    byId("index-note").textContent = index?.note ?? "";
    byId("boxes").value = state.boxes;
    const ranks = [...new Set([...(index?.ranks ?? ["similarity"]), state.rank])];
    byId("rank-setting").hidden = ranks.length < 2;
    byId("rank").replaceChildren(...ranks.map((rank) => h("option", { value: rank }, t(`rank.${rank}`))));
    byId("rank").value = state.rank;
    byId("debias-setting").hidden = !index?.debias && state.debias === 0;
    byId("debias").value = state.debias;
    this.#showDebias(state.debias);
    byId("locate-setting").hidden = !this.#locates && state.locate === 0;
    byId("locate").replaceChildren(...[...new Set([...LOCATED, state.locate])].sort((one, other) => one - other).map(located));
    byId("locate").value = state.locate;
    byId("fold").checked = state.fold;
    showFilters(byId("filters"), index?.fields ?? [], state.filter, (filter) => this.#change({ filter }));
  }

  showLeast(min) {
    const slider = byId("least");
    if (min !== null && min > this.#top) this.#scale(1);
    slider.value = min ?? 0;
    byId("least-value").textContent = min === null ? t("settings.off") : decimal(min);
  }

  /** How similar the loaded hits are, above the slider, whose range follows them. */
  showHits(hits, min) {
    const values = hits.map(weakest);
    const best = Math.max(0, min ?? 0, ...values);
    this.#scale([0.1, 0.25, 0.5].find((each) => best <= each) ?? 1);
    const counts = new Array(BARS).fill(0);
    for (const value of values) counts[Math.min(Math.max(Math.floor((value / this.#top) * BARS), 0), BARS - 1)] += 1;
    const most = Math.max(1, ...counts);
    const bars = counts.map((count, x) => `M${x} 20v${(-20 * count) / most}h.8V20z`).filter((_, x) => counts[x] > 0);
    byId("histogram").replaceChildren(s("path", { d: bars.join("") }));
    this.showLeast(min);
  }

  #scale(top) {
    this.#top = top;
    byId("least").max = top;
    byId("least").step = top / STEPS;
  }

  #showDebias(value) {
    byId("debias-value").textContent = value === 0 ? t("settings.off") : decimal(value);
  }

  #look() {
    const theme = byId("theme");
    theme.replaceChildren(...THEMES.map((name) => h("option", { value: name }, t(`theme.${name}`))));
    theme.value = THEMES.includes(recall(THEME_KEY)) ? recall(THEME_KEY) : "auto";
    document.documentElement.dataset.theme = theme.value;
    theme.addEventListener("change", () => {
      remember(THEME_KEY, theme.value);
      document.documentElement.dataset.theme = theme.value;
    });
    const language = byId("language");
    language.replaceChildren(...Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name)));
    language.value = currentLanguage();
    language.addEventListener("change", () => chooseLanguage(language.value));
  }
}

function located(count) {
  return h("option", { value: count }, count === 0 ? t("settings.off") : t("settings.first", { n: count }));
}

function wholeOf(input) {
  const value = Math.round(Number(input.value));
  const whole = Math.min(Math.max(Number.isFinite(value) ? value : 1, Number(input.min)), Number(input.max));
  input.value = whole;
  return whole;
}
