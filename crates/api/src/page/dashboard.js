// The dashboard: a client of the API like any other. Here it signs in and begins.

import { get, sentence, session } from "./dashboard/api.js";
import { refresh, showView } from "./dashboard/lists.js";
import { $, detail } from "./dashboard/view.js";
import "./dashboard/uploads.js";

/** Between two looks at how the service is. */
const HEALTH_MS = 15000;

async function showDeployment() {
  setTimeout(showDeployment, HEALTH_MS);
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
detail.addEventListener("close", refresh);

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
