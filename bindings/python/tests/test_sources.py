"""Sources of the user's own: the whole job through them, and what happens when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import sys
import threading
from typing import Any

import gosync
import pytest
from conftest import Fetcher, Files, Reader, Server


class Custom(Exception):
    """An exception that gosync does not know."""


def _sockets() -> set[str]:
    """The sockets that this process has open now."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {name for name in found if name.startswith("socket:")}


class SocketWatcher:
    """Notes each socket that exists at any event, progress or read and did not exist before."""

    def __init__(self) -> None:
        self.before = _sockets()
        self.opened: set[str] = set()

    def look(self, _: object = None) -> None:
        self.opened |= _sockets() - self.before


class WatchedReader(Reader):
    def __init__(self, content: bytes, watcher: SocketWatcher) -> None:
        super().__init__(content)
        self.watcher = watcher

    def read_at(self, offset: int, length: int) -> bytes:
        self.watcher.look()
        return super().read_at(offset, length)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_own_sources_do_the_whole_job_without_a_socket(files: Files, server: Server) -> None:
    # The index names a server that would answer, so a library that went there would be seen in two ways.
    server.content["/new"] = files.new
    pathlib.Path("target").write_bytes(files.old)
    encoded = bytes(gosync.index(files.new, source=f"{server.url}/new"))

    watcher = SocketWatcher()
    index, content = WatchedReader(encoded, watcher), WatchedReader(files.new, watcher)
    gosync.update("target", index=index, source=content, allow_any_source=True, progress=watcher.look, events=watcher.look)
    assert pathlib.Path("target").read_bytes() == files.new
    assert index.asked and content.asked
    assert server.requests == []
    assert watcher.opened == set()

    # The same through the server: both ways of looking do see it.
    pathlib.Path("target").write_bytes(files.old)
    gosync.update("target", index=encoded, source=f"{server.url}/new", progress=watcher.look, events=watcher.look)
    assert server.requests != []
    assert watcher.opened != set()


@pytest.mark.parametrize("kind", [Reader, Fetcher])
def test_every_verb_takes_own_sources(files: Files, kind: Any) -> None:
    index = files.publish()
    own_index, content = kind(bytes(index)), kind(files.new)
    assert gosync.info(own_index).root == index.root
    assert gosync.verify("new", index=own_index)
    assert gosync.plan("target", index=own_index, source=content).missing > 0
    assert content.asked == []
    done = gosync.update("target", index=own_index, source=content, max_requests=2, max_bytes_in_flight=1 << 20)
    assert pathlib.Path("target").read_bytes() == files.new
    assert sum(length for _, length in content.asked) < 200_000
    assert done.fetched < 100_000


@pytest.mark.parametrize("kind", [Reader, Fetcher])
def test_own_sources_give_whole_files(files: Files, kind: Any) -> None:
    content = kind(files.new)
    done = gosync.update("fresh", index=gosync.index(files.new), source=content, max_bytes_in_flight=300_000)
    assert pathlib.Path("fresh").read_bytes() == files.new
    assert done.fetched == len(files.new)


def test_sources_may_give_any_buffer(files: Files) -> None:
    class Views(Reader):
        def read_at(self, offset: int, length: int) -> Any:
            data = super().read_at(offset, length)
            return bytearray(data) if offset % 2 else memoryview(data)

    gosync.update("fresh", index=gosync.index(files.new), source=Views(files.new))
    assert pathlib.Path("fresh").read_bytes() == files.new


def test_connections_bound_the_reads_at_a_time(files: Files) -> None:
    class Counting(Reader):
        running = most = 0
        lock = threading.Lock()

        def read_at(self, offset: int, length: int) -> bytes:
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            threading.Event().wait(0.01)
            with self.lock:
                self.running -= 1
            return super().read_at(offset, length)

    class CountingFetcher(Fetcher):
        running = most = 0

        async def fetch(self, offset: int, length: int) -> bytes:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.01)
            self.running -= 1
            return await super().fetch(offset, length)

    index = gosync.index(files.new)
    for kind in (Counting, CountingFetcher):
        for connections in (1, 3):
            source: Any = kind(files.new)
            gosync.update("fresh", index=index, source=source, connections=connections, ignore_target=True)
            assert 1 <= source.most <= connections


def test_async_sources_run_side_by_side(files: Files) -> None:
    class Meeting(Fetcher):
        """Answers only once two fetches are open at the same time."""

        def __init__(self, content: bytes) -> None:
            super().__init__(content)
            self.met: asyncio.Event | None = None

        async def fetch(self, offset: int, length: int) -> bytes:
            if self.met is None:
                self.met = asyncio.Event()
            elif len(self.asked) == 1:
                self.met.set()
            self.asked.append((offset, length))
            await self.met.wait()
            return self.content[offset : offset + length]

    gosync.update("fresh", index=gosync.index(files.new), source=Meeting(files.new))
    assert pathlib.Path("fresh").read_bytes() == files.new


