"""Errors: their classes, what they carry, and bad arguments."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import pickle
from typing import Any

import gosync
import pytest
from conftest import Files, Reader

_CLASSES: dict[str, tuple[type[BaseException], ...]] = {
    "ARGUMENT": (gosync.ArgumentError, ValueError),
    "STATE": (gosync.Error,),
    "CANCELLED": (gosync.Cancelled,),
    "IO": (gosync.LocalError, OSError),
    "NOT_FOUND": (gosync.NotFoundError, gosync.LocalError, FileNotFoundError),
    "PERMISSION": (gosync.PermissionDeniedError, gosync.LocalError, PermissionError),
    "NO_SPACE": (gosync.LocalError, OSError),
    "SOURCE": (gosync.SourceError,),
    "SOURCE_TEMPORARY": (gosync.SourceError,),
    "SOURCE_CHANGED": (gosync.SourceError,),
    "SOURCE_UNSUPPORTED": (gosync.SourceError,),
    "TIMEOUT": (gosync.SourceError,),
    "FORMAT": (gosync.FormatError,),
    "VERSION": (gosync.FormatError,),
    "LIMIT": (gosync.FormatError,),
    "MISMATCH": (gosync.MismatchError,),
    "INTERNAL": (gosync.Error,),
}


def test_every_kind_of_the_vectors_is_known(vectors: pathlib.Path) -> None:
    from gosync import _native

    listed = json.loads((vectors / "errors.json").read_text())["errors"]
    assert _native.kinds() == [(entry["name"], entry["number"], entry["retryable"]) for entry in listed]
    assert list(_CLASSES) == [entry["name"] for entry in listed]
    for entry in listed:
        assert gosync.Error("", kind=entry["name"]).retryable == entry["retryable"]


@pytest.mark.parametrize("kind", _CLASSES)
def test_each_kind_arrives_as_its_class(files: Files, kind: str) -> None:
    class Failing:
        def read_at(self, offset: int, length: int) -> bytes:
            raise error

    error = gosync.Error("as the source says", kind=kind)
    with pytest.raises(gosync.Error) as raised:
        gosync.update("fresh", index=gosync.index(files.new), source=Failing(), retries=0)
    assert raised.value.kind == kind
    assert "as the source says" in str(raised.value)
    assert isinstance(raised.value, _CLASSES[kind])
    assert raised.value.__cause__ is error


def test_local_errors_are_os_errors(files: Files) -> None:
    files.publish()
    with pytest.raises(FileNotFoundError) as raised:
        gosync.index("missing")
    error = raised.value
    assert isinstance(error, gosync.NotFoundError)
    assert (error.kind, error.retryable, error.errno) == ("NOT_FOUND", False, errno.ENOENT)
    assert error.filename == error.context["path"] == "missing"
    assert "missing" in str(error)
    assert "\n" not in error.message and not error.message.endswith(".")
    with pytest.raises(FileNotFoundError):
        gosync.update(pathlib.Path("no", "such", "folder"), index="new.gosync")
    with pytest.raises(FileNotFoundError):
        gosync.update("target", index="new.gosync", seeds=["missing"])
    assert pathlib.Path("target").read_bytes() == files.old


def test_a_folder_is_not_a_file(files: Files) -> None:
    files.publish()
    os.mkdir("folder")
    for work in (
        lambda: gosync.update("folder", index="new.gosync"),
        lambda: gosync.update("target", index="new.gosync", source="folder"),
    ):
        with pytest.raises(gosync.Error) as raised:
            work()
        assert raised.value.kind in ("IO", "ARGUMENT")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_errno_is_that_of_the_system(files: Files) -> None:
    index = gosync.index(files.new)
    os.mkdir("occupied")
    with pytest.raises(gosync.Error):
        index.save("occupied")
    with pytest.raises(OSError) as raised:
        index.save("/proc/new.gosync")
    assert raised.value.errno in (errno.ENOENT, errno.EACCES, errno.EPERM)


@pytest.mark.parametrize(
    "options",
    [
        {"block_size": 1000},
        {"block_size": 3},
        {"block_size": -1},
        {"block_size": 1 << 70},
        {"threads": -1},
        {"source": "a\0b"},
    ],
)
def test_bad_values_for_index(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as raised:
        gosync.index(b"content", **options)
    assert isinstance(raised.value, gosync.ArgumentError)
    assert raised.value.kind == "ARGUMENT"


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": 1e12},
        {"retries": -1},
        {"max_requests": -1},
        {"max_bytes_in_flight": -1},
        {"connections": 1 << 40},
        {"max_index_size": -5},
        {"seeds": ["a\0b"]},
        {"source": "a\0b"},
        {"index": "a\0b"},
    ],
)
def test_bad_values_for_update(files: Files, options: dict[str, Any]) -> None:
    files.publish()
    with pytest.raises(ValueError) as raised:
        gosync.update("target", **{"index": "new.gosync", **options})
    assert isinstance(raised.value, gosync.ArgumentError)
    assert pathlib.Path("target").read_bytes() == files.old


@pytest.mark.parametrize(
    "options",
    [
        {"index": 5},
        {"index": None},
        {"index": object()},
        {"source": 5},
        {"seeds": "one path"},
        {"seeds": 5},
        {"seeds": [5]},
        {"progress": 5},
        {"events": "text"},
        {"cancel": True},
        {"timeout": "soon"},
        {"threads": "many"},
        {"retries": 1.5},
        {"unknown": 1},
    ],
)
def test_wrong_types_are_type_errors(files: Files, options: dict[str, Any]) -> None:
    files.publish()
    with pytest.raises(TypeError):
        gosync.update("target", **{"index": "new.gosync", **options})


def test_an_index_is_not_content(files: Files) -> None:
    index: Any = files.publish()
    with pytest.raises(gosync.ArgumentError):
        gosync.update("target", index=index, source=index)


def test_an_index_without_a_source_needs_one(files: Files) -> None:
    with pytest.raises(gosync.ArgumentError):
        gosync.update("fresh", index=gosync.index(files.new))


def test_too_large_an_index_is_refused(files: Files) -> None:
    encoded = bytes(files.publish())
    for given in ("new.gosync", encoded, Reader(encoded)):
        with pytest.raises(gosync.FormatError) as raised:
            gosync.info(given, max_index_size=1000)
        assert raised.value.kind == "LIMIT"


def test_errors_can_be_pickled() -> None:
    with pytest.raises(gosync.Error) as raised:
        gosync.index("missing")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert type(copy) is gosync.NotFoundError
    assert (copy.kind, copy.context, str(copy), copy.errno) == ("NOT_FOUND", raised.value.context, str(raised.value), errno.ENOENT)


def test_errors_of_ones_own() -> None:
    error = gosync.SourceError("busy", kind="SOURCE_TEMPORARY")
    assert (str(error), error.message, error.kind, error.retryable, error.context) == ("busy", "busy", "SOURCE_TEMPORARY", True, {})
    assert gosync.SourceError("gone").kind == "SOURCE"
    assert gosync.LocalError("x").errno == errno.EIO


def test_classes_are_named_as_people_import_them() -> None:
    for name in gosync.__all__:
        thing = getattr(gosync, name)
        if isinstance(thing, type) and issubclass(thing, BaseException):
            assert thing.__module__ == "gosync"
            assert thing.__name__ == name
