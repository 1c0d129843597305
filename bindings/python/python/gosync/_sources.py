"""What a source of your own looks like. For type checkers and readers; an object needs the method, not the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer


class BlockingSource(Protocol):
    """Content that is read by a call that blocks."""

    def read_at(self, offset: int, length: int, /) -> Buffer:
        """Up to `length` bytes at `offset`; fewer, or none, only at the end of the content.

        Called from up to `connections` (normally 4) threads at the same time; pass `connections=1` if that is too many.
        """
        ...


class AsyncSource(Protocol):
    """Content that is fetched by a coroutine.

    The coroutines run in an event loop that belongs to the call, on a thread of its own: what is bound to a loop (a client
    session, a lock) has to be made inside `fetch`. Up to `connections` (normally 4) run at the same time.
    """

    async def fetch(self, offset: int, length: int, /) -> Buffer:
        """`length` bytes at `offset`; fewer, or none, only at the end of the content."""
        ...
