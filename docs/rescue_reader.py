#!/usr/bin/env python3
"""Get a disk or an image out of a Karbor bank in a directory, without Karbor.

    rescue_reader.py BANK PROJECT                                   its checkpoints
    rescue_reader.py BANK PROJECT CHECKPOINT                        the disks in one of them
    rescue_reader.py BANK PROJECT CHECKPOINT SECTION DISK FILE      write the disk to FILE
    KEY_FILE=… or PASSPHRASE_FILE=… in the environment              opens an encrypted vault

Written from bank-format.md and vault-format.md alone. Needs blake3, cryptography, and Python
3.14's zstd or backports.zstd.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys
from itertools import chain
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

try:
    from compression import zstd
except ImportError:
    from backports import zstd

CHUNK, PLACES = 65536, 1024
TRAILER = 115
LINE = re.compile(rb"\nkarbor object 1 blake3 ([0-9a-f]{64}) size ([0-9]{20})\n")


def read(path: Path) -> bytes:
    """An object of the bank: its bytes, proved by the line at the end of its file."""
    raw = path.read_bytes()
    body, line = raw[:-TRAILER], LINE.fullmatch(raw[-TRAILER:])
    if not line or int(line[2]) != len(body) or blake3(body).hexdigest() != line[1].decode():
        sys.exit(f"damaged: {path}")
    return body


def load(directory: Path, name: str, kind: str | None = None, format: int = 1) -> dict:
    found = json.loads(read(directory / f"{name}+b3"))
    if found["format"] != format or found.get("kind") != kind:
        sys.exit(f"{directory / name} is of a format this script does not know")
    return found


# ---------------------------------------------------------------- vaults (vault-format.md)
def derived(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 without salt, 32 bytes."""
    key = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(key, info + b"\x01", "sha256")


def secret_of(vault: Path) -> tuple[bytes, bool]:
    """The vault's secret, and whether its packs are sealed."""
    about = load(vault, "vault.json", "karbor-vault", 2)
    if about["encryption"] == "none":
        return base64.b64decode(about["secret"]), False
    key_file, passphrase = os.environ.get("KEY_FILE"), os.environ.get("PASSPHRASE_FILE")
    for path in sorted((vault / "keys" / about["key"]).iterdir()):
        wrapped = load(path.parent, path.name.removesuffix("+b3"), "karbor-vault-key", 2)
        salt, nonce, sealed = (base64.b64decode(wrapped[name])
                               for name in ("salt", "nonce", "sealed"))
        if wrapped["encryption"] == "key-file" and key_file:
            key = base64.b64decode(Path(key_file).read_bytes().strip())
        elif wrapped["encryption"] == "passphrase" and passphrase:
            key = hashlib.scrypt(Path(passphrase).read_bytes().strip(), salt=salt, n=wrapped["n"],
                                 r=wrapped["r"], p=wrapped["p"], dklen=32, maxmem=1 << 27)
        else:
            continue
        try:
            return AESGCM(key).decrypt(nonce, sealed, about["id"].encode()), True
        except InvalidTag:
            continue
    sys.exit("no key opens this vault: name the right one in KEY_FILE or PASSPHRASE_FILE")


