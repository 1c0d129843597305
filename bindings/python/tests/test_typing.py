"""The typed examples do what they say when they run."""

from __future__ import annotations

import pathlib

import typing_examples


def test_the_typed_examples_run(own_folder: pathlib.Path) -> None:
    heard = typing_examples.run(own_folder)
    assert heard[-1].startswith("NOT_FOUND")
    assert "done 100%" in heard
