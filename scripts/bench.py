#!/usr/bin/env python3
"""Uploads documents over HTTP to its own `app dev` and measures the time until they are `complete`.

First one at a time, which shows where the time goes, then all at once, which shows what the machine can do.
Prints tables, with the figures that each part reached alone. Documents that the app refuses, such as scans
without text, are listed with their code and left out of every figure.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from bench_processes import LINUX, Processes

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE_PATH = "/api/upload-pipeline"
STEPS = ("parse", "validate", "chunk", "embed", "finish")
# What to reach: measured for each part alone (pure-Rust PDF parser, MiniLM-L6 in f32) on one core of a server of 2024.
# "set" is a mix of 15 PDFs, "manual" a health plan's booklet of 232 pages and 514 chunks.
CEILINGS = {
    "parse": "130 (set), 250 (manual)",
    "embed": "20 (256 tokens), 25.6 (manual)",
    "end_to_end": "10 (manual)",
    "memory_app": "300",
    "memory_parser": "220",
}
MIME_TYPES = {
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".html": "text/html",
    ".htm": "text/html",
    ".md": "text/markdown",
    ".txt": "text/plain",
}
LOOK_SECONDS = 0.02
LOOK_ALL_SECONDS = 0.05
UPLOADS_AT_ONCE = 4
LEAST_SECONDS = 0.1
START_SECONDS = 180
# A parse may take 120 s, and 500 pages of chunks some minutes to embed.
DOCUMENT_SECONDS = 900


class BenchError(Exception):
    """Ends the benchmark; the text says why."""


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=ROOT / "samples", help="default: samples/")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--no-embed", action="store_true", help="leave out the comparison with Python's onnxruntime")
    return parser.parse_args()


def documents_in(folder):
    """The folder's documents, each content once, without hostile files, READMEs and expected results."""
    found, seen = [], set()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        aside = "hostile" in inside.parts or any(part.startswith(".") for part in inside.parts)
        described = path.name.startswith("README") or path.name.endswith(".expected.md")
        if aside or described or path.suffix.lower() not in MIME_TYPES or not path.is_file():
            continue
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 not in seen:
            seen.add(sha256)
            found.append(Document(path, str(inside), sha256))
    if not found:
        raise BenchError(f"{folder} has no document that can be parsed ({' '.join(MIME_TYPES)})")
    return found


class Document:
    """A file and its results in one run."""

    def __init__(self, path, name, sha256):
        self.path, self.name, self.sha256 = path, name, sha256
        self.job_id = self.refused = self.failed = None
        self.pages = self.chunks = 0
        self.upload_seconds = self.wall_seconds = 0.0
        self.steps = dict.fromkeys(STEPS, 0.0)
        self.cpu = None

    def again(self):
        return Document(self.path, self.name, self.sha256)

    @property
    def complete(self):
        return self.refused is None and self.failed is None


class Refused(Exception):
    """The API refused a request."""

    def __init__(self, status, problem):
        super().__init__(f"{status}: {problem.get('detail', '')} [{problem.get('code', '')}]")
        self.status, self.code = status, problem.get("code", f"http_{status}")


