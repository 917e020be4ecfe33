#!/usr/bin/env python3
"""Measures upload_pipeline.search beside POST /search: the same hits, the overlap of the plain form, and the time of each.

    scripts/bench_search_sql.py API TOKEN USER DATABASE_URL QUESTIONS.jsonl [--rounds 3]

API is where the routes begin, TOKEN one of the user whose id is USER, DATABASE_URL the same database, with a role that may become
`authenticated`. QUESTIONS are those of `app eval`; their answers are not looked at. SQL goes through one session of psql; its time is that
of the statement, with terms that were made before. HTTP is the whole request.
"""
import argparse
import json
import re
import subprocess
import time
import urllib.request

MODES = ("text", "vector", "hybrid")


def post(api, token, path, body):
    request = urllib.request.Request(api + path, json.dumps(body).encode())
    request.add_header("authorization", f"Bearer {token}")
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def arguments(asked):
    vector = "NULL" if asked["vector"] is None else "'{" + ",".join(map(repr, asked["vector"])) + "}'::real[]"
    return f"{literal(json.dumps(asked['terms']))}::jsonb, {vector}"


def psql(url, user, statements):
    claims = literal(json.dumps({"sub": user}))
    script = f"SET ROLE authenticated; SET request.jwt.claims = {claims};\n\\timing on\n" + "\n".join(statements)
    done = subprocess.run(["psql", url, "-Atq", "-v", "ON_ERROR_STOP=1"], input=script, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def chunks(url, user, call):
    out = psql(url, user, [f"SELECT chunk_id FROM upload_pipeline.search({call}, min_score => 0);"])
    return re.findall(r"^[0-9a-f-]{36}$", out, re.M)


def times(url, user, calls):
    out = psql(url, user, [f"SELECT count(*) FROM upload_pipeline.search({call});" for call in calls])
    return [float(ms) for ms in re.findall(r"^Time: ([\d.]+) ms", out, re.M)]


def quantiles(values):
    values = sorted(values)
    return f"{values[len(values) // 2]:.1f} / {values[int(0.95 * (len(values) - 1))]:.1f} ms"


def share(found, wanted):
    return len(set(found) & set(wanted)) / len(wanted) if wanted else 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("api", "token", "user", "database_url", "questions"):
        parser.add_argument(name)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with open(args.questions) as file:
        questions = [json.loads(line)["question"] for line in file if line.strip()]
    for mode in MODES:
        same, tens, took, calls = 0, [], [], []
        for question in questions:
            body = {"query": question, "mode": mode}
            calls.append(arguments(post(args.api, args.token, "/search/terms", body)))
            hits = [hit["chunk_id"] for hit in post(args.api, args.token, "/search", body | {"min_score": 0})["hits"]]
            same += hits == chunks(args.database_url, args.user, calls[-1])
            tens.append(share(chunks(args.database_url, args.user, literal(question)), hits))
            for _ in range(args.rounds):
                began = time.perf_counter()
                post(args.api, args.token, "/search", body)
                took.append(1000 * (time.perf_counter() - began))
        # The first round fills caches.
        in_sql = times(args.database_url, args.user, calls * (args.rounds + 1))[len(calls):]
        print(f"{mode}: {same} of {len(questions)} with the same hits in the same order; the plain form has "
              f"{sum(tens) / len(tens):.2f} of them; HTTP {quantiles(took)}, SQL {quantiles(in_sql)} (p50 / p95)")


if __name__ == "__main__":
    main()
