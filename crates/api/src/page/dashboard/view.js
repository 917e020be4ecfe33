// What all parts of the page are made of. Everything that comes from a document or the server is set as text, never as
// markup.

import { sentence } from "./api.js";

export const $ = (selector, within = document) => within.querySelector(selector);

/** An element with a class, children (text or elements) and properties. */
export function element(tag, { className = "", ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export const time = (text) => text ? new Date(text).toLocaleString() : "";
export const bytes = (count) => count < 1024 ? `${count} B` : count < 1048576 ? `${(count / 1024).toFixed(0)} KiB`
  : `${(count / 1048576).toFixed(1)} MiB`;

/** A status in words, and below it why it is so. */
export function told(tone, words, why) {
  const status = element("span", { className: tone }, words);
  return why ? element("div", {}, status, element("p", { className: "why" }, why)) : status;
}

/** Pairs of a name and a value; those without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", {}, ...known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

/** Where a passage stands, as far as its format has pages. */
export function place(chunk) {
  if (!chunk.page_first) return "";
  return chunk.page_last > chunk.page_first ? `pages ${chunk.page_first}–${chunk.page_last}` : `page ${chunk.page_first}`;
}

/** Enter opens, and is not also a click on what has the focus then. */
export function opens(made, open) {
  made.tabIndex = 0;
  made.addEventListener("click", open);
  made.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== made) return;
    event.preventDefault();
    open();
  });
  return made;
}

// ---- the dialog -------------------------------------------------------------------------------------------------

export const detail = $("#detail");
let watching = null;

/** Empties the dialog and opens it. What it loads ends with the signal: when it closes, or shows something else. */
export function openDetail(title) {
  watching?.abort();
  watching = new AbortController();
  $("#detail-title").textContent = title;
  $("#detail-error").textContent = "";
  $("#detail-body").replaceChildren();
  setActions();
  if (!detail.open) detail.showModal();
  return watching.signal;
}

detail.addEventListener("close", () => watching?.abort());

/** The dialog's buttons, with the one that closes it. */
export function setActions(...actions) {
  const close = element("button", { type: "button", onclick: () => detail.close() }, "Close");
  $("#detail-actions").replaceChildren(...actions, close);
}

/** Runs what a button asks for, and says why where it is refused. */
export async function attempt(run) {
  try {
    $("#detail-error").textContent = "";
    await run();
  } catch (error) {
    if (error.name !== "AbortError") $("#detail-error").textContent = sentence(error);
  }
}

export function action(words, run, className = "") {
  const button = element("button", { type: "button", className }, words);
  button.addEventListener("click", async () => {
    button.disabled = true;
    await attempt(run);
    button.disabled = false;
  });
  return button;
}
