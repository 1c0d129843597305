# Written by hand; stubtest compares it with the built module.
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Literal, TypeAlias, final

from typing_extensions import Buffer

from ._sources import AsyncSource, BlockingSource

_Path: TypeAlias = str | PathLike[str]
_Content: TypeAlias = _Path | Buffer | BlockingSource | AsyncSource
_OnProgress: TypeAlias = Callable[["Progress"], object] | None
_OnEvent: TypeAlias = Callable[["Event"], object] | None

__all__ = [
    "Cancel",
    "Change",
    "Difference",
    "Event",
    "Index",
    "Piece",
    "Plan",
    "Progress",
    "Request",
    "Statistics",
    "Verification",
    "__version__",
    "index",
    "info",
    "kinds",
    "plan",
    "prune",
    "update",
    "verify",
]

__version__: str

@final
class Cancel:
    """Stops work: pass it to any number of calls, and call `cancel()` from any thread. It cannot be reset."""

    def __new__(cls) -> Cancel: ...
    def cancel(self) -> None:
        """Asks the calls to stop; they raise `gosync.Cancelled` within about 100 ms."""
    @property
    def cancelled(self) -> bool:
        """Whether `cancel()` was called."""

@final
class Progress:
    """A moment of a running piece of work. Counters and the fraction never go back."""
    @property
    def phase(self) -> str:
        """What is being done: `idle`, `indexing`, `matching`, `transferring`, `publishing`, `waiting`, `verifying`,
        `packing` or `done`."""
    @property
    def cancellable(self) -> bool:
        """Whether a cancel now would still stop it."""
    @property
    def fraction(self) -> float:
        """How much of all work is done, from 0 to 1."""
    @property
    def total(self) -> int:
        """Bytes of the target (or of the file that is indexed or verified)."""
    @property
    def from_seeds(self) -> int:
        """Bytes of the target that came from seeds."""
    @property
    def fetched(self) -> int:
        """Bytes that arrived from the source and were lacking."""
    @property
    def wasted(self) -> int:
        """Bytes that arrived from the source and were not needed."""
    @property
    def written(self) -> int:
        """Verified bytes that were written; what was at its place already is not among them."""
    @property
    def requests(self) -> int:
        """Round trips to the source."""
    @property
    def retries(self) -> int:
        """Requests that were repeated after a temporary failure."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Event:
    """Something worth telling. Holds no secrets."""
    @property
    def level(self) -> str:
        """How much it matters: `warning`, `info` or `debug`."""
    @property
    def kind(self) -> str:
        """A stable name for programs."""
    @property
    def message(self) -> str:
        """One line for people."""
    @property
    def fields(self) -> dict[str, str]:
        """The facts."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Statistics:
    """What an update did."""
    @property
    def total(self) -> int:
        """Bytes of the target."""
    @property
    def from_seeds(self) -> int:
        """Bytes of the target that came from seeds."""
    @property
    def fetched(self) -> int:
        """Bytes that arrived from the source and were lacking."""
    @property
    def wasted(self) -> int:
        """Bytes that arrived from the source and were not needed."""
    @property
    def written(self) -> int:
        """Verified bytes that were written; what was at its place already is not among them."""
    @property
    def requests(self) -> int:
        """Round trips to the source."""
    @property
    def retries(self) -> int:
        """Requests that were repeated after a temporary failure."""
    @property
    def up_to_date(self) -> bool:
        """Whether the target was the new version already, so that nothing was written."""
    @property
    def index_size(self) -> int:
        """Bytes of the index that were read: not among the others, and with what was read of it before."""
    @property
    def proof(self) -> str:
        """What proves the result, for instance `root`."""
    @property
    def root(self) -> str | None:
        """The root of what the target is now, which a legacy index does not have: that of a newer index, if one was read meanwhile."""
    @property
    def reason(self) -> str:
        """Why it was done this way, one line."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Difference:
    """An entry in which a directory differs from its index."""
    @property
    def path(self) -> str:
        """Names from the directory to the entry, with `/` between."""
    @property
    def what(self) -> Literal["missing", "changed", "type", "mode", "time", "extra"]:
        """In what it differs. `extra`: the index does not know it, which does no harm."""
    @property
    def damaged(self) -> list[tuple[int, int]]:
        """The damaged ranges of a file, as offset and length."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Verification:
    """What a verification found. True in a condition if the file is exactly what the index says.

    Of a directory, if everything in the index is; what there is besides does no harm.
    """
    @property
    def is_match(self) -> bool:
        """Whether the file is exactly what the index says."""
    @property
    def length(self) -> int:
        """Bytes that the file has; of a directory, those in files that are right."""
    @property
    def expected_length(self) -> int:
        """Bytes that it should have; of a directory, those of all files in the index."""
    @property
    def damaged(self) -> list[tuple[int, int]]:
        """The damaged ranges of the target, as offset and length; of a directory, each difference has its own."""
    @property
    def differences(self) -> list[Difference]:
        """The entries in which a directory differs, in the order of the index; what that does not know comes last."""
    @property
    def unfinished(self) -> bool:
        """Whether an update was not finished: a file that is updated in place is neither old nor new, a directory partly both."""

    def __bool__(self) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Piece:
    """A run of the target that comes from one place."""
    @property
    def target_offset(self) -> int:
        """Offset in the target."""
    @property
    def length(self) -> int:
        """Number of bytes."""
    @property
    def seed(self) -> int | None:
        """Number of the seed that has it (0 is the target itself, those that were given count from 1); None if it is missing."""
    @property
    def seed_offset(self) -> int | None:
        """Offset in the seed; None if it is missing."""
    @property
    def is_missing(self) -> bool:
        """Whether it has to be fetched."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Plan:
    """What an update would do: an exact cover of the target by pieces, and its cost."""
    @property
    def total(self) -> int:
        """Bytes of the target."""
    @property
    def from_seeds(self) -> int:
        """Bytes that the seeds have."""
    @property
    def missing(self) -> int:
        """Bytes that are missing."""
    @property
    def to_fetch(self) -> int:
        """Bytes that would be asked for: what is missing, and gaps that are cheaper to fetch than to skip."""
    @property
    def ranges(self) -> int:
        """Ranges that would be asked for."""
    @property
    def index_size(self) -> int:
        """Bytes of the index that was read."""
    @property
    def up_to_date(self) -> bool:
        """Whether the target is the new version already."""
    @property
    def unfinished(self) -> bool:
        """Whether an update, in place or of a directory, was not finished: the target is neither old nor new."""
    @property
    def strategy(self) -> Literal["local", "ranges", "whole"]:
        """How the missing bytes would be fetched: not at all, the missing ranges, or everything from the first missing byte on."""
    @property
    def round_trip(self) -> float | None:
        """The round trip that the plan reckons with, measured or assumed, in seconds; None if it is not known."""
    @property
    def rate(self) -> int | None:
        """The rate that the plan reckons with, measured or assumed, in bytes per second; None if it is not known."""
    @property
    def time(self) -> float | None:
        """Seconds that fetching the missing ranges would take; None if that is not known, or nothing is missing."""
    @property
    def time_whole(self) -> float | None:
        """Seconds that fetching everything in one go would take; None if that is not known, or nothing is missing."""
    @property
    def reason(self) -> str:
        """Why it would be done this way, one line."""
    @property
    def pieces(self) -> list[Piece]:
        """The pieces of the target, in its order. Made anew each time it is asked for."""
    @property
    def changes(self) -> list[Change]:
        """What would become of the entries of a directory, in the order of their paths. Made anew each time it is asked for."""

@final
class Change:
    """An entry of a directory that would change, or be kept although the index has it otherwise."""
    @property
    def path(self) -> str:
        """Names from the directory to the entry, with `/` between; a directory ends with one too."""
    @property
    def what(self) -> Literal["added", "changed", "renamed", "removed", "kept", "mode", "link", "time"]:
        """What becomes of it. `kept`: it is the user's, and stays, or is moved beside the target where something else comes."""
    @property
    def from_(self) -> str | None:
        """The path that a renamed file has now; None for all others."""
    @property
    def size(self) -> int:
        """Bytes of the file: of the new one, or for `removed` and `kept` of the old one."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Index:
    """What a target is: its length, its root, and the checksums of its blocks. Made by `gosync.index` or `Index.open`."""

    @staticmethod
    def open(
        index: Index | _Content, *, max_index_size: int = 0, index_cache: _Path | None = None, expect: str | None = None,
        public_key: str | None = None, retries: int | None = None, connections: int = 0, timeout: float = 0,
        connect_timeout: float = 0, first_byte_timeout: float = 0, stall_timeout: float = 0, user: str | None = None,
        bearer: str | None = None, headers: Iterable[str] = (), proxy: str | None = None, no_proxy: str | None = None,
        ca_file: _Path | None = None, rate_limit: int = 0, progress: _OnProgress = None, events: _OnEvent = None,
        cancel: Cancel | None = None,
    ) -> Index:
        """Reads an index: from a path, a URL, bytes, or an object with `read_at` or `async fetch`.

        Numbers that are 0 and `None` mean the default. The options, which every call that opens something has:

        - `max_index_size`: the largest index that is read, in bytes; a larger one is LIMIT (1 GiB).
        - `index_cache`: a file that keeps the index as it was last read from a URL, so that reading it again, unchanged,
          is one conditional request; never believed without the server's word.
        - `expect`: the root that the index must have, 64 hexadecimal digits as b3sum prints them; else it is MISMATCH.
        - `public_key`: whose signature it must have, a minisign public key as its line or its .pub file; else it is MISMATCH.
        - `retries`: temporary failures in a row, without a new byte between them, that are survived (5); 0 means none.
        - `connections`: connections to an HTTP origin at the same time (6).
        - `timeout`: seconds that a server may be silent: while connecting, before its answer begins, and in the middle
          of it (30). There is no limit on the whole. `connect_timeout` (name lookup, TCP, TLS), `first_byte_timeout` and
          `stall_timeout` set these three apart.
        - `user` (`name:password`, basic authentication; one in the URL comes first), `bearer` (a token) and `headers`
          (further lines, `Name: value`) go to the origin of the location that is opened and to no other one, also after
          a redirect.
        - `proxy`: an `http:`, `https:`, `socks5:` or `socks5h:` URL; `None` uses what the environment (`http_proxy`,
          `https_proxy`, `all_proxy`) or the system names, an empty string none. `no_proxy`: hosts that are reached without
          it, separated by commas; `*` means all.
        - `ca_file`: a PEM file with certificate authorities that are trusted besides the platform's.
        - `rate_limit`: bytes per second that are read at most, by all connections together (no limit).
        """

    def save(self, path: _Path) -> None:
        """Writes the index to `path`: beside it first, then by one rename."""

    def to_bytes(self) -> bytes:
        """The bytes that `save` would write."""

    def __bytes__(self) -> bytes: ...
    def verify(
        self,
        path: _Path,
        *,
        threads: int = 0, journal: _Path | None = None, progress: _OnProgress = None, events: _OnEvent = None,
        cancel: Cancel | None = None,
    ) -> Verification:
        """Compares the file or directory at `path` with the index. What differs is a finding, not an error.

        `journal`: where the journal is if an update of the file in place was not finished [beside it, by its name].
        """
    @property
    def kind(self) -> Literal["file", "tree"]:
        """What it describes: `file`, or `tree` for a directory."""
    @property
    def entry_count(self) -> int:
        """Number of files, directories and links in a directory; 0 for a file."""
    @property
    def length(self) -> int:
        """Bytes of the target; of a directory, those of its files' contents, each once and padded to whole blocks."""
    @property
    def root(self) -> str | None:
        """The BLAKE3 hash of the target, in hexadecimal digits: what `b3sum` prints. None in a legacy index.

        That of a directory is the hash of its listing.
        """
    @property
    def format(self) -> Literal["gosync", "legacy"]:
        """The format: `gosync`, or `legacy`."""
    @property
    def block_size(self) -> int:
        """Bytes of a block."""
    @property
    def top_size(self) -> int:
        """Bytes of a block of the top level, which is looked for first."""
    @property
    def block_count(self) -> int:
        """Number of blocks."""
    @property
    def unit_count(self) -> int:
        """Number of verified units."""
    @property
    def encoded_size(self) -> int:
        """Bytes that `save` would write."""
    @property
    def source(self) -> str | None:
        """Where the content is, as the index says it: a name beside the index, or a URL."""
    @property
    def name(self) -> str | None:
        """What the publisher calls the content. Nothing vouches for it unless the index was opened with a public key."""
    @property
    def version(self) -> str | None:
        """Which version of it this is, as the publisher says it."""
    @property
    def signature(self) -> str | None:
        """The signature, as minisign writes it. That there is one proves nothing: `public_key` checks it."""
    @property
    def origin(self) -> str | None:
        """Where the index was opened from, without what may be secret in a URL; None if it was built, or read from memory."""

