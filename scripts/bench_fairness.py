#!/usr/bin/env python3
"""Measures how long a one-page document takes to be complete beside the load of others, on default settings.

    APP_BIN=target/fast/app scripts/bench_fairness.py [--only books,hostile,queued] [--seconds 60] [--queued 10000]

Each load has an `app dev` of its own. While it runs, users who have nothing else send one document each, one after the other:

    books    four texts of 8 MB of two users
    hostile  two nested HTML files of one user, which take long to parse
    queued   10,000 documents of one user, most of them still queued
    scans    two scans of one user: the pages of --scan FILE as pictures of 100 dpi; needs Tesseract, and PDFium of scripts/fetch

Prints the seconds from the upload to complete, and exits 1 if the 95th percentile is above the bound of 10 s.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

import bench

BOUND_SECONDS = 10
# A document that takes longer counts as this long.
PATIENCE_SECONDS = 60
LEAST_PROBES = 5
BOOK_BYTES = 8_000_000
NESTED = 60_000
# Enough to be read, and two hundred pages remain below the limit of an upload.
SCAN_DPI = 100
FILES_A_REQUEST = 20


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="books,hostile,queued,scans", help="the loads, separated by commas")
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--scan", type=pathlib.Path, help="a PDF of a few hundred pages, whose pages are rendered")
    return parser.parse_args()


class Service:
    """The API with a key that acts for any user."""

    def __init__(self, url, key):
        self.url, self.key = url + bench.BASE_PATH, key
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def send(self, user, path, data=None, kind="application/json"):
        headers = {"Authorization": f"Bearer {self.key}", "X-User-Id": user, "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with self.opener.open(request, timeout=120) as response:
            return json.loads(response.read())

    def send_files(self, user, files):
        """One-step upload; the jobs' ids."""
        boundary = uuid.uuid4().hex
        body = b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: {mime}\r\n\r\n".encode() + content + b"\r\n"
            for name, mime, content in files
        )
        answer = self.send(
            user, "/documents", body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
        )
        return [entry["job_id"] for entry in answer.get("documents", answer.get("items", [answer]))]

    def job(self, user, job):
        return self.send(user, f"/jobs/{job}")


def words(seed, length):
    """Text of about `length` bytes, in paragraphs."""
    draw = random.Random(seed)
    pool = ["".join(draw.choices("aeiounrstlmdkp", k=draw.randint(2, 9))) for _ in range(4000)]
    paragraphs, size = [], 0
    while size < length:
        paragraph = " ".join(draw.choices(pool, k=120)) + "."
        paragraphs.append(paragraph)
        size += len(paragraph) + 2
    return "\n\n".join(paragraphs)


def send_books(service, _args):
    for owner in range(2):
        user = str(uuid.uuid4())
        for book in range(2):
            text = words(f"{owner}{book}", BOOK_BYTES).encode()
            service.send_files(user, [(f"book-{book}.txt", "text/plain", text)])


def send_hostile(service, _args):
    user = str(uuid.uuid4())
    for n in range(2):
        page = f"<p>{n}" + "<b>x" * NESTED
        service.send_files(user, [(f"nested-{n}.html", "text/html", page.encode())])


def send_queued(service, args):
    user = str(uuid.uuid4())
    for first in range(0, args.queued, FILES_A_REQUEST):
        numbers = range(first, min(first + FILES_A_REQUEST, args.queued))
        service.send_files(user, [(f"{n}.txt", "text/plain", words(n, 1500).encode()) for n in numbers])


def send_scans(service, args):
    # Here, since it needs PDFium's package.
    import bench_ocr

    user = str(uuid.uuid4())
    document = bench_ocr.pypdfium2.PdfDocument(args.scan)
    pages = list(bench_ocr.rendered(document, range(len(document)), SCAN_DPI))
    scan = bench_ocr.picture_pdf(pages)
    print(f"scans    {len(pages)} pages, {len(scan) / 1e6:.1f} MB each", flush=True)
    for n in range(2):
        # A comment behind the end makes each another content.
        service.send_files(user, [(f"scan-{n}.pdf", "application/pdf", scan + f"\n% {n}\n".encode())])


