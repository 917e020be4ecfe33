#!/usr/bin/env python3
"""Measures search at size: 200 users, of whom one has three in ten passages, by copies of real ones.

    scripts/bench_scale.py make --psql PSQL --source URL --target URL [--passages 1000000] [--fill PROGRAM]
    scripts/bench_scale.py measure --psql PSQL --target URL --api URL --model FOLDER --questions FILE.json [--embed PROGRAM] [--fill PROGRAM]

`make` copies complete documents' passages from the database of `app` at --source into the migrated, empty one at --target, again
and again: the tenth part of each copy's text is another passage's, and its vector is moved at random so that, about the mean
of all, its cosine to the original is .91. Then examples/fill_index (profile `ci`) fills the index on words and packs the vectors.

`measure` asks an `app api` that runs over the target (JWT secret SUPABASE_JWT_SECRET, no rate limits), one caller after a
warm-up, then eight callers. Times are the API's own took_ms; by words, by meaning, both. A question's vector takes the model
some time, which is told apart. Recall: hits by meaning against an exact scan with the same vectors, which
examples/embed_bench of the embedder makes. PSQL is a psql of 15 or later. Quote the load average with the result.
"""
import argparse
import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "ci" / "examples"
# Shares of all passages: the others have what is left, in 196 equal parts.
LARGE = {1: 0.3, 2: 0.081, 3: 0.041636, 4: 0.0105}
DOCUMENT = 500