@final
class Request:
    """A batch of ranges that an async source has to answer; used by `gosync._async` only."""
    @property
    def id(self) -> int: ...
    @property
    def ranges(self) -> list[tuple[int, int | None]]:
        """Offset and length of what is asked for; no length means up to the end of the content."""

    def supply(self, offset: int, data: Buffer) -> bool:
        """Hands over bytes at `offset`. False: there is no room yet, offer them again later."""

    def finish(self, error: BaseException | None) -> None:
        """Ends the request, well or with an exception. Once."""

def kinds() -> list[tuple[str, int, bool]]:
    """Every kind of error: its name, its number, and whether a retry may help."""

def index(
    path: _Path | Buffer,
    /,
    *,
    block_size: int = 0, top_size: int = 0, threads: int = 0, source: str | None = None,
    format: Literal["gosync", "legacy"] | None = None, name: str | None = None, version: str | None = None,
    sign: _Path | None = None, sign_password: str | None = None, exclude: Iterable[str] = (),
    content: _Path | None = None, previous: _Path | None = None, modes: bool = False, times: bool = False,
    progress: _OnProgress = None, events: _OnEvent = None, cancel: Cancel | None = None,
) -> Index:
    """Reads a file, a directory or a bytes-like object once and describes it. A file may be a block device, or a pipe: what a
    pipe gives is copied to an unnamed temporary file first.

    `source` is where the content will be, as the index shall say it: a name beside the index, or a URL. None writes the
    file's own name, an empty string nothing. `format="legacy"` makes an index of the format 0.2, with blocks of any size
    (8192 if it is not given) and no source. `name` and `version` say what the content is called and which version it is.
    `sign` is a file with a minisign secret key that signs the index, `sign_password` its password, if it is encrypted.
    `exclude` are patterns, as in `.gitignore`, of what of a directory is left out; files `.gosyncignore` in it have more.
    `content` is a folder that the contents of a directory are put into, in compressed packs, which the index names then;
    `previous` the index of the version before, whose packs are in that folder: what they have is not written again.
    `modes` says in the index of a directory who may do what with each file and directory (the nine lowest bits of a Unix
    mode), `times` when each file was last changed, in whole seconds, so that receivers set it.
    """

