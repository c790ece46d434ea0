"""BPE dropout (Provilkov, Emelianenko and Voita 2020, algorithm 1): a word cut another way each time it is seen.

The words are told from their ids alone. Of each word the merges that nothing interrupts are kept, so that only what
comes after the first one passed over has to be worked out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Bool, Int64

_MAX_WORDS = 100_000
_LONGEST_KEPT = 64  # ids of a word
_NEVER = 2**62  # the rank of two pieces that do not merge


class _Run(NamedTuple):
    """A run of characters: their ids, the codec's own pieces, and the merges `(place, id)` that lead to these."""

    characters: tuple[int, ...]
    pieces: tuple[int, ...]
    path: tuple[tuple[int, int], ...]


@final
class BpeDropout:
    """Cuts rows of ids again: each merge that could come next is passed over with probability `dropout_p`.

    All merges are back after each one that is made. Where all were passed over, the pieces stay as they are. A run is
    what the codec itself cuts: no piece reaches across the space before a word, a byte, or an unknown character.
    """

    def __init__(
        self,
        *,
        merges: Mapping[tuple[int, int], tuple[int, int]],
        spelling: Mapping[int, tuple[int, ...]],
        starts_word: Bool[np.ndarray, "vocab"],
        split_runs: Callable[[tuple[int, ...]], list[tuple[int, ...]]],
        dropout_p: float,
    ) -> None:
        """Takes what byte-pair encoding has learnt, in ids.

        Args:
            merges: two ids -> the place of their merge in the order of learning, and the id that it gives.
            spelling: the ids of the characters of each piece.
            starts_word: True for ids before which a word ends, whatever stands there.
            split_runs: cuts a word's ids into those of its runs; ids without a spelling stand alone.
            dropout_p: from 0 to below 1; with 0 every row comes back as it was.
        """
        self._merges = merges
        self._spelling = spelling
        # The last entry is for ids beyond the vocabulary, which stand for words to be copied.
        self._starts_word = np.append(starts_word, True)
        self._split_runs = split_runs
        self._log_kept = math.log1p(-dropout_p) if dropout_p else 0.0
        self._words: dict[tuple[int, ...], list[_Run]] = {}
        self._runs: dict[tuple[int, ...], _Run] = {}

    def cut(self, row: Int64[np.ndarray, "time"], draw: Callable[[], float]) -> list[int]:
        """Returns ids of the same text; `draw` gives numbers from 0 to below 1."""
        ids: list[int] = row.tolist()
        if not self._log_kept or not ids:
            return ids
        starts = np.flatnonzero(self._starts_word[np.minimum(row, len(self._starts_word) - 1)]).tolist()
        bounds = [*([] if starts[:1] == [0] else [0]), *starts, len(ids)]
        result: list[int] = []
        words = self._words
        passes = self._passes(draw)  # merges made until one is passed over
        for first, end in pairwise(bounds):
            word = tuple(ids[first:end])
            runs = words.get(word)
            for run in self._learn(word) if runs is None else runs:
                if passes >= len(run.path):
                    passes -= len(run.path)
                    result += run.pieces
                    continue
                pieces = list(run.characters)
                for place, merged in run.path[:passes]:
                    pieces[place : place + 2] = (merged,)
                passes = self._go_on(pieces, draw)
                result += pieces
        return result

    def _go_on(self, pieces: list[int], draw: Callable[[], float]) -> int:
        """Merges in place after the first merge was passed over; returns the merges up to the next one passed over."""
        known, never = self._merges, (_NEVER, 0)
        merges = [known.get(pair, never) for pair in pairwise(pieces)]  # (rank, id), one for each two neighbours
        passed_over, passes = 1, self._passes(draw)
        while True:
            # Of equal merges the leftmost comes first, as in the library's tokeniser.
            if passed_over:
                order = sorted(range(len(merges)), key=merges.__getitem__)
                place = order[passed_over] if passed_over < len(order) else -1
            else:
                place = merges.index(min(merges)) if merges else -1
            if place < 0 or merges[place] is never:
                return passes
            if not passes:
                passed_over += 1
                passes = self._passes(draw)
                continue
            passes -= 1
            passed_over = 0
            pieces[place : place + 2] = (merges[place][1],)
            del merges[place]
            if place:
                merges[place - 1] = known.get((pieces[place - 1], pieces[place]), never)
            if place < len(merges):
                merges[place] = known.get((pieces[place], pieces[place + 1]), never)

    def _passes(self, draw: Callable[[], float]) -> int:
        # One draw for all merges up to the next one passed over: their number is geometric.
        return int(math.log(1.0 - draw()) / self._log_kept)

    def _learn(self, word: tuple[int, ...]) -> list[_Run]:
        if len(self._words) >= _MAX_WORDS or len(self._runs) >= _MAX_WORDS:
            self._words.clear()
            self._runs.clear()
        runs = []
        for ids in self._split_runs(word):
            run = self._runs.get(ids)
            if run is None:
                run = self._runs[ids] = self._run(ids)
            runs.append(run)
        if len(word) <= _LONGEST_KEPT:  # longer ones come seldom twice
            self._words[word] = runs
        return runs

    def _run(self, ids: tuple[int, ...]) -> _Run:
        characters = tuple(part for id in ids for part in self._spelling.get(id, (id,)))
        pieces, path = list(characters), []
        while True:
            found = [(*self._merges[pair], n) for n, pair in enumerate(pairwise(pieces)) if pair in self._merges]
            if not found:
                break
            _, merged, place = min(found, key=lambda merge: (merge[0], merge[2]))
            pieces[place : place + 2] = (merged,)
            path.append((place, merged))
        if tuple(pieces) != ids:
            # Where more than 64 characters stand without a space, ids alone do not tell all cuts: such runs stay.
            return _Run(ids, ids, ())
        return _Run(characters, ids, tuple(path))


def join_spelling(merges: Sequence[tuple[int, int, int]], characters: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Returns the characters' ids of each piece, from the merges `(left, right, merged)` in the order of learning."""
    spelling: dict[int, tuple[int, ...]] = {id: (id,) for id in characters}
    for left, right, merged in merges:
        spelling.setdefault(merged, spelling[left] + spelling[right])
    return spelling
