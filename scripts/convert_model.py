"""Converts multilingual-e5-small from the one file of its package (format E5S1) to a sentence-transformers folder.

    convert_model.py FILE DIR

Nothing is lost: matrices stay groups of 32 weights in 4 bits with a scale, as `NAME.q4` (bytes) and `NAME.q4_scale` (halves) in
model.safetensors. The result is the same on every machine, so that scripts/fetch can check its sums. Needs Python only.
"""

import base64
import json
import os
import struct
import sys

GROUP = 32  # weights in a group
GROUP_BYTES = 18  # a half, then the low four bits of the weights 0 to 15 and the high four bits of 16 to 31


class Reader:
    """Reads little-endian numbers one after another."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, kind):
        values = struct.unpack_from("<" + kind, self.data, self.at)
        self.at += struct.calcsize("<" + kind)
        return values if len(values) > 1 else values[0]

    def bytes(self, count):
        if count < 0 or self.at + count > len(self.data):
            sys.exit("convert_model: the file ends too early; fetch it again")
        self.at += count
        return self.data[self.at - count : self.at]


def read(data):
    """Returns the sizes, the pieces with their scores, the ids of the special tokens, the character map and the tensors."""
    reader = Reader(data)
    if reader.bytes(4) != b"E5S1" or reader.take("I") != 1:
        sys.exit("convert_model: this is not a file of the format E5S1, version 1")
    names = ("hidden", "layers", "heads", "wide", "words", "positions", "types")
    sizes = dict(zip(names, reader.take("7i")))
    sizes["epsilon"] = reader.take("f")
    if reader.take("i") != GROUP:
        sys.exit("convert_model: the groups do not have 32 weights")
    count = reader.take("i")
    special = dict(zip(("<s>", "</s>", "<pad>", "<unk>"), reader.take("4i")))
    piece_bytes = reader.take("Q")
    starts = reader.take(f"{count + 1}I")
    scores = reader.take(f"{count}f")
    text = reader.bytes(piece_bytes)
    if list(starts) != sorted(starts) or starts[-1] != piece_bytes:
        sys.exit("convert_model: the pieces are out of order")
    pieces = [text[start:end].decode() for start, end in zip(starts, starts[1:])]
    entries, _ = reader.take("iI")
    characters = {}
    for _ in range(entries):
        point, length = reader.take("IB")
        characters[chr(point)] = "".join(chr(reader.take("I")) for _ in range(length))
    tensors = {}
    for _ in range(reader.take("i")):
        name = reader.bytes(reader.take("H")).decode()
        packed, weights, offset, size = reader.take("BIQQ")
        if offset + size > len(data) or size != (weights // GROUP * GROUP_BYTES if packed else 4 * weights):
            sys.exit(f"convert_model: the tensor {name} is cut off")
        tensors[name] = (bool(packed), data[offset : offset + size])
    special["<mask>"] = count - 1
    return sizes, list(zip(pieces, scores)), special, characters, tensors


def double_array(keys):
    """A trie over bytes as SentencePiece keeps it: `keys` maps bytes to values."""
    root = {}
    for key, value in keys.items():
        node = root
        for byte in key:
            node = node.setdefault(byte, {})
        node[None] = value
    units, bases, first_free = [0], {0}, 1
    taken = {0}
    waiting = [(0, 0, root)]
    while waiting:
        position, label, node = waiting.pop(0)
        labels = [child or 0 for child in node]
        while first_free in taken:
            first_free += 1
        # The unit of the least label may take any free place.
        place = first_free
        while True:
            base = place ^ min(labels)
            if base not in bases and all(base ^ child not in taken for child in labels):
                break
            place += 1
        bases.add(base)
        taken.update(base ^ child for child in labels)
        end = max(base ^ child for child in labels) | 0xFF
        units += [0] * (end + 1 - len(units))
        units[position] = (position ^ base) << 10 | (1 << 8 if None in node else 0) | label
        for child, below in node.items():
            if child is None:
                units[base] = 1 << 31 | below
            else:
                waiting.append((base ^ child, child, below))
    units += [0] * (-len(units) % 256)
    return units


def precompiled(characters):
    """The character map as SentencePiece's normaliser reads it: the trie, then the replacements, each ended by a zero."""
    replacements, keys, known = bytearray(), {}, {}
    for character, replacement in sorted(characters.items()):
        if replacement not in known:
            known[replacement] = len(replacements)
            replacements += replacement.encode() + b"\0"
        keys[character.encode()] = known[replacement]
    units = double_array(keys)
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(replacements)