class Api:
    def __init__(self, url, token):
        self.url, self.token = url, token
        # Without the environment's proxy, since the API is on this machine.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, path, body=None):
        """JSON to and from a path below the base path."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return self.send(method, self.url + BASE_PATH + path, data, headers)

    def send(self, method, url, data, headers):
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with self.opener.open(request, timeout=60) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            try:
                problem = json.loads(error.read())
            except ValueError:
                problem = {}
            raise Refused(error.code, problem) from None

    def items(self, path):
        """Every item of a list."""
        cursor = ""
        while True:
            page = self.call("GET", f"{path}?limit=100{cursor}")
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            cursor = f"&cursor={page['next_cursor']}"

    def delete_all(self):
        for document in list(self.items("/documents")):
            self.call("DELETE", f"/documents/{document['document_id']}")

    def upload(self, document):
        """Uploads the bytes, or writes the refusal down in the document."""
        data, mime = document.path.read_bytes(), MIME_TYPES[document.path.suffix.lower()]
        announced = {
            "filename": document.path.name,
            "bytes_len": len(data),
            "mime": mime,
            "sha256": document.sha256,
        }
        begun = time.monotonic()
        try:
            accepted = self.call("POST", "/upload", announced)
            url = accepted["signed_url"]
            url = self.url + url if url.startswith("/") else url
            self.send("PUT", url, data, {"Content-Type": mime})
            document.job_id = accepted["job_id"]
        except Refused as refused:
            if refused.status not in (413, 415, 422):
                raise BenchError(f"the upload of {document.name} ended with {refused}") from None
            document.refused = refused.code
        document.upload_seconds = time.monotonic() - begun

    def follow(self, document, look_seconds):
        """Waits for the end of the document's job."""
        deadline = time.monotonic() + DOCUMENT_SECONDS
        while True:
            job = self.call("GET", f"/jobs/{document.job_id}")
            if job["terminal"]:
                break
            if time.monotonic() > deadline:
                document.failed = f"still {job['status']} after {DOCUMENT_SECONDS} s"
                return
            time.sleep(look_seconds)
        document.pages, document.chunks = job["progress"].get("pages") or 0, job["progress"].get("chunks") or 0
        error = job.get("last_error") or {}
        if job["status"] == "complete":
            return
        if error.get("class") == "document":
            document.refused = error["code"]
        else:
            document.failed = f"{job['status']}: {error.get('code')}"

    def read_steps(self, document):
        for event in self.items(f"/jobs/{document.job_id}/events"):
            payload = event.get("payload") or {}
            step = {"stage_done": payload.get("step"), "finalized": "finish"}.get(event["type"])
            if step in document.steps:
                document.steps[step] += payload["duration_ms"] / 1000


@contextlib.contextmanager
def app_dev(binary):
    """Runs `app dev` with its own data folder; yields its API and its processes, and removes the folder."""
    # Below /var/tmp: as root, the database runs as another user, who needs access to the folder.
    with tempfile.TemporaryDirectory(prefix="app-bench-", dir="/var/tmp") as outer:
        os.chmod(outer, 0o711)
        folder, log = pathlib.Path(outer, "dev"), pathlib.Path(outer, "log")
        own = {"APP_DEV_DIR": str(folder), "API_HOST": "127.0.0.1", "API_PORT": "0", "API_RATE_PER_MINUTE": "0"}
        env = {name: value for name, value in os.environ.items() if name != "PORT"} | own | {"UPLOADS_PER_DAY": "0"}
        with open(log, "wb") as stderr:
            app = subprocess.Popen(
                [binary, "dev"], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                # Ctrl-C reaches only this program, which then stops `app dev`.
                start_new_session=True,
            )
        try:
            wait_until_running(app, log)
            api = Api((folder / "api.url").read_text().strip(), (folder / "token").read_text().strip())
            pid_file = next(folder.glob("postgres/**/postmaster.pid"), None)
            if pid_file is None:
                raise BenchError(f"there is no postmaster.pid below {folder}: did `app dev` change its folders?")
            processes = Processes(app.pid, int(pid_file.read_text().split()[0]))
            processes.start()
            try:
                yield api, processes
            finally:
                processes.stop()
        finally:
            end(app, binary, env)


def wait_until_running(app, log):
    """Waits until the samples of the first start are complete; by then the model and the database are warm."""
    running = threading.Event()

    def read():
        for line in app.stdout:
            if line.startswith(b"app dev is running"):
                running.set()

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while not running.wait(0.1):
        if app.poll() is not None or time.monotonic() > deadline:
            last = log.read_text(errors="replace")[-2000:]
            raise BenchError(f"`app dev` did not start; the end of its log:\n{last}")


def end(app, binary, env):
    if app.poll() is None:
        app.send_signal(signal.SIGINT)
    try:
        app.wait(60)
    except subprocess.TimeoutExpired:
        print("bench: `app dev` did not end within 60 s; killing it", file=sys.stderr)
        app.kill()
        app.wait()
    reset = subprocess.run([binary, "dev", "reset"], cwd=ROOT, env=env, capture_output=True, check=False)
    if reset.returncode:
        print(f"bench: `app dev reset` failed: {reset.stderr.decode(errors='replace')}", file=sys.stderr)


def run_one_by_one(api, processes, documents):
    for document in documents:
        before, begun = processes.cpu(), time.monotonic()
        api.upload(document)
        if document.job_id:
            api.follow(document, LOOK_SECONDS)
        document.wall_seconds = time.monotonic() - begun
        document.cpu = processes.cpu().since(before)
        if document.job_id:
            api.read_steps(document)
        say_progress(f"{document.name}: {document.refused or document.failed or f'{document.wall_seconds:.1f} s'}")


