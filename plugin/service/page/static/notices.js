// Short messages, and copying to the clipboard.

import { byId, h } from "./dom.js";
import { t } from "./text.js";

const SHOWN_MS = 6000;

/** Shows a sentence for a while. Within an open dialog, as nothing outside it is seen or read out. */
export function say(text, isError = false) {
  const toasts = byId("toasts");
  topmost().append(toasts);
  const toast = h("div", { class: isError ? "toast error" : "toast" }, text);
  toasts.append(toast);
  setTimeout(() => toast.remove(), SHOWN_MS);
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS on another machine there is no clipboard API.
    const area = h("textarea", { class: "unseen" });
    area.value = text;
    topmost().append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(t("copied"));
}

const topmost = () => [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
