// The filters that an index has, with their values and ranges.

import { h } from "./dom.js";
import { apart, whereOf, withValue, withWhere } from "./conditions.js";
import { kindOf, percent, t, whole } from "./text.js";

const LISTED = 50; // values that the server gives at most; there may be more
const ATTRIBUTE = "attributes.";

/** Builds the controls of an index's fields. `change(filter)` is called with each new filter. */
export function showFilters(root, fields, filter, change) {
  const focused = document.activeElement?.id;
  root.replaceChildren(...fields.filter(isChoice).map((field) => controlOf(field, filter, change)).filter((made) => made !== null));
  // The control that was just used keeps the focus.
  if (focused) root.querySelector(`#${CSS.escape(focused)}`)?.focus();
}

/** The conditions that hold, each with a button that takes it away. */
export function showConditions(root, filter, change) {
  root.replaceChildren(
    ...apart(filter).map(([name, value, rest]) => {
      const text = wordsOf(name, value);
      const remove = t("filter.remove", { condition: text });
      return h("button", { type: "button", class: "condition", title: remove, "aria-label": remove, onclick: () => change(rest) }, h("bdi", {}, text), " ×");
    }),
  );
}

// A field with one value leaves nothing to choose.
const isChoice = ({ name, values }) => !["kinds", "folder"].includes(name) || values.length > 1;

function controlOf(field, filter, change) {
  const put = (name) => (value) => change(withValue(filter, name, value));
  const both = (low, high) => [
    [t("filter.least"), filter[low], put(low)],
    [t("filter.most"), filter[high], put(high)],
  ];
  const name = t(`field.${field.name}`);
  switch (field.name) {
    case "kinds":
      return kinds(field, filter.kinds ?? [], put("kinds"));
    case "folder":
      return group(name, [
        choice("folder", name, field, filter.folder, put("folder")),
        several("exclude_folder", t("field.exclude_folder"), field, filter.exclude_folder ?? [], put("exclude_folder")),
      ]);
    case "camera":
      return group(name, [choice("camera", name, field, filter.camera, put("camera"))]);
    case "keywords":
      return group(name, [several("keywords", name, field, filter.keywords ?? [], put("keywords"))]);
    case "taken_on":
      return range(field, name, "date", both("since", "until"));
    case "area":
      return range(field, name, "percent", both("min_area", "max_area"));
    case "quality":
      return field.min === field.max ? null : range(field, name, "number", both("min_quality").slice(0, 1));
    case "location":
      return group(name, [text("near", name, t("filter.near"), filter.near, put("near"))]);
    default:
      return attribute(field, filter, change);
  }
}

function attribute(field, filter, change) {
  const key = field.name.startsWith(ATTRIBUTE) ? field.name.slice(ATTRIBUTE.length) : field.name;
  const put = (sign) => (value) => change(withWhere(filter, key, sign, value));
  const value = (sign) => whereOf(filter, key, sign);
  if (field.type === "integer" || field.type === "float" || field.type === "date") {
    const type = field.type === "date" ? "date" : "number";
    return range(field, key, type, [
      [t("filter.least"), value(">="), put(">=")],
      [t("filter.most"), value("<="), put("<=")],
    ]);
  }
  const given = field.type === "boolean" && !field.values?.length ? { ...field, values: [["true"], ["false"]] } : field;
  return group(key, [choice(`where-${key}`, key, given, value("="), put("="))]);
}

function group(name, controls) {
  return h("fieldset", { class: "filter" }, h("legend", { dir: "auto" }, name), ...controls);
}

function kinds(field, chosen, put) {
  const boxes = field.values.map(([value, count]) => {
    const box = h("input", { type: "checkbox", id: `filter-kind-${value}` });
    box.checked = chosen.includes(value);
    box.addEventListener("change", () => {
      put(box.checked ? [...chosen, value] : chosen.filter((each) => each !== value));
    });
    return h("label", { class: "check" }, box, ` ${kindOf(value)} `, counted(count));
  });
  return group(t("field.kinds"), boxes);
}

function choice(id, name, field, chosen, put) {
  const values = field.values ?? [];
  if (values.length >= LISTED) return text(id, name, t("filter.any"), chosen, put, values);
  const select = h("select", { id: `filter-${id}`, "aria-label": name }, h("option", { value: "" }, t("filter.any")), ...options(values));
  // A value from the address may be none of those listed.
  if (chosen && !values.some(([value]) => String(value) === chosen)) select.append(h("option", { value: chosen }, chosen));
  select.value = chosen ?? "";
  select.addEventListener("change", () => put(select.value));
  return select;
}

function several(id, name, field, chosen, put) {
  const add = (value) => value !== "" && !chosen.includes(value) && put([...chosen, value]);
  const values = (field.values ?? []).filter(([value]) => !chosen.includes(String(value)));
  if (values.length >= LISTED) return text(id, name, t("filter.add", { name }), "", add, values);
  const select = h("select", { id: `filter-${id}`, "aria-label": name }, h("option", { value: "" }, t("filter.add", { name })), ...options(values));
  select.addEventListener("change", () => add(select.value));
  return select;
}

function text(id, name, placeholder, value, put, values = []) {
  const list = `filter-${id}-values`;
  const input = h("input", { type: "text", id: `filter-${id}`, "aria-label": name, placeholder, dir: "auto", list: values.length > 0 ? list : null });
  input.value = value ?? "";
  input.addEventListener("change", () => put(input.value.trim()));
  const known = h("datalist", { id: list }, ...values.map(([each]) => h("option", { value: each })));
  return values.length > 0 ? h("span", {}, input, known) : input;
}

function range(field, name, type, ends) {
  const scale = type === "percent" ? 100 : 1;
  const [least, most] = [field.min, field.max].map((bound) => boundOf(bound, type, scale));
  const inputs = ends.map(([label, value, put], number) => {
    const bounds = type === "date" ? { min: least, max: most } : { step: "any", min: type === "percent" ? 0 : null };
    const id = `filter-${field.name}-${number}`;
    const input = h("input", { type: type === "date" ? "date" : "number", id, placeholder: number === 0 ? least : most, ...bounds });
    input.value = value === undefined || value === "" ? "" : type === "date" ? value : String(rounded(Number(value) * scale));
    input.addEventListener("change", () => {
      if (input.value === "") put("");
      else put(type === "date" ? input.value : rounded(Number(input.value) / scale));
    });
    return h("label", { class: "bound" }, h("span", {}, label), input);
  });
  const unit = type === "percent" ? h("span", { class: "unit" }, "%") : null;
  return h("fieldset", { class: "filter" }, h("legend", { dir: "auto" }, name), h("div", { class: "bounds" }, ...inputs, unit));
}

function boundOf(bound, type, scale) {
  if (bound === null || bound === undefined) return "";
  return type === "date" ? String(bound).slice(0, 10) : String(Number((bound * scale).toPrecision(type === "percent" ? 3 : 15)));
}

function options(values) {
  return values.map(([value, count]) => h("option", { value, dir: "auto" }, count === undefined ? String(value) : `${value} (${count})`));
}

function counted(count) {
  return count === undefined ? null : h("span", { class: "count" }, whole(count));
}

function wordsOf(name, value) {
  if (name === "where") return value;
  if (name === "kinds") return kindOf(value);
  return t(`condition.${name}`, { value: name.endsWith("_area") ? percent(value) : value });
}

const rounded = (value) => Number(value.toPrecision(6));
