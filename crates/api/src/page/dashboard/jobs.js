// One job, with its live timeline.

import { call, get } from "./api.js";
import { removeDocument } from "./documents.js";
import { $, action, attempt, element, facts, openDetail, setActions, time } from "./view.js";

/** Between two tries to connect to a timeline that broke off. */
const AGAIN_MS = 2000;

export const STATES = {
  queued: "waits for a worker", working: "is being worked on", retryable: "failed, will be tried again", deadletter: "failed",
  cancelled: "cancelled",
};

export function jobTone(job) {
  if (job.state === "deadletter") return "bad";
  if (job.state === "done") return "good";
  return job.state === "cancelled" ? "" : "wait";
}

export function jobWords(job) {
  if (job.upload_expires_at) return "waiting for the bytes";
  return job.state === "done" ? job.status : `${STATES[job.state] ?? job.state}, at ${job.status}`;
}

export function openJob(id) {
  const signal = openDetail("Job");
  const head = element("div"), line = element("ol");
  $("#detail-body").append(head, line);
  const show = (job) => showJob(job, head);
  attempt(async () => {
    show(await get(`/jobs/${id}`, { signal }));
    await watch(id, signal, (name, data) => {
      if (name === "job") show(data);
      else if (name === "end") { if (!data.deleted) show(data); }
      else line.append(eventLine(data));
    });
  });
}

function showJob(job, head) {
  $("#detail-title").textContent = job.filename;
  const error = job.last_error;
  const counts = job.progress;
  head.replaceChildren(facts([
    ["Status", element("span", { className: jobTone(job) }, jobWords(job))],
    ["Progress", `${counts.total_pct} %`],
    ["Pages", counts.pages ? String(counts.pages) : ""],
    ["Passages", counts.chunks ? `${counts.embedded ?? 0} of ${counts.chunks} embedded` : ""],
    [job.terminal ? "Why" : "Last failure", error?.message ? `${error.message} (${error.code})` : ""],
    ["Bytes", error?.bytes_removed_at ? "They were removed; upload the file again." : ""],
    ["Failed tries", job.retry_count ? String(job.retry_count) : ""],
    ["Next look", time(job.run_at)],
    ["Job", job.job_id],
  ]));
  const actions = [];
  if (!job.terminal) actions.push(action("Cancel", () => change(job, "cancel")));
  if (job.state === "deadletter" || job.state === "cancelled" || job.state === "retryable") {
    actions.push(action("Try again", () => change(job, "retry", {})));
  }
  if (job.terminal) {
    actions.push(action("From the start", () => change(job, "retry", { from: "uploaded" })));
    actions.push(action("Delete the document", () => removeDocument(job.document_id, job.filename), "danger"));
  }
  setActions(...actions);
}

async function change(job, what, body) {
  await call("POST", `/jobs/${job.job_id}/${what}`, { body });
  openJob(job.job_id);
}

function eventLine(event) {
  const tone = { error: "bad", warn: "wait" }[event.severity] ?? "";
  const message = event.payload?.message ?? event.payload?.error?.message ?? "";
  return element("li", {}, element("small", {}, `${time(event.ts)}  `),
    element("span", { className: tone }, `${event.type} ${event.code}`), message ? `: ${message}` : "");
}

/** Reads the live timeline to its end; connects again behind the last event where it breaks off. */
async function watch(id, signal, tell) {
  let last = null, ended = false;
  while (!ended && !signal.aborted) {
    const headers = { Accept: "text/event-stream" };
    if (last) headers["Last-Event-ID"] = last;
    const answer = await call("GET", `/jobs/${id}/events`, { headers, signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read().catch(() => ({ done: true }));
      if (done) break;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((one) => one.split(/: ?(.*)/s, 2)));
        if (fields.data === undefined) continue;
        if (fields.id) last = fields.id;
        tell(fields.event, JSON.parse(fields.data));
        ended = fields.event === "end";
      }
    }
    if (!ended && !signal.aborted) await new Promise((resume) => setTimeout(resume, AGAIN_MS));
  }
}
