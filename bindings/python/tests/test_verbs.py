"""The five verbs over files, memory and HTTP."""

from __future__ import annotations

import array
import pathlib

import gosync
import pytest
from conftest import Files, Server


def test_index_describes_a_file(files: Files) -> None:
    pathlib.Path("new").write_bytes(files.new)
    index = gosync.index("new", block_size=4096, top_size=131_072)
    assert (index.length, index.block_size, index.top_size) == (len(files.new), 4096, 131_072)
    assert index.block_count == -(-len(files.new) // 4096)
    assert index.unit_count == -(-len(files.new) // 65536)
    assert index.source == "new"
    assert index.root is not None and len(index.root) == 64
    index.save(pathlib.Path("new.gosync"))
    written = pathlib.Path("new.gosync").read_bytes()
    assert written == bytes(index) == index.to_bytes()
    assert len(written) == index.encoded_size


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_index_takes_buffers(files: Files, kind: type[bytes]) -> None:
    index = gosync.index(kind(files.new), source="https://example.org/new")
    pathlib.Path("new").write_bytes(files.new)
    assert index.root == gosync.index(pathlib.Path("new")).root
    assert index.source == "https://example.org/new"
    assert gosync.index(kind(files.new)).source is None


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert gosync.index(b"").root == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_info_opens_by_any_name(files: Files, server: Server) -> None:
    index = files.publish()
    server.content["/new.gosync"] = bytes(index)
    for given in ("new.gosync", pathlib.Path("new.gosync"), f"{server.url}/new.gosync", bytes(index), memoryview(bytes(index)), index):
        assert gosync.info(given).root == index.root
        assert gosync.Index.open(given).source == "new"
    assert gosync.info(pathlib.Path("new.gosync").resolve()).origin == str(pathlib.Path("new.gosync").resolve())
    assert index.origin is None


def test_the_format_of_the_ancestor(files: Files) -> None:
    files.publish()
    index = gosync.index("new", format="legacy", block_size=1000)
    assert (index.format, index.block_size, index.root, index.source) == ("legacy", 1000, None, None)
    index.save("old.gosync")
    assert pathlib.Path("old.gosync").read_bytes().startswith(b"G0S9NC")
    assert gosync.info("old.gosync").format == "legacy" and gosync.info("new.gosync").format == "gosync"
    plan = gosync.plan("target", index="old.gosync")
    with pytest.raises(gosync.MismatchError):
        gosync.update("target", index="old.gosync", source="new", expect="0" * 64)
    assert pathlib.Path("target").read_bytes() == files.old
    done = gosync.update("target", index="old.gosync", source="new", expect=gosync.info("new.gosync").root)
    assert (done.proof, done.fetched, done.index_size) == ("blocks-md5", plan.missing, index.encoded_size)
    assert pathlib.Path("target").read_bytes() == files.new
    assert gosync.verify("target", index="old.gosync").is_match
    for wrong in ({"top_size": 65_536}, {"source": "new"}, {"name": "app"}):
        with pytest.raises(gosync.ArgumentError):
            gosync.index("new", format="legacy", **wrong)
    with pytest.raises(gosync.ArgumentError):
        gosync.index("new", top_size=65_537)


def test_a_path_object_is_never_a_url(files: Files) -> None:
    index = files.publish()
    folder = pathlib.Path("http:")
    folder.mkdir()
    index.save(folder / "new.gosync")
    assert gosync.info(folder / "new.gosync").root == index.root


def test_plan_covers_the_target_and_changes_nothing(files: Files) -> None:
    files.publish()
    plan = gosync.plan("target", index="new.gosync")
    assert plan.total == len(files.new)
    assert plan.from_seeds + plan.missing == plan.total
    assert 0 < plan.missing <= plan.to_fetch < 100_000
    assert plan.index_size == pathlib.Path("new.gosync").stat().st_size
    assert not plan.up_to_date
    assert plan.reason
    end = 0
    for piece in plan.pieces:
        assert piece.target_offset == end
        end += piece.length
        assert piece.is_missing == (piece.seed is None) == (piece.seed_offset is None)
        if piece.seed_offset is not None:
            assert piece.seed == 0
            assert files.old[piece.seed_offset :][: piece.length] == files.new[piece.target_offset :][: piece.length]
    assert end == plan.total
    assert sum(piece.length for piece in plan.pieces if piece.is_missing) == plan.missing
    assert pathlib.Path("target").read_bytes() == files.old


def test_update_from_the_source_that_the_index_names(files: Files) -> None:
    files.publish()
    done = gosync.update("target", index="new.gosync")
    assert pathlib.Path("target").read_bytes() == files.new
    assert done.total == done.written == len(files.new)
    assert done.from_seeds + done.fetched == done.total
    assert 0 < done.fetched < 100_000
    assert (done.up_to_date, done.proof, done.root) == (False, "root", gosync.info("new.gosync").root)
    again = gosync.update("target", index="new.gosync")
    assert (again.up_to_date, again.written, again.fetched) == (True, 0, 0)


def test_update_over_http(files: Files, server: Server) -> None:
    index = files.publish()
    server.content = {"/new.gosync": bytes(index), "/new": files.new}
    done = gosync.update("target", index=f"{server.url}/new.gosync", connections=2, timeout=20)
    assert pathlib.Path("target").read_bytes() == files.new
    assert done.fetched < 100_000
    assert set(server.requests) == {"/new.gosync", "/new"}


def test_update_from_seeds_and_memory(files: Files) -> None:
    index = files.publish()
    pathlib.Path("seed one").write_bytes(files.new[:800_000])
    pathlib.Path("seed two").write_bytes(files.new[800_000:])
    seeds = (pathlib.Path(name) for name in ("seed one", "seed two"))
    rare = {"thorough": True, "replace_timeout": 0.5, "move_aside": True, "keep": "none", "refuse_symlink": True,
            "quick": True, "delete": True}
    done = gosync.update("fresh", index=index, source=bytearray(files.new), seeds=seeds, threads=1, **rare)
    assert pathlib.Path("fresh").read_bytes() == files.new
    assert done.fetched < 5_000
    pathlib.Path("parts/deep").mkdir(parents=True)
    pathlib.Path("parts/deep/one").write_bytes(files.new[:800_000])
    pathlib.Path("parts/two").write_bytes(files.new[800_000:])
    assert gosync.plan("none yet", index=index, source=files.new, seeds=[pathlib.Path("parts")]).missing < 5_000
    pathlib.Path("target").write_bytes(files.new)
    ignoring = gosync.plan("target", index=index, source=files.new, ignore_target=True)
    assert (ignoring.missing, ignoring.up_to_date) == (len(files.new), False)


def test_verify_finds_what_is_damaged(files: Files) -> None:
    index = files.publish()
    damaged = bytearray(files.new)
    damaged[70_000] ^= 1
    pathlib.Path("target").write_bytes(damaged)
    for found in (gosync.verify("target", index="new.gosync"), index.verify("target", threads=1)):
        assert not found
        assert not found.is_match
        assert found.damaged == [(65536, 65536)]
        assert found.length == found.expected_length == len(files.new)
    assert gosync.verify(pathlib.Path("new"), index=bytes(index))


def test_verify_knows_of_an_update_in_place_wherever_its_journal_is(files: Files) -> None:
    index = files.publish()
    pathlib.Path("journal").write_bytes(b"anything")
    assert not gosync.verify("target", index="new.gosync").unfinished
    for journal in ("journal", pathlib.Path("journal")):
        assert gosync.verify("target", index="new.gosync", journal=journal).unfinished
        assert index.verify("target", journal=journal).unfinished


def test_update_in_place_writes_what_has_changed(files: Files) -> None:
    files.publish()
    changed = bytearray(files.new)
    changed[700_000] ^= 1
    pathlib.Path("target").write_bytes(changed)
    before = pathlib.Path("target").stat()
    done = gosync.update("target", index="new.gosync", in_place=True, journal="elsewhere")
    assert pathlib.Path("target").read_bytes() == files.new
    assert pathlib.Path("target").stat().st_ino == before.st_ino
    assert 0 < done.written <= 65536 and not pathlib.Path("elsewhere").exists()


def test_results_are_values(files: Files) -> None:
    index = files.publish()
    one, two = index.verify("new"), index.verify("new")
    assert one == two
    assert one != index.verify("target")
    assert repr(one).startswith("<gosync.Verification match")
    with pytest.raises(AttributeError):
        one.length = 3  # type: ignore[misc]  # what must not be written is what is tested


def test_the_index_may_not_name_any_source(files: Files, server: Server) -> None:
    server.content["/new"] = files.new
    pathlib.Path("target").write_bytes(files.old)
    gosync.index(files.new, source=f"{server.url}/new").save("new.gosync")
    with pytest.raises(gosync.Error):
        gosync.update("target", index="new.gosync")
    assert server.requests == []
    gosync.update("target", index="new.gosync", allow_any_source=True)
    assert pathlib.Path("target").read_bytes() == files.new
