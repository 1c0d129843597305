"""Progress, events, cancel, and Ctrl-C."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import gosync
import pytest
from conftest import Files, Reader


class Slow(Reader):
    """A source that takes its time for each answer."""

    def __init__(self, content: bytes, seconds: float) -> None:
        super().__init__(content)
        self.seconds = seconds

    def read_at(self, offset: int, length: int) -> bytes:
        time.sleep(self.seconds)
        return super().read_at(offset, length)


class Stuck:
    """A source that does not answer until it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def read_at(self, offset: int, length: int) -> bytes:
        self.asked.set()
        self.let_go.wait(20)
        return b""


def test_progress_only_grows_and_is_not_told_too_often(files: Files) -> None:
    index = gosync.index(files.new)
    told: list[gosync.Progress] = []
    began = time.monotonic()
    done = gosync.update(
        "fresh", index=index, source=Slow(files.new, 0.05), progress=told.append, max_bytes_in_flight=70_000, connections=1
    )
    took = time.monotonic() - began
    assert took > 0.5, "too fast to say anything"
    assert 3 <= len(told) <= took * 10 + 2
    for name in ("fraction", "from_seeds", "fetched", "wasted", "written", "requests", "retries"):
        values = [getattr(progress, name) for progress in told]
        assert values == sorted(values), name
    assert 0 <= told[0].fraction < told[-1].fraction == 1
    assert told[-1].phase == "done"
    assert not told[-1].cancellable
    assert any(progress.cancellable and progress.phase == "transferring" for progress in told)
    assert (told[-1].total, told[-1].written, told[-1].fetched) == (done.total, done.written, done.fetched)


def test_the_fraction_does_not_start_again_when_an_index_is_opened(files: Files) -> None:
    index = files.publish()
    for work in (
        lambda told: gosync.update("target", index=Reader(bytes(index)), source=files.new, progress=told),
        lambda told: gosync.verify("new", index="new.gosync", progress=told),
        lambda told: gosync.index("new", progress=told),
    ):
        fractions: list[float] = []
        work(lambda progress, fractions=fractions: fractions.append(progress.fraction))
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1
        assert fractions.count(1) == 1


def test_events_tell_what_happens(files: Files) -> None:
    files.publish()
    told: list[gosync.Event] = []
    gosync.update("target", index="new.gosync", events=told.append)
    assert told
    for event in told:
        assert event.level in ("warning", "info", "debug")
        assert event.kind.isidentifier()
        assert event.message and "\n" not in event.message
        assert all(isinstance(value, str) for pair in event.fields.items() for value in pair)


@pytest.mark.parametrize("which", ["progress", "events"])
def test_an_exception_of_a_callback_stops_the_work_and_comes_back_whole(files: Files, which: str) -> None:
    files.publish()
    error = RuntimeError("from the callback")
    calls = []

    def callback(_: object) -> None:
        calls.append(1)
        raise error

    shared = gosync.Cancel()
    options: dict[str, Any] = {which: callback}
    with pytest.raises(gosync.Cancelled) as raised:
        gosync.update("target", index="new.gosync", source=Slow(files.new, 0.2), cancel=shared, **options)
    assert raised.value.__cause__ is error
    assert len(calls) == 1
    assert pathlib.Path("target").read_bytes() == files.old
    # Other calls that share the token go on.
    assert not shared.cancelled

    with pytest.raises(gosync.Cancelled) as raised:
        gosync.index("new", progress=callback)
    assert raised.value.__cause__ is error


def test_a_callback_that_fails_at_the_very_end_is_told_too(files: Files) -> None:
    files.publish()
    error = RuntimeError("too late")

    def callback(progress: gosync.Progress) -> None:
        if progress.phase == "done":
            raise error

    with pytest.raises(gosync.Cancelled, match="already done") as raised:
        gosync.update("target", index="new.gosync", progress=callback)
    assert raised.value.__cause__ is error
    assert raised.value.context == {"done": "true"}
    assert pathlib.Path("target").read_bytes() == files.new


def test_cancel_from_another_thread_even_while_the_source_is_stuck(files: Files) -> None:
    files.publish()
    cancel, source = gosync.Cancel(), Stuck()
    stopped: list[float] = []

    def stop() -> None:
        assert source.asked.wait(10)
        stopped.append(time.monotonic())
        cancel.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(gosync.Cancelled) as raised:
        gosync.update("target", index="new.gosync", source=source, cancel=cancel)
    took = time.monotonic() - stopped[0]
    source.let_go.set()
    thread.join()
    assert took < 0.5
    assert raised.value.kind == "CANCELLED"
    assert raised.value.__cause__ is None
    assert cancel.cancelled
    assert pathlib.Path("target").read_bytes() == files.old

    with pytest.raises(gosync.Cancelled):
        gosync.update("target", index="new.gosync", cancel=cancel)


@pytest.mark.parametrize("verb", ["index", "info", "verify", "plan"])
def test_each_verb_hears_of_a_cancel(files: Files, verb: str) -> None:
    files.publish()
    cancel = gosync.Cancel()
    cancel.cancel()
    with pytest.raises(gosync.Cancelled):
        if verb == "index":
            gosync.index("new", cancel=cancel)
        elif verb == "info":
            gosync.info(Stuck(), cancel=cancel)
        elif verb == "verify":
            gosync.verify("new", index="new.gosync", cancel=cancel)
        else:
            gosync.plan("target", index="new.gosync", cancel=cancel)


def test_other_threads_run_meanwhile(files: Files) -> None:
    index = gosync.index(files.new)
    turns = 0
    over = threading.Event()

    def count() -> None:
        nonlocal turns
        while not over.wait(0.005):
            turns += 1

    thread = threading.Thread(target=count)
    thread.start()
    gosync.update("fresh", index=index, source=Slow(files.new, 0.1), connections=1)
    over.set()
    thread.join()
    assert turns > 5


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_stops_the_work(files: Files) -> None:
    files.publish()
    program = """
        import os, time, gosync
        class Source:
            def read_at(self, offset, length):
                os.write(1, b"asked\\n")
                time.sleep(30)
        try:
            gosync.update("target", index="new.gosync", source=Source())
        except KeyboardInterrupt:
            os.write(1, b"interrupted\\n")
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "asked\n"
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            while (line := process.stdout.readline()) == "asked\n":
                pass
            took = time.monotonic() - began
        finally:
            process.kill()
    assert line == "interrupted\n"
    assert took < 2
    assert pathlib.Path("target").read_bytes() == files.old


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_exception_of_a_signal_handler_stops_the_work(files: Files) -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    index, source = gosync.index(files.new), Stuck()
    before = signal.signal(signal.SIGALRM, ring)
    began = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Alarm):
            gosync.update("fresh", index=index, source=source)
        assert time.monotonic() - began < 2
    finally:
        source.let_go.set()
        signal.signal(signal.SIGALRM, before)
    assert not pathlib.Path("fresh").exists()
