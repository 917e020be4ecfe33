#!/usr/bin/env python3
"""Measures what clients with large bodies that they do not finish take of the API's memory, while honest uploads go on.

    scripts/bench_bodies.py [--clients 80] [--only NAME …]

Needs `app` and its example api_bench, built with the `fast` profile (or with the one that APP_PROFILE names). It starts its
own embedded PostgreSQL, and for each attack an API on default settings with its model loaded. An attack is CLIENTS clients
with the credentials of one user, each with a body of 25 MiB that stops shortly before its end; or ten times as many, each with
2 MiB or 60 kB, which a route of JSON may take. Meanwhile another user sends 50 files of 25 MiB. It prints the API's peak memory above its rest, and how many uploads completed; it exits 1 where memory
grew by more than 256 MiB or an upload failed.
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid

from bench_api import BASE, QUERY, SECRET, SMALL_USER, USER, Postgres, built, free_port, memory, serving, token
import socket

MOST_MIB = 256
HONEST, BYTES = 50, 25 * 1024 * 1024
# A body stops so many bytes before its end.
MISSING = 1000
BLOCK = b"x" * (1 << 20)
HEAD_BYTES = 120_000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=80)
    parser.add_argument("--only", nargs="*", help="only attacks whose name has one of these words")
    return parser.parse_args()


def call(port, method, path, body, bearer, headers=None, timeout=300):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    head = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    connection.request(method, path, body, {**head, **(headers or {})})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text.startswith(b"{") else {}


def announce(port, user, content_hash):
    body = {"filename": f"{uuid.uuid4()}.txt", "bytes_len": BYTES, "mime": "text/plain", "sha256": content_hash}
    return call(port, "POST", f"{BASE}/upload", json.dumps(body), token(user), {"Content-Type": "application/json"})


def place_of(announced):
    url = urllib.parse.urlsplit(announced["signed_url"])
    return f"{url.path}?{url.query}"


def honest_upload(port, number, outcomes):
    """One file, in two steps or in one; another file while the server is busy."""
    outcome = "never tried"
    for _ in range(60):
        try:
            outcome = upload_once(port, number % 2)
        except OSError as error:  # the server refuses before it has read the file
            outcome = repr(error)
        if outcome is None:
            break
        time.sleep(2)
    outcomes.append(outcome)


def upload_once(port, in_two_steps):
    """Why the file was not taken."""
    content = os.urandom(1024) * (BYTES // 1024)
    if in_two_steps:
        status, answer = announce(port, SMALL_USER, hashlib.sha256(content).hexdigest())
        if status == 201:
            status, answer = call(port, "PUT", place_of(answer), content, None)
    else:
        head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n'
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        status, answer = call(port, "POST", f"{BASE}/documents", head + content + b"\r\n--b--\r\n", token(SMALL_USER), form)
    return None if status in (202, 204) else f"{status} {answer}"


class Attack:
    """A request's head, the beginning of its body, and how its length is told."""

    def __init__(self, name, method, path, kind, bearer, begin=b"", chunked=False, headers="", body_bytes=BYTES):
        self.name, self.chunked, self.body_bytes, self.begin = name, chunked, body_bytes, begin
        self.connections = 1 if body_bytes == BYTES else 10
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {body_bytes}"
        login = f"Authorization: Bearer {bearer}\r\n" if bearer else ""
        self.head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{login}Content-Type: {kind}\r\n{headers}{framing}\r\n\r\n".encode()

    def send(self, port, held, statuses):
        """Sends all but the end, and keeps the connections."""
        for _ in range(self.connections):
            self.send_one(port, held, statuses)

    def send_one(self, port, held, statuses):
        connection = socket.create_connection(("127.0.0.1", port))
        held.append(connection)
        connection.settimeout(10)
        try:
            connection.sendall(self.head.replace(b"UNIQUE", uuid.uuid4().bytes.hex().encode()))
            left, piece = self.body_bytes - MISSING, self.begin or BLOCK
            while left > 0:
                piece = piece[:left]
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
                left -= len(piece)
                piece = BLOCK
            connection.settimeout(0.5)
            statuses.append(connection.recv(65536)[9:12].decode())
        except TimeoutError:
            statuses.append("held")
        except OSError:
            with contextlib.suppress(OSError):
                statuses.append(connection.recv(65536)[9:12].decode() or "closed")


class Heads:
    """Heads that never end."""

    def send(self, port, held, statuses):
        for _ in range(25):
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port), timeout=2)
                held.append(connection)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * HEAD_BYTES)
                statuses.append("held")


