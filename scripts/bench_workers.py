#!/usr/bin/env python3
"""Measures many worker processes whose vectors come from a service: documents a second, what they cost the database, and the requests.

    APP_BIN=target/ci/app scripts/bench_workers.py [--workers 20] [--documents 600] [--large 6] [--users 20] [--delay 100]
        [--running 2] [--concurrency 4] [--per-minute 0] [--rounds 1]

The service is `app fake-providers` on this machine and answers after --delay milliseconds. Documents of one page are uploaded before the
workers start, and --large ones of 200 KB among them. Needs the example api_bench beside the binary, for its own embedded PostgreSQL. CPU is that
of the time from the workers' start to the last document, their start included. Quote the load average with the result.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

import bench
from bench_api import SECRET, Postgres, free_port, serving
from bench_fairness import FILES_A_REQUEST, Service, words
from bench_processes import processes, stat

PATIENCE_SECONDS = 600
PAGE_BYTES, LARGE_BYTES = 1500, 200_000
TICK = os.sysconf("SC_CLK_TCK")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--documents", type=int, default=600, help="of one page")
    parser.add_argument("--large", type=int, default=6, help="of 200 KB")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--delay", type=int, default=100, help="of the service, in milliseconds")
    parser.add_argument("--running", type=int, default=2, help="MAX_RUNNING_JOBS_PER_USER")
    parser.add_argument("--concurrency", type=int, default=4, help="WORKER_CONCURRENCY")
    parser.add_argument("--per-minute", type=int, default=0, help="EMBED_REQUESTS_PER_MINUTE")
    parser.add_argument("--rounds", type=int, default=1)
    return parser.parse_args()


def cpu(pid):
    """Seconds of a process and of its children that have ended."""
    return sum(int(field) for field in stat(pid)[11:15] or [0]) / TICK


class Used:
    """The CPU of the database, the workers and the service up to now."""

    def __init__(self, postmaster, workers, service):
        backends = [pid for pid in processes() if (fields := stat(pid)) and int(fields[1]) == postmaster]
        self.database = cpu(postmaster) + sum(cpu(pid) for pid in backends)
        self.workers = sum(cpu(worker.pid) for worker in workers)
        self.service = cpu(service.pid)


def send_documents(service, opt):
    """Of each user the same number, in turn."""
    users = [str(uuid.uuid4()) for _ in range(opt.users)]
    sizes = [LARGE_BYTES if n < opt.large else PAGE_BYTES for n in range(opt.large + opt.documents)]
    for owner, user in enumerate(users):
        own = list(enumerate(sizes))[owner :: opt.users]
        for first in range(0, len(own), FILES_A_REQUEST):
            part = own[first : first + FILES_A_REQUEST]
            service.send_files(user, [(f"{n}.txt", "text/plain", words(n, size).encode()) for n, size in part])
    return len(sizes)


def fetch(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method), timeout=10) as answer:
        return json.loads(answer.read())


def ordered(url, faults):
    """Orders faults of the service, once it answers."""
    for _ in range(100):
        try:
            return fetch(f"{url}/faults", "PUT", faults)
        except OSError:
            time.sleep(0.1)
    sys.exit("the fake service does not answer")


def measure(app, opt, folder, stack):
    postgres = Postgres(folder / "pg")
    stack.callback(postgres.stop)
    embeddings, llamaparse = free_port(), free_port()
    cache = pathlib.Path(os.environ.get("APP_CACHE_DIR", bench.ROOT / ".cache"))
    env = {
        **os.environ,
        "ENVIRONMENT": "development", "DATABASE_URL": postgres.url, "DIRECT_URL": postgres.url,
        "SUPABASE_JWT_SECRET": SECRET, "STORAGE_URL": str(folder / "store"), "LOG_LEVEL": "warn", "APP_CACHE_DIR": str(cache),
        "UPLOADS_PER_DAY": "0", "API_RATE_PER_MINUTE": "0", "DATABASE_POOL_SIZE": "2",
        "EMBED_PROVIDER": "openai", "EMBED_MODEL": "fake-embedding", "OPENAI_API_URL": f"http://127.0.0.1:{embeddings}",
        "WORKER_CONCURRENCY": str(opt.concurrency), "MAX_RUNNING_JOBS_PER_USER": str(opt.running),
        "EMBED_REQUESTS_PER_MINUTE": str(opt.per_minute),
    }
    subprocess.run([app, "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
    key = subprocess.run(
        [app, "keys", "create", "bench", "--scope", "admin"], env=env, check=True, capture_output=True, text=True
    ).stdout.strip()
    ports = ["--embeddings-port", str(embeddings), "--llamaparse-port", str(llamaparse)]
    fake = subprocess.Popen([app, "fake-providers", *ports], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(fake.wait)
    stack.callback(fake.terminate)
    fake_url = f"http://127.0.0.1:{embeddings}"
    ordered(fake_url, {"always": f"slow:{opt.delay}"})
    port = free_port()
    with serving("api", [app, "api"], {**env, "API_HOST": "127.0.0.1", "PORT": str(port)}, port, folder / "api.log"):
        documents = send_documents(Service(f"http://127.0.0.1:{port}", key), opt)
    postmaster = int((next((folder / "pg").rglob("postmaster.pid"))).read_text().split()[0])
    commits = "select xact_commit from pg_stat_database where datname = current_database()"
    before, commits_before = Used(postmaster, [], fake), int(postgres.psql(commits))
    workers = []
    for n in range(opt.workers):
        log = open(folder / f"worker-{n}.log", "wb")
        workers.append(subprocess.Popen([app, "worker"], env=env, stdout=log, stderr=log))
        stack.callback(workers[-1].wait)
        stack.callback(workers[-1].terminate)
    left, begun = "select count(*) from upload_pipeline.upload_jobs where state <> 'done'", time.monotonic()
    while int(postgres.psql(left)):
        if time.monotonic() - begun > PATIENCE_SECONDS:
            sys.exit(f"after {PATIENCE_SECONDS} s these have not ended: {postgres.psql(left)}")
        time.sleep(0.5)
    after = Used(postmaster, workers, fake)
    seconds = float(postgres.psql("select extract(epoch from max(finished_at) - min(started_at)) from upload_pipeline.upload_jobs"))
    paid = fetch(f"{fake_url}/billed")
    calls = int(postgres.psql("select count(*) from upload_pipeline.embed_calls"))
    took = [(name, getattr(after, name) - getattr(before, name, 0)) for name in ("database", "workers", "service")]
    print(
        f"{documents} documents in {seconds:.1f} s: {documents / seconds:.1f} a second; CPU a document in ms: "
        + ", ".join(f"{name} {1000 * used / documents:.1f}" for name, used in took)
        + f"; {paid['requests']} requests (probes included), {paid['inputs']} texts, {calls} rows of calls; "
        f"{(int(postgres.psql(commits)) - commits_before) / documents:.1f} commits a document; "
        f"CPU of all {sum(used for _, used in took) / seconds:.2f} cores; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main():
    opt = arguments()
    app = os.environ.get("APP_BIN") or sys.exit("bench_workers: APP_BIN must name the app to measure")
    for _ in range(opt.rounds):
        # Below /var/tmp: as root, the database runs as another user, who needs access to the folder.
        with tempfile.TemporaryDirectory(prefix="app-workers-", dir="/var/tmp") as name, contextlib.ExitStack() as stack:
            folder = pathlib.Path(name)
            folder.chmod(0o755)
            measure(str(pathlib.Path(app).resolve()), opt, folder, stack)


if __name__ == "__main__":
    main()
