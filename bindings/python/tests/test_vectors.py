"""The vectors that all languages run."""

from __future__ import annotations

import json
import pathlib

import gosync
import pytest


def _pattern(length: int) -> bytes:
    """The content that the vectors are about: bytes counted up to 250, again and again."""
    period = bytes(range(251))
    return (period * (length // 251 + 1))[:length]


def test_indexes_are_what_the_vectors_say(vectors: pathlib.Path) -> None:
    listed = json.loads((vectors / "index.json").read_text())
    assert listed
    for vector in listed:
        content = _pattern(vector["length"])
        index = gosync.index(content, block_size=vector["block_size"], format=vector["format"])
        encoded = bytes(index)
        assert (index.root, index.format) == (vector["root"], vector["format"])
        assert index.length == vector["length"]
        assert len(encoded) == index.encoded_size == vector["encoded_size"]
        # The root of any content is its BLAKE3 hash, that of an index too.
        assert gosync.index(encoded).root == vector["encoded_blake3"]
        assert bytes(gosync.info(encoded)) == encoded
        pathlib.Path("file").write_bytes(content)
        assert gosync.verify("file", index=encoded)


def test_bad_indexes_are_refused(vectors: pathlib.Path) -> None:
    listed = json.loads((vectors / "bad_index.json").read_text())
    assert listed
    for vector in listed:
        encoded = bytes.fromhex(vector["hex"])
        pathlib.Path("bad.gosync").write_bytes(encoded)
        for given in (encoded, "bad.gosync"):
            with pytest.raises(gosync.FormatError) as raised:
                gosync.info(given)
            assert raised.value.kind == vector["error"], vector["name"]