def attacks(port, read_key):
    mine, as_json, form = token(USER), "application/json", "multipart/form-data; boundary=b"
    begin = b'{"title": "%b", "query": "' % uuid.uuid4().bytes.hex().encode()
    text = b'{"title": "a", "text": "'
    file = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n'
    field = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n'
    job = f"{BASE}/jobs/{uuid.uuid4()}"
    every = []
    for chunked in (False, True):
        how = ", chunked" if chunked else ""
        key = "Idempotency-Key: UNIQUE\r\n"
        for size, name in ((BYTES, ""), (2 << 20, ", 2 MiB"), (60_000, ", 60 kB")):
            every += [
                Attack(f"search{name}{how}", "POST", f"{BASE}/search", as_json, mine, begin, chunked, "", size),
                Attack(f"search, read-only{name}{how}", "POST", f"{BASE}/search", as_json, read_key, begin, chunked, "", size),
            ]
        every += [
            Attack(f"upload{how}", "POST", f"{BASE}/upload", as_json, mine, begin, chunked),
            Attack(f"upload, 2 MiB, with a key{how}", "POST", f"{BASE}/upload", as_json, mine, begin, chunked, key, 2 << 20),
            Attack(f"retry of many{how}", "POST", f"{BASE}/jobs/retry", as_json, mine, begin, chunked),
            Attack(f"retry{how}", "POST", f"{job}/retry", as_json, mine, begin, chunked),
            Attack(f"cancel with a key{how}", "POST", f"{job}/cancel", as_json, mine, begin, chunked, key),
            Attack(f"text{how}", "POST", f"{BASE}/documents", as_json, mine, text, chunked),
            Attack(f"text with a key{how}", "POST", f"{BASE}/documents", as_json, mine, text, chunked, key),
            Attack(f"form{how}", "POST", f"{BASE}/documents", form, mine, file, chunked),
            Attack(f"form, preamble{how}", "POST", f"{BASE}/documents", form, mine, b"x\r\n", chunked),
            Attack(f"form, field{how}", "POST", f"{BASE}/documents", form, mine, field, chunked),
            Attack(f"webhook{how}", "POST", f"{BASE}/webhook/llamaparse/{uuid.uuid4()}/x", as_json, None, begin, chunked),
        ]
    return every


def puts(port, clients):
    return [Attack("put", "PUT", place_of(announce(port, USER, f"{n:064x}")[1]), "text/plain", None) for n in range(clients)]


def run(port, process, name, senders):
    """One attack; its line of the table, and whether it is within the bound."""
    status, answer = call(
        port, "POST", f"{BASE}/search", json.dumps({"query": QUERY}), token(SMALL_USER), {"Content-Type": "application/json"}
    )
    if status != 200:
        sys.exit(f"search: {status} {answer}")
    rest = memory(process.pid, "VmRSS")
    pathlib.Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    held, statuses, outcomes = [], [], []
    threads = [threading.Thread(target=sender.send, args=(port, held, statuses)) for sender in senders]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    uploads = [threading.Thread(target=honest_upload, args=(port, n, outcomes)) for n in range(HONEST)]
    for thread in uploads:
        thread.start()
    for thread in threads + uploads:
        thread.join()
    took = time.monotonic() - began
    grown = memory(process.pid, "VmHWM") - rest
    for connection in held:
        connection.close()
    failed = [outcome for outcome in outcomes if outcome]
    seen = ", ".join(f"{statuses.count(one)} × {one}" for one in sorted(set(statuses)))
    bad = grown > MOST_MIB or failed
    print(f"{name:38} {rest:6.0f} {grown:+8.0f} {HONEST - len(failed):8} {took:8.1f}  {seen}{'   FAILED' if bad else ''}", flush=True)
    if failed:
        print(f"    {failed[0][:200]}")
    return not bad


def main():
    opt = arguments()
    with tempfile.TemporaryDirectory(prefix="bench-bodies-") as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        postgres = Postgres(folder / "pg")
        stack.callback(postgres.stop)
        cache = pathlib.Path(os.environ.get("APP_CACHE_DIR", pathlib.Path(__file__).resolve().parent.parent / ".cache"))
        env = {
            "ENVIRONMENT": "development", "DATABASE_URL": postgres.url, "DIRECT_URL": postgres.url, "SUPABASE_JWT_SECRET": SECRET,
            "STORAGE_URL": str(folder / "store"), "UPLOADS_PER_DAY": "0", "API_RATE_PER_MINUTE": "600", "LOG_LEVEL": "warn",
            "EMBED_MODEL": "all-MiniLM-L6-v2",
            "EMBED_MODEL_DIR": os.environ.get("EMBED_MODEL_DIR", str(cache / "models" / "all-MiniLM-L6-v2")),
        }  # fmt: skip
        whole = {**os.environ, **env}
        subprocess.run([built("app"), "migrate"], env=whole, check=True, stdout=subprocess.DEVNULL)
        create = [built("app"), "keys", "create", "bench", "--user", USER, "--scope", "read"]
        key = subprocess.run(create, env=whole, check=True, capture_output=True, text=True).stdout.split()
        read_key = next(word for word in key if word.startswith("ak_") or len(word) > 30)
        load = pathlib.Path("/proc/loadavg").read_text().split()[0]
        print(f"{opt.clients} clients at a time; load {load}; memory in MiB, at most {MOST_MIB} more than at rest")
        print(f"{'attack':38} {'rest':>6} {'grown':>8} {'uploads':>8} {'seconds':>8}  answers")

        def start(stack):
            port = free_port()
            process = stack.enter_context(serving("app", [built("app"), "api"], {**env, "PORT": str(port)}, port, folder / "api.log"))
            return port, process

        plans = {attack.name: lambda port, attack=attack: [attack] * opt.clients for attack in attacks(0, read_key)}
        plans["put"] = lambda port: puts(port, opt.clients)
        plans["heads"] = lambda port: [Heads()] * opt.clients
        plans["all of them, mixed"] = lambda port: attacks(port, read_key) * (opt.clients // 20) + puts(port, opt.clients // 4)
        good = True
        for name, plan in plans.items():
            if opt.only and not any(word in name for word in opt.only):
                continue
            with contextlib.ExitStack() as api:
                port, process = start(api)
                good &= run(port, process, name, plan(port))
            for stored in (folder / "store").rglob("*"):
                if stored.is_file():
                    stored.unlink()
            postgres.psql("truncate upload_pipeline.documents, upload_pipeline.uploads cascade")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