def _failing(error: BaseException, asynchronous: bool) -> Any:
    """A source whose every answer is `error`."""

    class Blocking:
        def read_at(self, offset: int, length: int) -> bytes:
            raise error

    class Async:
        async def fetch(self, offset: int, length: int) -> bytes:
            await asyncio.sleep(0)
            raise error

    return Async() if asynchronous else Blocking()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_exception_of_the_source_comes_back_whole(files: Files, asynchronous: bool) -> None:
    files.publish()
    error = Custom("from the source")
    with pytest.raises(gosync.SourceError) as raised:
        gosync.update("target", index="new.gosync", source=_failing(error, asynchronous))
    assert raised.value.__cause__ is error
    assert "from the source" in str(raised.value)
    assert error.__traceback__ is not None
    assert (raised.value.kind, raised.value.retryable) == ("SOURCE", False)
    assert pathlib.Path("target").read_bytes() == files.old

    with pytest.raises(gosync.SourceError) as raised:
        gosync.info(_failing(error, asynchronous))
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError("late"), "TIMEOUT"),
        (ConnectionResetError("gone"), "SOURCE_TEMPORARY"),
        (gosync.SourceError("other content", kind="SOURCE_CHANGED"), "SOURCE_CHANGED"),
        (gosync.SourceError("no ranges", kind="SOURCE_UNSUPPORTED"), "SOURCE_UNSUPPORTED"),
        (OSError("broken"), "SOURCE"),
    ],
)
def test_exceptions_say_what_kind_of_failure_it_is(files: Files, asynchronous: bool, error: Exception, kind: str) -> None:
    files.publish()
    with pytest.raises(gosync.SourceError) as raised:
        gosync.update("target", index="new.gosync", source=_failing(error, asynchronous), retries=0)
    assert raised.value.kind == kind
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("base", [Reader, Fetcher])
def test_a_temporary_failure_is_survived(files: Files, base: Any) -> None:
    files.publish()
    failures = [gosync.SourceError("busy", kind="SOURCE_TEMPORARY"), ConnectionResetError("gone")]

    class Flaky(base):  # type: ignore[misc]  # the base is a parameter of the test
        def read_at(self, offset: int, length: int) -> Any:
            if failures:
                raise failures.pop()
            return super().read_at(offset, length)

        async def fetch(self, offset: int, length: int) -> Any:
            if failures:
                raise failures.pop()
            return await super().fetch(offset, length)

    if base is Fetcher:
        del Flaky.read_at
    done = gosync.update("target", index="new.gosync", source=Flaky(files.new))
    assert pathlib.Path("target").read_bytes() == files.new
    assert done.retries >= 1


@pytest.mark.parametrize("base", [Reader, Fetcher])
@pytest.mark.parametrize(
    ("answer", "cause"), [(lambda data: "text", TypeError), (lambda data: None, TypeError), (lambda data: 5, TypeError)]
)
def test_what_is_not_bytes_is_refused(files: Files, base: Any, answer: Any, cause: type[Exception]) -> None:
    files.publish()

    class Wrong:
        pass

    def read_at(self: Any, offset: int, length: int) -> Any:
        return answer(files.new)

    async def fetch(self: Any, offset: int, length: int) -> Any:
        return answer(files.new)

    setattr(Wrong, *(("read_at", read_at) if base is Reader else ("fetch", fetch)))
    source: Any = Wrong()
    with pytest.raises(gosync.SourceError) as raised:
        gosync.update("target", index="new.gosync", source=source)
    assert type(raised.value.__cause__) is cause


def test_more_bytes_than_asked_for_are_refused(files: Files) -> None:
    class Generous(Reader):
        def read_at(self, offset: int, length: int) -> bytes:
            return super().read_at(offset, length) + b"more"

    files.publish()
    with pytest.raises(gosync.SourceError) as raised:
        gosync.update("target", index="new.gosync", source=Generous(files.new))
    assert isinstance(raised.value.__cause__, ValueError)


@pytest.mark.parametrize("kind", [Reader, Fetcher])
def test_a_source_with_other_or_too_little_content(files: Files, kind: Any) -> None:
    files.publish()
    with pytest.raises(gosync.MismatchError) as raised:
        gosync.update("target", index="new.gosync", source=kind(bytes(len(files.new))))
    assert raised.value.kind == "MISMATCH"
    with pytest.raises(gosync.SourceError):
        gosync.update("target", index="new.gosync", source=kind(files.new[:50]))
    assert pathlib.Path("target").read_bytes() == files.old


def test_a_source_is_let_go_after_the_call(files: Files) -> None:
    index = gosync.index(files.new)
    for kind in (Reader, Fetcher):
        source: Any = kind(files.new)
        before = sys.getrefcount(source)
        gosync.update("fresh", index=index, source=source, ignore_target=True)
        # What the library's threads drop is gone a moment later.
        for _ in range(100):
            if sys.getrefcount(source) == before:
                break
            threading.Event().wait(0.02)
        assert sys.getrefcount(source) == before
    # And so is the thread that drove the async one.
    for _ in range(100):
        if not any(thread.name == "gosync-fetch" for thread in threading.enumerate()):
            return
        threading.Event().wait(0.02)
    raise AssertionError("the thread of the async source is still there")
