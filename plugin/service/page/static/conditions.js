// Filters as values: conditions on attributes are texts (`key=value`, `key>=3`), as the command writes them.

/** The value that a condition on an attribute compares with; "" if there is none. */
export function whereOf(filter, key, sign) {
  const found = (filter.where ?? []).map(parsed).find((each) => each.key === key && each.sign === sign);
  return found?.value ?? "";
}

/** The filter with this condition on an attribute instead of an earlier one; "" takes it away. */
export function withWhere(filter, key, sign, value) {
  const others = (filter.where ?? []).filter((text) => {
    const each = parsed(text);
    return each.key !== key || each.sign !== sign;
  });
  return withValue(filter, "where", value === "" ? others : [...others, `${key}${sign}${value}`]);
}

/** The filter with this value; an empty one takes the condition away. */
export function withValue(filter, name, value) {
  const { [name]: _, ...others } = filter;
  const empty = value === null || value === "" || value === undefined || (Array.isArray(value) && value.length === 0);
  return empty ? others : { ...others, [name]: value };
}

/** Each condition by itself, with the filter that is left without it: `[name, value, rest]`. */
export function apart(filter) {
  return Object.entries(filter).flatMap(([name, value]) =>
    Array.isArray(value)
      ? value.map((each) => [name, each, withValue(filter, name, value.filter((other) => other !== each))])
      : [[name, value, withValue(filter, name, null)]],
  );
}

function parsed(text) {
  const [, key, sign, value] = /^([^=<>]+)(>=|<=|=)(.*)$/s.exec(text) ?? [null, text, "", ""];
  return { key, sign, value };
}
