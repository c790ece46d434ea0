"""Unknown words of a source as ids of their own, by which the same words of its target are known (See et al. 2017)."""

from collections.abc import Mapping, Sequence

from seqlens.data.text import UNKNOWN_ID, TextCodec, UnknownPiece

MAX_UNKNOWN = 1000
"""Different unknown words of one source that get an id; more of them stay unknown."""


def number_source(codec: TextCodec, text: str, ids: list[int]) -> tuple[list[int], tuple[UnknownPiece, ...]]:
    """The ids of a source with `size + k` for its k-th different unknown piece, and these pieces in their order."""
    if UNKNOWN_ID not in ids:
        return ids, ()
    pieces = codec.unknown_pieces(text)
    known: dict[UnknownPiece, int] = {}
    for piece in pieces:
        if len(known) < MAX_UNKNOWN:
            known.setdefault(piece, codec.size + len(known))
    return _numbered(ids, pieces, known), tuple(known)


def number_target(codec: TextCodec, text: str, ids: list[int], unknown: Sequence[UnknownPiece]) -> list[int]:
    """The ids of a target with `size + k` for each unknown piece that is the k-th of its source."""
    if not unknown or UNKNOWN_ID not in ids:
        return ids
    known = {piece: id for id, piece in enumerate(unknown, codec.size)}
    return _numbered(ids, codec.unknown_pieces(text), known)


def number_pairs(
    codec: TextCodec,
    sources: Sequence[str],
    targets: Sequence[str],
    source_ids: list[list[int]],
    target_ids: list[list[int]],
) -> None:
    """Does both in place for a list of pairs; `targets` is empty where there are none."""
    for number, source in enumerate(sources):
        source_ids[number], unknown = number_source(codec, source, source_ids[number])
        if targets:
            target_ids[number] = number_target(codec, targets[number], target_ids[number], unknown)


def _numbered(ids: list[int], pieces: Sequence[UnknownPiece], known: Mapping[UnknownPiece, int]) -> list[int]:
    following = iter(pieces)
    return [known.get(next(following), UNKNOWN_ID) if id == UNKNOWN_ID else id for id in ids]