def tokenizer(pieces, special, characters):
    """`tokenizer.json`, for the crate and the package `tokenizers`."""
    token = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    sequence = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, "content": name, **flags} for name, id in sorted(special.items(), key=lambda item: item[1])],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(precompiled(characters)).decode()},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("<s>"), sequence("A"), token("</s>")],
            "pair": [token("<s>"), sequence("A"), token("</s>"), token("</s>"), sequence("B"), token("</s>")],
            "special_tokens": {
                name: {"id": name, "ids": [special[name]], "tokens": [name]} for name in ("<s>", "</s>")
            },
        },
        "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": special["<unk>"], "vocab": pieces, "byte_fallback": False},
    }


def bert_names(layers):
    """BERT's name of each tensor, by the package's."""
    names = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "emb.ln.w": "embeddings.LayerNorm.weight",
        "emb.ln.b": "embeddings.LayerNorm.bias",
    }
    parts = {
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "ao": "attention.output.dense",
        "aln": "attention.output.LayerNorm",
        "fi": "intermediate.dense",
        "fo": "output.dense",
        "oln": "output.LayerNorm",
    }
    for layer in range(layers):
        for short, long in parts.items():
            names[f"l{layer}.{short}.w"] = f"encoder.layer.{layer}.{long}.weight"
            names[f"l{layer}.{short}.b"] = f"encoder.layer.{layer}.{long}.bias"
    return names


def shape(name, sizes):
    hidden, wide = sizes["hidden"], sizes["wide"]
    rows = {"emb.word": sizes["words"], "emb.pos": sizes["positions"], "emb.type": sizes["types"]}
    if name in rows:
        return [rows[name], hidden]
    part = name.split(".", 1)[1]
    return {"fi.w": [wide, hidden], "fi.b": [wide], "fo.w": [hidden, wide]}.get(part) or (
        [hidden, hidden] if part in ("q.w", "k.w", "v.w", "ao.w") else [hidden]
    )


def split(groups):
    """Parts groups into the bytes of the weights and the scales."""
    count = len(groups) // GROUP_BYTES
    scales, weights = bytearray(2 * count), bytearray(16 * count)
    for byte in range(2):
        scales[byte::2] = groups[byte::GROUP_BYTES]
    for byte in range(16):
        weights[byte::16] = groups[2 + byte :: GROUP_BYTES]
    return weights, scales


def write_weights(path, sizes, tensors):
    header, parts, offset = {}, [], 0

    def add(name, kind, dimensions, data):
        nonlocal offset
        header[name] = {"dtype": kind, "shape": dimensions, "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)

    names = bert_names(sizes["layers"])
    if names.keys() != tensors.keys():
        sys.exit(f"convert_model: these tensors are missing or unknown: {sorted(names.keys() ^ tensors.keys())}")
    for name, (packed, data) in tensors.items():
        dimensions = shape(name, sizes)
        weights = 1
        for size in dimensions:
            weights *= size
        if len(data) != (weights // GROUP * GROUP_BYTES if packed else 4 * weights):
            sys.exit(f"convert_model: the tensor {name} has another size than the model")
        if packed:
            rows, groups = dimensions[0], dimensions[1] // GROUP
            weights, scales = split(data)
            add(f"{names[name]}.q4", "U8", [rows, groups, 16], weights)
            add(f"{names[name]}.q4_scale", "F16", [rows, groups], scales)
        else:
            add(names[name], "F32", dimensions, data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for part in parts:
            file.write(part)


def main(source, target):
    with open(source, "rb") as file:
        sizes, pieces, special, characters, tensors = read(file.read())
    os.makedirs(target, exist_ok=True)
    write_weights(os.path.join(target, "model.safetensors"), sizes, tensors)
    files = {
        "tokenizer.json": tokenizer(pieces, special, characters),
        "config.json": {
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": sizes["hidden"],
            "intermediate_size": sizes["wide"],
            "num_hidden_layers": sizes["layers"],
            "num_attention_heads": sizes["heads"],
            "vocab_size": sizes["words"],
            "max_position_embeddings": sizes["positions"],
            "type_vocab_size": sizes["types"],
            "layer_norm_eps": 1e-12,
        },
        "sentence_bert_config.json": {"max_seq_length": sizes["positions"], "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "passage": "passage: "}},
    }
    for name, content in files.items():
        with open(os.path.join(target, name), "w", encoding="utf-8", newline="\n") as file:
            json.dump(content, file, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