class Database:
    def __init__(self, psql, url):
        self.psql, self.url = psql, url

    def run(self, sql, **options):
        return subprocess.run([self.psql, self.url, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1"], input=sql, text=True, check=True,
                              stdout=subprocess.PIPE, **options).stdout.strip()


def user(number):
    return f"00000000-0000-0000-0000-{number:012}"


def make(args):
    source, target = Database(args.psql, args.source), Database(args.psql, args.target)
    target.run("""SET client_min_messages = warning; DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench;
        CREATE TABLE bench.real (n bigserial, heading text, text text, page int, embedding vector);""")
    copy = "COPY (SELECT c.heading, c.text, c.page_first, c.embedding FROM upload_pipeline.document_chunks AS c JOIN upload_pipeline.documents AS d \
        USING (document_id) WHERE c.embedding IS NOT NULL ORDER BY c.document_id, c.chunk_ord) TO STDOUT"
    out = subprocess.Popen([args.psql, args.source, "-X", "-c", copy], stdout=subprocess.PIPE)
    subprocess.run([args.psql, args.target, "-X", "-q", "-c", "COPY bench.real (heading, text, page, embedding) FROM STDIN"], stdin=out.stdout, check=True)
    model, version, dim = source.run("SELECT model, version, vector_dim FROM upload_pipeline.active_model").split("|")
    real = int(target.run("CREATE UNIQUE INDEX ON bench.real (n); ANALYZE bench.real; SELECT count(*) FROM bench.real"))
    print(f"{real} real passages with vectors of {model}", flush=True)
    sizes = {number: int(share * args.passages) for number, share in LARGE.items()}
    rest = (args.passages - sum(sizes.values())) // 196
    sizes.update({number: rest for number in range(5, 201)})
    target.run(f"""INSERT INTO upload_pipeline.active_model (model, version, vector_dim) VALUES ('{model}', '{version}', {dim}) ON CONFLICT DO NOTHING;
        CREATE TABLE bench.mean AS SELECT avg(embedding) AS mean FROM bench.real;
        -- Noise of a kind, to add another one to each copy: a random vector is the slow part.
        CREATE TABLE bench.noise AS SELECT n, (SELECT array_agg(random() - 0.5 + (n + i) * 0) FROM generate_series(1, {dim}) AS i)::real[]::vector AS noise
          FROM generate_series(0, 4095) AS n;
        CREATE UNIQUE INDEX ON bench.noise (n); ANALYZE bench.noise;
        -- How long the noise is to be, beside the distance from the mean: cosine .91.
        CREATE TABLE bench.scale AS SELECT sqrt(1 / (.91 * .91) - 1) * avg(r.embedding <-> m.mean) / sqrt({dim} / 12.0 * 2) AS scale
          FROM bench.real AS r, bench.mean AS m;""")
    began, base = time.time(), 0
    for number, size in sizes.items():
        documents = max(1, size // DOCUMENT)
        target.run(f"""
        INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
          SELECT md5('{number}:' || n)::uuid, '{user(number)}', 'copy_' || n || '_' || {number} || '.md', 'text/markdown', 1, md5('{number}:' || n), 'bench', 'complete'
          FROM generate_series(0, {documents} - 1) AS n ON CONFLICT DO NOTHING;
        INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, heading, chunk_sha,
            page_first, page_last, token_count, embed_model, embed_version, vector_dim, embedding, embed_updated_at)
          SELECT md5('{number}:c' || i)::uuid, md5('{number}:' || i / {size // documents + 1})::uuid, 'bench', '1', i % {size // documents + 1},
            left(a.text, length(a.text) * 9 / 10) || ' ' || right(b.text, length(b.text) / 10), a.heading, 'x', a.page, a.page, 200, '{model}', '{version}', {dim},
            l2_normalize(a.embedding + array_fill(s.scale, ARRAY[{dim}])::real[]::vector * (p.noise + q.noise)), now()
          FROM generate_series(0, {size} - 1) AS g (i)
          CROSS JOIN bench.scale AS s
          JOIN bench.real AS a ON a.n = 1 + (i + {base}) % {real}
          JOIN bench.real AS b ON b.n = 1 + (i::bigint * 7919 + {base} * 31) % {real}
          JOIN bench.noise AS p ON p.n = hashint8(i * 2 + {base}) & 4095
          JOIN bench.noise AS q ON q.n = hashint8(i * 2 + 1 + {base}) & 4095;""")
        base += size + 101
    print(f"{sum(sizes.values())} passages inserted in {time.time() - began:.0f} s", flush=True)
    fill = subprocess.run([args.fill or EXAMPLES / "fill_index"], env={**os.environ, "DATABASE_URL": args.target}, check=True, text=True, stdout=subprocess.PIPE)
    print(fill.stdout.strip(), flush=True)
    target.run("VACUUM (ANALYZE)")
    print(target.run("""SELECT c.relname || ': ' || pg_size_pretty(pg_table_size(c.oid)) || ', indexes ' || pg_size_pretty(pg_indexes_size(c.oid))
        FROM pg_class AS c WHERE c.relnamespace = 'upload_pipeline'::regnamespace AND c.relkind = 'r' AND pg_table_size(c.oid) > 1000000 ORDER BY 1"""))


def token(number):
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    claims = {"sub": user(number), "aud": "authenticated", "role": "authenticated", "exp": int(time.time()) + 86400}
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(os.environ["SUPABASE_JWT_SECRET"].encode(), signed, hashlib.sha256).digest())).decode()


class Caller:
    def __init__(self, api, number):
        url = urllib.parse.urlsplit(api)
        self.connection, self.path = http.client.HTTPConnection(url.hostname, url.port, timeout=120), url.path.rstrip("/") + "/search"
        self.headers = {"Authorization": "Bearer " + token(number), "Content-Type": "application/json"}

    def search(self, question, mode):
        self.connection.request("POST", self.path, json.dumps({"query": question[:1000], "mode": mode, "limit": 10, "min_score": 0}), self.headers)
        answer = self.connection.getresponse()
        body = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{answer.status} {body}")
        return body