LOADS = {"books": send_books, "hostile": send_hostile, "queued": send_queued, "scans": send_scans}


def probe(service, n):
    """Seconds until one document of a new user is complete."""
    user, begun = str(uuid.uuid4()), time.monotonic()
    job = service.send_files(user, [("page.txt", "text/plain", words(f"probe {n}", 2500).encode())])[0]
    while time.monotonic() - begun < PATIENCE_SECONDS:
        seen = service.job(user, job)
        if seen["terminal"]:
            if seen["status"] != "complete":
                raise bench.BenchError(f"a one-page document ended as {seen['status']}: {seen.get('last_error')}")
            return time.monotonic() - begun
        time.sleep(0.05)
    return PATIENCE_SECONDS


@contextlib.contextmanager
def service(binary):
    """A fresh `app dev` with default settings, but for the rates of the one client that is many users here."""
    # Below /var/tmp: as root, the database runs as another user, who needs access to the folder.
    with tempfile.TemporaryDirectory(prefix="app-bench-", dir="/var/tmp") as outer:
        os.chmod(outer, 0o711)
        folder, log = pathlib.Path(outer, "dev"), pathlib.Path(outer, "log")
        env = os.environ | {
            "APP_DEV_DIR": str(folder), "API_HOST": "127.0.0.1", "API_PORT": "0", "API_RATE_PER_MINUTE": "0",
        }
        with open(log, "wb") as stderr:
            app = subprocess.Popen(
                [binary, "dev"], cwd=bench.ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=stderr, start_new_session=True,
            )
        try:
            bench.wait_until_running(app, log)
            database = env | {
                "ENVIRONMENT": "development", "DATABASE_URL": (folder / "database.url").read_text().strip(),
            }
            key = subprocess.run(
                [binary, "keys", "create", "bench"], env=database, capture_output=True, text=True, check=True
            )
            yield Service((folder / "api.url").read_text().strip(), key.stdout.strip())
        finally:
            if app.poll() is not None:
                print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
            # What still runs is not worth the grace period.
            app.kill()
            subprocess.run([binary, "dev", "stop"], cwd=bench.ROOT, env=env, capture_output=True, check=False)
            subprocess.run([binary, "dev", "reset"], cwd=bench.ROOT, env=env, capture_output=True, check=False)


def measure(binary, load, args):
    with service(binary) as api:
        probe(api, "warm")
        sending = concurrent.futures.ThreadPoolExecutor(1)
        sent = sending.submit(LOADS[load], api, args)
        # The probes begin once the load is there.
        if load in ("queued", "scans"):
            sent.result()
        seconds, begun = [], time.monotonic()
        while time.monotonic() - begun < args.seconds or len(seconds) < LEAST_PROBES:
            seconds.append(probe(api, len(seconds)))
        # A load that could not be sent is none.
        sent.result()
    return sorted(seconds)


def main():
    args = arguments()
    # Ends `app dev`, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binary = os.environ.get("APP_BIN") or sys.exit("bench_fairness: APP_BIN must name the app to measure")
    binary = str(pathlib.Path(binary).resolve())
    late = False
    for load in args.only.split(","):
        if load == "scans" and args.scan is None:
            print("scans    left out: no --scan")
            continue
        seconds = measure(binary, load, args)
        p95 = seconds[min(len(seconds) - 1, int(len(seconds) * 0.95))]
        late |= p95 > BOUND_SECONDS
        print(
            f"{load:8} {len(seconds)} documents: p50 {statistics.median(seconds):.1f} s, p95 {p95:.1f} s, "
            f"longest {seconds[-1]:.1f} s (machine's load {os.getloadavg()[0]:.1f})",
            flush=True,
        )
    if late:
        sys.exit(f"bench_fairness: above the bound of {BOUND_SECONDS} s")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