def prune(content: _Path, *, indexes: Iterable[_Path]) -> tuple[int, int]:
    """Removes from the folder `content` the packs that none of the indexes at these paths names. How many, and how many bytes
    they had. If an index cannot be read, nothing is removed.
    """

def plan(
    target: _Path,
    *,
    index: Index | _Content,
    source: _Content | None = None, mirrors: Iterable[_Content] = (), seeds: Iterable[_Path] = (),
    threads: int = 0, max_requests: int = 0, max_bytes_in_flight: int = 0, max_gap: int = 0,
    assume_rtt: float = 0, assume_rate: int = 0, ignore_target: bool = False, allow_any_source: bool = False,
    thorough: bool = False, replace_timeout: float = 0, move_aside: bool = False, keep: str | None = None,
    refuse_symlink: bool = False, in_place: bool = False, journal: _Path | None = None,
    quick: bool = False, delete: bool = False, max_index_size: int = 0,
    index_cache: _Path | None = None, expect: str | None = None, public_key: str | None = None,
    retries: int | None = None, connections: int = 0, timeout: float = 0, connect_timeout: float = 0,
    first_byte_timeout: float = 0, stall_timeout: float = 0, user: str | None = None, bearer: str | None = None,
    headers: Iterable[str] = (), proxy: str | None = None, no_proxy: str | None = None, ca_file: _Path | None = None,
    rate_limit: int = 0, progress: _OnProgress = None, events: _OnEvent = None, cancel: Cancel | None = None,
) -> Plan:
    """Says what `update` with the same arguments would do. Fetches no content and writes nothing."""

