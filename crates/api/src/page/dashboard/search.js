// Search: the hits, what a person says of them, and the page that a hit stands on.

import { call, get, sentence } from "./api.js";
import { hasPictures, openDocument, pagePicture, passage } from "./documents.js";
import { showView } from "./lists.js";
import { $, action, attempt, element, openDetail, opens, place, setActions } from "./view.js";

/** Passages shown on each side of one that was found. */
const NEIGHBOURS = 2;
const MODES = { hybrid: "meaning and words", vector: "meaning", text: "words" };

const form = $("#search form");
let searching = null;
/** The document that alone is searched. */
let within = null;

/** Opens the search of one document. */
export function searchWithin(id, filename) {
  within = { id, filename };
  const clear = action("All documents", async () => { within = null; $("#within").replaceChildren(); });
  $("#within").replaceChildren(`Only in ${filename} `, clear);
  showView("search");
  form.elements.query.focus();
}

/** The server puts ** around the words that match. */
function highlighted(text) {
  return text.split("**").map((part, at) => at % 2 ? element("mark", {}, part) : part);
}

/** Two buttons that say whether a hit answers the question. The pressed one takes it back. */
function verdicts(query, hit) {
  const judged = { id: null, verdict: null };
  const trouble = element("span", { className: "error" });
  const button = (verdict, words) => {
    const made = element("button", { type: "button", className: "verdict", ariaPressed: "false" }, words);
    made.addEventListener("click", async (event) => {
      event.stopPropagation();
      trouble.textContent = "";
      try {
        await judge(verdict);
      } catch (error) {
        trouble.textContent = sentence(error);
      }
      for (const [one, other] of buttons) other.ariaPressed = String(one === judged.verdict);
    });
    return made;
  };
  async function judge(verdict) {
    if (judged.verdict === verdict) {
      await call("DELETE", `/search/judgements/${judged.id}`);
      Object.assign(judged, { id: null, verdict: null });
      return;
    }
    const body = { query, document_id: hit.document_id, chunk_id: hit.chunk_id, verdict };
    const kept = await (await call("POST", "/search/judgements", { body })).json();
    Object.assign(judged, { id: kept.judgement_id, verdict });
  }
  const buttons = [["right", button("right", "Answers it")], ["wrong", button("wrong", "Does not")]];
  return element("div", { className: "verdicts" }, ...buttons.map(([, made]) => made), trouble);
}

function hitLine(query, hit) {
  const where = [place(hit), hit.heading].filter(Boolean).join(" · ");
  const text = element("div", {}, element("strong", {}, hit.filename), " ", element("small", {}, where),
    element("p", {}, ...highlighted(hit.highlight || hit.text)));
  return element("li", {}, opens(text, () => openHit(hit)), verdicts(query, hit));
}

/** The passage that was found: on its page, and between its neighbours. */
function openHit(hit) {
  const signal = openDetail(hit.filename);
  const picture = element("div"), passages = element("ol");
  $("#detail-body").append(picture, passages);
  attempt(async () => {
    const query = new URLSearchParams({ from: String(Math.max(0, hit.ord - NEIGHBOURS)), limit: String(2 * NEIGHBOURS + 1) });
    const [page, entry] = await Promise.all([
      get(`/documents/${hit.document_id}/chunks?${query}`, { signal }), get(`/documents/${hit.document_id}`, { signal })]);
    passages.replaceChildren(...page.items.filter((chunk) => chunk.ord <= hit.ord + NEIGHBOURS)
      .map((chunk) => passage(chunk, chunk.ord === hit.ord ? "found" : "")));
    setActions(action("The document", async () => openDocument(entry)));
    if (hit.page_first && hasPictures(entry)) {
      picture.replaceChildren(await pagePicture(hit.document_id, hit.page_first, hit.chunk_id, signal));
    } else {
      $(".found", passages)?.scrollIntoView({ block: "nearest" });
    }
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = new FormData(form);
  searching?.abort();
  const { signal } = searching = new AbortController();
  $("#search-facts").textContent = "Searching…";
  $("#hits").replaceChildren();
  try {
    const body = { query: asked.get("query"), mode: asked.get("mode"), limit: 10 };
    if (within) body.document_id = within.id;
    const answer = await (await call("POST", "/search", { body, signal })).json();
    if (signal.aborted) return;
    $("#trouble").textContent = "";
    $("#search-facts").textContent = answer.hits.length
      ? `${answer.hits.length} passages in ${answer.took_ms} ms, by ${MODES[answer.mode] ?? answer.mode}`
      : "Nothing was found. Only documents that are complete are searched.";
    $("#hits").replaceChildren(...answer.hits.map((hit) => hitLine(body.query, hit)));
  } catch (error) {
    if (signal.aborted) return;
    $("#search-facts").textContent = "";
    $("#trouble").textContent = sentence(error);
  }
});
