"""What is shown to people runs: the README of the package, and the example program."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest
from conftest import Files, Server

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
_EXAMPLE = _PACKAGE.parents[1] / "examples" / "python" / "update.py"


def test_the_readme_runs(files: Files, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (_PACKAGE / "README.md").read_text(), re.DOTALL)
    assert blocks
    pathlib.Path("app.bin").write_bytes(files.new)
    for block in blocks:
        publish, receive = block.split("# The receiver")
        exec(compile(publish, "README.md", "exec"), names := {})
        server.content = {"/app.bin": files.new, "/app.bin.gosync": pathlib.Path("app.bin.gosync").read_bytes()}
        pathlib.Path("app.bin").write_bytes(files.old)
        exec(compile("#" + receive.replace("https://example.org", server.url), "README.md", "exec"), names)
        assert pathlib.Path("app.bin").read_bytes() == files.new
    assert "bytes fetched:" in capsys.readouterr().out


def _example(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(_EXAMPLE), *arguments], capture_output=True, text=True, timeout=30)


def test_the_example_updates_a_file(files: Files, server: Server) -> None:
    index = files.publish()
    server.content = {"/new.gosync": bytes(index), "/new": files.new}
    done = _example("target", f"{server.url}/new.gosync")
    assert done.returncode == 0, done.stderr
    assert pathlib.Path("target").read_bytes() == files.new
    facts = dict(fact.split("=") for fact in done.stdout.split()[1:])
    assert done.stdout.startswith("RESULT ")
    assert (facts["total"], facts["proof"]) == (str(len(files.new)), "root")

    pathlib.Path("seed").write_bytes(files.old)
    done = _example("fresh", "new.gosync", "new", "seed")
    assert done.returncode == 0, done.stderr
    assert pathlib.Path("fresh").read_bytes() == files.new


def test_the_example_says_what_is_wrong(files: Files) -> None:
    files.publish()
    done = _example("target", "missing.gosync")
    assert (done.returncode, done.stdout) == (1, "")
    assert "missing.gosync" in done.stderr
    assert "Traceback" not in done.stderr
    assert _example().returncode == 2
