// The lists of jobs and documents, and when they are looked at again.

import { get, sentence, session } from "./api.js";
import { openDocument, documentWords } from "./documents.js";
import { jobTone, jobWords, openJob } from "./jobs.js";
import { $, bytes, element, opens, time, told } from "./view.js";

const REFRESH_MS = 2000;
const IDLE_REFRESH_MS = 15000;

function list(view, path, row, filter = () => "") {
  const section = $(`#${view}`), body = $("tbody", section), more = $(".more", section);
  let pages = 1;
  let asked = 0;
  /** The items shown; none if a later call has overtaken this one. */
  async function show() {
    const call = asked += 1;
    const items = [];
    let cursor = null;
    for (let page = 0; page < pages; page += 1) {
      const query = new URLSearchParams({ limit: "50" });
      if (cursor) query.set("cursor", cursor);
      const answer = await get(`${path}?${query}${filter()}`);
      items.push(...answer.items);
      cursor = answer.next_cursor;
      if (!cursor) break;
    }
    if (call !== asked) return [];
    const rows = items.map(row);
    const columns = $("thead tr", section).children.length;
    if (!rows.length) {
      const nothing = element("td", { className: "empty", colSpan: columns }, "Nothing here yet.");
      rows.push(element("tr", {}, nothing));
    }
    const focused = document.activeElement?.dataset?.id;
    body.replaceChildren(...rows);
    if (focused) [...body.children].find((candidate) => candidate.dataset.id === focused)?.focus();
    more.hidden = !cursor;
    return items;
  }
  more.addEventListener("click", () => { pages += 1; refresh(); });
  return { show, restart() { pages = 1; } };
}

function clickable(id, open, ...cells) {
  const made = element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
  made.dataset.id = id;
  return opens(made, open);
}

const jobs = list("jobs", "/jobs", (job) => {
  const failed = job.state === "deadletter" || job.state === "retryable";
  const words = told(jobTone(job), jobWords(job), failed ? job.last_error?.message : "");
  const bar = job.terminal && job.state !== "done" ? "" : element("progress", { max: 100, value: job.progress.total_pct });
  return clickable(job.job_id, () => openJob(job.job_id), job.filename, words, bar, time(job.updated_at));
}, () => $("#job-state").value && `&state=${$("#job-state").value}`);

const documents = list("documents", "/documents", (entry) => clickable(
  entry.document_id, () => openDocument(entry), entry.filename, documentWords(entry),
  entry.page_count ? String(entry.page_count) : "", String(entry.chunks), bytes(entry.bytes_len),
  time(entry.created_at)));

let shown = "jobs", timer = null;

/** Shows the list that is open, and looks again: soon while something moves. */
export async function refresh() {
  clearTimeout(timer);
  if (!session.token) return;
  let wait = IDLE_REFRESH_MS;
  try {
    const items = shown === "jobs" ? await jobs.show() : shown === "documents" ? await documents.show() : [];
    $("#trouble").textContent = "";
    if (items.some((item) => item.terminal === false || ["queued", "working", "retryable"].includes(item.job_state))) {
      wait = REFRESH_MS;
    }
  } catch (error) {
    $("#trouble").textContent = sentence(error);
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, wait);
}

export function showView(view) {
  shown = view;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const selected = tab.dataset.view === view;
    tab.setAttribute("aria-selected", String(selected));
    $(`#${tab.dataset.view}`).hidden = !selected;
  }
  refresh();
}

$("#job-state").addEventListener("change", () => { jobs.restart(); refresh(); });
for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => showView(tab.dataset.view));
