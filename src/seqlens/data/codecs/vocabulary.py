"""Which entries of a counted text get an id, and the checks that the codecs share."""

from collections.abc import Mapping
from typing import TypeVar

from seqlens.data.codecs.specials import NUM_SPECIALS
from seqlens.errors import RequestError

Entry = TypeVar("Entry", str, tuple[str, int])


def most_frequent(counts: Mapping[Entry, int], *, min_count: int = 1, limit: int | None = None) -> list[Entry]:
    """Returns the entries seen at least `min_count` times, the most frequent first and equals by codepoint.

    Of more than `limit`, the first `limit` are returned.
    """
    kept = [(-count, entry) for entry, count in counts.items() if count >= min_count]
    return [entry for _, entry in sorted(kept)[:limit]]


def check_sizes(kind: str, *, min_count: int = 1, vocab_size: int | None = None, reserved: int = NUM_SPECIALS) -> None:
    """Checks the numbers of a codec's config; `reserved` is how many ids are taken before the first piece.

    Raises:
        RequestError: `min_count` is below 1, or `vocab_size` leaves no room for a piece.
    """
    if min_count < 1:
        raise RequestError(f"The {kind} codec's 'min_count' is {min_count}, expected 1 or more.")
    if vocab_size is not None and vocab_size <= reserved:
        raise RequestError(
            f"The {kind} codec's 'vocab_size' is {vocab_size}, expected at least {reserved + 1}: "
            f"{reserved} ids are taken before the first piece of text."
        )


def check_found(kind: str, counts: Mapping[Entry, int], kept: list[Entry], min_count: int) -> None:
    """Checks that fitting found anything.

    Raises:
        RequestError: there was no text, or nothing in it was seen often enough.
    """
    if not counts:
        raise RequestError(f"The {kind} codec has nothing to be fitted on: there was no text, or all texts were empty.")
    if not kept:
        raise RequestError(
            f"The {kind} codec's 'min_count' is {min_count}, but nothing in the texts was seen that often: "
            f"the highest count is {max(counts.values())}."
        )
