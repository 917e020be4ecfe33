#!/usr/bin/env python3
"""Measures PDFs from upload to complete beside a stack of Python packages, in interleaved rounds.

    APP_BIN=target/fast/app scripts/bench_stack.py FOLDER|FILE... [--models NAME,...] [--cores 1,2] [--rounds N]

The stack reads the text by pypdfium2, cuts it by langchain's splitter (1,000 characters), embeds it by onnxruntime, one
passage at a time on a thread a core, in 32-bit floats and in onnxruntime's int8, and writes it to pgvector by psycopg, all
in one process that is warm when it begins. It makes no index on words and keeps no job. Ours is `app dev` with its defaults:
the files are sent over HTTP, and the time ends when the last is complete. Both have the same cores and the same PostgreSQL,
that of `app dev`. A document that the app refuses is left out of both. Needs Linux and Python 3.11 to 3.13 with pip.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import sys
import time

import bench
import bench_embed

PASSAGE_CHARACTERS = 1000
PROBES = 12


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path, help="PDFs, or folders of them")
    parser.add_argument("--models", default="all-MiniLM-L6-v2,multilingual-e5-small", help="folders below EMBED_MODEL_DIR")
    parser.add_argument("--cores", default="1,2", help="numbers of cores, one run each (default: 1,2)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each run (default: 3)")
    parser.add_argument("--cache", type=pathlib.Path, default=bench.ROOT / ".cache" / "bench")
    return parser.parse_args()


def pdfs(paths):
    found = [file for path in paths for file in (sorted(path.glob("*.pdf")) if path.is_dir() else [path])]
    return found or sys.exit("bench_stack: no PDF there")


class Model:
    """onnxruntime with one of the model's graphs, a thread a core."""

    def __init__(self, folder, graph, cores):
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        sentence = folder / "sentence_bert_config.json"
        self.tokenizer.enable_truncation(json.loads(sentence.read_text())["max_seq_length"] if sentence.exists() else 512)
        prompts = folder / "config_sentence_transformers.json"
        self.prompt = json.loads(prompts.read_text())["prompts"].get("passage", "") if prompts.exists() else ""
        self.pool = concurrent.futures.ThreadPoolExecutor(cores)

    def vector(self, text):
        import numpy as np

        ids = np.array([self.tokenizer.encode(self.prompt + text).ids], np.int64)
        return self.session.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0][0]

    def vectors(self, texts):
        return list(self.pool.map(self.vector, texts))


def fastest(folder, graphs, cores, texts):
    """The model with the graph that embeds these texts in the least time, and that graph's name."""
    def seconds(model):
        model.vectors(texts)
        begun = time.monotonic()
        model.vectors(texts)
        return time.monotonic() - begun

    models = {name: Model(folder, graph, cores) for name, graph in graphs.items()}
    best = min(models, key=lambda name: seconds(models[name]))
    return models[best], best


def split(file):
    """The passages of a PDF, by pypdfium2 and langchain."""
    import pypdfium2
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    document = pypdfium2.PdfDocument(file)
    text = "\n\n".join(page.get_textpage().get_text_bounded() for page in document)
    return RecursiveCharacterTextSplitter(chunk_size=PASSAGE_CHARACTERS, chunk_overlap=0).split_text(text)


def run_stack(model, files, database):
    """Seconds until the passages of all files are in the table, CPU seconds of this process, and the passages' number."""
    import psycopg
    from pgvector.psycopg import register_vector

    with psycopg.connect(database, autocommit=True) as connection:
        where = connection.execute("SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'")
        connection.execute(f"SET search_path TO stack, public, {where.fetchone()[0]}")
        connection.execute("CREATE SCHEMA IF NOT EXISTS stack")
        connection.execute("DROP TABLE IF EXISTS passages")
        connection.execute("CREATE TABLE passages (id bigserial PRIMARY KEY, file text, ordinal int, text text, embedding vector)")
        register_vector(connection)
        begun, cpu, count = time.monotonic(), time.process_time(), 0
        for file in files:
            passages = split(file)
            rows = [(file.name, i, text, vector) for i, (text, vector) in enumerate(zip(passages, model.vectors(passages)))]
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany("INSERT INTO passages (file, ordinal, text, embedding) VALUES (%s, %s, %s, %s)", rows)
            count += len(rows)
        return time.monotonic() - begun, time.process_time() - cpu, count


