"""Directories: described, compared and updated."""

from __future__ import annotations

import json
import os
import pathlib
import sys

import gosync
import pytest


def _make(folder: pathlib.Path, entries: list[dict[str, object]]) -> None:
    folder.mkdir()
    for entry in entries:
        path = folder / str(entry["path"])
        if entry["kind"] == "directory":
            path.mkdir()
        elif entry["kind"] == "symlink":
            path.symlink_to(str(entry["target"]))
        else:
            start, length = int(str(entry["from"])), int(str(entry["length"]))
            path.write_bytes(bytes(at % 251 for at in range(start, start + length)))
            path.chmod(0o755 if entry["kind"] == "program" else 0o644)


def test_directories_are_what_the_vectors_say(vectors: pathlib.Path) -> None:
    listed = json.loads((vectors / "tree.json").read_text())
    assert listed
    for number, vector in enumerate(listed):
        if sys.platform == "win32" and any(entry["kind"] in ("program", "symlink") for entry in vector["entries"]):
            continue
        folder = pathlib.Path(f"tree-{number}")
        _make(folder, vector["entries"])
        index = gosync.index(folder, block_size=vector["block_size"], source="")
        assert (index.kind, index.entry_count) == ("tree", vector["entry_count"]), vector["name"]
        assert (index.root, index.length) == (vector["root"], vector["length"])
        assert index.encoded_size == vector["encoded_size"]
        assert gosync.index(bytes(index)).root == vector["encoded_blake3"]
        assert gosync.verify(folder, index=bytes(index))


def test_modes_and_times_that_an_index_says() -> None:
    folder = pathlib.Path("said")
    _make(folder, [{"path": "a", "kind": "file", "from": 1, "length": 5000}])
    os.utime(folder / "a", (10**9, 10**9))
    if os.name == "posix":
        (folder / "a").chmod(0o640)
    index = gosync.index(folder, times=True, modes=os.name == "posix")
    gosync.update("made", index=index, source=(folder / "a").read_bytes())
    made = pathlib.Path("made", "a")
    assert made.stat().st_mtime == 10**9
    assert os.name != "posix" or made.stat().st_mode & 0o7777 == 0o640
    os.utime(made, (10**9 + 100, 10**9 + 100))
    assert [(entry.path, entry.what) for entry in index.verify("made").differences] == [("a", "time")]
    assert [(change.path, change.what) for change in gosync.plan("made", index=index).changes] == [("a", "time")]


def test_a_directory_that_differs() -> None:
    folder = pathlib.Path("tree")
    _make(folder, [{"path": name, "kind": "file", "from": 1, "length": 5000} for name in ("a", "b", "c.log")])
    index = gosync.index(folder, exclude=["*.log"])
    found = index.verify(folder)
    assert found.is_match and [(entry.path, entry.what) for entry in found.differences] == [("c.log", "extra")]
    (folder / "a").write_bytes(bytes(at % 251 for at in range(1, 4097)) + bytes(904))
    (folder / "b").unlink()
    found = gosync.verify(folder, index=index)
    assert not found and found.damaged == []
    changed, missing, extra = found.differences
    assert (changed.path, changed.what, changed.damaged) == ("a", "changed", [(4096, 904)])
    assert (missing.path, missing.what, extra.what) == ("b", "missing", "extra")
    assert "differences=3" in repr(found) and "changed" in repr(changed) and changed != missing
    # The source has the payload: each content once, and both files have the same one.
    payload = bytes(at % 251 for at in range(1, 5001))
    assert index.length == len(payload)
    # What is not installed helps all the same: here is nothing of it any more.
    (folder / "a").write_bytes(bytes(5000))
    (folder / "c.log").write_bytes(b"a log")
    plan = gosync.plan(folder, index=index, source=payload)
    assert plan.missing > 0
    assert [(entry.path, entry.what, entry.from_, entry.size) for entry in plan.changes] == [
        ("a", "changed", None, 5000),
        ("b", "added", None, 5000),
    ]
    assert "added" in repr(plan.changes[1]) and plan.changes[0] != plan.changes[1]
    done = gosync.update(folder, index=index, source=payload)
    assert done.fetched == len(payload) and not done.up_to_date
    assert gosync.verify(folder, index=index) and (folder / "c.log").exists()
    assert gosync.update(folder, index=index, quick=True).up_to_date
    gosync.update(folder, index=index, delete=True)
    assert not (folder / "c.log").exists()
    with pytest.raises(gosync.ArgumentError):
        gosync.update(folder / "a", index=index)
    with pytest.raises(gosync.ArgumentError):
        gosync.index(folder, exclude=["[z-a]"])