def at(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def active_ms(target):
    time.sleep(2)  # Sessions that have ended have told the statistics by then.
    return float(target.run("SELECT active_time FROM pg_stat_database WHERE datname = current_database()"))


def add(args, target):
    """The time that the database works on one more document of the user with four in a hundred passages."""
    before = active_ms(target)
    target.run(f"""
        INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
          VALUES (md5('added')::uuid, '{user(3)}', 'added.md', 'text/markdown', 1, 'added', 'bench', 'complete');
        INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, heading, chunk_sha,
            page_first, page_last, token_count, embed_model, embed_version, vector_dim, embedding, embed_updated_at)
          SELECT gen_random_uuid(), md5('added')::uuid, c.chunker_name, c.chunker_version, c.chunk_ord, c.text, c.heading, c.chunk_sha, c.page_first, c.page_last,
            c.token_count, c.embed_model, c.embed_version, c.vector_dim, c.embedding, c.embed_updated_at
          FROM upload_pipeline.document_chunks AS c WHERE c.document_id = md5('3:0')::uuid AND c.chunk_ord < 500""")
    stored = active_ms(target)
    subprocess.run([args.fill or EXAMPLES / "fill_index"], env={**os.environ, "DATABASE_URL": args.target}, check=True, stdout=subprocess.DEVNULL)
    indexed = active_ms(target)
    target.run("DELETE FROM upload_pipeline.documents WHERE document_id = md5('added')::uuid")
    print(f"one more document of 500 passages: {stored - before:.0f} ms for passages and vectors, {indexed - stored:.0f} ms for the indexes,"
          f" among them what looks for documents to index; deleted in {active_ms(target) - indexed:.0f} ms", flush=True)


def measure(args):
    target = Database(args.psql, args.target)
    questions = json.loads(pathlib.Path(args.questions).read_text())
    embed = subprocess.run([args.embed or EXAMPLES / "embed_bench", args.model, args.questions], input="questions\n", text=True, check=True, stdout=subprocess.PIPE)
    vectors = json.loads(embed.stdout.splitlines()[-1])
    print(f"load average {os.getloadavg()[0]:.1f}, {len(questions)} questions", flush=True)
    for number in (5, 4, 3, 1):
        passages = int(target.run(f"SELECT count(*) FROM upload_pipeline.documents JOIN upload_pipeline.document_chunks USING (document_id) WHERE user_id = '{user(number)}'"))
        line = [f"{passages} passages"]
        first = Caller(args.api, number).search(questions[0], "vector")["took_ms"]
        for mode in ("text", "vector", "hybrid"):
            caller = Caller(args.api, number)
            for question in questions[:20]:
                caller.search(question, mode)
            took = [caller.search(question, mode)["took_ms"] for question in questions]
            line.append(f"{mode} {at(took, .5):.1f} / {at(took, .95):.1f}")
        took = []

        def ask(of):
            caller = Caller(args.api, number)
            for question in questions[of::8] * 2:
                took.append(caller.search(question, "hybrid")["took_ms"])
        threads = [threading.Thread(target=ask, args=(of,)) for of in range(8)]
        began = time.time()
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        line.append(f"eight callers, hybrid {at(took, .5):.0f} / {at(took, .95):.0f} ({len(took) / (time.time() - began):.0f} a second)")
        caller, same, cases = Caller(args.api, number), 0, list(zip(questions, vectors))[:args.recall]
        target.run(f"""SET client_min_messages = warning; CREATE TABLE IF NOT EXISTS bench.one (chunk_id uuid, embedding vector); TRUNCATE bench.one;
            INSERT INTO bench.one SELECT chunk_id, embedding FROM upload_pipeline.document_chunks JOIN upload_pipeline.documents USING (document_id) WHERE user_id = '{user(number)}'""")
        for question, vector in cases:
            exact = target.run(f"SELECT chunk_id FROM bench.one ORDER BY embedding <=> '{json.dumps(vector)}'::vector, chunk_id LIMIT 10").split()
            same += len(set(exact) & {hit["chunk_id"] for hit in caller.search(question, "vector")["hits"]})
        line.append(f"recall@10 {same / 10 / len(cases):.3f}, first search by meaning {first:.0f} ms")
        print("; ".join(line), flush=True)
    add(args, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("make", "measure"))
    parser.add_argument("--psql", required=True)
    parser.add_argument("--target", required=True, metavar="URL")
    parser.add_argument("--source", metavar="URL")
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--fill", metavar="PROGRAM")
    parser.add_argument("--api", metavar="URL")
    parser.add_argument("--model", metavar="FOLDER")
    parser.add_argument("--questions", metavar="FILE", help="a JSON list of strings")
    parser.add_argument("--embed", metavar="PROGRAM")
    parser.add_argument("--recall", type=int, default=60, help="questions whose hits are compared with an exact scan")
    args = parser.parse_args()
    {"make": make, "measure": measure}[args.do](args)


main()