def run_ours(api, processes, files):
    """Seconds until all files are complete, CPU seconds of all processes, and the passages' number."""
    api.delete_all()
    documents = [bench.Document(file, file.name, bench.hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    seconds, cpu = bench.run_all_at_once(api, processes, documents)
    for document in documents:
        if not document.complete:
            raise bench.BenchError(f"{document.name} is not complete: {document.refused or document.failed}")
    return seconds, bench.total_cpu(cpu), sum(document.chunks for document in documents)


def readable(api, processes, files):
    """The files that the app does not refuse."""
    documents = [bench.Document(file, file.name, bench.hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    api.delete_all()
    bench.run_all_at_once(api, processes, documents)
    for document in documents:
        if not document.complete:
            print(f"left out: {document.name} ({document.refused or document.failed})")
    kept = [document for document in documents if document.complete]
    return [document.path for document in kept], sum(document.pages for document in kept)


def compare(binary, name, cores, options):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    folder = pathlib.Path(os.environ["EMBED_MODEL_DIR"]) / name
    graphs = {"f32": {}, "int8": {}}
    for fused in (False, True):
        form = "fused" if fused else "plain"
        graph = options.cache / f"{name}-{form}.onnx"
        bench_embed.make_graph(folder, graph, fused)
        graphs["f32"][form], graphs["int8"][form] = graph, bench_embed.quantised(graph)
    os.environ["EMBED_MODEL"] = name
    with bench.app_dev(binary) as (api, processes):
        # Its thread would take time from the stack, which runs in this process.
        processes.stop()
        files, pages = readable(api, processes, pdfs(options.files))
        probes = split(files[0])[:PROBES]
        rivals = {precision: fastest(folder, of, cores, probes) for precision, of in graphs.items()}
        dev = next(iter(pathlib.Path("/proc", str(processes.app), "environ").read_bytes().split(b"\0APP_DEV_DIR=")[1:]))
        database = pathlib.Path(os.fsdecode(dev.split(b"\0")[0]), "database.url").read_text().strip()
        rows = {"ours": []} | {f"Python, {precision} ({form})": [] for precision, (_, form) in rivals.items()}
        for _ in range(options.rounds):
            rows["ours"].append(run_ours(api, processes, files))
            for precision, (model, form) in rivals.items():
                rows[f"Python, {precision} ({form})"].append(run_stack(model, files, database))
    print(f"{name}, {cores} core(s), {len(files)} files, {pages} pages, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for contestant, runs in rows.items():
        seconds = [run[0] for run in runs]
        ratio = statistics.median(theirs / mine[0] for theirs, mine in zip(seconds, rows["ours"]))
        cpu = statistics.median(run[1] for run in runs) if runs[0][1] is not None else float("nan")
        spread = f"({min(seconds):.1f} to {max(seconds):.1f})"
        print(f"  {contestant:22} {statistics.median(seconds):6.1f} s {spread:16} {ratio:5.2f} times ours  CPU {cpu:6.1f} s  {runs[0][2]} passages", flush=True)


def main():
    options = arguments()
    options.cache.mkdir(parents=True, exist_ok=True)
    bench_embed.enter_venv(options.cache)
    binary = os.environ.get("APP_BIN") or sys.exit("bench_stack: APP_BIN must name the app to measure")
    binary = str(pathlib.Path(binary).resolve())
    os.environ.setdefault("EMBED_MODEL_DIR", str(bench.ROOT / ".cache" / "models"))
    everywhere = os.sched_getaffinity(0)
    for name in options.models.split(","):
        for cores in map(int, options.cores.split(",")):
            os.sched_setaffinity(0, everywhere)
            if cores > len(everywhere):
                print(f"{name}, {cores} cores: left out, there are {len(everywhere)}")
                continue
            compare(binary, name, cores, options)


if __name__ == "__main__":
    try:
        main()
    except bench.BenchError as error:
        sys.exit(f"bench_stack: {error}")