def update(
    target: _Path,
    *,
    index: Index | _Content,
    source: _Content | None = None, mirrors: Iterable[_Content] = (), seeds: Iterable[_Path] = (),
    threads: int = 0, max_requests: int = 0, max_bytes_in_flight: int = 0, max_gap: int = 0,
    assume_rtt: float = 0, assume_rate: int = 0, ignore_target: bool = False, allow_any_source: bool = False,
    thorough: bool = False, replace_timeout: float = 0, move_aside: bool = False, keep: str | None = None,
    refuse_symlink: bool = False, in_place: bool = False, journal: _Path | None = None,
    quick: bool = False, delete: bool = False, max_index_size: int = 0,
    index_cache: _Path | None = None, expect: str | None = None, public_key: str | None = None,
    retries: int | None = None, connections: int = 0, timeout: float = 0, connect_timeout: float = 0,
    first_byte_timeout: float = 0, stall_timeout: float = 0, user: str | None = None, bearer: str | None = None,
    headers: Iterable[str] = (), proxy: str | None = None, no_proxy: str | None = None, ca_file: _Path | None = None,
    rate_limit: int = 0, progress: _OnProgress = None, events: _OnEvent = None, cancel: Cancel | None = None,
) -> Statistics:
    """Brings the file or directory at `target` up to date: takes from the seeds and from an existing target what is there, fetches the rest,
    verifies every block, and publishes the result by one rename. Until then, what was at `target` stays as it was.

    `source` may be left out where the index names one. Numbers that are 0 and `None` mean the default. Of the options,
    those for opening are as in `Index.open`; `timeout` (for a request 60 seconds, whatever the source is) and `retries` are
    the update's too. The others:

    - `mirrors`: where the same content is too; each may be whatever `source` may be. They stand in for the source and for
      each other, and share the work where that is faster.
    - `seeds`: local files that may help, also block devices, pipes, and directories with all files in them.
    - `threads`: worker threads (all cores).
    - `max_requests`: requests that the source may have unanswered (8). `max_bytes_in_flight`: bytes asked for and not yet
      written (16 MiB).
    - `max_gap`: gaps between missing ranges, in bytes, that are fetched along, at most, where that is cheaper than another
      range (1 MiB).
    - `assume_rtt` (seconds) and `assume_rate` (bytes per second): plan with these instead of what was measured.
    - `ignore_target`: do not use what is at the target as a seed.
    - `allow_any_source`: let the index name a source outside its own directory, on another host, or by an absolute path.
    - `thorough`: look through all seeds to their end, also where fetching seems to be much faster.
    - `replace_timeout`: on Windows, how long a target that another program holds is waited for, in seconds (30).
      `move_aside`: when that time is over, move the old file aside, which works for a running program too, and remove it
      at the next update; otherwise it is an error.
    - `keep`: what the new file has of the one it replaces: "none", or any of "mode", "owner", "xattrs" and "times", with
      commas between ("mode,owner,xattrs").
    - `refuse_symlink`: a symbolic link as the target is an error; otherwise what it leads to is updated.
    - `in_place`: change the target itself instead of replacing it, for targets that there is no room for twice, and for
      block devices. From the first change to the last it is neither the old version nor the new one; an update that ends
      early is finished by the next one. `journal`: where the file is by which it is finished, which a block device needs
      (beside the target).
    - `quick`: of a directory, believe that a file is what an earlier update made of it if its size and its time are the
      same; otherwise all of it is read.
    - `delete`: make a directory exactly what the index says; otherwise what no update has put there stays.
    """

