// Who is signed in, and the calls that are made in their name.

const BASE = "api/upload-pipeline";

export const session = {
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

/** A refusal: its code and the sentence that says what to do. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `The server answered with ${status}.`);
    this.status = status;
    this.code = problem?.code ?? "unexpected_answer";
  }
  get sentence() { return `${this.message} (${this.code})`; }
}

/** What a failed call means for a person. */
export function sentence(error) {
  return error instanceof Refused ? error.sentence : `The server cannot be reached: ${error.message}`;
}

export async function call(method, path, { body, headers = {}, signal } = {}) {
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

export const get = async (path, options) => (await call("GET", path, options)).json();

/** One file, with its progress; fetch tells nothing of what was sent. The job that was accepted. */
export function sendFile(file, onProgress, { method = "POST", path = "/documents" } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file, file.name);
    request.open(method, BASE + path);
    for (const [name, value] of Object.entries(session.headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Error("the connection broke"));
    request.onload = () => {
      let answer = null;
      try { answer = JSON.parse(request.responseText); } catch { /* no JSON: told by the status */ }
      if (request.status === 202) resolve(answer.documents?.[0] ?? answer);
      else reject(new Refused(request.status, answer));
    };
    request.send(form);
  });
}
