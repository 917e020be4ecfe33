"use strict";
// The dashboard: a client of the API like any other. Everything that comes from a document or the server is set as text,
// never as markup.

const BASE = "api/upload-pipeline";
const REFRESH_MS = 2000;
const IDLE_REFRESH_MS = 15000;
/** Passages shown on each side of one that was found. */
const NEIGHBOURS = 2;

const $ = (selector, within = document) => within.querySelector(selector);

/** An element with a class, children (text or elements) and properties. */
function element(tag, { className = "", ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// ---- who is signed in -------------------------------------------------------------------------------------------

const session = {
  /** Whether the page shows something of it. */
  begun: false,
  get token() { return sessionStorage.getItem("token"); },
  get user() { return sessionStorage.getItem("user"); },
  begin(token, user) {
    sessionStorage.setItem("token", token);
    if (user) sessionStorage.setItem("user", user); else sessionStorage.removeItem("user");
  },
  /** Ends it. The page begins again, so that nothing of it is left: no rows, no dialog, no call under way. */
  end(why = "") {
    sessionStorage.clear();
    if (why) sessionStorage.setItem("why", why);
    location.reload();
  },
  /** Why the one before ended. */
  lastWords() {
    const why = sessionStorage.getItem("why") ?? "";
    sessionStorage.removeItem("why");
    return why;
  },
  /** Whose documents these are, as far as token or key tell. */
  get name() {
    const [, claims, signature] = this.token.split(".");
    if (!signature) return this.user || `the user of the key ${this.token.slice(0, 8)}…`;
    try {
      const { email, sub } = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
      return email || sub;
    } catch {
      return this.user || "the user of a token";
    }
  },
  headers() {
    const headers = { Authorization: `Bearer ${this.token}` };
    if (this.user) headers["X-User-Id"] = this.user;
    return headers;
  },
};

// ---- the API ----------------------------------------------------------------------------------------------------

/** A refusal: its code and the sentence that says what to do. */
class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `The server answered with ${status}.`);
    this.status = status;
    this.code = problem?.code ?? "unexpected_answer";
  }
  get sentence() { return `${this.message} (${this.code})`; }
}

/** What a failed call means for a person. */
function sentence(error) {
  return error instanceof Refused ? error.sentence : `The server cannot be reached: ${error.message}`;
}

async function call(method, path, { body, headers = {}, signal } = {}) {
  const init = { method, headers: { ...session.headers(), ...headers }, signal };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(BASE + path, init);
  if (!answer.ok) {
    const refused = new Refused(answer.status, await answer.json().catch(() => null));
    if (refused.status === 401 && session.begun) session.end(refused.sentence);
    throw refused;
  }
  return answer;
}

const get = async (path, options) => (await call("GET", path, options)).json();

/** One file, with its progress; fetch tells nothing of what was sent. */
function sendFile(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file, file.name);
    request.open("POST", `${BASE}/documents`);
    for (const [name, value] of Object.entries(session.headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Error("the connection broke"));
    request.onload = () => {
      let answer = null;
      try { answer = JSON.parse(request.responseText); } catch { /* no JSON: told by the status */ }
      if (request.status === 202) resolve(answer.documents[0]);
      else reject(new Refused(request.status, answer));
    };
    request.send(form);
  });
}

// ---- words ------------------------------------------------------------------------------------------------------

const time = (text) => text ? new Date(text).toLocaleString() : "";
const bytes = (count) => count < 1024 ? `${count} B` : count < 1048576 ? `${(count / 1024).toFixed(0)} KiB`
  : `${(count / 1048576).toFixed(1)} MiB`;

function jobTone(job) {
  if (job.state === "deadletter") return "bad";
  if (job.state === "done") return "good";
  return job.state === "cancelled" ? "" : "wait";
}

const STATES = {
  queued: "waits for a worker", working: "is being worked on", retryable: "failed, will be tried again", deadletter: "failed",
  cancelled: "cancelled",
};

function jobWords(job) {
  if (job.upload_expires_at) return "waiting for the bytes";
  return job.state === "done" ? job.status : `${STATES[job.state] ?? job.state}, at ${job.status}`;
}

/** A status in words, and below it why it is so. */
function told(tone, words, why) {
  const status = element("span", { className: tone }, words);
  return why ? element("div", {}, status, element("p", { className: "why" }, why)) : status;
}

// ---- lists ------------------------------------------------------------------------------------------------------

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

/** Enter opens, and is not also a click on what has the focus then. */
function opens(made, open) {
  made.tabIndex = 0;
  made.addEventListener("click", open);
  made.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    open();
  });
  return made;
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