def verify(
    target: _Path, *, index: Index | _Content, threads: int = 0, journal: _Path | None = None, max_index_size: int = 0,
    index_cache: _Path | None = None, expect: str | None = None, public_key: str | None = None,
    retries: int | None = None, connections: int = 0, timeout: float = 0, connect_timeout: float = 0,
    first_byte_timeout: float = 0, stall_timeout: float = 0, user: str | None = None, bearer: str | None = None,
    headers: Iterable[str] = (), proxy: str | None = None, no_proxy: str | None = None, ca_file: _Path | None = None,
    rate_limit: int = 0, progress: _OnProgress = None, events: _OnEvent = None, cancel: Cancel | None = None,
) -> Verification:
    """Compares the file at `target` with an index. A file that differs is a finding, not an error.

    `journal`: where the journal is if an update of the file in place was not finished [beside it, by its name].
    """

def info(
    index: Index | _Content, *, max_index_size: int = 0, index_cache: _Path | None = None, expect: str | None = None,
    public_key: str | None = None, retries: int | None = None, connections: int = 0, timeout: float = 0,
    connect_timeout: float = 0, first_byte_timeout: float = 0, stall_timeout: float = 0, user: str | None = None,
    bearer: str | None = None, headers: Iterable[str] = (), proxy: str | None = None, no_proxy: str | None = None,
    ca_file: _Path | None = None, rate_limit: int = 0, progress: _OnProgress = None, events: _OnEvent = None,
    cancel: Cancel | None = None,
) -> Index:
    """Reads an index: from a path, a URL, bytes, or an object with `read_at` or `async fetch`; as `Index.open`."""
