"""Bring a file up to date from what is already here, and fetch only the rest.

Five verbs: `index` describes the new version, `plan` says what an update would do, `update` does it, `verify` compares a file
with an index, `info` shows what an index says.

Every call blocks, with the interpreter lock released; from `async` code use `await asyncio.to_thread(gosync.update, ...)`.
Ctrl-C stops the work and raises `KeyboardInterrupt`; what was at the target stays as it was.
"""

from ._errors import (
    ArgumentError,
    Cancelled,
    Error,
    FormatError,
    LocalError,
    MismatchError,
    NotFoundError,
    PermissionDeniedError,
    SourceError,
)
from ._native import (
    Cancel,
    Change,
    Difference,
    Event,
    Index,
    Piece,
    Plan,
    Progress,
    Statistics,
    Verification,
    __version__,
    index,
    info,
    plan,
    prune,
    update,
    verify,
)
from ._sources import AsyncSource, BlockingSource

__all__ = [
    "ArgumentError",
    "AsyncSource",
    "BlockingSource",
    "Cancel",
    "Cancelled",
    "Change",
    "Difference",
    "Error",
    "Event",
    "FormatError",
    "Index",
    "LocalError",
    "MismatchError",
    "NotFoundError",
    "PermissionDeniedError",
    "Piece",
    "Plan",
    "Progress",
    "SourceError",
    "Statistics",
    "Verification",
    "__version__",
    "index",
    "info",
    "plan",
    "prune",
    "update",
    "verify",
]
