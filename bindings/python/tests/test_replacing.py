"""What becomes of the file whose place a new one takes: what the new one has of it, and links that lead to it."""

from __future__ import annotations

import pathlib
import stat
import sys

import gosync
import pytest
from conftest import Files


def _mode(path: str) -> int:
    return stat.S_IMODE(pathlib.Path(path).stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
@pytest.mark.parametrize(("keep", "is_kept"), [(None, True), ("mode", True), ("none", False), ("times", False)])
def test_the_mode_of_a_replaced_file_is_kept_or_not(files: Files, keep: str | None, is_kept: bool) -> None:
    files.publish()
    target = pathlib.Path("target")
    pathlib.Path("fresh").touch()
    target.chmod(0o604)
    assert _mode("fresh") != 0o604
    # What else there is to set has an effect on Windows alone, and is no error elsewhere.
    gosync.update(target, index="new.gosync", keep=keep, replace_timeout=0.5, move_aside=True)
    assert target.read_bytes() == files.new
    assert _mode("target") == (0o604 if is_kept else _mode("fresh"))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
@pytest.mark.parametrize(("keep", "is_kept"), [(None, True), ("none", False)])
def test_the_mode_of_a_replaced_file_in_a_directory_is_kept_or_not(keep: str | None, is_kept: bool) -> None:
    for name, text in (("app", "new"), ("copy", "old")):
        pathlib.Path(name).mkdir()
        pathlib.Path(name, "file").write_text(text)
    pathlib.Path("copy/file").chmod(0o604)
    gosync.index("app").save("app.gosync")
    gosync.update("copy", index="app.gosync", keep=keep)
    assert pathlib.Path("copy/file").read_text() == "new"
    assert _mode("copy/file") == (0o604 if is_kept else _mode("app/file"))


def test_what_cannot_be_kept_is_a_wrong_argument(files: Files) -> None:
    files.publish()
    with pytest.raises(gosync.ArgumentError, match="keep"):
        gosync.update("target", index="new.gosync", keep="mode,colour")
    assert pathlib.Path("target").read_bytes() == files.old


@pytest.mark.skipif(sys.platform == "win32", reason="making links may be forbidden there")
def test_a_link_is_refused_or_followed(files: Files) -> None:
    files.publish()
    link = pathlib.Path("link")
    link.symlink_to("target")
    with pytest.raises(gosync.ArgumentError) as caught:
        gosync.update(link, index="new.gosync", refuse_symlink=True)
    assert caught.value.kind == "ARGUMENT" and caught.value.context["path"] == "link"
    assert link.is_symlink() and pathlib.Path("target").read_bytes() == files.old
    gosync.update(link, index="new.gosync")
    assert link.is_symlink() and pathlib.Path("target").read_bytes() == files.new
    # What is no link is not refused.
    pathlib.Path("target").write_bytes(files.old)
    gosync.update("target", index="new.gosync", refuse_symlink=True)
    assert pathlib.Path("target").read_bytes() == files.new
