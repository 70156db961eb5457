// Justified rows: each is as wide as the page, and its pictures are of one height.

/** The rows for pictures of these aspect ratios: `{first, count, height, widths}`, in pixels. */
export function justified(aspects, width, target, gap) {
  const rows = [];
  let first = 0;
  let sum = 0;
  aspects.forEach((aspect, position) => {
    sum += aspect;
    const count = position - first + 1;
    const height = (width - gap * (count - 1)) / sum;
    if (height > target) return;
    rows.push(row(aspects, first, count, height));
    first = position + 1;
    sum = 0;
  });
  // The last row is not stretched.
  if (first < aspects.length) rows.push(row(aspects, first, aspects.length - first, target));
  return rows;
}

/** A very wide or very tall photo is shown as if it were less so; the style sheet fits it in. */
export const aspectOf = (hit) => Math.min(Math.max(hit.width / hit.height, 0.5), 3);

function row(aspects, first, count, height) {
  return { first, count, height, widths: aspects.slice(first, first + count).map((aspect) => aspect * height) };
}