def run_all_at_once(api, processes, documents):
    """Seconds from the first upload to the last document's end, and the CPU time."""
    before, begun = processes.cpu(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        list(pool.map(api.upload, documents))
    # One after the other: only the last end counts, and polling all of them would load the API.
    for document in documents:
        if document.job_id:
            api.follow(document, LOOK_ALL_SECONDS)
    return time.monotonic() - begun, processes.cpu().since(before)


def say_progress(text):
    if sys.stderr.isatty():
        print(f"bench: {text}", file=sys.stderr)


def rate(count, seconds):
    """A count per second; None without a count, or for a time too short for CPU time, which has steps of 10 ms."""
    return count / seconds if count and seconds and seconds >= LEAST_SECONDS else None


def total_cpu(cpu):
    return None if cpu.parsers is None else cpu.app + cpu.parsers + cpu.postgres


def summed(documents, field):
    values = [getattr(document.cpu, field) for document in documents]
    return None if None in values else sum(values)


def figures(one_by_one, all_at_once, wall_seconds, cpu, processes):
    """All figures below the documents, with units in their names."""
    done = [document for document in one_by_one if document.complete]
    paged = [document for document in done if document.pages]
    together = [document for document in all_at_once if document.complete]
    pages, chunks = sum(d.pages for d in together), sum(d.chunks for d in together)
    steps = {step: sum(d.steps[step] for d in done) for step in STEPS}
    steps = {"upload": sum(d.upload_seconds for d in done)} | steps
    wall = sum(d.wall_seconds for d in done)
    # Until a worker noticed the job, and until this program noticed its end.
    steps["wait"] = max(wall - sum(steps.values()), 0.0)
    return {
        "one_by_one": {
            "documents": len(done),
            "pages": sum(d.pages for d in done),
            "chunks": sum(d.chunks for d in done),
            "seconds": wall,
            "seconds_by_step": steps,
            "pages_per_second_parsed": rate(sum(d.pages for d in paged), sum(d.steps["parse"] for d in paged)),
            "pages_per_cpu_second_parsed": rate(sum(d.pages for d in paged), summed(paged, "parsers")),
            "chunks_per_second_embedded": rate(sum(d.chunks for d in done), steps["embed"]),
            "chunks_per_cpu_second_app": rate(sum(d.chunks for d in done), summed(done, "app")),
        },
        "all_at_once": {
            "documents": len(together),
            "seconds": wall_seconds,
            "documents_per_minute": rate(60 * len(together), wall_seconds),
            "pages_per_second": rate(pages, wall_seconds),
            "chunks_per_second": rate(chunks, wall_seconds),
            "pages_per_cpu_second": rate(pages, total_cpu(cpu)),
            "cpu_seconds": {"app": cpu.app, "parsers": cpu.parsers, "postgres": cpu.postgres},
        },
        "peak_bytes": {
            "app": processes.peak_app,
            "parser": processes.peak_parser,
            "postgres": processes.peak_postgres,
        },
    }


def number(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def table(title, head, rows):
    """The first column is text, the others are numbers, the last may be text."""
    print(f"\n{title}\n")
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1])]
        print(("  " + "  ".join([*cells, line[-1]])).rstrip())


