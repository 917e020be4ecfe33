#!/usr/bin/env python3
"""Mixed load on `app api` and `app worker` for an hour, and their memory meanwhile.

    APP_BIN=target/fast/app scripts/bench_soak.py [FOLDER] [--minutes 60] [--pause 0.5]

Needs the example api_bench beside the binary, for its own embedded PostgreSQL. Three clients of ten users each send a document of
FOLDER (default: samples/), one after the other, with a hash of its own; wait for its end on the
live timeline; search for it; list jobs and passages; and delete what is older than the last twenty. --pause is the time between two
rounds of a client. Prints the resident memory of both processes over time, and exits 1 if the last quarter is more than a tenth and
20 MiB above the second, if a call fails, or if a document does not end.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

import bench
from bench_api import SECRET, Postgres, free_port, memory, serving
from bench_fairness import Service

CLIENTS, USERS = 3, 10
KEPT = 20
SAMPLE_SECONDS = 5
LARGEST = 2_000_000
# A comment or a paragraph at the end of these changes their hash and not what they say.
ENDINGS = {".pdf": "\n% {}\n", ".md": "\n\n{}\n", ".txt": "\n\n{}\n", ".html": "\n<!-- {} -->\n", ".htm": "\n<!-- {} -->\n"}
MEAN_RISE, LEAST_RISE_MIB = 1.1, 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=bench.ROOT / "samples")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two rounds of a client")
    return parser.parse_args()


def made_unique(file):
    """The content of a file with another hash. An archive (Office) gets a comment, whose length stands before it."""
    content, word = file.read_bytes(), uuid.uuid4().hex
    ending = ENDINGS.get(file.suffix.lower())
    if ending is None:
        return content[:-2] + len(word).to_bytes(2, "little") + word.encode()
    return content + ending.format(word).encode()


class Client(threading.Thread):
    """Rounds of one client until the end."""

    def __init__(self, number, service, files, until, pause):
        super().__init__()
        self.service, self.files, self.until, self.pause = service, files, until, pause
        self.chance = random.Random(number)
        self.users = [str(uuid.UUID(int=self.chance.getrandbits(128))) for _ in range(USERS)]
        self.sent = {user: collections.deque() for user in self.users}
        self.ends, self.calls, self.failures = collections.Counter(), 0, []

    def run(self):
        while time.monotonic() < self.until and len(self.failures) < 10:
            try:
                self.round(self.chance.choice(self.users), self.chance.choice(self.files))
            except Exception as error:  # every kind of failure ends the run as a finding
                self.failures.append(repr(error))
            time.sleep(self.pause)

    def call(self, user, path, data=None, kind="application/json"):
        self.calls += 1
        return self.service.send(user, path, data, kind)

    def round(self, user, file):
        mime, name = bench.MIME_TYPES[file.suffix.lower()], f"{uuid.uuid4().hex[:8]}{file.suffix}"
        job = self.service.send_files(user, [(name, mime, made_unique(file))])[0]
        self.watch(user, job)
        seen = self.call(user, f"/jobs/{job}")
        if not seen["terminal"]:
            raise bench.BenchError(f"job {job} has not ended: {seen['status']} {seen['state']}")
        self.ends[seen["status"]] += 1
        self.sent[user].append(seen["document_id"])
        question = json.dumps({"query": f"what does {file.stem} say about water", "limit": 5}).encode()
        self.call(user, "/search", question)
        self.call(user, "/jobs?limit=20")
        self.call(user, f"/documents/{seen['document_id']}/chunks?limit=20")
        while len(self.sent[user]) > KEPT:
            self.delete(user, self.sent[user].popleft())

    def watch(self, user, job):
        """Reads the live timeline to its end."""
        self.calls += 1
        headers = {"Authorization": f"Bearer {self.service.key}", "X-User-Id": user, "Accept": "text/event-stream"}
        request = urllib.request.Request(f"{self.service.url}/jobs/{job}/events", headers=headers)
        with self.service.opener.open(request, timeout=600) as stream:
            for line in stream:
                if line.strip() == b"event: end":
                    return

    def delete(self, user, document):
        self.calls += 1
        headers = {"Authorization": f"Bearer {self.service.key}", "X-User-Id": user}
        request = urllib.request.Request(f"{self.service.url}/documents/{document}", headers=headers, method="DELETE")
        with self.service.opener.open(request, timeout=120) as answer:
            answer.read()


def flat(name, samples):
    """Prints the memory of a process by eighths of the time; whether it is flat."""
    eighths = [samples[len(samples) * n // 8 : max(len(samples) * (n + 1) // 8, len(samples) * n // 8 + 1)] for n in range(8)]
    print(f"{name:8} MiB by eighths of the time: {' '.join(f'{statistics.mean(part):.0f}' for part in eighths)}; most {max(samples):.0f}")
    second, last = (statistics.mean(eighths[a] + eighths[a + 1]) for a in (2, 6))
    return last <= max(second * MEAN_RISE, second + LEAST_RISE_MIB)


def main():
    opt = arguments()
    app = os.environ.get("APP_BIN") or sys.exit("bench_soak: APP_BIN must name the app to measure")
    app = str(pathlib.Path(app).resolve())
    files = [found.path for found in bench.documents_in(opt.folder) if found.path.stat().st_size < LARGEST]
    # Below /var/tmp: as root, the database runs as another user, who needs access to the folder.
    with tempfile.TemporaryDirectory(prefix="app-soak-", dir="/var/tmp") as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        postgres = Postgres(folder / "pg")
        stack.callback(postgres.stop)
        cache = pathlib.Path(os.environ.get("APP_CACHE_DIR", bench.ROOT / ".cache"))
        env = {
            "ENVIRONMENT": "development", "DATABASE_URL": postgres.url, "DIRECT_URL": postgres.url,
            "SUPABASE_JWT_SECRET": SECRET, "STORAGE_URL": str(folder / "store"), "LOG_LEVEL": "warn",
            "UPLOADS_PER_DAY": "0", "API_RATE_PER_MINUTE": "0", "APP_CACHE_DIR": str(cache),
        }
        full = {**os.environ, **env}
        subprocess.run([app, "migrate"], env=full, check=True, stdout=subprocess.DEVNULL)
        key = subprocess.run(
            [app, "keys", "create", "soak", "--scope", "admin"], env=full, check=True, capture_output=True, text=True
        ).stdout.strip()
        port, worker_port = free_port(), free_port()
        api_env = {**env, "API_HOST": "127.0.0.1", "PORT": str(port)}
        worker_env = {**env, "WORKER_HTTP_HOST": "127.0.0.1", "WORKER_HTTP_PORT": str(worker_port)}
        api = stack.enter_context(serving("api", [app, "api"], api_env, port, folder / "api.log"))
        worker = subprocess.Popen([app, "worker"], env={**os.environ, **worker_env}, stderr=open(folder / "worker.log", "wb"))
        stack.callback(worker.wait)
        stack.callback(worker.terminate)
        service = Service(f"http://127.0.0.1:{port}", key)
        until = time.monotonic() + opt.minutes * 60
        clients = [Client(n, service, files, until, opt.pause) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        used = {"api": [], "worker": []}
        while any(client.is_alive() for client in clients):
            used["api"].append(memory(api.pid, "VmRSS"))
            used["worker"].append(memory(worker.pid, "VmRSS"))
            time.sleep(SAMPLE_SECONDS)
        failures = [failure for client in clients for failure in client.failures]
        ends = sum((client.ends for client in clients), collections.Counter())
        print(f"{sum(client.calls for client in clients)} calls, {sum(ends.values())} documents: {dict(ends)}; load {os.getloadavg()[0]:.1f}")
        is_flat = [flat(name, samples) for name, samples in used.items()]
        errors = [line for log in ("api.log", "worker.log") for line in (folder / log).read_text(errors="replace").splitlines() if re.search("ERROR|panic", line)]
        for line in (failures + errors)[:10]:
            print(line[:300])
        sys.exit(0 if all(is_flat) and not failures else 1)


if __name__ == "__main__":
    main()
