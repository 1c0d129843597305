"""What the tests share: content, sources, and a small HTTP server that counts.

The tests run against the installed package, so that what is tested is what people get.
"""

from __future__ import annotations

import email.message
import http.server
import os
import pathlib
import random
import re
import threading
from collections.abc import Iterator

import gosync
import pytest

_HERE = pathlib.Path(__file__).resolve().parent


def pytest_report_header() -> str:
    return f"gosync {gosync.__version__} from {pathlib.Path(gosync.__file__).parent}"


@pytest.fixture(scope="session", autouse=True)
def installed_package() -> None:
    assert _HERE.parent not in pathlib.Path(gosync.__file__).resolve().parents, "the tests are for the installed wheel"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Each test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Files:
    """A new version and an old one that differs from it in three places."""

    def __init__(self) -> None:
        self.new = random.Random(7).randbytes(1_500_001)
        old = bytearray(self.new)
        old[100:103] = b"old"
        old[700_000:700_000] = b"an insertion"
        del old[1_200_000:1_200_500]
        self.old = bytes(old)

    def publish(self) -> gosync.Index:
        """Writes `new` and `new.gosync`, and the old version at `target`."""
        pathlib.Path("new").write_bytes(self.new)
        pathlib.Path("target").write_bytes(self.old)
        index = gosync.index("new")
        index.save("new.gosync")
        return index


@pytest.fixture(scope="session")
def files() -> Files:
    return Files()


class Reader:
    """A source with `read_at`, which remembers what it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []

    def read_at(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return self.content[offset : offset + length]


class Fetcher:
    """A source with `async def fetch`, which remembers what it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []

    async def fetch(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return self.content[offset : offset + length]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.requests.append(self.path)
        server.headers.append(self.headers)
        content = server.content.get(self.path.partition("?")[0])
        if content is None:
            self.send_error(404)
            return
        if self.headers.get("If-None-Match") == '"one"':
            self.send_response(304)
            self.send_header("ETag", '"one"')
            self.end_headers()
            return
        start, end, status = 0, len(content), 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            status, start = 206, int(wanted[1])
            end = min(int(wanted[2]) + 1, end) if wanted[2] else end
        self.send_response(status)
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", '"one"')
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` by ranges on loopback; `requests` and `headers` are the paths and heads that it was asked with."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.headers: list[email.message.Message] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is nothing to print."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def vectors() -> pathlib.Path:
    """The vectors that all languages run: of this repository, or where the environment says."""
    return pathlib.Path(os.environ.get("GOSYNC_VECTORS") or _HERE.parents[2] / "tests" / "vectors")
