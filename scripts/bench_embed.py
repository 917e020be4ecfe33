#!/usr/bin/env python3
"""Compares the local embedder with Python's onnxruntime, one thread each, on the same core and chunks.

    scripts/bench_embed.py --model DIR (--pdf FILE | --texts FILE.json) [--binary FILE] [--rounds N] [--core N]

The rounds are interleaved, and figures are chunks per second of CPU time (user and system, tokenising
included), which other load distorts less than wall time. onnxruntime gets the model in two forms, plain
operators and its own fused attention, each in 32-bit floats, one text at a time and (--batches) in batches of 8 of
similar length, and in its dynamic int8 (per channel); the fastest form of each precision is compared with ours. Needs Linux, Python 3.11 or later with pip, and poppler's pdftotext for --pdf. Builds the example
`embed_bench` unless --binary is given. Keeps what it installs in --cache.
"""

import argparse
import glob
import hashlib
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "scripts" / "requirements-bench.txt"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="sentence-transformers folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pdf", type=pathlib.Path, help="a document to cut into chunks")
    source.add_argument("--texts", type=pathlib.Path, help="a JSON list of chunks")
    parser.add_argument("--binary", type=pathlib.Path, help="the built example embed_bench")
    parser.add_argument("--profile", default="fast", help="cargo profile to build it with (default: fast)")
    parser.add_argument("--chunks", type=int, default=96, help="chunks of each round, spread over the text (default: 96)")
    parser.add_argument("--batches", action="store_true", help="also batches of 8 for onnxruntime, which are slower")
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default: 7)")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="core to run on (default: the last)")
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / ".cache" / "bench")
    return parser.parse_args()


def enter_venv(cache):
    """Runs the rest in a virtual environment with the pinned packages."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache / f"venv-{wanted}"
    python = folder / "bin" / "python"
    if pathlib.Path(sys.prefix) == folder.resolve():
        return
    if not (folder / "complete").exists():
        print("installing onnxruntime and its dependencies", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "--requirement", REQUIREMENTS], check=True)
        (folder / "complete").touch()
    os.execv(python, [python, *sys.argv])


def build_binary(profile):
    build = ["cargo", "build", "--package", "app-embedder", "--profile", profile, "--example", "embed_bench", "--message-format", "json"]
    output = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "embed_bench")


def cut(pdf, tokenizer):
    """Cuts a document's text into chunks of 170 to 252 tokens."""
    text = subprocess.run(["pdftotext", pdf, "-"], check=True, stdout=subprocess.PIPE, text=True).stdout
    words = text.replace("\f", " ").split()
    sizes = [len(encoding.ids) for encoding in tokenizer.encode_batch(words, add_special_tokens=False)]
    rng = random.Random(7)
    chunks, chunk, tokens, limit = [], [], 0, rng.randint(170, 252)
    for word, size in zip(words, sizes):
        if chunk and tokens + size > limit:
            chunks.append(" ".join(chunk))
            chunk, tokens, limit = [], 0, rng.randint(170, 252)
        chunk.append(word)
        tokens += size
    return [*chunks, " ".join(chunk)]


def load_weights(model):
    """The tensors by BERT's names. Packed matrices (scripts/convert_model.py) are unpacked."""
    import numpy as np
    from safetensors.numpy import load_file

    weights = {name.removeprefix("bert."): value for name, value in load_file(model / "model.safetensors").items()}
    for name in [name for name in weights if name.endswith(".q4")]:
        groups, scales = weights.pop(name), weights.pop(name + "_scale")
        values = np.concatenate([groups & 15, groups >> 4], axis=2).astype(np.float32) - 8
        weights[name.removesuffix(".q4")] = (values * scales[:, :, None].astype(np.float32)).reshape(len(groups), -1)
    return weights


