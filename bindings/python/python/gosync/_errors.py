"""The exceptions of gosync. Every failed call raises an `Error`; `kind` says what went wrong."""

from __future__ import annotations

import errno as _errno
import os as _os
from typing import Any

from ._native import kinds

_RETRYABLE = frozenset(name for name, _number, retryable in kinds() if retryable)


class Error(Exception):
    """Why a call failed.

    Your own source may raise one, too, to say which kind of failure it met: after
    `raise gosync.SourceError("busy", kind="SOURCE_TEMPORARY")` the library asks again.
    """

    kind: str
    """What went wrong, in one word, the same in all languages: for instance `MISMATCH`."""
    message: str
    """One line, without the facts in `context`."""
    context: dict[str, str]
    """The facts: `offset`, `block`, `path` and the like."""

    _kind = "INTERNAL"

    def __init__(
        self, message: str = "", *, kind: str | None = None, text: str | None = None, context: dict[str, str] | None = None
    ) -> None:
        self.kind = self._kind if kind is None else kind
        self.message = message
        self.context = {} if context is None else context
        self._text = message if text is None else text
        self._init_base()

    def _init_base(self) -> None:
        super().__init__(self._text)

    @property
    def retryable(self) -> bool:
        """Whether doing the same again later may help."""
        return self.kind in _RETRYABLE

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind}: {self._text})"

    def __reduce__(self) -> Any:
        return _remake, (type(self), self.message, self.kind, self._text, self.context)


class ArgumentError(Error, ValueError):
    """A value that was passed is not usable."""

    _kind = "ARGUMENT"


class Cancelled(Error):
    """The work was stopped: by a `Cancel`, or because a callback raised (then that is the cause)."""

    _kind = "CANCELLED"


class LocalError(Error, OSError):
    """A local file could not be read or written. `errno` and `filename` are set as for any `OSError`."""

    _kind = "IO"

    def _init_base(self) -> None:
        number = self.context.get("os_error")
        path = self.context.get("path")
        if number is None:
            OSError.__init__(self, _ERRNO.get(self.kind, _errno.EIO), self.message, path)
        elif _os.name == "nt":
            # The number is Windows' own; OSError finds the errno that belongs to it.
            OSError.__init__(self, 0, self.message, path, int(number))
        else:
            OSError.__init__(self, int(number), self.message, path)


class NotFoundError(LocalError, FileNotFoundError):
    """A local file or folder does not exist."""

    _kind = "NOT_FOUND"


class PermissionDeniedError(LocalError, PermissionError):
    """The operating system refuses access."""

    _kind = "PERMISSION"


class SourceError(Error):
    """The source failed. `retryable` says whether it may work later."""

    _kind = "SOURCE"


class FormatError(Error):
    """The bytes are not an index that can be used: damaged, of an unknown version, or larger than allowed."""

    _kind = "FORMAT"


class MismatchError(Error):
    """Content is not what the index says, or the index is not what was demanded."""

    _kind = "MISMATCH"


_ERRNO = {"NOT_FOUND": _errno.ENOENT, "PERMISSION": _errno.EACCES, "NO_SPACE": _errno.ENOSPC}

_CLASSES: dict[str, type[Error]] = {
    "ARGUMENT": ArgumentError,
    "STATE": Error,
    "CANCELLED": Cancelled,
    "IO": LocalError,
    "NOT_FOUND": NotFoundError,
    "PERMISSION": PermissionDeniedError,
    "NO_SPACE": LocalError,
    "SOURCE": SourceError,
    "SOURCE_TEMPORARY": SourceError,
    "SOURCE_CHANGED": SourceError,
    "SOURCE_UNSUPPORTED": SourceError,
    "TIMEOUT": SourceError,
    "FORMAT": FormatError,
    "VERSION": FormatError,
    "LIMIT": FormatError,
    "MISMATCH": MismatchError,
    "INTERNAL": Error,
}

# People import them from the package, and that is what a traceback shall say.
for _class in (Error, *_CLASSES.values()):
    _class.__module__ = "gosync"


def make(kind: str, message: str, text: str, context: dict[str, str]) -> Error:
    """The exception for an error of the native module. A kind of a newer library is an `Error`."""
    return _CLASSES.get(kind, Error)(message, kind=kind, text=text, context=context)


def _remake(cls: type[Error], message: str, kind: str, text: str, context: dict[str, str]) -> Error:
    return cls(message, kind=kind, text=text, context=context)
