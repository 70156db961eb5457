// node render.mjs CONCEPTS.json OUT: writes OUT/<style>/<key>.png for every icon that CONCEPTS names, 448 px wide.
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const WIDTH = 448; // The reader trims to the drawing and scales down.
const CHILDREN = 2;

function svgOf(set, key) {
  const icon = set.icons[key];
  if (!icon) throw new Error("no such icon");
  const width = icon.width ?? set.width ?? 16;
  const height = icon.height ?? set.height ?? 16;
  const view = `${icon.left ?? set.left ?? 0} ${icon.top ?? set.top ?? 0} ${width} ${height}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="${view}">${icon.body}</svg>`;
}

async function renderStyle(style, out) {
  const { Resvg } = await import("@resvg/resvg-js");
  const set = JSON.parse(fs.readFileSync(`node_modules/@iconify-json/${style}/icons.json`, "utf8"));
  for await (const key of createInterface({ input: process.stdin })) {
    fs.writeSync(1, `${key}\n`); // Named before it is drawn, so that the parent knows which one aborted us.
    try {
      const image = new Resvg(svgOf(set, key), { fitTo: { mode: "width", value: WIDTH } }).render();
      fs.writeFileSync(path.join(out, style, `${key}.png`), image.asPng());
    } catch (error) {
      console.error(`skipped ${style}:${key}: ${error.message}`);
    }
  }
}

function child(style, keys, out) {
  return new Promise((resolve) => {
    const script = fileURLToPath(import.meta.url);
    const node = spawn(process.execPath, [script, "--style", style, out], { stdio: ["pipe", "pipe", "pipe"] });
    const begun = [];
    const complaints = [];
    createInterface({ input: node.stdout }).on("line", (key) => begun.push(key));
    createInterface({ input: node.stderr }).on("line", (line) => complaints.push(line));
    node.stdin.on("error", () => {}); // A child that aborts leaves its input unread.
    node.stdin.end(keys.map((key) => `${key}\n`).join(""));
    node.on("close", (code) => resolve({ code, begun, complaints }));
  });
}

// resvg aborts the whole process on a few drawings: what is left goes to a fresh child.
async function renderKeys(style, keys, out) {
  fs.mkdirSync(path.join(out, style), { recursive: true });
  while (keys.length) {
    const { code, begun, complaints } = await child(style, keys, out);
    for (const line of complaints.filter((text) => text.startsWith("skipped"))) console.error(line);
    if (code === 0) return;
    if (!begun.length) throw new Error(`cannot draw ${style}: ${complaints.join(" ")}`);
    console.error(`skipped ${style}:${begun.at(-1)}: aborted the renderer`);
    keys = keys.slice(begun.length);
  }
}

async function renderAll(concepts, out) {
  const keys = new Map();
  for (const concept of JSON.parse(fs.readFileSync(concepts, "utf8"))) {
    for (const [style, names] of Object.entries(concept.icons)) {
      keys.set(style, [...(keys.get(style) ?? []), ...names]);
    }
  }
  const waiting = [...keys];
  const worker = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) await renderKeys(next[0], next[1], out);
  };
  await Promise.all(Array.from({ length: CHILDREN }, worker));
}

const [first, second, third] = process.argv.slice(2);
if (first === "--style") await renderStyle(second, third);
else await renderAll(first, second);
