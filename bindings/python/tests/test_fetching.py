"""How servers are talked to, what a plan reckons with, and that no secret is shown."""

from __future__ import annotations

import pathlib
from typing import Any

import gosync
import pytest
from conftest import Fetcher, Files, Reader, Server


def test_a_plan_reckons_with_what_it_is_told(files: Files) -> None:
    files.publish()
    slow = gosync.plan("target", index="new.gosync", assume_rtt=0.1, assume_rate=100_000)
    fast = gosync.plan("target", index="new.gosync", assume_rtt=0.1, assume_rate=12_500_000)
    assert (slow.rate, fast.rate) == (100_000, 12_500_000)
    for plan in (slow, fast):
        assert plan.strategy in ("ranges", "whole")
        assert plan.round_trip == pytest.approx(0.1)
        assert plan.reason
    assert slow.time is not None and fast.time is not None and slow.time > fast.time > 0.1
    assert slow.time_whole is not None and slow.time_whole > slow.time
    assert gosync.plan("target", index="new.gosync", assume_rtt=0.0002).round_trip == pytest.approx(0.0002)


def test_a_plan_says_that_nothing_is_to_do(files: Files) -> None:
    files.publish()
    plan = gosync.plan("new", index="new.gosync", assume_rtt=0.1, assume_rate=1000, source=files.new)
    assert (plan.strategy, plan.up_to_date, plan.missing) == ("local", True, 0)
    assert (plan.time, plan.time_whole) == (None, None)


def test_all_options_together(files: Files, server: Server) -> None:
    index = files.publish()
    server.content = {"/new.gosync": bytes(index), "/new": files.new}
    opening: dict[str, Any] = {
        "max_index_size": 1 << 20,
        "retries": 2,
        "connections": 1,
        "timeout": 20,
        "connect_timeout": 20,
        "first_byte_timeout": 20.5,
        "stall_timeout": 20,
        "proxy": "",
        "no_proxy": "*",
        "rate_limit": 100_000_000,
    }
    job: dict[str, Any] = {"threads": 1, "max_requests": 2, "max_bytes_in_flight": 1 << 20, "max_gap": 4096}
    assert gosync.info(f"{server.url}/new.gosync", **opening).root == index.root
    done = gosync.update("target", index=f"{server.url}/new.gosync", allow_any_source=True, **opening, **job)
    assert pathlib.Path("target").read_bytes() == files.new
    assert done.fetched < 100_000


@pytest.mark.parametrize("verb", ["index", "info", "plan", "update", "verify"])
def test_an_option_that_there_is_not_is_refused(files: Files, verb: str) -> None:
    files.publish()
    arguments: tuple[Any, dict[str, Any]] = ("new.gosync", {}) if verb in ("index", "info") else ("target", {"index": "new.gosync"})
    with pytest.raises(TypeError, match=rf"{verb}\(\) got an unexpected keyword argument 'bearr'"):
        getattr(gosync, verb)(arguments[0], **arguments[1], bearr="x")
    with pytest.raises(TypeError, match="argument 'progress'"):
        getattr(gosync, verb)(arguments[0], **arguments[1], progress=5)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"headers": "Name: value"}, TypeError),
        ({"headers": [5]}, TypeError),
        ({"mirrors": "http://example.org/new"}, TypeError),
        ({"mirrors": b"content"}, TypeError),
        ({"mirrors": [5]}, TypeError),
        ({"user": b"name:password"}, TypeError),
        ({"user": "a\0b"}, ValueError),
        ({"bearer": "a\0b"}, ValueError),
        ({"headers": ["a\0b"]}, ValueError),
        ({"ca_file": ""}, ValueError),
        ({"index_cache": "a\0b"}, ValueError),
        ({"expect": "af13"}, ValueError),
        ({"expect": b"af13"}, TypeError),
        ({"rate_limit": -1}, ValueError),
        ({"rate_limit": "10MB"}, TypeError),
        ({"stall_timeout": -1}, ValueError),
        ({"assume_rtt": float("inf")}, ValueError),
        ({"assume_rate": -1}, ValueError),
        ({"max_gap": 1.5}, TypeError),
    ],
)
def test_bad_values(files: Files, options: dict[str, Any], error: type[Exception]) -> None:
    files.publish()
    with pytest.raises(error):
        gosync.update("target", index="new.gosync", **options)
    assert pathlib.Path("target").read_bytes() == files.old


