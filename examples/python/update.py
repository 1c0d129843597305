"""An updater: makes TARGET what INDEX says, and fetches only what is missing.

    python update.py TARGET INDEX [SOURCE [SEED...]]

INDEX and SOURCE are paths or URLs. Without a SOURCE (or with -), the one that the index names is used. An existing
TARGET is a seed by itself; each SEED is another file that may help, for instance an older version.
Ctrl-C stops it, and TARGET stays as it was. The last line on stdout is for programs.
"""

from __future__ import annotations

import sys

import gosync


class Screen:
    """Shows progress on one line for each phase. The calls come from the library's threads, one of each at a time."""

    def __init__(self) -> None:
        self.phase: str | None = None

    def progress(self, progress: gosync.Progress) -> None:
        start = "\r" if self.phase in (None, progress.phase) else "\n"
        self.phase = progress.phase
        counts = f"{progress.written} of {progress.total} bytes written, {progress.fetched} fetched"
        print(f"{start}{progress.phase:12} {progress.fraction:6.1%}, {counts}", end="", file=sys.stderr, flush=True)

    def event(self, event: gosync.Event) -> None:
        if event.level != "debug":
            facts = " ".join(f"{key}={value}" for key, value in event.fields.items())
            print(f"\n{event.level}: {event.message}{f' [{facts}]' if facts else ''}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print("usage: python update.py TARGET INDEX [SOURCE [SEED...]]", file=sys.stderr)
        return 2
    target, index, source, *seeds = arguments if len(arguments) > 2 else [*arguments, "-"]
    screen = Screen()
    try:
        done = gosync.update(
            target,
            index=index,
            source=None if source == "-" else source,
            seeds=seeds,
            progress=screen.progress,
            events=screen.event,
        )
    except gosync.Error as error:
        print(f"\nupdate: {error}", file=sys.stderr)
        if error.retryable:
            print("  trying again later may help", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nupdate: stopped", file=sys.stderr)
        return 130
    print(f"\n{'up to date already' if done.up_to_date else done.reason}", file=sys.stderr)
    print(
        f"RESULT total={done.total} from_seeds={done.from_seeds} fetched={done.fetched} wasted={done.wasted} "
        f"requests={done.requests} retries={done.retries} proof={done.proof}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
