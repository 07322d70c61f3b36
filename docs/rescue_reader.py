#!/usr/bin/env python3
"""Get a stream of bytes (an image, a disk) out of a Karbor bank in a directory, without Karbor.

    rescue_reader.py BANK PROJECT                                   its checkpoints
    rescue_reader.py BANK PROJECT CHECKPOINT                        the streams in one of them
    rescue_reader.py BANK PROJECT CHECKPOINT SECTION STREAM FILE    write the stream to FILE

Written from bank-format.md alone. Needs blake3, and Python 3.14's zstd or backports.zstd.
"""

import json
import re
import sys
from itertools import chain
from pathlib import Path

from blake3 import blake3

try:
    from compression import zstd
except ImportError:
    from backports import zstd

TRAILER = 115
LINE = re.compile(rb"\nkarbor object 1 blake3 ([0-9a-f]{64}) size ([0-9]{20})\n")


def read(path: Path) -> bytes:
    """An object of the bank: its bytes, proved by the line at the end of its file."""
    raw = path.read_bytes()
    body, line = raw[:-TRAILER], LINE.fullmatch(raw[-TRAILER:])
    if not line or int(line[2]) != len(body) or blake3(body).hexdigest() != line[1].decode():
        sys.exit(f"damaged: {path}")
    return body


def load(directory: Path, name: str, kind: str | None = None) -> dict:
    found = json.loads(read(directory / f"{name}+b3"))
    if found["format"] != 1 or found.get("kind") != kind:
        sys.exit(f"{directory / name} is of a format this script does not know")
    return found


def blocks(stream: Path, manifest: dict):
    """(offset, bytes) of every block that is not zero."""
    for at in manifest["pages"]:
        page = load(stream, f"pages/{at['first']:010d}-{at['blake3']}.json", "karbor stream page")
        for piece in page["pieces"]:
            number, checksum = piece["number"], piece["blake3"]
            path = stream / f"pieces/{number // 1000:07d}/{number:010d}-{checksum}+b3"
            body = read(path)
            block = zstd.decompress(body) if piece["codec"] == "zstd" else body
            if len(block) != piece["size"] or blake3(block).hexdigest() != checksum:
                sys.exit(f"damaged: {path}")
            yield number * manifest["cut"], block


def rescue(stream: Path, target: Path) -> None:
    manifest = load(stream, "manifest.json", "karbor stream")
    size, whole, reached = manifest["size"], blake3(), 0
    with target.open("xb") as out:
        for offset, block in chain(blocks(stream, manifest), [(size, b"")]):
            while reached < offset:             # zeros: a hole in the file
                hole = min(offset - reached, 1 << 20)
                whole.update(bytes(hole))
                reached += hole
            out.seek(offset)
            out.write(block)
            whole.update(block)
            reached += len(block)
        out.truncate(size)
    if reached != size or whole.hexdigest() != manifest["checksums"]["blake3"]:
        sys.exit(f"{target} does not have the checksum of the stream")
    print(f"{target}: {size} bytes, blake3 {whole.hexdigest()}, as kept")


def state(checkpoint: Path) -> str:
    if (checkpoint / "deleting.json+b3").exists():
        return "deleting"
    begun_only = not (checkpoint / "head.json+b3").exists()
    return "protecting" if begun_only else load(checkpoint, "head.json")["state"]


def main(bank: str, project: str, checkpoint: str = "", *stream: str) -> None:
    if json.loads((Path(bank) / "karbor-bank.json").read_text())["format"] != 1:
        sys.exit("this bank is of a format that this script does not know")
    own = Path(bank) / "objects/projects" / project
    all_of_them, resources = own / "checkpoints", own / "resources" / checkpoint
    if stream:
        rescue(resources.joinpath(*stream[:2]), Path(stream[2]))
    elif checkpoint:
        for one in sorted(resources.glob("*/*/manifest.json+b3")):
            print(one.parent.parent.name, one.parent.name)
    else:
        for one in sorted(all_of_them.iterdir()):
            print(one.name, state(one), load(one, "begin.json")["name"])


if __name__ == "__main__":
    main(*sys.argv[1:])
