#!/usr/bin/env python3
"""A small reader of gosync's indexes, written from docs/format.md and nothing else.

It shares no code with gosync, so that what it can read is what the document says. It reads a whole index, checks all that
can be checked, finds blocks at every offset of old files by the weak sum, and rebuilds the content unit by unit. It is
slow, and meant to be read. BLAKE3's tree is written out here; XXH3 comes from the package `xxhash`, MD5 from Python.

    reader.py INDEX CONTENT OUTPUT [OLD …]     rebuilds OUTPUT; takes from CONTENT only what the OLD files do not have

Packs are read too, given something that undoes Zstandard.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

# ---- BLAKE3 (section 2 of its paper) ----

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
CHUNK = 1024
COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)


def compress(value: tuple[int, ...], words: tuple[int, ...], counter: int, length: int, flags: int) -> tuple[int, ...]:
    """The first eight words of BLAKE3's compression function."""
    low, high = counter & 0xFFFFFFFF, counter >> 32
    v = [*value, *IV[:4], low, high, length, flags]
    m = words
    for step in range(7):
        for i, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = (va + vb + m[2 * i]) & 0xFFFFFFFF
            vd ^= va
            vd = vd >> 16 | vd << 16 & 0xFFFFFFFF
            vc = (vc + vd) & 0xFFFFFFFF
            vb ^= vc
            vb = vb >> 12 | vb << 20 & 0xFFFFFFFF
            va = (va + vb + m[2 * i + 1]) & 0xFFFFFFFF
            vd ^= va
            vd = vd >> 8 | vd << 24 & 0xFFFFFFFF
            vc = (vc + vd) & 0xFFFFFFFF
            vb ^= vc
            vb = vb >> 7 | vb << 25 & 0xFFFFFFFF
            v[a], v[b], v[c], v[d] = va, vb, vc, vd
        if step < 6:
            m = tuple(m[i] for i in PERMUTATION)
    return tuple(v[i] ^ v[i + 8] for i in range(8))