def make_graph(model, path, fused):
    """Writes a BERT with mean pooling as ONNX. Positions come from Slice: onnxruntime 1.31.1 breaks Range + Gather."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    config = json.loads((model / "config.json").read_text())
    weights = load_weights(model)
    hidden, heads, epsilon = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]
    nodes, constants = [], {}

    def constant(name, value):
        constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def node(op, inputs, domain="", **attributes):
        output = f"{op}_{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def ints(*values):
        return constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def dense(x, name):
        weight = constant(f"{name}.weight", weights[f"{name}.weight"].T)
        return node("Add", [node("MatMul", [x, weight]), constant(f"{name}.bias", weights[f"{name}.bias"])])

    def norm(x, name):
        scale, shift = (constant(f"{name}.LayerNorm.{part}", weights[f"{name}.LayerNorm.{part}"]) for part in ("weight", "bias"))
        return node("LayerNormalization", [x, scale, shift], axis=-1, epsilon=epsilon)

    def attend(x, name):
        if fused:
            parts = ("query", "key", "value")
            weight = np.concatenate([weights[f"{name}.{part}.weight"].T for part in parts], axis=1)
            bias = np.concatenate([weights[f"{name}.{part}.bias"] for part in parts])
            inputs = [x, constant(f"{name}.weight", weight), constant(f"{name}.bias", bias), mask_int]
            return node("Attention", inputs, domain="com.microsoft", num_heads=heads)

        def split(part, order):
            shaped = node("Reshape", [dense(x, f"{name}.{part}"), ints(0, 0, heads, hidden // heads)])
            return node("Transpose", [shaped], perm=order)

        scores = node("MatMul", [split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1])])
        scale = constant("scale", np.array((hidden // heads) ** -0.5, np.float32))
        shares = node("Softmax", [node("Add", [node("Mul", [scores, scale]), mask_bias])], axis=-1)
        mixed = node("Transpose", [node("MatMul", [shares, split("value", [0, 2, 1, 3])])], perm=[0, 2, 1, 3])
        return node("Reshape", [mixed, ints(0, 0, hidden)])

    mask_int = node("Cast", ["mask"], to=TensorProto.INT32)
    mask = node("Cast", ["mask"], to=TensorProto.FLOAT)
    if not fused:
        absent = node("Sub", [constant("one", np.array(1, np.float32)), mask])
        mask_bias = node("Unsqueeze", [node("Mul", [absent, constant("far", np.array(-1e4, np.float32))]), ints(1, 2)])

    words = constant("words", weights["embeddings.word_embeddings.weight"])
    types = weights["embeddings.token_type_embeddings.weight"][0]
    positions = constant("positions", weights["embeddings.position_embeddings.weight"] + types)
    length = node("Shape", ["ids"], start=1, end=2)
    positions = node("Slice", [positions, ints(0), length, ints(0)])
    x = norm(node("Add", [node("Gather", [words, "ids"]), positions]), "embeddings")
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        attended = dense(attend(x, f"{name}.attention.self"), f"{name}.attention.output.dense")
        x = norm(node("Add", [attended, x]), f"{name}.attention.output")
        wide = node("Gelu", [dense(x, f"{name}.intermediate.dense")])
        x = norm(node("Add", [dense(wide, f"{name}.output.dense"), x]), f"{name}.output")
    total = node("ReduceSum", [node("Mul", [x, node("Unsqueeze", [mask, ints(2)])]), ints(1)], keepdims=0)
    vector = node("LpNormalization", [total], axis=1, p=2)

    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("ids", "mask")]
    outputs = [helper.make_tensor_value_info(vector, TensorProto.FLOAT, ["batch", hidden])]
    graph = helper.make_graph(nodes, "bert", inputs, outputs, list(constants.values()))
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def quantised(path):
    """Writes the graph in onnxruntime's dynamic int8."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = path.with_name(path.stem + "-int8.onnx")
    options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(path, target, per_channel=True, weight_type=QuantType.QInt8, extra_options=options)
    return target


