// One document: how it was read, its passages, its files and its versions.

import { call, get, sendFile } from "./api.js";
import { openJob, STATES } from "./jobs.js";
import { searchWithin } from "./search.js";
import { $, action, attempt, bytes, detail, element, facts, openDetail, place, setActions, time } from "./view.js";

/** What of a document has pages that can be shown. */
const SHOWN_KINDS = ["pdf", "png", "jpeg", "tiff"];

/** The status of a document stays where it was when its job was cancelled. */
export const documentWords = (entry) => ["cancelled", "deadletter"].includes(entry.job_state)
  ? `${STATES[entry.job_state]}, at ${entry.processing_status}` : entry.processing_status ?? "";

export async function removeDocument(id, filename) {
  if (!confirm(`Delete ${filename}, its passages and its stored file?`)) return;
  await call("DELETE", `/documents/${id}`);
  detail.close();
}

/** A passage, with its place. */
export function passage(chunk, className = "") {
  return element("li", { className }, element("small", {}, [place(chunk), chunk.heading].filter(Boolean).join(" · ")),
    element("p", {}, chunk.text));
}

export const hasPictures = (entry) => SHOWN_KINDS.includes(entry.kind);

/** A page as a picture, the passage's places marked; it is opened large in a tab of its own. */
export async function pagePicture(id, page, chunk, signal) {
  const answer = await call("GET", `/documents/${id}/pages/${page}.png?boxes=${chunk}`, { signal });
  const src = URL.createObjectURL(await answer.blob());
  signal.addEventListener("abort", () => URL.revokeObjectURL(src));
  return element("figure", {}, element("img", { src, alt: `Page ${page}` }), element("figcaption", {}, `page ${page}`));
}

/** How the pages fared, in words. */
function readWords({ pages, read, ocr, empty, failed }) {
  if (!pages) return "";
  const parts = [[read, "read"], [ocr, "by OCR"], [empty, "without text"], [failed, "failed"]];
  return `${pages}: ${parts.filter(([count]) => count).map(([count, words]) => `${count} ${words}`).join(", ")}`;
}

function documentFacts(entry) {
  const record = entry.record;
  const notices = record?.notices.map((notice) => element("p", { className: record.failed ? "wait" : "" }, notice)) ?? [];
  return facts([
    ["Status", documentWords(entry)],
    ["Kind", entry.kind],
    ["Size", bytes(entry.bytes_len)],
    ["Pages", record ? readWords(record) : entry.page_count ? String(entry.page_count) : ""],
    ["Passages", String(entry.chunks)],
    ["To know", notices.length ? element("div", {}, ...notices) : ""],
    ["Cost", entry.cost_cents ? `${entry.cost_cents} cents` : ""],
    ["SHA-256", entry.sha256],
    ["Document", entry.document_id],
  ]);
}

export function openDocument(entry) {
  const signal = openDetail(entry.filename);
  const versions = element("div"), passages = element("ol");
  const more = element("button", { type: "button", hidden: true }, "More passages");
  $("#detail-body").append(documentFacts(entry), versions, passages, more);
  showActions(entry);
  attempt(() => showVersions(entry, versions, signal));
  let cursor = null;
  const load = () => attempt(async () => {
    const query = cursor ? `?cursor=${encodeURIComponent(cursor)}` : "";
    const page = await get(`/documents/${entry.document_id}/chunks${query}`, { signal });
    passages.append(...page.items.map((chunk) => passage(chunk)));
    cursor = page.next_cursor;
    more.hidden = !cursor;
  });
  more.addEventListener("click", load);
  load();
}

function showActions(entry) {
  const { document_id: id, filename } = entry;
  const actions = [];
  if (entry.chunks) {
    actions.push(action("Search in it", async () => { detail.close(); searchWithin(id, filename); }));
    actions.push(action("Its text", () => save(`/documents/${id}/markdown`, `${filename}.md`)));
  }
  actions.push(action("The file", () => save(`/documents/${id}/file`, filename)));
  actions.push(action("Replace…", () => replace(id)));
  if (entry.job_id) actions.push(action("Its job", async () => openJob(entry.job_id)));
  actions.push(action("Delete", () => removeDocument(id, filename), "danger"));
  setActions(...actions);
}

/** Saves what an address answers; the sign-in is a header, so a plain link cannot. */
async function save(path, name) {
  const href = URL.createObjectURL(await (await call("GET", path)).blob());
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

/** Asks for a file, and sends it as the document's next version. */
async function replace(id) {
  const file = await new Promise((resolve) => {
    const input = element("input", { type: "file" });
    input.addEventListener("change", () => resolve(input.files[0]));
    input.addEventListener("cancel", () => resolve(null));
    input.click();
  });
  if (!file) return;
  const accepted = await sendFile(file, () => {}, { method: "PUT", path: `/documents/${id}` });
  openJob(accepted.job_id);
}

/** The versions, if there is more than one. */
async function showVersions(entry, into, signal) {
  const id = entry.document_id;
  const { items } = await get(`/documents/${id}/versions`, { signal });
  if (items.length < 2) return;
  const restore = async (version) => {
    const answer = await call("POST", `/documents/${id}/versions/${version.version_no}/restore`);
    openJob((await answer.json()).job_id);
  };
  const line = (version) => element("li", {},
    `${version.version_no}: ${version.filename}, ${bytes(version.bytes_len)}, ${version.state} `,
    element("small", {}, time(version.created_at)), " ",
    ...(version.state === "previous" ? [action("Restore", () => restore(version))] : []));
  into.append(element("h3", {}, "Versions"), element("ul", {}, ...items.map(line)));
}
