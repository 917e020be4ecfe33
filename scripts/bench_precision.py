#!/usr/bin/env python3
"""Measures what 8 bits cost search: the figures of scripts/bench_search.py with the model in 8 bits and in f32, and the loss.

    APP_BIN=target/fast/app scripts/bench_precision.py SET=FOLDER... [--model NAME] [--modes vector,hybrid] [--questions N]

SETs are those of scripts/bench_search.py. Each precision has an `app dev` of its own, which holds one set at a time. A figure's
loss is f32 minus int8; exits 1 if one is above the bound of .005. One question of N is 1/N of a figure.
"""

import argparse
import os
import pathlib
import re
import sys
import time

import bench
import bench_search

BOUND = 0.005
PRECISIONS = ("f32", "int8")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET=FOLDER")
    parser.add_argument("--model", default="multilingual-e5-small", help="a folder below EMBED_MODEL_DIR")
    parser.add_argument("--modes", default="vector,hybrid")
    parser.add_argument("--questions", type=int, default=500, help="of each set (default: 500)")
    return parser.parse_args()


def fill(api, texts):
    """Puts the texts in place of all documents and returns their titles by id."""
    for document in list(api.all("/documents?")):
        api.call("DELETE", f"/documents/{document['document_id']}")
    for title, text in texts:
        api.call("POST", "/documents", {"title": title, "text": text})
    while True:
        documents = list(api.all("/documents?"))
        if all(d["processing_status"] == "complete" or d["processing_status"].startswith("failed") for d in documents):
            break
        time.sleep(1)
    failed = [d["filename"] for d in documents if d["processing_status"] != "complete"]
    if failed or len(documents) != len(dict(texts)):
        raise bench.BenchError(f"{len(documents)} of {len(texts)} texts are there, and these failed: {failed}")
    return {d["document_id"]: d["filename"].removesuffix(".md").removesuffix(".txt") for d in documents}


def figures(api, name, questions, mode, titles):
    """The figures of a set by name."""
    def answer(question):
        body = {"query": question[:1000], "mode": mode, "limit": 5 if name == "chunks" else 20}
        return [(titles.get(hit["document_id"]), hit["text"]) for hit in api.call("POST", "/search", body)["hits"]]

    said = bench_search.judge(name, questions, answer)
    return {label: float(value) for label, value in re.findall(r"(@\d+|ndcg@10|words of the answer in five) ([\d.]+)", said)}


def measure(binary, precision, options):
    os.environ["EMBED_PRECISION"] = precision
    found = {}
    with bench.app_dev(binary) as (started, processes):
        processes.stop()
        api = bench_search.Api(started.url + bench.BASE_PATH, started.token)
        for spec in options.sets:
            name, texts, questions = bench_search.load(spec)
            titles = fill(api, texts)
            for mode in options.modes.split(","):
                found[name, mode] = figures(api, name, questions, mode, titles)
                print(f"{precision} {name} {mode}: {found[name, mode]}", file=sys.stderr, flush=True)
    return found


def main():
    options = arguments()
    binary = os.environ.get("APP_BIN") or sys.exit("bench_precision: APP_BIN must name the app to measure")
    os.environ.setdefault("EMBED_MODEL_DIR", str(bench.ROOT / ".cache" / "models"))
    os.environ["EMBED_MODEL"] = options.model
    bench_search.QUESTIONS = options.questions
    binary = str(pathlib.Path(binary).resolve())
    whole, eighth = (measure(binary, precision, options) for precision in PRECISIONS)
    print(f"{options.model}, up to {options.questions} questions a set\n{'':34} {'f32':>7} {'int8':>7} {'loss':>7}")
    worst = 0.0
    for (name, mode), found in whole.items():
        for label, value in found.items():
            loss = value - eighth[name, mode][label]
            worst = max(worst, loss)
            print(f"{name + ' ' + mode + ' ' + label:34} {value:7.3f} {eighth[name, mode][label]:7.3f} {loss:+7.3f}")
    if worst > BOUND + 1e-9:
        sys.exit(f"bench_precision: a figure loses {worst:.3f}, above the bound of {BOUND}")


if __name__ == "__main__":
    try:
        main()
    except bench.BenchError as error:
        sys.exit(f"bench_precision: {error}")
