"""Uses the package as a typed program would. Type checkers read this file; `test_typing.py` runs it."""

from __future__ import annotations

import pathlib

import gosync


class OwnReader:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def read_at(self, offset: int, length: int) -> memoryview:
        return memoryview(self.content)[offset : offset + length]


class OwnFetcher:
    def __init__(self, content: bytes) -> None:
        self.content = content

    async def fetch(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


def run(folder: pathlib.Path) -> list[str]:
    """The main job in typed code; gives back what the callbacks heard."""
    heard: list[str] = []

    def on_progress(progress: gosync.Progress) -> None:
        heard.append(f"{progress.phase} {progress.fraction:.0%}")

    def on_event(event: gosync.Event) -> None:
        heard.append(event.kind)

    content = b"the new version" * 10_000
    published = folder / "app.bin"
    published.write_bytes(content)
    index: gosync.Index = gosync.index(published, block_size=2048, source="app.bin")
    index.save(folder / "app.bin.gosync")

    target = folder / "target"
    blocking: gosync.BlockingSource = OwnReader(content)
    fetching: gosync.AsyncSource = OwnFetcher(content)
    plan: gosync.Plan = gosync.plan(target, index=index, source=blocking, seeds=[published])
    strategy: str = plan.strategy
    seconds: float | None = plan.time
    rate: int | None = plan.rate
    heard.append(f"{strategy} {seconds} {rate} {plan.round_trip} {plan.time_whole}")
    missing: int = sum(piece.length for piece in plan.pieces if piece.is_missing)
    assert missing == plan.missing

    cancel = gosync.Cancel()
    done: gosync.Statistics = gosync.update(
        target,
        index=OwnFetcher(bytes(index)),
        source=fetching,
        mirrors=[blocking, published, content],
        headers=("X-One: 1",),
        ca_file=None,
        proxy="",
        rate_limit=10_000_000,
        assume_rtt=0.1,
        progress=on_progress,
        events=on_event,
        cancel=cancel,
        timeout=2.5,
    )
    assert done.written == len(content)
    found: gosync.Verification = gosync.verify(str(target), index=gosync.info(str(folder / "app.bin.gosync")))
    assert found.is_match

    try:
        gosync.index(folder / "missing")
    except gosync.Error as error:
        kind: str = error.kind
        context: dict[str, str] = error.context
        heard.append(f"{kind} {sorted(context)}")
    return heard