/** The status of a document stays where it was when its job was cancelled. */
const documentWords = (entry) => ["cancelled", "deadletter"].includes(entry.job_state)
  ? `${STATES[entry.job_state]}, at ${entry.processing_status}` : entry.processing_status ?? "";

const documents = list("documents", "/documents", (entry) => clickable(
  entry.document_id, () => openDocument(entry), entry.filename, documentWords(entry),
  entry.page_count ? String(entry.page_count) : "", String(entry.chunks), bytes(entry.bytes_len),
  time(entry.created_at)));

let shown = "jobs", timer = null;

async function refresh() {
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

function showView(view) {
  shown = view;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const selected = tab.dataset.view === view;
    tab.setAttribute("aria-selected", String(selected));
    $(`#${tab.dataset.view}`).hidden = !selected;
  }
  refresh();
}

// ---- one job, one document --------------------------------------------------------------------------------------

const detail = $("#detail");
let watching = null;

function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", {}, ...known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function openDetail(title) {
  watching?.abort();
  watching = new AbortController();
  $("#detail-title").textContent = title;
  $("#detail-error").textContent = "";
  $("#detail-body").replaceChildren();
  $("#detail-actions").replaceChildren(element("button", { type: "button", onclick: () => detail.close() }, "Close"));
  if (!detail.open) detail.showModal();
  return watching.signal;
}

detail.addEventListener("close", () => { watching?.abort(); refresh(); });

/** Runs what a button asks for, and says why where it is refused. */
async function attempt(action) {
  try {
    $("#detail-error").textContent = "";
    await action();
  } catch (error) {
    if (error.name !== "AbortError") $("#detail-error").textContent = sentence(error);
  }
}

function action(words, run, className = "") {
  const button = element("button", { type: "button", className }, words);
  button.addEventListener("click", () => attempt(run));
  return button;
}

function openJob(id) {
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
    actions.push(action("Delete the document", () => remove(job.document_id, job.filename), "danger"));
  }
  actions.push(element("button", { type: "button", onclick: () => detail.close() }, "Close"));
  $("#detail-actions").replaceChildren(...actions);
}

async function change(job, what, body) {
  await call("POST", `/jobs/${job.job_id}/${what}`, { body });
  openJob(job.job_id);
}

async function remove(id, filename) {
  if (!confirm(`Delete ${filename}, its passages and its stored file?`)) return;
  await call("DELETE", `/documents/${id}`);
  detail.close();
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
    if (!ended && !signal.aborted) await new Promise((resume) => setTimeout(resume, REFRESH_MS));
  }
}

/** A passage, with its place. */
function passage(chunk, className = "") {
  return element("li", { className }, element("small", {}, [place(chunk), chunk.heading].filter(Boolean).join(" · ")),
    element("p", {}, chunk.text));
}

/** The passage that was found, between its neighbours. */
function openHit(hit) {
  const signal = openDetail(hit.filename);
  const passages = element("ol");
  $("#detail-body").append(passages);
  attempt(async () => {
    const query = new URLSearchParams({ from: String(Math.max(0, hit.ord - NEIGHBOURS)), limit: String(2 * NEIGHBOURS + 1) });
    const [page, entry] = await Promise.all([
      get(`/documents/${hit.document_id}/chunks?${query}`, { signal }), get(`/documents/${hit.document_id}`, { signal })]);
    passages.replaceChildren(...page.items.filter((chunk) => chunk.ord <= hit.ord + NEIGHBOURS)
      .map((chunk) => passage(chunk, chunk.ord === hit.ord ? "found" : "")));
    $(".found", passages)?.scrollIntoView({ block: "nearest" });
    $("#detail-actions").prepend(action("The document", async () => openDocument(entry)));
  });
}