def print_report(documents, found):
    alone, together, peak = found["one_by_one"], found["all_at_once"], found["peak_bytes"]
    rows = []
    for document in documents:
        note = document.failed or (document.refused and f"refused: {document.refused}") or ""
        times = [number(document.steps[step], 2) if document.complete else "" for step in ("parse", "chunk", "embed")]
        counts = [str(document.pages), str(document.chunks)] if document.complete else ["", ""]
        rows.append([document.name, *counts, *times, number(document.wall_seconds, 2), note])
    head = ["DOCUMENT", "PAGES", "CHUNKS", "PARSE", "CHUNK", "EMBED", "TO COMPLETE", ""]
    table("One at a time, in seconds", head, rows)

    wall = alone["seconds"]
    rows = [
        [step, number(seconds, 2), number(100 * seconds / wall if wall else None), STEP_NOTES[step]]
        for step, seconds in alone["seconds_by_step"].items()
    ]
    rows.append(["upload to complete", number(wall, 2), "100.0", f"{alone['documents']} documents"])
    table("Where the time goes, one at a time", ["STEP", "SECONDS", "%", ""], rows)

    rows = [
        ["parsing, pages per second", number(alone["pages_per_second_parsed"]), "with the child's start"],
        ["  per CPU second of the parsers", number(alone["pages_per_cpu_second_parsed"]), CEILINGS["parse"]],
        ["embedding, chunks per second", number(alone["chunks_per_second_embedded"]), "all threads, with the writing"],
        ["  per CPU second of app", number(alone["chunks_per_cpu_second_app"]), CEILINGS["embed"]],
        ["all at once, documents per minute", number(together["documents_per_minute"]), ""],
        ["  pages per second", number(together["pages_per_second"]), ""],
        ["  chunks per second", number(together["chunks_per_second"]), ""],
        ["  pages per CPU second of all", number(together["pages_per_cpu_second"]), CEILINGS["end_to_end"]],
    ]
    table("Rates", ["", "HERE", "PER CORE TO REACH, OR NOTE"], rows)

    cpu = together["cpu_seconds"]
    rows = [
        ["app (API, worker and model)", number(peak["app"] / 1e6), number(cpu["app"]), CEILINGS["memory_app"]],
        ["one parser child", number(peak["parser"] / 1e6), number(cpu["parsers"]), CEILINGS["memory_parser"]],
        ["PostgreSQL, all of it", number(peak["postgres"] / 1e6), number(cpu["postgres"]), ""],
    ]
    title = f"Peak memory, and CPU time all at once ({number(together['seconds'])} s)"
    table(title, ["PROCESS", "PEAK MB", "CPU SECONDS", "MB TO STAY BELOW"], rows)


STEP_NOTES = {
    "upload": "POST and PUT",
    "parse": "verifying and storing included",
    "validate": "",
    "chunk": "",
    "embed": "",
    "finish": "",
    "wait": "until the worker noticed it, and until its end was noticed",
}


def chunk_texts(api):
    return [
        chunk["text"]
        for document in list(api.items("/documents"))
        for chunk in api.items(f"/documents/{document['document_id']}/chunks")
    ]


def compare_embedders(texts):
    """Embeds the same chunks with our embedder and Python's onnxruntime; returns whether that succeeded."""
    script = ROOT / "scripts" / "bench_embed.py"
    print("\nThe embedder beside Python's onnxruntime\n", flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="app-bench-") as file:
        json.dump(texts, file)
        file.flush()
        command = [sys.executable, script, "--model", pathlib.Path(os.environ["EMBED_MODEL_DIR"]) / os.environ["EMBED_MODEL"], "--texts", file.name]
        command += ["--profile", "fast", "--chunks", str(min(96, len(texts)))]
        return subprocess.run(command, check=False).returncode == 0


def main():
    args = arguments()
    binary = str(pathlib.Path(os.environ["APP_BIN"]).resolve())
    # SIGTERM cleans up, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    documents = documents_in(args.folder.resolve())
    cores = len(os.sched_getaffinity(0)) if LINUX else os.cpu_count()
    load = os.getloadavg()[0]
    print(f"{len(documents)} documents of {args.folder}; {cores} cores, {platform.system()} {platform.machine()}")
    if load > cores / 4:
        print(f"The machine is busy (load {load:.1f}): figures by the second are too low, those by CPU second less so.")
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with app_dev(binary) as (api, processes):
        api.delete_all()
        run_one_by_one(api, processes, documents)
        api.delete_all()
        # Without refused documents, whose time would count for the others.
        again = [document.again() for document in documents if document.complete]
        wall_seconds, cpu = run_all_at_once(api, processes, again)
        texts = [] if args.no_embed else chunk_texts(api)
    found = figures(documents, again, wall_seconds, cpu, processes)
    print_report(documents, found)
    if args.json:
        listed = [{"name": d.name, "refused": d.refused, "failed": d.failed, "pages": d.pages, "chunks": d.chunks,
                   "seconds": d.wall_seconds, "seconds_by_step": d.steps} for d in documents]
        machine = {"cores": cores, "system": platform.system(), "machine": platform.machine(), "load": load}
        everything = {"version": version, "machine": machine, "documents": listed, **found}
        args.json.write_text(json.dumps(everything, indent=2) + "\n")
    failed = [f"{document.name}: {document.failed}" for document in documents + again if document.failed]
    for line in failed:
        print(f"bench: {line}", file=sys.stderr)
    embed_ok = args.no_embed or not (ROOT / "scripts" / "bench_embed.py").exists() or compare_embedders(texts)
    return 0 if embed_ok and not failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