class Onnx:
    """Python's onnxruntime on one thread."""

    def __init__(self, path, tokenizer, batch, texts):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizer
        # Similar lengths together, which needs little padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        self.batches = [[(index, texts[index]) for index in order[at : at + batch]] for at in range(0, len(order), batch)]

    def vectors(self):
        import numpy as np

        result = {}
        for batch in self.batches:
            lists = [self.tokenizer.encode(text).ids for _, text in batch]
            ids = np.zeros((len(lists), max(map(len, lists))), np.int64)
            mask = np.zeros_like(ids)
            for row, tokens in enumerate(lists):
                ids[row, : len(tokens)] = tokens
                mask[row, : len(tokens)] = 1
            output = self.session.run(None, {"ids": ids, "mask": mask})[0]
            result.update(zip((index for index, _ in batch), output))
        return np.array([result[index] for index in sorted(result)])

    def seconds(self):
        start = time.process_time()
        self.vectors()
        return time.process_time() - start


class Ours:
    """The example embed_bench, which runs one thread."""

    def __init__(self, binary, model, texts, precision):
        self.child = subprocess.Popen([binary, model, texts, precision], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        return self.child.stdout.readline()

    def vectors(self):
        import numpy as np

        return np.array(json.loads(self.ask("vectors")), np.float32)

    def used(self):
        tasks = glob.glob(f"/proc/{self.child.pid}/task/*/schedstat")
        return sum(int(pathlib.Path(task).read_text().split()[0]) for task in tasks) / 1e9

    def seconds(self):
        start = self.used()
        self.ask("round")
        return self.used() - start


def main():
    options = arguments()
    options.cache.mkdir(parents=True, exist_ok=True)
    enter_venv(options.cache)
    binary = options.binary.resolve() if options.binary else build_binary(options.profile)
    os.sched_setaffinity(0, {options.core})

    import numpy as np
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = json.loads(options.texts.read_text()) if options.texts else cut(options.pdf, tokenizer)
    texts = texts[:: max(1, len(texts) // options.chunks)]
    sentence = options.model / "sentence_bert_config.json"
    tokenizer.enable_truncation(json.loads(sentence.read_text())["max_seq_length"] if sentence.exists() else 512)
    tokens = statistics.mean(len(tokenizer.encode(text).ids) for text in texts)
    print(f"{len(texts)} chunks, {tokens:.0f} tokens each on average, core {options.core}, {options.rounds} rounds")
    chosen = options.cache / "texts.json"
    chosen.write_text(json.dumps(texts))

    prompts = options.model / "config_sentence_transformers.json"
    prompt = json.loads(prompts.read_text())["prompts"].get("passage", "") if prompts.exists() else ""
    prompted = [prompt + text for text in texts]

    engines = {f"ours, {precision}": Ours(binary, options.model, chosen, precision) for precision in ("f32", "int8")}
    for fused in (False, True):
        form = "fused" if fused else "plain"
        path = options.cache / f"bert-{form}.onnx"
        make_graph(options.model, path, fused)
        for batch in (1, 8) if options.batches else (1,):
            engines[f"onnxruntime, {form}, f32, batch {batch}"] = Onnx(path, tokenizer, batch, prompted)
        engines[f"onnxruntime, {form}, int8"] = Onnx(quantised(path), tokenizer, 1, prompted)

    reference = engines["onnxruntime, plain, f32, batch 1"].vectors().astype(np.float64)
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    rates = {name: [] for name in engines}
    for _ in range(options.rounds):
        for name, engine in engines.items():
            rates[name].append(len(texts) / engine.seconds())

    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{'engine':32} chunks / CPU second: median (least to most)")
    for name, values in rates.items():
        print(f"{name:32} {medians[name]:6.1f} ({min(values):.1f} to {max(values):.1f})")
    for precision in ("f32", "int8"):
        best = max((name for name in rates if "onnxruntime" in name and precision in name), key=medians.get)
        ratios = [mine / theirs for mine, theirs in zip(rates[f"ours, {precision}"], rates[best])]
        spread = f"median of rounds; {min(ratios):.2f} to {max(ratios):.2f}"
        print(f"ours, {precision} / {best}: {statistics.median(ratios):.2f} ({spread})")
        for name in (f"ours, {precision}", best):
            vectors = engines[name].vectors().astype(np.float64)
            cosines = (reference * vectors).sum(1) / np.linalg.norm(vectors, axis=1)
            print(f"cosine of {name} to onnxruntime's plain f32: {cosines.mean():.5f} (least {cosines.min():.5f})")


if __name__ == "__main__":
    main()
