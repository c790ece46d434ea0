"""How the subwords codec cuts a text before it looks for pieces, and the joiners that keep a word's form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from seqlens.data.codecs.segmentation import MAX_CHUNK_LENGTH, cut_chunks, is_mark, is_symbol, split_chunks

JOINER = "\uffed"
"""Stands after a symbol that the next word follows without a space: a sign itself, so that no rule cuts before it."""


@final
@dataclass(frozen=True, slots=True)
class Chunking:
    """Cuts parts of texts into chunks, which no subword reaches across; see `segmentation.split_chunks`.

    With `joiners`, a word or number that follows a symbol has the space before it that it has elsewhere, and the
    symbol ends with a joiner, which says that the space is not in the text: `l'homme` is ` l`, `'￭` and ` homme`. A
    chunk that is nothing but a joiner is that character of the text, and no piece may stand for it.
    """

    max_digits: int = MAX_CHUNK_LENGTH
    joiners: bool = False

    def chunks(self, part: str) -> list[str]:
        """Returns a part's chunks; an empty part has none."""
        if not self.joiners:
            return split_chunks(part, self.max_digits)
        if not part:
            return []
        first, *others = part.split(JOINER)
        chunks = _join(cut_chunks(" " + first, self.max_digits))
        for section in others:
            chunks += [JOINER, *_join(cut_chunks(section, self.max_digits))]
        return chunks

    def runs(self, part: str, alphabet: frozenset[str]) -> list[tuple[str, bool]]:
        """Returns a part's runs of characters of the alphabet (True) and its single other characters (False)."""
        return [run for chunk in self.chunks(part) for run in self.split_known(chunk, alphabet)]

    def split_known(self, chunk: str, alphabet: frozenset[str]) -> list[tuple[str, bool]]:
        """Cuts a chunk into runs of characters of the alphabet (True) and single other characters (False)."""
        if self.joiners and chunk == JOINER:
            return [(chunk, False)]
        runs: list[tuple[str, bool]] = []
        start = 0
        for place, character in enumerate(chunk):
            if character not in alphabet:
                if start < place:
                    runs.append((chunk[start:place], True))
                runs.append((character, False))
                start = place + 1
        if start < len(chunk):
            runs.append((chunk[start:], True))
        return runs

    def lengths(self, pieces: Sequence[tuple[str, bool]]) -> Iterator[int]:
        """Yields how many characters of the text each piece stands for, from the pieces and whether they are known."""
        joined = False
        for piece, is_known in pieces:
            ends_joined = self.joiners and is_known and piece.endswith(JOINER)
            yield len(piece) - ends_joined - (joined and is_known and piece.startswith(" "))
            joined = ends_joined


def _join(chunks: list[str]) -> list[str]:
    """Moves what tells of a missing space from a word to the symbol before it."""
    follows = [_is_symbols(left) and _is_bare_word(right) for left, right in pairwise(chunks)]
    return [
        " " * after + chunk + JOINER * before
        for chunk, after, before in zip(chunks, [False, *follows], [*follows, False], strict=False)
    ]


def _is_symbols(chunk: str) -> bool:
    return is_symbol(chunk.lstrip(" ")[:1] or " ")


def _is_bare_word(chunk: str) -> bool:
    # A combining mark belongs to the symbol before it.
    return not chunk[0].isspace() and not is_symbol(chunk[0]) and not is_mark(chunk[0])
