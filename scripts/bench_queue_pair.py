#!/usr/bin/env python3
"""Measures two builds of the queue against each other, in turns: five-step jobs a second, and enqueue to start.

    scripts/bench_queue_pair.py BEFORE AFTER [--rounds 5] [--jobs 5000]

BEFORE and AFTER are builds of examples/queue_bench. The claims under a held snapshot are measured with AFTER alone. It runs
on the database server of DATABASE_URL, whose user may create databases; a quiet machine, please.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.parse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=5000)
    return parser.parse_args()


def psql(url, sql):
    subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", url, "-c", sql], check=True, stdout=subprocess.DEVNULL)


class Bench:
    """One database of one driver, created again for each measurement."""

    def __init__(self, driver):
        self.driver, self.server = driver, os.environ["DATABASE_URL"]
        self.name = "queue_pair"
        self.url = urllib.parse.urlsplit(self.server)._replace(path="/" + self.name).geturl()

    def __enter__(self):
        psql(self.server, f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        psql(self.server, f"CREATE DATABASE {self.name}")
        self.call("setup")
        return self

    def __exit__(self, *_):
        psql(self.server, f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def start(self, *words, **settings):
        env = {**os.environ, "DATABASE_URL": self.url, "QUEUE_STEPS": "all", **settings}
        return subprocess.Popen([self.driver, *map(str, words)], env=env, stdout=subprocess.PIPE, text=True)

    def call(self, *words, **settings):
        process = self.start(*words, **settings)
        said, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{self.driver} {words} failed")
        return json.loads(said) if said.strip() else None


def jobs_a_second(driver, jobs):
    with Bench(driver) as bench:
        bench.call("enqueue", jobs)
        psql(bench.url, "CHECKPOINT")
        done = "SELECT 1 / (count(*) = 0)::int FROM upload_pipeline.upload_jobs WHERE state <> 'done'"
        worker = bench.start("worker", QUEUE_CONCURRENCY="100")
        began = None
        for line in worker.stdout:
            if line.startswith("P ") and int(line.split()[1]) > 0:
                began = float(line.split()[2])
            if line.startswith("P ") and int(line.split()[1]) >= jobs:
                break
        while subprocess.run(["psql", "-qXt", bench.url, "-c", done], capture_output=True).returncode:
            time.sleep(0.02)
        took = time.time() - began
        worker.kill()
        worker.wait()
        return jobs / took


def latencies(driver):
    with Bench(driver) as bench:
        return statistics.median(bench.call("latency", 200)["latency_ms"])


def main():
    opt = arguments()
    rates, starts = {"before": [], "after": []}, {"before": [], "after": []}
    for _ in range(opt.rounds):
        for name in rates:
            rates[name].append(jobs_a_second(getattr(opt, name), opt.jobs))
            starts[name].append(latencies(getattr(opt, name)))
            print(f"# {name}: {rates[name][-1]:.0f} jobs/s, start {starts[name][-1]:.2f} ms", file=sys.stderr)
    for what, values, digits in (("five-step jobs a second", rates, 0), ("enqueue to start, p50, ms", starts, 2)):
        before, after = (statistics.median(values[name]) for name in ("before", "after"))
        print(f"{what}: before {before:.{digits}f}, after {after:.{digits}f}, after ÷ before {after / before:.2f}")
    for users, bound in ((1, 0), (100, 2)):
        with Bench(opt.after) as bench:
            claims = bench.call("held", 100_000, QUEUE_USERS=str(users), QUEUE_PER_USER=str(bound), QUEUE_CONCURRENCY="4")
        print(f"claims under a held snapshot, {users} users, bound {bound}: p50 {claims['p50_ms']:.1f} ms, p99 {claims['p99_ms']:.1f} ms")
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
