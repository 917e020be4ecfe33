#!/usr/bin/env python3
"""OCR: how many words of rendered PDFs are found, and what a page costs.

    scripts/bench_ocr.py [--dpi 150] [--pages 4] [--engine tesseract|builtin]... [--app PATH] PDF...

Renders pages spread over each PDF to pictures, makes a PDF of them, and has `app parse` read it. The words of the PDF's own text are
the truth: recall is the share of them that came out, precision the share of what came out that is among them. Costs are processor
time, OCR included. pypdfium2 is that of `scripts/fetch pdfium`."""

import argparse
import collections
import glob
import os
import re
import resource
import subprocess
import sys
import tempfile
import zlib

sys.path[:0] = glob.glob(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".cache/pdfium/*"))
import pypdfium2  # noqa: E402


def words(text):
    text = re.sub(r"<!-- page \d+ -->|</?[a-z]+[^<>]{0,60}>", " ", text)
    return collections.Counter(re.findall(r"\w+", text.lower()))


def picture_pdf(pages):
    """A PDF of grey pictures: (width and height in points, width and height in pixels, pixels)."""
    out, places = bytearray(b"%PDF-1.4\n"), []

    def add(body):
        places.append(len(out))
        out.extend(b"%d 0 obj\n" % len(places) + body + b"\nendobj\n")

    kids = b" ".join(b"%d 0 R" % (3 + 3 * at) for at in range(len(pages)))
    add(b"<</Type/Catalog/Pages 2 0 R>>")
    add(b"<</Type/Pages/Kids[" + kids + b"]/Count %d>>" % len(pages))
    for at, (width, height, columns, rows, pixels) in enumerate(pages):
        first, data = 3 + 3 * at, zlib.compress(pixels)
        content = b"%f 0 0 %f 0 0 cm /I Do" % (width, height)
        add(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %f %f]/Contents %d 0 R/Resources<</XObject<</I %d 0 R>>>>>>"
            % (width, height, first + 1, first + 2))
        add(b"<</Length %d>>stream\n" % len(content) + content + b"\nendstream")
        add(b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode/Length %d>>stream\n"
            % (columns, rows, len(data)) + data + b"\nendstream")
    start = len(out)
    out.extend(b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1))
    for place in places:
        out.extend(b"%010d 00000 n \n" % place)
    out.extend(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(places) + 1, start))
    return bytes(out)


def rendered(document, numbers, dpi):
    for number in numbers:
        page = document[number]
        width, height = page.get_size()
        bitmap = page.render(scale=dpi / 72, grayscale=True)
        rows = bytes(bitmap.buffer)
        pixels = b"".join(rows[at * bitmap.stride:at * bitmap.stride + bitmap.width] for at in range(bitmap.height))
        yield width, height, bitmap.width, bitmap.height, pixels


def read(args, engine):
    environment = dict(os.environ, OCR_ENGINE=engine)
    found = truth = output = count = 0
    cpu = 0.0
    for name in args.pdfs:
        document = pypdfium2.PdfDocument(name)
        step = max(1, len(document) // args.pages)
        numbers = list(range(step // 2, len(document), step))[:args.pages]
        wanted = collections.Counter()
        for number in numbers:
            wanted += words(document[number].get_textpage().get_text_bounded().replace("\ufffe", "").replace("-\r\n", ""))
        with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
            file.write(picture_pdf(list(rendered(document, numbers, args.dpi))))
            file.flush()
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run = subprocess.run([args.app, "parse", "--report", file.name], capture_output=True, text=True, env=environment)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if run.returncode != 0:
            sys.exit(f"{name}: {run.stderr.strip()}")
        got = words(run.stdout)
        both, used = sum((wanted & got).values()), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{engine:10} {os.path.basename(name):40} {len(numbers)} pages  recall {both / max(1, sum(wanted.values())):.3f}"
              f"  precision {both / max(1, sum(got.values())):.3f}  {used / len(numbers):.2f} CPU s a page", flush=True)
        found, truth, output = found + both, truth + sum(wanted.values()), output + sum(got.values())
        cpu, count = cpu + used, count + len(numbers)
    print(f"{engine:10} {'all':40} {count} pages  recall {found / truth:.3f}  precision {found / output:.3f}  {cpu / count:.2f} CPU s a page"
          f"  largest process so far {after.ru_maxrss // 1024} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dpi", type=int, default=150)
    parser.add_argument("--pages", type=int, default=4, help="of each PDF, spread over it")
    parser.add_argument("--engine", action="append", help="which reads; may be given twice (default: builtin, then tesseract)")
    parser.add_argument("--app", default="target/fast/app")
    parser.add_argument("pdfs", nargs="+")
    args = parser.parse_args()
    for engine in args.engine or ["builtin", "tesseract"]:
        read(args, engine)


if __name__ == "__main__":
    main()
