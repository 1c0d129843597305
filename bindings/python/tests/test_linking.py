"""The module is one self-contained file that calls its own functions, whatever else the process has loaded."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import gosync
import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how ELF resolves symbols")
def test_another_library_does_not_take_over() -> None:
    pathlib.Path("other.c").write_text('const char *gosync_version(void) { return "hijacked"; }\n')
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "other.so", "other.c"], check=True)
    show = [sys.executable, "-c", "import ctypes, gosync; print(gosync.__version__)"]
    said = subprocess.run(show, env={**os.environ, "LD_PRELOAD": os.path.abspath("other.so")}, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == gosync.__version__
    # The other library was really there.
    ask = "import ctypes; f = ctypes.CDLL(None).gosync_version; f.restype = ctypes.c_char_p; print(f().decode())"
    said = subprocess.run(
        [sys.executable, "-c", ask], env={**os.environ, "LD_PRELOAD": os.path.abspath("other.so")}, check=True, capture_output=True, text=True
    )
    assert said.stdout.strip() == "hijacked"
