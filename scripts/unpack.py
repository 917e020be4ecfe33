"""Unpacks a wheel (a zip) for scripts/fetch: unlike `unzip` it is wherever pip is, unlike `zipfile -e` it keeps modes.

    unpack.py tree WHEEL DIR          everything, executables stay executable
    unpack.py files WHEEL DIR NAME…   the files of these base names, also from a zip inside the wheel
    unpack.py publish TMP DIR         renames TMP to DIR; where another process was first, its DIR stays
"""

import io
import os
import shutil
import sys
import zipfile


def tree(wheel, target):
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = archive.extract(entry, target)
            if not entry.is_dir():
                executable = (entry.external_attr >> 16) & 0o111
                os.chmod(path, 0o755 if executable else 0o644)


def files(archive, target, names):
    """Takes the shallowest file of each name: a model's `config.json`, not that of its pooling layer."""
    entries = sorted(archive.infolist(), key=lambda e: e.filename.count("/"))
    for entry in entries:
        name = os.path.basename(entry.filename)
        path = os.path.join(target, name)
        if name in names and not os.path.exists(path):
            with archive.open(entry) as source, open(path, "wb") as sink:
                shutil.copyfileobj(source, sink)
            os.chmod(path, 0o644)
    for entry in entries:
        if entry.filename.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(archive.read(entry))) as inner:
                files(inner, target, names)


def publish(tmp, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.rename(tmp, target)
    except OSError:
        if not os.path.isdir(target):
            raise
        shutil.rmtree(tmp)


def main(command, *arguments):
    if command == "tree":
        tree(*arguments)
    elif command == "files":
        wheel, target, *names = arguments
        with zipfile.ZipFile(wheel) as archive:
            files(archive, target, set(names))
    elif command == "publish":
        publish(*arguments)
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