def chunk_value(data: bytes, number: int, root: int) -> tuple[int, ...]:
    """The chaining value of chunk `number`; with ROOT, the hash of content that is one chunk."""
    value, blocks = IV, [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        flags = CHUNK_START * (i == 0)
        if i == len(blocks) - 1:
            flags |= CHUNK_END | root
        value = compress(value, struct.unpack("<16I", block.ljust(64, b"\0")), number, len(block), flags)
    return value


def left_length(length: int) -> int:
    """The largest power of two of chunks that leaves something for the right."""
    chunks = (length - 1) // CHUNK
    return CHUNK << (chunks.bit_length() - 1)


def merge(left: tuple[int, ...], right: tuple[int, ...], root: int) -> tuple[int, ...]:
    return compress(IV, left + right, 0, 64, PARENT | root)


def subtree(data: memoryview, first_chunk: int, root: int = 0) -> tuple[int, ...]:
    """The chaining value of `data`, whose first chunk has this number; with ROOT, its hash."""
    if len(data) <= CHUNK:
        return chunk_value(bytes(data), first_chunk, root)
    middle = left_length(len(data))
    left, right = subtree(data[:middle], first_chunk), subtree(data[middle:], first_chunk + middle // CHUNK)
    return merge(left, right, root)


def packed(value: tuple[int, ...]) -> bytes:
    return struct.pack("<8I", *value)


def blake3(data: bytes) -> bytes:
    return packed(subtree(memoryview(data), 0, ROOT))


def value_at(offset: int, data: bytes) -> bytes:
    """The chaining value of a block at its place."""
    return packed(subtree(memoryview(data), offset // CHUNK))


def merged(length: int, size: int, values: list[bytes], root: int = 0) -> bytes:
    """What the chaining values of the blocks of `size` of `length` bytes merge to."""
    if len(values) == 1:
        return values[0]
    middle = left_length(length)
    left, right = values[: middle // size], values[middle // size :]
    both = (merged(middle, size, left), merged(length - middle, size, right))
    one, other = (struct.unpack("<8I", value) for value in both)
    return packed(merge(one, other, root))


# ---- the sums ----


def sums(data: bytes) -> tuple[int, int]:
    """A and B, modulo 2^32."""
    a = sum(data)
    b = sum(weight * byte for weight, byte in zip(range(len(data), 0, -1), data))
    return a & 0xFFFFFFFF, b & 0xFFFFFFFF


def cut(a: int, b: int, width: int) -> int:
    """The weak sum in `width` bytes."""
    return a % (1 << 16) + (b % (1 << (8 * width - 16)) << 16)


def low(value: int, width: int) -> int:
    return value & ((1 << (8 * width)) - 1)


# ---- the index ----


class Refused(Exception):
    """An index that must not be used: FORMAT, VERSION or LIMIT, and why."""


def must(condition: bool, kind: str, why: str) -> None:
    if not condition:
        raise Refused(f"{kind}: {why}")


@dataclass
class Level:
    size: int
    strong: bool
    weak: int
    hint: int
    values: list[bytes] = field(default_factory=list)
    identities: list[tuple[int, int]] = field(default_factory=list)

    @property
    def entry(self) -> int:
        return 32 * self.strong + self.weak + self.hint

    def count(self, length: int) -> int:
        return -(-length // self.size)


@dataclass
class Entry:
    path: str
    # "directory", "file", "program" or "symlink".
    kind: str
    size: int = 0
    root: bytes = b""
    # Where the content begins in the payload.
    offset: int = 0
    target: str = ""
    # None where the listing says nothing.
    mode: int | None = None
    time: int | None = None


@dataclass
class Piece:
    pack: int
    # Where it is in the pack, and how many bytes it has uncompressed.
    offset: int
    size: int
    length: int
    compressed: bool


@dataclass
class Packs:
    names: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    # Length, and where it begins in the store.
    runs: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Index:
    length: int
    root: bytes | None
    source: str | None
    levels: list[Level]
    # What the publisher says, and the text of the signature, which is not checked here.
    name: str | None = None
    version: str | None = None
    signature: str | None = None
    # In place of levels with chaining values: the MD5 of each block of a legacy index.
    md5: list[bytes] = field(default_factory=list)
    # Of a tree, whose payload is the content that all the rest is about.
    entries: list[Entry] | None = None
    tree_root: bytes | None = None
    packs: Packs | None = None

    @property
    def unit(self) -> int:
        """Bytes of what is verified as a whole."""
        return self.levels[-1].size if self.root is None else UNIT

    def is_unit(self, number: int, data: bytes) -> bool:
        """Whether `data` is this unit of the content."""
        if self.root is None:
            return hashlib.md5(data, usedforsecurity=False).digest() == self.md5[number]
        if self.length <= UNIT:
            return blake3(data) == self.root
        units = next(level for level in self.levels if level.size == UNIT)
        return value_at(number * UNIT, data) == units.values[number]

    def hint(self, data: bytes) -> int:
        """What a block of the lowest level would have as its hint."""
        if self.root is None:
            return int.from_bytes(hashlib.md5(data, usedforsecurity=False).digest()[:8], "little")
        return low(xxhash.xxh3_64_intdigest(data), self.levels[-1].hint)


UNIT = 65536
KNOWN = {1: True, 2: True, 3: False, 4: False, 5: False}
TREE, PACKS, LISTING_INDEX, LISTING = 6, 7, 24, 25


def read(data: bytes) -> Index:
    if data.startswith(b"G0S9NC"):
        return read_legacy(data)
    is_tree, sections = read_container(data)
    file = sections.pop(1, b"")
    must(len(file) == 40, "FORMAT", "FILE has not 40 bytes")
    length, root = int.from_bytes(file[:8], "little"), file[8:]
    levels = read_levels(sections.pop(2, b""))
    source = text(sections.pop(3)) if 3 in sections else None
    name, version = read_publisher(sections.pop(4)) if 4 in sections else (None, None)
    signature = text(sections.pop(5), "\t\n\r") if 5 in sections else None
    of_tree = [sections.pop(kind, None) for kind in (TREE, LISTING_INDEX, LISTING)] if is_tree else None
    packs = sections.pop(PACKS, None) if is_tree else None
    must((data[16] & 1 == 1) == (packs is not None), "FORMAT", "packs without the feature, or the other way round")
    must(list(sections) == [16 + i for i in range(len(levels))], "FORMAT", "other levels than LEVELS says")
    must(levels[-1].count(length) < 1 << 32, "LIMIT", "too many blocks")
    index = Index(length, root, source, levels, name, version, signature)
    fill(index, list(sections.values()))
    if of_tree is not None:
        head, about, listing = of_tree
        must(None not in of_tree, "FORMAT", "a tree without its sections")
        assert head is not None and about is not None and listing is not None
        read_tree(index, head, about, listing)
        if packs is not None:
            index.packs = read_packs(packs, sum(entry.size for entry in contents(index)))
    return index


def read_tree(index: Index, head: bytes, about: bytes, listing: bytes) -> None:
    """The sections TREE, LISTING INDEX and LISTING of an index whose levels are those of the payload."""
    must(len(head) == 40, "FORMAT", "TREE has not 40 bytes")
    must(head == len(listing).to_bytes(8, "little") + blake3(listing), "FORMAT", "the root of another listing")
    must(about[10:11] == b"\x01", "FORMAT", "the index of the listing is none of a file")
    described = read(about)
    must(described.length == len(listing), "FORMAT", "the index of another listing")
    must(described.root == blake3(listing), "FORMAT", "the index of another listing")
    log2, length, root, index.entries = read_listing(listing)
    must((1 << log2, length, root) == (index.levels[-1].size, index.length, index.root), "FORMAT", "another payload")
    index.tree_root = described.root


def contents(index: Index) -> list[Entry]:
    """A file for each content of a tree, in their order."""
    first: dict[bytes, Entry] = {}
    for entry in index.entries or []:
        if entry.size > 0:
            first.setdefault(entry.root, entry)
    return list(first.values())


def read_packs(data: bytes, length: int) -> Packs:
    at = 1
    must(data[:1] == b"\1", "VERSION", "packs of another version")

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            must(at < len(data) and shift < 70, "FORMAT", "a number that is cut off")
            byte = data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                must(value < 1 << 64 and (byte > 0 or shift == 7), "FORMAT", "a number that is too long")
                return value

    packs, last = Packs(), 0
    for pack in range(number()):
        must(at + 32 <= len(data), "FORMAT", "cut off")
        packs.names.append(data[at : at + 32].hex() + ".pack")
        at += 32
        count, offset = number(), 0
        must(count > 0, "FORMAT", "a pack without pieces")
        for _ in range(count):
            twice = number()
            size, compressed = twice >> 1, twice & 1 == 1
            piece_length = size
            if compressed:
                piece_length = number()
                must(piece_length != last or last == 0, "FORMAT", "a length that goes without saying")
                piece_length = last = piece_length or last
            must(0 < size and piece_length <= 1 << 20 and (not compressed or size < piece_length), "FORMAT", "a size")
            packs.pieces.append(Piece(pack, offset, size, piece_length, compressed))
            must(len(packs.pieces) <= 1 << 22, "LIMIT", "too many pieces")
            offset += size
    store, end = sum(piece.length for piece in packs.pieces), 0
    for run in range(number()):
        run_length, jump = number(), number()
        must(run == 0 or jump > 0, "FORMAT", "a run that is none of its own")
        start = end + (jump >> 1 if jump & 1 == 0 else -(jump >> 1) - 1)
        end = start + run_length
        must(run_length > 0 and start >= 0 and end <= store, "FORMAT", "a run outside the packs")
        packs.runs.append((run_length, start))
    must(at == len(data) and sum(run[0] for run in packs.runs) == length, "FORMAT", "packs of other contents")
    return packs


def unpacked(packs: Packs, load: Callable[[str], bytes], decompress: Callable[[bytes], bytes]) -> bytes:
    """The contents that are in packs, one after another."""
    store = b""
    for piece in packs.pieces:
        data = load(packs.names[piece.pack])[piece.offset : piece.offset + piece.size]
        data = decompress(data) if piece.compressed else data
        must(len(data) == piece.length, "SOURCE", "a piece of another length")
        store += data
    return b"".join(store[start : start + length] for length, start in packs.runs)


def read_listing(data: bytes) -> tuple[int, int, bytes, list[Entry]]:
    """Block size as a power of two, length and root of the payload, and the entries."""
    must(len(data) >= 48, "FORMAT", "cut off")
    count, version, log2, flags, length = struct.unpack("<IBBHQ", data[:16])
    must(version == 1 and flags <= 3, "VERSION", "a listing of another version")
    must(10 <= log2 <= 15, "FORMAT", "a block size that there is not")
    must(count <= 1 << 24, "LIMIT", "too many entries")
    at, end, total, paths = 48, 0, 0, 0
    entries: list[Entry] = []
    contents: dict[bytes, tuple[int, int]] = {}
    # The directories that are open: their paths, and the name last seen in each.
    above: list[tuple[str, bytes]] = [("", b"")]

    def take(wanted: int) -> bytes:
        nonlocal at
        must(at + wanted <= len(data), "FORMAT", "cut off")
        at += wanted
        return data[at - wanted : at]

    def words(taken: bytes) -> str:
        try:
            return taken.decode("utf-8")
        except UnicodeDecodeError as cause:
            raise Refused("FORMAT: not UTF-8") from cause

    def number() -> int:
        taken = take(take(1)[0])
        must(len(taken) <= 8 and taken[-1:] != b"\0", "FORMAT", "a number that is not as it must be")
        return int.from_bytes(taken, "little")

    while at < len(data):
        kind = take(1)[0]
        if kind == 0:
            above.pop()
            must(bool(above), "FORMAT", "the end of no directory")
            continue
        must(len(entries) < count, "FORMAT", "more entries than it says")
        name = take(take(1)[0])
        entry = Entry(words(name), {1: "directory", 2: "file", 3: "program", 4: "symlink"}.get(kind, ""))
        must(entry.kind != "", "VERSION", "an unknown kind of entry")
        if flags & 1 and kind != 4:
            entry.mode = int.from_bytes(take(2), "little")
            least = 0o700 if kind == 1 else 0o400
            must(entry.mode <= 0o777 and entry.mode & least == least, "FORMAT", "a mode that there cannot be")
            must(kind == 1 or bool(entry.mode & 0o100) == (kind == 3), "FORMAT", "a mode of another type")
        if flags & 2 and kind in (2, 3):
            entry.time = number()
            must(entry.time < 1 << 33, "FORMAT", "a time that there cannot be")
        if kind in (2, 3):
            entry.size = number()
            entry.root = take(32) if entry.size else blake3(b"")
        elif kind == 4:
            target = take(int.from_bytes(take(2), "little"))
            entry.target = words(target)
        must(name not in (b"", b".", b"..") and not set(b"/\0") & set(name), "FORMAT", "a name that is none")
        folder, last = above[-1]
        entry.path = f"{folder}/{entry.path}" if folder else entry.path
        must(len(above) <= 255 and len(entry.path.encode()) <= 4096, "LIMIT", "a path that is too long")
        paths += len(entry.path.encode())
        must(paths <= (1 << 26) + 256 * (len(entries) + 1), "LIMIT", "paths that are too long together")
        must(last < name, "FORMAT", "an entry twice or out of order")
        above[-1] = (folder, name)
        if kind == 1:
            above.append((entry.path, b""))
        elif kind == 4:
            must(0 < len(target) <= 4095 and 0 not in target, "FORMAT", "a link that is none")
        elif entry.size:
            total += entry.size
            must(total < 1 << 64, "LIMIT", "files that are too large together")
            if entry.root not in contents:
                start = -(-end >> log2) << log2
                end = start + entry.size
                must(end < 1 << 64, "LIMIT", "files that are too large together")
                contents[entry.root] = (start, entry.size)
            entry.offset, size_before = contents[entry.root]
            must(size_before == entry.size, "FORMAT", "one root for two sizes")
        entries.append(entry)
    must(len(entries) == count and len(above) == 1, "FORMAT", "cut off")
    said = [(entry.mode, entry.time) for entry in entries]
    must(not flags & 1 or any(mode is not None for mode, _ in said), "FORMAT", "modes of nothing")
    must(not flags & 2 or any(time is not None for _, time in said), "FORMAT", "times of nothing")
    must(length == end, "FORMAT", "a payload of another length")
    return log2, length, data[16:48], entries


def read_container(data: bytes) -> tuple[bool, dict[int, bytes]]:
    """Whether it is a tree, and the sections that this version knows, in their order."""
    must(data[:8] == b"\x89GSYNC\r\n" and len(data) >= 40, "FORMAT", "not an index")
    version, kind, zero, count, required, _ = struct.unpack("<HBBIQQ", data[8:32])
    must(version == 1, "VERSION", "another version")
    must(count <= 64 and len(data) >= 40 + 16 * count, "FORMAT", "more sections than there can be")
    table = data[40 : 40 + 16 * count]
    must(data[32:40] == blake3(data[:32] + table)[:8], "FORMAT", "damaged header")
    must(kind in (1, 2) and required in ((0, 1) if kind == 2 else (0,)), "VERSION", "something else than a file or tree, or with features")
    is_tree = kind == 2
    must(zero == 0, "FORMAT", "a byte that must be zero")
    at, last, sections = 40 + 16 * count, 0, {}
    for number in range(count):
        kind, flags, check, length = struct.unpack("<HH4sQ", table[16 * number : 16 * number + 16])
        must(flags in (0, 1), "FORMAT", "reserved flags")
        must(at + length <= len(data), "FORMAT", "cut off")
        section, at = data[at : at + length], at + length
        is_level = 16 <= kind <= 18
        is_of_tree = is_tree and kind in (TREE, PACKS, LISTING_INDEX, LISTING)
        must(check == (bytes(4) if is_level else blake3(section)[:4]), "FORMAT", "damaged section")
        if is_level or is_of_tree or kind in KNOWN:
            must(flags == (1 if is_level or is_of_tree or KNOWN[kind] else 0), "FORMAT", "a wrong critical flag")
            must(kind > last, "FORMAT", "a section out of order")
            last, sections[kind] = kind, section
        else:
            must(flags == 0, "VERSION", "an unknown critical section")
    must(at == len(data), "FORMAT", "bytes after the end")
    return is_tree, sections


def text(data: bytes, allowed: str = "", most: int = 4096) -> str:
    """UTF-8 without control characters, but for some."""
    try:
        read = data.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise Refused("FORMAT: a text is not UTF-8") from cause
    control = any((ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0) and c not in allowed for c in read)
    must(1 <= len(data) <= most and not control, "FORMAT", "a text is not as it must be")
    return read


def read_publisher(data: bytes) -> tuple[str | None, str | None]:
    """Name and version."""
    fields: list[str | None] = []
    for _ in range(2):
        must(len(data) > 0 and len(data) > data[0], "FORMAT", "a field of the publisher is cut off")
        field, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        fields.append(text(field) if field else None)
    must(data == b"" and any(fields), "FORMAT", "the publisher says nothing, or too much")
    return fields[0], fields[1]


def read_levels(data: bytes) -> list[Level]:
    must(len(data) >= 1 and len(data) == 1 + 8 * data[0], "FORMAT", "LEVELS has another size than its count asks for")
    levels = []
    for log2, strong, weak, hint, zero in struct.iter_unpack("<BBBBI", data[1:]):
        must(zero == 0, "FORMAT", "a byte that must be zero")
        must(strong <= 1, "VERSION", "an unknown strong hash")
        levels.append(Level(1 << log2, strong == 1, weak, hint))
    must(2 <= len(levels) <= 3, "VERSION", "levels that this version does not have")
    top, blocks = levels[0], levels[-1]

    def found(level: Level) -> bool:
        return 4 <= level.weak <= 6 and 2 <= level.hint <= 8

    for level in levels[:-1]:
        must(level.strong and (found(level) or level.weak == level.hint == 0), "VERSION", "an unknown level")
    must(UNIT <= top.size <= 1 << 20 and (len(levels) == 2) == (top.size == UNIT), "VERSION", "an unknown top")
    must(top.size == UNIT or (found(top) and levels[1].size == UNIT), "VERSION", "an unknown top")
    must(1 << 10 <= blocks.size <= 1 << 15 and not blocks.strong and found(blocks), "VERSION", "unknown blocks")
    return levels


def fill(index: Index, sections: list[bytes]) -> None:
    """Reads the data of the levels, and checks them from the root down."""
    length, top = index.length, index.levels[0]
    assert index.root is not None
    must(length > 0 or index.root == blake3(b""), "FORMAT", "the root of no content")
    if top.size > UNIT or top.weak:
        must(top.count(length) >= 2, "FORMAT", "a top of one block")
    above = None
    for level, data in zip(index.levels, sections):
        count = level.count(length)
        if level.strong and count <= 1:
            must(data == b"", "FORMAT", "a top where the root says it all")
            above = Level(UNIT, True, 0, 0, [index.root] * count)
            continue
        parents = [(0, length, index.root)]
        if above is not None:
            starts = range(0, length, above.size)
            parents = [(at, min(above.size, length - at), value) for at, value in zip(starts, above.values, strict=True)]
        check = 4 if level.weak else 0
        must(len(data) == count * level.entry + check * len(parents), "FORMAT", "a level of another size")
        at = 0
        for _, covered, parent in parents:
            end = at + level.count(covered) * level.entry
            group = data[at:end]
            if check:
                must(data[end : end + 4] == blake3(parent + group)[:4], "FORMAT", "a damaged group")
            at = end + check
            values = []
            for entry in (group[i : i + level.entry] for i in range(0, len(group), level.entry)):
                strong, weak = 32 * level.strong, 32 * level.strong + level.weak
                values.append(entry[:strong])
                identity = (int.from_bytes(entry[strong:weak], "little"), int.from_bytes(entry[weak:], "little"))
                level.identities.append(identity)
            if level.strong:
                root = ROOT if above is None else 0
                must(merged(covered, level.size, values, root) == parent, "FORMAT", "values that do not merge")
                level.values += values
        above = level if level.strong else above


def read_legacy(data: bytes) -> Index:
    must(len(data) >= 24, "FORMAT", "cut off")
    major, minor, _, length, size = struct.unpack("<HHHqI", data[6:24])
    must((major, minor) == (0, 2), "VERSION", "another version")
    must(length >= 0 and size > 0, "FORMAT", "a length below zero, or no block size")
    must(-(-length // size) < 1 << 32 and min(length, size) <= 64 << 20, "LIMIT", "too many blocks, or too large ones")
    level = Level(size, False, 4, 8)
    must(len(data) == 24 + 20 * level.count(length), "FORMAT", "another size than the header asks for")
    index = Index(length, None, None, [level])
    for weak, md5 in struct.iter_unpack("<I16s", data[24:]):
        level.identities.append((weak, int.from_bytes(md5[:8], "little")))
        index.md5.append(md5)
    return index


# ---- what it is for ----


def check_identities(index: Index, content: bytes) -> None:
    """Compares what every level says of its blocks with the content itself."""
    lowest = index.levels[-1]
    for level in index.levels:
        for number, (weak, hint) in enumerate(level.identities if level.weak else []):
            block = content[number * level.size : (number + 1) * level.size]
            if level is lowest:
                expected = index.hint(block)
            else:
                parts = (block[i : i + lowest.size] for i in range(0, len(block), lowest.size))
                hashes = b"".join(xxhash.xxh3_64_intdigest(part).to_bytes(8, "little") for part in parts)
                expected = low(xxhash.xxh3_64_intdigest(hashes), level.hint)
            a, b = sums(block)
            assert (weak, hint) == (cut(a, b, level.weak), expected), f"block {number} of {level.size} bytes"


def windows(data: bytes, size: int) -> Iterator[tuple[int, int, int]]:
    """Offset, A and B of every window of `size` bytes."""
    if len(data) < size:
        return
    a, b = sums(data[:size])
    yield 0, a, b
    for at, (out, new) in enumerate(zip(data, data[size:]), 1):
        a = (a - out + new) & 0xFFFFFFFF
        b = (b - size * out + a) & 0xFFFFFFFF
        yield at, a, b


def find(index: Index, old: bytes) -> dict[int, bytes]:
    """The blocks of the lowest level that an old file has, by number."""
    level, found = index.levels[-1], {}
    wanted: dict[int, list[int]] = {}
    for number, (weak, _) in enumerate(level.identities):
        if (number + 1) * level.size <= index.length:
            wanted.setdefault(weak, []).append(number)
    for at, a, b in windows(old, level.size):
        for number in wanted.get(cut(a, b, level.weak), ()):
            block = old[at : at + level.size]
            if number not in found and index.hint(block) == level.identities[number][1]:
                found[number] = block
    return found


def rebuild(index: Index, olds: list[bytes], fetch: Callable[[int, int], bytes]) -> bytes:
    """The content, each unit of it verified. `fetch` is asked for (offset, length) of what the old files do not have."""
    size, result = index.levels[-1].size, bytearray()
    found: dict[int, bytes] = {}
    for old in olds:
        found |= find(index, old)
    for unit, start in enumerate(range(0, index.length, index.unit)):
        end = min(start + index.unit, index.length)
        data = b"".join(
            found.get(at // size) or fetch(at, min(size, end - at)) for at in range(start, end, size)
        )
        if not index.is_unit(unit, data):
            # What was found only looked the same.
            data = fetch(start, end - start)
            must(index.is_unit(unit, data), "MISMATCH", f"the content is another one at {start}")
        result += data
    return bytes(result)


def main() -> None:
    index, content, output, *olds = map(Path, sys.argv[1:])
    described, whole = read(index.read_bytes()), content.read_bytes()
    fetched = 0

    def fetch(offset: int, length: int) -> bytes:
        nonlocal fetched
        fetched += length
        return whole[offset : offset + length]

    output.write_bytes(rebuild(described, [old.read_bytes() for old in olds], fetch))
    print(f"{described.length} bytes, {fetched} fetched")


if __name__ == "__main__":
    main()