class Vault:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.secret, self.sealed = secret_of(root)
        self.names = derived(self.secret, b"karbor-vault-names")
        self.pack, self.body, self.table, self.cipher = "", b"", {}, None

    def open(self, pack: str) -> None:
        """Keep one pack in memory: they have 16 MiB."""
        path = self.root / "packs" / pack[-2:] / f"{pack}+b3"
        self.pack, self.body, self.table = pack, read(path), {}
        magic, format, _, count, offset, checksum = struct.unpack(">8sHHIQ8x32s", self.body[-64:])
        table = self.body[offset:offset + 52 * count]
        if magic != b"KRBRPACK" or format != 2 or blake3(table).digest() != checksum:
            sys.exit(f"damaged: {path}")
        for name, ordinal, at, stored, size, codec, _ in struct.iter_unpack(">32sIIIIBBxx", table):
            self.table[ordinal] = name, at, stored, size, codec
        if self.sealed:
            info = b"karbor-vault-pack " + bytes.fromhex(pack)
            self.cipher = AESGCM(derived(self.secret, info))

    def chunk(self, pack: str, ordinal: int, name: bytes) -> bytes:
        if self.pack != pack:
            self.open(pack)
        found, at, stored, size, codec = self.table[ordinal]
        body = self.body[at:at + stored]
        if self.cipher:
            body = self.cipher.decrypt(ordinal.to_bytes(12, "big"), body, None)
        chunk = zstd.decompress(body) if codec == 1 else body
        if found != name or len(chunk) != size or blake3(chunk, key=self.names).digest() != name:
            sys.exit(f"damaged: chunk {ordinal} of pack {pack}")
        return chunk

    def page(self, body: bytes) -> list:
        """The places of a page: None for zeros, else pack, ordinal and name."""
        count, number_of_packs = struct.unpack_from(">HH", body)
        at = 4 + 16 * number_of_packs
        packs = [body[4 + 16 * i:20 + 16 * i].hex() for i in range(number_of_packs)]
        numbers = struct.unpack_from(f">{count}H", body, at)
        chunks = sum(number != 65535 for number in numbers)
        ordinals = iter(struct.unpack_from(f">{chunks}I", body, at + 2 * count))
        names = at + 2 * count + 4 * chunks
        places = []
        for number in numbers:
            if number == 65535:
                places.append(None)
            else:
                places.append((packs[number], next(ordinals), body[names:names + 32]))
                names += 32
        return places

    def blocks(self, manifest: dict):
        """(offset, bytes) of every chunk that is not zero."""
        for number, page in enumerate(manifest["pages"]):
            if page is None:
                continue
            pack, ordinal, name, _ = page
            places = self.page(self.chunk(pack, ordinal, bytes.fromhex(name)))
            for at, place in enumerate(places, number * PLACES):
                if place is not None:
                    yield at * CHUNK, self.chunk(*place)


def rescue_disk(own: Path, disk: Path, target: Path) -> None:
    manifest = load(disk, "disk.json", "karbor-disk", 2)
    vault = Vault(own / "vault")
    signature = manifest.pop("signature")
    signed = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    key = derived(vault.secret, b"karbor-vault-manifests")
    if blake3(signed, key=key).hexdigest() != signature:
        sys.exit(f"damaged: {disk / 'disk.json'}")
    write(vault.blocks(manifest), manifest["size"], manifest["checksums"], target)


# ---------------------------------------------------------------- streams (bank-format.md)
def pieces(stream: Path, manifest: dict):
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


def write(blocks, size: int, wanted: dict, target: Path) -> None:
    """Write blocks, and holes between them, and compare the checksums of the whole."""
    hashes = {name: blake3() if name == "blake3" else hashlib.new(name) for name in wanted}
    reached = 0
    with target.open("xb") as out:
        for offset, block in chain(blocks, [(size, b"")]):
            while reached < offset:             # zeros: a hole in the file
                hole = min(offset - reached, 1 << 20)
                for one in hashes.values():
                    one.update(bytes(hole))
                reached += hole
            out.seek(offset)
            out.write(block)
            for one in hashes.values():
                one.update(block)
            reached += len(block)
        out.truncate(size)
    if reached != size or any(hashes[name].hexdigest() != wanted[name] for name in wanted):
        sys.exit(f"{target} does not have the checksums of the disk")
    print(f"{target}: {size} bytes, as kept")


# ---------------------------------------------------------------- checkpoints
def state(checkpoint: Path) -> str:
    if (checkpoint / "deleting.json+b3").exists():
        return "deleting"
    begun_only = not (checkpoint / "head.json+b3").exists()
    return "protecting" if begun_only else load(checkpoint, "head.json")["state"]


def main(bank: str, project: str, checkpoint: str = "", *disk: str) -> None:
    if json.loads((Path(bank) / "karbor-bank.json").read_text())["format"] != 1:
        sys.exit("this bank is of a format that this script does not know")
    own = Path(bank) / "objects/projects" / project
    all_of_them, resources = own / "checkpoints", own / "resources" / checkpoint
    if disk:
        place, target = resources.joinpath(*disk[:2]), Path(disk[2])
        if (place / "disk.json+b3").exists():
            rescue_disk(own, place, target)
        else:
            manifest = load(place, "manifest.json", "karbor stream")
            write(pieces(place, manifest), manifest["size"], manifest["checksums"], target)
    elif checkpoint:
        found = [*resources.glob("*/*/manifest.json+b3"), *resources.glob("*/*/disk.json+b3")]
        for one in sorted(found):
            print(one.parent.parent.name, one.parent.name)
    else:
        for one in sorted(all_of_them.iterdir()):
            print(one.name, state(one), load(one, "begin.json")["name"])


if __name__ == "__main__":
    main(*sys.argv[1:])