def test_an_expected_root(files: Files) -> None:
    index = files.publish()
    other = "0" * 64
    for given in (index, "new.gosync", bytes(index)):
        with pytest.raises(gosync.MismatchError) as caught:
            gosync.update("target", index=given, expect=other)
        assert (caught.value.context["root"], caught.value.context["expected"]) == (index.root, other)
        for call in (gosync.info, gosync.Index.open):
            with pytest.raises(gosync.MismatchError):
                call(given, expect=other)
        with pytest.raises(gosync.MismatchError):
            gosync.verify("target", index=given, expect=other)
        with pytest.raises(gosync.MismatchError):
            gosync.plan("target", index=given, expect=other)
        assert pathlib.Path("target").read_bytes() == files.old
        assert gosync.info(given, expect=index.root.upper()).root == index.root
    gosync.update("target", index="new.gosync", expect=index.root)
    assert pathlib.Path("target").read_bytes() == files.new


def test_an_index_cannot_be_a_mirror(files: Files) -> None:
    index = files.publish()
    with pytest.raises(gosync.ArgumentError):
        gosync.update("target", index=index, mirrors=[index])  # type: ignore[list-item]  # an Index is what is refused


def test_the_origin_is_shown_without_secrets(files: Files, server: Server) -> None:
    index = files.publish()
    server.content = {"/new.gosync": bytes(index), "/new": files.new}
    secret = server.url.replace("http://", "http://name:hunter2@") + "/new.gosync?token=hunter2"
    opened = gosync.info(secret)
    assert opened.origin == f"{server.url}/new.gosync"
    # What is needed to find the content is kept inside.
    gosync.update("target", index=opened)
    assert pathlib.Path("target").read_bytes() == files.new
    assert all(headers.get("Authorization", "").startswith("Basic ") for headers in server.headers)


def test_credentials_arrive(files: Files, server: Server) -> None:
    index = files.publish()
    server.content = {"/new.gosync": bytes(index), "/new": files.new}
    heard: list[str] = []

    def events(event: gosync.Event) -> None:
        heard.append(f"{event.message} {event.fields}")

    lines = (line for line in ["X-One: hunter2-one", "X-Two: hunter2-two"])
    gosync.update("target", index=f"{server.url}/new.gosync", bearer="hunter2", headers=lines, events=events)
    assert set(server.requests) == {"/new.gosync", "/new"}
    for headers in server.headers:
        assert (headers["Authorization"], headers["X-One"], headers["X-Two"]) == ("Bearer hunter2", "hunter2-one", "hunter2-two")
    assert "hunter2" not in "".join(heard)
    server.headers.clear()
    gosync.info(f"{server.url}/new.gosync", user="name:hunter2")
    assert {headers["Authorization"] for headers in server.headers} == {"Basic bmFtZTpodW50ZXIy"}


def test_a_ca_file_that_cannot_be_read_is_a_clear_error(server: Server) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        gosync.info(f"{server.url}/new.gosync", ca_file=pathlib.Path("missing.pem"))
    assert "missing.pem" in str(raised.value)


@pytest.mark.parametrize("kind", [Reader, Fetcher])
def test_a_mirror_stands_in(files: Files, server: Server, kind: Any) -> None:
    index = files.publish()
    mirror = kind(files.new)
    done = gosync.update("target", index=index, source=f"{server.url}/missing", mirrors=[mirror])
    assert pathlib.Path("target").read_bytes() == files.new
    assert mirror.asked
    assert done.fetched < 100_000


def test_a_kept_index_is_one_conditional_request(files: Files, server: Server) -> None:
    index = files.publish()
    server.content = {"/new.gosync": bytes(index)}
    for _ in range(2):
        server.headers.clear()
        assert gosync.info(f"{server.url}/new.gosync", index_cache=pathlib.Path("kept")).root == index.root
    assert [headers["If-None-Match"] for headers in server.headers] == ['"one"']
