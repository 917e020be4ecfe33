#!/usr/bin/env python3
"""Measures search on public sets, over HTTP, beside plain BM25. Nothing is fetched: check the sets out first.

    scripts/bench_search.py API TOKEN SET=FOLDER [--modes hybrid,vector,text] [--foreign SET=FOLDER] [--reuse]
    scripts/bench_search.py DATABASE_URL USER SET=FOLDER --program "SEARCH_BENCH MODEL_FOLDER" [--variants names,scores,page]

SETs, their repositories and commits, and the FOLDER that each takes:
  xquad-LANG[:QUESTION_LANG]  google-deepmind/xquad 7d30520: the root. 240 paragraphs; the right one first, among five, ten
           xquad-en+de+ru deals them among languages, each in one; questions are then in its own, or in QUESTION_LANG
  cran     xyxxyyxy/cranvectors 78c84cb: the root. 1,398 abstracts; nDCG@10, gain 5 - Cleverdon's code
  chunks   brandonstarxel/chunking_evaluation d451fc4: .../general_evaluation_data. The answers' words in five passages
  filings  patronus-ai/financebench cc39aeb: the root, with pdfs/. A page of the evidence among five hits: within the filing
           asked about, and over all filings; also by halves of the questions (odd, even sha256 of their ids), one to choose by

API is where the routes begin, TOKEN a user's token or key. All documents of the user are searched: give each set a user or a
database of its own. --foreign asks the questions of another set as well and says how many find nothing; --reuse sends no
texts. 200 questions each, the first after random.Random(7).shuffle (cran: in the file's order). took_ms is the API's own.

--program searches without HTTP over texts that an API has taken in before: examples/search_bench. It tells CPU time a
search, of itself and of its database session. --variants asks hybrid questions again without a part of the ranking (names: bonus
of the documents' names; scores: fusion by scores, so reciprocal ranks; lifts: of other languages), or with `expand` and at most
1,500 characters a hit (neighbours, section, page).
"""
import argparse
import csv
import hashlib
import io
import json
import math
import os
import random
import re
import subprocess
import time
import unicodedata
import urllib.error
import urllib.request

QUESTIONS = 200


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def xquad(folder, languages):
    """Texts (title, text) and questions (question, {title: gain})."""
    def paragraphs(language):
        return [p for article in json.loads(read(folder, f"xquad.{language}.json"))["data"] for p in article["paragraphs"]]

    written, _, asked_in = languages.partition(":")
    written = [paragraphs(language) for language in written.split("+")]
    asked = [paragraphs(asked_in)] if asked_in else written
    dealt = [(f"p{i:03}", written[i % len(written)][i], asked[i % len(asked)][i]) for i in range(len(written[0]))]
    texts = [(title, p["context"]) for title, p, _ in dealt]
    questions = [(qa["question"], {title: 1}) for title, _, p in dealt for qa in p["qas"]]
    random.Random(7).shuffle(questions)
    return texts, questions


def cran(folder, _):
    def records(name, pattern):
        return re.findall(pattern, read(folder, name).decode("latin-1").replace("\r", ""), re.S | re.M)

    texts = [(n, re.sub(r"^\.[TABW]\n", "", text, flags=re.M)) for n, text in records("cran.all.1400", r"^\.I (\d+)\n(.*?)(?=^\.I |\Z)")]
    gains = {}
    for line in read(folder, "cranqrel").decode().splitlines():
        question, title, code = line.split()
        gains.setdefault(int(question), {})[title] = 5 - int(code)
    asked = enumerate(records("cran.qry", r"^\.I \d+\n\.W\n(.*?)(?=^\.I |\Z)"), 1)
    return [t for t in texts if len(t[1].strip()) > 20], [(" ".join(q.split()), gains.get(i, {})) for i, q in asked]


def chunks(folder, _):
    names = ("chatlogs", "finance", "pubmed", "state_of_the_union", "wikitexts")
    texts = [(name, read(folder, "corpora", name + ".md").decode()) for name in names]
    rows = list(csv.DictReader(io.StringIO(read(folder, "questions_df.csv").decode())))
    random.Random(7).shuffle(rows)
    return texts, [(r["question"], (r["corpus_id"], [x["content"] for x in json.loads(r["references"])])) for r in rows]


