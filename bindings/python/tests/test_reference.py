"""The independent reader of `tests/reference` reads what gosync writes, and rebuilds from it."""

import importlib.util
import json
import pathlib
import random
import sys
from types import ModuleType

import gosync
import pytest
import zstandard
from test_signatures import SECRET_KEY


def _load(name: str, path: pathlib.Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reader(vectors: pathlib.Path) -> ModuleType:
    return _load("gosync_reference_reader", vectors.parent / "reference" / "reader.py")


def _older(content: bytes) -> bytes:
    """An old version of `content`: something was put in, changed, and cut off."""
    third, half = len(content) // 3, len(content) // 2
    return content[:third] + b"put in" + content[third:half] + b"changed" + content[half + 7 : -100]


@pytest.mark.parametrize(
    ("length", "block_size", "format"),
    [
        (0, 0, "gosync"),
        (1, 0, "gosync"),
        (65_536, 1024, "gosync"),
        (65_537, 1024, "gosync"),
        (150_001, 2048, "gosync"),
        (0, 0, "legacy"),
        (150_001, 0, "legacy"),
        (100_000, 777, "legacy"),
    ],
)
def test_what_gosync_writes_is_what_the_document_says(
    reader: ModuleType, length: int, block_size: int, format: str
) -> None:
    content = random.Random(length).randbytes(length)
    source = "elsewhere/new" if format == "gosync" else None
    index = reader.read(bytes(gosync.index(content, block_size=block_size, source=source, format=format)))
    assert (index.length, index.source) == (length, source)
    assert index.root == (reader.blake3(content) if format == "gosync" else None)
    reader.check_identities(index, content)

    fetched = 0

    def fetch(offset: int, count: int) -> bytes:
        nonlocal fetched
        fetched += count
        return content[offset : offset + count]

    assert reader.rebuild(index, [_older(content)], fetch) == content
    if length > 65_537:
        assert fetched < length / 5
    if length > 0:
        with pytest.raises(reader.Refused, match="MISMATCH"):
            reader.rebuild(index, [], lambda offset, count: bytes(count))


@pytest.mark.parametrize(("top_size", "sizes"), [(65_536, [65_536, 1024]), (131_072, [131_072, 65_536, 1024])])
def test_a_tree_of_levels(reader: ModuleType, top_size: int, sizes: list[int]) -> None:
    content = random.Random(top_size).randbytes(400_001)
    data = bytes(gosync.index(content, top_size=top_size))
    index = reader.read(data)
    assert [level.size for level in index.levels] == sizes and all(level.weak > 0 for level in index.levels)
    reader.check_identities(index, content)
    assert reader.rebuild(index, [_older(content)], lambda offset, count: content[offset : offset + count]) == content
    for at in range(len(data) - sum(len(level.identities) * level.entry for level in index.levels), len(data), 997):
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises(reader.Refused, match="FORMAT"):
            reader.read(bytes(damaged))


def test_bad_indexes_are_refused_for_the_same_reason(reader: ModuleType, vectors: pathlib.Path) -> None:
    for vector in json.loads((vectors / "bad_index.json").read_text()):
        with pytest.raises(reader.Refused) as raised:
            reader.read(bytes.fromhex(vector["hex"]))
        assert str(raised.value).startswith(vector["error"] + ":"), vector["name"]


def test_what_the_publisher_says(reader: ModuleType, tmp_path: pathlib.Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET_KEY)
    signed = gosync.index(b"content", name="app \u03b2", version="2.0", sign=key, sign_password="secret")
    index = reader.read(bytes(signed))
    assert (index.name, index.version, index.signature) == ("app \u03b2", "2.0", signed.signature)
    index = reader.read(bytes(gosync.index(b"content", version="x" * 255)))
    assert (index.name, index.version) == (None, "x" * 255)


def test_a_directory(reader: ModuleType, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "tree"
    files = {"a/one": 5000, "a/two": 0, "a.txt": 70_000, "b/c/three": 1, "same": 5000}
    for path, length in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(random.Random(length).randbytes(length))
    (folder / "empty").mkdir()
    described = gosync.index(folder)
    index = reader.read(bytes(described))
    assert index.tree_root is not None and index.tree_root.hex() == described.root
    paths = ["a", "a/one", "a/two", "a.txt", "b", "b/c", "b/c/three", "empty", "same"]
    assert [entry.path for entry in index.entries] == paths
    # The payload, put together by what the listing says, is what the levels are about.
    payload = bytearray(index.length)
    for entry in index.entries:
        content = b"" if entry.kind == "directory" else (folder / entry.path).read_bytes()
        assert len(content) == entry.size and entry.root in (b"", reader.blake3(content))
        payload[entry.offset : entry.offset + entry.size] = content
    assert reader.blake3(bytes(payload)) == index.root
    reader.check_identities(index, bytes(payload))
    assert index.entries[1].offset == index.entries[8].offset


def test_what_the_ancestor_wrote(reader: ModuleType, vectors: pathlib.Path) -> None:
    folder = vectors.parent / "golden" / "legacy-0.2"
    inputs = _load("gosync_golden_inputs", folder / "make_inputs.py").INPUTS
    files = sorted(folder.glob("*.gosync"))
    assert files
    for path in files:
        index = reader.read(path.read_bytes())
        theirs = gosync.info(path)
        assert (theirs.format, theirs.root) == ("legacy", None)
        assert (index.length, index.levels[0].size) == (theirs.length, theirs.block_size), path.name
        content = inputs[path.name.split("-")[0]]
        reader.check_identities(index, content)
        assert reader.rebuild(index, [content], lambda offset, count, c=content: c[offset : offset + count]) == content


def test_packs(reader: ModuleType, vectors: pathlib.Path) -> None:
    for vector in json.loads((vectors / "packs.json").read_text()):
        data = bytes.fromhex(vector["hex"])
        if "error" in vector:
            with pytest.raises(reader.Refused) as raised:
                reader.read_packs(data, vector["length"])
            assert str(raised.value).startswith(vector["error"] + ":"), vector["name"]
            continue
        packs = reader.read_packs(data, vector["length"])
        assert packs.names == [pack["name"] for pack in vector["packs"]]
        pieces = [piece for pack in vector["packs"] for piece in pack["pieces"]]
        assert [[piece.size, piece.length, piece.compressed] for piece in packs.pieces] == pieces


def test_a_directory_in_packs(reader: ModuleType, vectors: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def lines(kind: int, count: int) -> bytes:
        return b"".join(b"line %d of kind %d\n" % (i * i, kind) for i in range(count))

    folder, site = tmp_path / "tree", tmp_path / "site"
    site.mkdir()
    folder.mkdir()
    files = {"a": lines(1, 9000), "b": random.Random(1).randbytes(50_000), "c": lines(2, 50), "d": lines(2, 50)}
    golden = vectors.parent / "golden" / "packs-1"
    places = [(golden / "app.gosync", golden / "packs")]
    for version in range(2):
        for name, content in files.items():
            (folder / name).write_bytes(content)
        previous = site / "0.gosync" if version > 0 else None
        gosync.index(folder, content=site / "packs", previous=previous).save(site / f"{version}.gosync")
        places.append((site / f"{version}.gosync", site / "packs"))
        files["a"] = files["a"][:100_000] + b"put in" + files["a"][100_000:]
    for path, packs in places:
        index = reader.read(path.read_bytes())
        content = reader.unpacked(index.packs, lambda name, packs=packs: (packs / name).read_bytes(), zstandard.decompress)
        at = 0
        for entry in reader.contents(index):
            assert reader.blake3(content[at : at + entry.size]) == entry.root, entry.path
            at += entry.size
        assert at == len(content)
    named = [set(reader.read(path.read_bytes()).packs.names) for path, _ in places[1:]]
    assert named[0] < named[1]
    assert gosync.prune(site / "packs", indexes=[site / "1.gosync"]) == (0, 0)
    count, size = gosync.prune(site / "packs", indexes=[site / "0.gosync"])
    assert (count, size > 0) == (1, True)