function openDocument(entry) {
  const signal = openDetail(entry.filename);
  const passages = element("ol");
  $("#detail-body").append(facts([
    ["Status", documentWords(entry)], ["Kind", entry.kind], ["Size", bytes(entry.bytes_len)],
    ["SHA-256", entry.sha256], ["Document", entry.document_id],
  ]), passages);
  $("#detail-actions").prepend(action("Delete", () => remove(entry.document_id, entry.filename), "danger"));
  if (entry.job_id) $("#detail-actions").prepend(action("Its job", async () => openJob(entry.job_id)));
  let cursor = null;
  const more = element("button", { type: "button", hidden: true }, "More passages");
  $("#detail-body").append(more);
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

function place(chunk) {
  if (!chunk.page_first) return "";
  return chunk.page_last > chunk.page_first ? `pages ${chunk.page_first}–${chunk.page_last}` : `page ${chunk.page_first}`;
}

// ---- uploads ----------------------------------------------------------------------------------------------------

async function upload(files) {
  for (const file of files) {
    const bar = element("progress", { max: 1, value: 0 });
    const outcome = element("span", { className: "outcome" }, bar);
    $("#uploads").append(element("li", {}, element("span", { className: "name" }, file.name), outcome));
    try {
      const taken = await sendFile(file, (share) => { bar.value = share; });
      outcome.replaceChildren(opens(element("span", { className: "link" }, "taken in"), () => openJob(taken.job_id)));
    } catch (error) {
      if (error.status === 401) return session.end(sentence(error));
      outcome.replaceChildren(element("span", { className: "bad" }, sentence(error)));
    }
    refresh();
  }
}

const drop = $("#drop");
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  upload([...event.dataTransfer.files]);
});
$("#files").addEventListener("change", (event) => { upload([...event.target.files]); event.target.value = ""; });

// ---- search -----------------------------------------------------------------------------------------------------

/** The server puts ** around the words that match. */
function highlighted(text) {
  return text.split("**").map((part, at) => at % 2 ? element("mark", {}, part) : part);
}

let searching = null;

$("#search form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = new FormData(event.target);
  searching?.abort();
  const { signal } = searching = new AbortController();
  $("#search-facts").textContent = "Searching…";
  $("#hits").replaceChildren();
  try {
    const body = { query: asked.get("query"), mode: asked.get("mode"), limit: 10 };
    const answer = await (await call("POST", "/search", { body, signal })).json();
    if (signal.aborted) return;
    $("#trouble").textContent = "";
    $("#search-facts").textContent = answer.hits.length
      ? `${answer.hits.length} passages in ${answer.took_ms} ms, by ${answer.mode === "hybrid" ? "meaning and words" : answer.mode}`
      : "Nothing was found. Only documents that are complete are searched.";
    $("#hits").replaceChildren(...answer.hits.map((hit) => opens(element("li", {},
      element("strong", {}, hit.filename), " ", element("small", {}, [place(hit), hit.heading].filter(Boolean).join(" · ")),
      element("p", {}, ...highlighted(hit.highlight || hit.text))), () => openHit(hit))));
  } catch (error) {
    if (signal.aborted) return;
    $("#search-facts").textContent = "";
    $("#trouble").textContent = sentence(error);
  }
});

// ---- start ------------------------------------------------------------------------------------------------------

async function showDeployment() {
  setTimeout(showDeployment, IDLE_REFRESH_MS);
  try {
    const health = await (await fetch("health")).json();
    const bad = Object.entries(health.checks).filter(([, answer]) => answer !== "ok");
    $("#deployment").textContent = [health.environment, `${health.version} (${health.commit.slice(0, 7)})`,
      bad.length ? bad.map(([name, answer]) => `${name}: ${answer}`).join("; ") : "ready"].join(" · ");
    $("#deployment").className = bad.length ? "bad" : "";
    return health.environment;
  } catch {
    $("#deployment").textContent = "the server cannot be reached";
    $("#deployment").className = "bad";
    return null;
  }
}

function showSignIn(why) {
  $("#signed-out").hidden = false;
  $("#sign-in-error").textContent = why;
}

function showDocuments(notice) {
  session.begun = true;
  $("#signed-in").hidden = false;
  $("#signed-out").hidden = true;
  $("#sign-out").hidden = false;
  $("#who").textContent = `Signed in as ${session.name}`;
  $("#notice").textContent = notice;
  showView("jobs");
}

$("#sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  session.begin(form.get("token").trim(), form.get("user").trim());
  try {
    await get("/jobs?limit=1");
    event.target.reset();
    showDocuments("");
  } catch (error) {
    sessionStorage.clear();
    showSignIn(sentence(error));
  }
});
$("#sign-out").addEventListener("click", () => session.end());
$("#job-state").addEventListener("change", () => { jobs.restart(); refresh(); });
for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => showView(tab.dataset.view));

/** `app dev` prints a link that carries its token behind the #, which browsers do not send. It does not stay in the bar. It
 *  signs in only there, and never in place of another: a link from elsewhere must not change whose documents these are. */
async function begin() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(null, "", location.pathname);
  const environment = await showDeployment();
  const why = session.lastWords();
  if (!given || given === session.token) return session.token ? showDocuments("") : showSignIn(why);
  if (session.token) return showDocuments("The link that was opened carries another sign-in, and was not followed. Sign out first.");
  if (environment !== "development") return showSignIn("Links that sign in work in development only. Sign in here.");
  session.begin(given);
  return showDocuments("");
}
begin();
