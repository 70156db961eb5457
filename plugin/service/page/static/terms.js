// The search box: phrases, "not" and examples. Each phrase and example has a colour and, if there are several, a letter.

import { h, icon, set } from "./dom.js";
import { LETTERS } from "./hits.js";
import { MAX_NOTS, MAX_PHRASES, parseLike } from "./state.js";
import { t } from "./text.js";

export class Terms {
  #root;
  #add;
  #addNot;
  #removed;
  #previewOf;
  #examples = { like: [], "not-like": [] };

  /** `removed()` is called when a filled field or an example is taken away; `previewOf(like)` gives an address. */
  constructor({ root, add, addNot, removed, previewOf }) {
    this.#root = root;
    this.#add = add;
    this.#addNot = addNot;
    this.#removed = removed;
    this.#previewOf = previewOf;
    add.addEventListener("click", () => this.#append("phrase"));
    addNot.addEventListener("click", () => this.#append("not"));
    root.addEventListener("input", () => this.#letters());
  }

  /** The phrases, "not" and examples as they stand in the fields. */
  get values() {
    const texts = (kind) => this.#fields(kind).map(textOf).filter((text) => text !== "");
    const { like, "not-like": notLike } = this.#examples;
    return { phrases: texts("phrase"), nots: texts("not"), like: [...like], notLike: [...notLike] };
  }

  show({ phrases, nots, like, notLike }) {
    this.#examples = { like: [...like], "not-like": [...notLike] };
    // Fields that show the right text stay, so that the one with the focus keeps it.
    const fields = [...(phrases.length > 0 || like.length > 0 ? phrases : [""]).map((text) => ["phrase", text]), ...nots.map((text) => ["not", text])];
    const now = this.#fields("phrase").concat(this.#fields("not")).map((field) => [field.dataset.kind, textOf(field)]);
    if (JSON.stringify(now) !== JSON.stringify(fields) || this.#root.querySelector(".like") || like.length + notLike.length > 0) {
      const made = fields.map(([kind, text]) => this.#field(kind, text));
      const examples = like.map((text) => this.#example("like", text));
      const split = made.findIndex((field) => field.dataset.kind === "not");
      made.splice(split < 0 ? made.length : split, 0, ...examples);
      this.#root.replaceChildren(...made, ...notLike.map((text) => this.#example("not-like", text)));
    }
    this.#letters();
  }

  focus() {
    const [first] = this.#fields("phrase");
    (first ?? this.#append("phrase")).querySelector("input").select();
  }

  #append(kind) {
    const field = this.#field(kind, "");
    const others = kind === "phrase" ? this.#root.querySelector(".like, .not") : null;
    this.#root.insertBefore(field, others);
    this.#letters();
    field.querySelector("input").focus();
    return field;
  }

  #field(kind, text) {
    const name = t(`term.${kind}`);
    const input = h("input", { type: "text", "aria-label": name, placeholder: name, dir: "auto", maxlength: 2000, autocomplete: "off", spellcheck: "false", enterkeyhint: "search" });
    input.value = text;
    const field = h("span", { class: `term ${kind}`, "data-kind": kind }, h("b", { class: "letter", "aria-hidden": "true" }), input, this.#remover(() => this.#removeField(field)));
    return field;
  }

  #example(kind, text) {
    const address = this.#previewOf(text);
    const name = t(kind === "like" && parseLike(text).upload ? "term.upload" : `term.${kind}`);
    const picture = address === null ? icon("picture") : h("img", { src: address, alt: "" });
    const chip = h("span", { class: kind === "like" ? "term like" : "term like not", "data-kind": kind }, h("b", { class: "letter", "aria-hidden": "true" }), picture, h("span", { class: "about" }, name));
    chip.append(
      this.#remover(() => {
        this.#examples[kind] = this.#examples[kind].filter((each) => each !== text);
        chip.remove();
        this.#removed();
      }),
    );
    return chip;
  }

  #remover(remove) {
    const name = t("term.remove");
    return h("button", { type: "button", class: "remove", title: name, "aria-label": name, onclick: remove }, icon("close"));
  }

  #removeField(field) {
    const empty = textOf(field) === "";
    if (this.#fields("phrase").length > 1 || field.dataset.kind === "not") field.remove();
    else field.querySelector("input").value = "";
    this.#letters();
    if (empty) this.focus();
    else this.#removed();
  }

  #fields(kind) {
    return [...this.#root.querySelectorAll(`[data-kind="${kind}"]`)];
  }

  // Phrases come first, then examples, as in a hit's lists of boxes.
  #letters() {
    const several = [...this.#fields("phrase"), ...this.#fields("like")];
    several.forEach((field, number) => {
      set(field, { "data-list": number });
      field.querySelector(".letter").textContent = several.length > 1 ? LETTERS[number] : "";
    });
    const against = [...this.#fields("not"), ...this.#fields("not-like")];
    for (const field of against) field.querySelector(".letter").textContent = "−";
    this.#add.disabled = several.length >= MAX_PHRASES;
    this.#addNot.disabled = against.length >= MAX_NOTS;
    for (const field of this.#fields("phrase")) {
      field.querySelector(".remove").hidden = several.length === 1 && textOf(field) === "";
    }
  }
}

const textOf = (field) => field.querySelector("input").value.trim();