def filings(folder, _):
    asked = [json.loads(line) for line in read(folder, "data", "financebench_open_source.jsonl").decode().splitlines()]

    def pages(q):
        return {e["evidence_page_num"] + 1 for e in q["evidence"] if e.get("doc_name", q["doc_name"]) == q["doc_name"]}

    half = lambda q: hashlib.sha256(q["financebench_id"].encode()).digest()[0] % 2
    names = sorted({q["doc_name"] for q in asked})
    there = [name for name in names if os.path.exists(os.path.join(folder, "pdfs", name + ".pdf"))]
    return ([(name + ".pdf", os.path.join(folder, "pdfs", name + ".pdf")) for name in there],
            [(q["question"], (q["doc_name"], pages(q), half(q))) for q in asked])


def load(spec):
    name, _, folder = spec.partition("=")
    kind, _, rest = name.partition("-")
    texts, questions = {"xquad": xquad, "cran": cran, "chunks": chunks, "filings": filings}[kind](folder, rest)
    return name, texts, questions[:QUESTIONS]


# Plain BM25: k1 1.2, b 0.75, no stems, no stop words, pairs of characters where a script has no blanks.
UNSPACED = re.compile("([\u0e00-\u0e7f]+|[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+)")


def terms(text):
    for word in "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text.lower()).split():
        for i, part in enumerate(UNSPACED.split(word)):
            if i % 2 and len(part) > 1:
                yield from (part[j:j + 2] for j in range(len(part) - 1))
            elif part:
                yield part


def plain_bm25(passages):
    postings, lengths = {}, []
    for i, (_, text) in enumerate(passages):
        words = list(terms(text))
        lengths.append(len(words))
        for word in words:
            found = postings.setdefault(word, {})
            found[i] = found.get(i, 0) + 1
    n, mean = len(lengths), sum(lengths) / len(lengths)

    def answer(question):
        scores = {}
        for word in set(terms(question)):
            found = postings.get(word, {})
            idf = math.log(1 + (n - len(found) + 0.5) / (len(found) + 0.5))
            for i, tf in found.items():
                scores[i] = scores.get(i, 0) + idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * lengths[i] / mean))
        return [passages[i] for i in sorted(scores, key=lambda i: (-scores[i], i))[:20]]
    return answer


def windows(text, size=1000):
    start = 0
    for word in re.finditer(r"\S+", text):
        if word.end() - start > size and word.start() > start:
            yield text[start:word.start()]
            start = word.start()
    yield text[start:]


def covered(reference, passages):
    """The share of the reference's words in a run of four words that a passage also has."""
    cut = lambda text: re.sub(r"[^\w]+", " ", text).lower().split()
    words, runs = cut(reference), set()
    if len(words) < 4:
        return float(any(" ".join(words) in " ".join(cut(p)) for p in passages))
    for passage in passages:
        have = cut(passage)
        runs |= {tuple(have[i:i + 4]) for i in range(len(have) - 3)}
    hit = [False] * len(words)
    for i in range(len(words) - 3):
        if tuple(words[i:i + 4]) in runs:
            hit[i:i + 4] = [True] * 4
    return sum(hit) / len(words)


def judge(name, questions, answer):
    if name == "chunks":
        total = 0.0
        for question, (title, references) in questions:
            passages = [text for of, text in answer(question)[:5] if of == title]
            total += sum(covered(r, passages) for r in references) / len(references)
        return f"words of the answer in five {total / len(questions):.3f}"
    ranks, gain = [], 0.0
    for question, gains in questions:
        titles = list(dict.fromkeys(title for title, _ in answer(question)))
        ranks.append(next((i for i, title in enumerate(titles, 1) if title in gains), None))
        dcg = lambda values: sum(v / math.log2(i + 1) for i, v in enumerate(values[:10], 1))
        best = dcg(sorted(gains.values(), reverse=True))
        gain += dcg([gains.get(title, 0) for title in titles]) / best if best else 0.0
    n = len(ranks)
    shares = " ".join(f"@{cut} {sum(r is not None and r <= cut for r in ranks) / n:.3f}" for cut in (1, 5, 10))
    return shares + (f" ndcg@10 {gain / n:.3f}" if name == "cran" else "")


def judge_filings(questions, ready, ask):
    """A line for each way of asking: shares of all questions, then of each half at five."""
    lines = []
    for setting in ("within", "all"):
        ranks, halves, chars = [], {0: [], 1: []}, 0
        for question, (name, pages, half) in questions:
            hits = ask(question, ready[name] if setting == "within" else None)
            chars += sum(len(hit["text"]) for hit in hits[:5])
            right = (i for i, hit in enumerate(hits, 1) if hit["document_id"] == ready[name] and hit["page_first"] is not None
                     and any(hit["page_first"] <= page <= hit["page_last"] for page in pages))
            ranks.append(next(right, None))
            halves[half].append(ranks[-1])
        at = lambda ranks, cut: sum(r is not None and r <= cut for r in ranks) / max(1, len(ranks))
        lines.append(f"{setting:6} " + " ".join(f"@{cut} {at(ranks, cut):.3f}" for cut in (1, 3, 5, 10, 20))
                     + f"  even @5 {at(halves[0], 5):.3f} odd @5 {at(halves[1], 5):.3f}  characters in five {chars / len(questions):.0f}")
    return "\n          ".join(lines)


class Program:
    """The searches of the example search_bench, with the answers of the API."""

    def __init__(self, url, user, program):
        command = program.split()
        self.user, self.last = user, [0, 0]
        self.process = subprocess.Popen([command[0], url, *command[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, _method, _path, body):
        self.process.stdin.write(json.dumps({"user": self.user, **body}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the program ended")
        answer = json.loads(line)
        self.cpu = answer["cpu"]
        return answer

    def all(self, _path):
        sql = "SELECT d.document_id, d.filename, d.processing_status FROM upload_pipeline.documents AS d WHERE d.user_id = '%s'" % self.user
        rows = subprocess.run(["psql", self.process.args[1], "-X", "-At", "-F", "\t", "-c", sql], text=True, check=True, stdout=subprocess.PIPE)
        return [dict(zip(("document_id", "filename", "processing_status"), row.split("\t"))) for row in rows.stdout.splitlines()]


class Api:
    def __init__(self, base, token):
        self.base, self.token = base.rstrip("/"), token

    def call(self, method, path, body=None):
        for _ in range(120):
            request = urllib.request.Request(self.base + path, data=json.dumps(body).encode() if body is not None else None,
                                             method=method, headers={"Authorization": "Bearer " + self.token, "Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code == 409:
                    return {}
                if error.code not in (429, 503):
                    raise SystemExit(f"{method} {path}: {error.code} {error.read()[:300]!r}")
                time.sleep(min(5, float(error.headers.get("Retry-After") or 1)))
        raise SystemExit(f"{method} {path}: refused too often; raise the API's rate limit")

    def upload(self, name, path):
        """A file in one step, as a form."""
        border = hashlib.sha256(name.encode()).hexdigest()
        head = f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: application/pdf\r\n\r\n'
        request = urllib.request.Request(self.base + "/documents", data=head.encode() + read(path) + f"\r\n--{border}--\r\n".encode(), method="POST",
                                         headers={"Authorization": "Bearer " + self.token, "Content-Type": f"multipart/form-data; boundary={border}"})
        try:
            urllib.request.urlopen(request, timeout=600).close()
        except urllib.error.HTTPError as error:
            if error.code != 409:
                print(f"  {name} was refused: {error.code} {error.read()[:200]!r}")

    def all(self, path):
        after = ""
        while True:
            page = self.call("GET", f"{path}limit=100{after}")
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            after = "&cursor=" + page["next_cursor"]


def variants(args):
    """Name, mode and further fields of each way of searching."""
    for mode in args.modes.split(","):
        yield mode, mode, {}
    for variant in filter(None, args.variants.split(",")):
        is_more = variant in ("neighbours", "section", "page")
        yield ("hybrid+" if is_more else "hybrid-") + variant, "hybrid", \
            {"expand": variant, "max_chars": 1500} if is_more else {"without": {variant: True}}


def measure_filings(args, api, documents, questions):
    ready = {d["filename"].removesuffix(".pdf"): d["document_id"] for d in documents if d["processing_status"] == "complete"}
    questions = [q for q in questions if q[1][0] in ready]
    print(f"  {len(ready)} filings are complete, {len(questions)} questions are about them", flush=True)
    for label, mode, more in variants(args):
        took = []

        def ask(question, document):
            body = {"query": question[:1000], "mode": mode, "limit": 20, **more, **({"document_id": document} if document else {})}
            found = api.call("POST", "/search", body)
            took.append(found["took_ms"])
            return found["hits"]

        lines = judge_filings(questions, ready, ask)
        took.sort()
        cpu = ""
        if args.program:
            spent = [(now - before) * 1000 / len(took) for now, before in zip(api.cpu, api.last)]
            api.last, cpu = api.cpu, f"  CPU ms a search: {spent[0]:.1f}, database {spent[1]:.1f}"
        print(f"  {label:15} {lines}\n          ms p50 {took[len(took) // 2]:.1f} p95 {took[int(len(took) * .95)]:.1f}{cpu}", flush=True)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("api")
    args.add_argument("token")
    args.add_argument("set")
    args.add_argument("--modes", default="hybrid,vector,text")
    args.add_argument("--foreign")
    args.add_argument("--reuse", action="store_true")
    args.add_argument("--facts", metavar="FILE", help="writes score, cosine and covered of each first hit, to choose thresholds")
    args.add_argument("--program", help="search_bench and the folder of the model, in place of HTTP")
    args.add_argument("--variants", default="", help="names,scores,lifts: hybrid again without that part; neighbours,section,page: with them")
    args.add_argument("--partly", action="store_true", help="do not wait for documents that are not complete")
    args = args.parse_args()
    name, texts, questions = load(args.set)
    api = Program(args.api, args.token, args.program) if args.program else Api(args.api, args.token)
    if not args.reuse and not args.program:
        for title, text in texts:
            if name == "filings":
                api.upload(title, text)
            else:
                api.call("POST", "/documents", {"title": title, "text": text})
    while True:
        documents = list(api.all("/documents?"))
        if args.partly or all(d["processing_status"] == "complete" or d["processing_status"].startswith("failed") for d in documents):
            break
        time.sleep(2)
    titles = {d["document_id"]: d["filename"].removesuffix(".md").removesuffix(".txt") for d in documents}
    if name == "filings":
        return measure_filings(args, api, documents, questions)
    passages = [(t, p) for t, text in texts for p in (windows(text) if name == "chunks" else [text])]
    print(f"{name}: {len(documents)} documents, {len(questions)} questions")
    print(f"  bm25    {judge(name, questions, plain_bm25(passages))}", flush=True)
    facts = []
    for label, mode, more in variants(args):
        took, empty, chars = [], 0, 0

        def answer(question, least=0):
            nonlocal empty, chars
            body = {"query": question[:1000], "mode": mode, "limit": 5 if name == "chunks" else 20, **more}
            found = api.call("POST", "/search", body)
            took.append(found["took_ms"])
            empty += not found["hits"]
            chars += sum(len(hit["text"]) for hit in found["hits"][:5])
            return [(titles.get(hit["document_id"]), hit["text"]) for hit in found["hits"]]

        figures = judge(name, questions, answer)
        took.sort()
        print(f"  {label:15} {figures}  empty {empty / len(questions):.3f}  characters in five {chars / len(questions):.0f}"
              f"  ms p50 {took[len(took) // 2]:.0f} p95 {took[int(len(took) * .95)]:.0f}", flush=True)
        others = load(args.foreign)[2] if args.foreign else []
        if others:
            nothing = sum(not api.call("POST", "/search", {"query": q[:1000], "mode": mode, "limit": 1})["hits"] for q, _ in others)
            print(f"  {mode:7} questions of another set that find nothing {nothing / len(others):.3f}", flush=True)
        if args.facts:
            for kind, asked in (("own", questions), ("foreign", others)):
                for question, right in asked:
                    hits = api.call("POST", "/search", {"query": question[:1000], "mode": mode, "limit": 1, "min_score": 0})["hits"]
                    hit = hits[0] if hits else {}
                    is_right = kind == "own" and name != "chunks" and titles.get(hit.get("document_id")) in right
                    facts.append([name, mode, kind, is_right, hit.get("score"), hit.get("cosine"), hit.get("covered")])
    if args.facts:
        with open(args.facts, "a", encoding="utf8") as file:
            file.writelines(json.dumps(fact) + "\n" for fact in facts)


if __name__ == "__main__":
    main()
