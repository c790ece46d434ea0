"""Which sequences make a batch: a bound on its positions, little padding, a new order every epoch."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Float64, Int, Int64

from seqlens.errors import RequestError

Lengths = Int[np.ndarray, "sequences sides"] | Int[np.ndarray, "sequences"]
Indices = Int64[np.ndarray, "_"]

# Larger corpora are sorted in random parts of this size: the plan of an epoch stays quick and its batches more mixed.
_POOL_SIZE = 2**20
# What one more batch costs, in units of `max_tokens` positions a side. With 0 the cheapest batch holds one length only.
_BATCH_OVERHEAD = 0.1


@final
class TokenBudgetSampler:
    """Endless iterator over batches of indices, bounded by `rows x longest source or target <= max_tokens`.

    A sequence longer than the budget makes a batch of its own. Every index comes once an epoch, or as often as
    `repeats` says: 2.5 is twice in each epoch and once more in every second one, in turn with those of the same number.
    The plan of an epoch is a function of `(seed, epoch)`: the corpus is shuffled, sorted by length so that rows of a
    batch are alike, cut into batches where that wastes least, and the batches are shuffled. With `shuffle=False` every
    epoch has the same batches, longest first.

    `lengths` is `[sequences]`, or `[sequences, sides]` with a column for the source and one for the target.

    For training on several devices each `rank` takes every `world_size`-th batch of one plan, all of them equally many:
    large batches are halved until their number divides. Only where every batch is down to one row does the last round
    repeat the first batches.

    Raises:
        RequestError: there is no sequence.
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        lengths: Lengths,
        *,
        max_tokens: int,
        shuffle: bool,
        seed: int,
        max_sentences: int | None = None,
        repeats: Float64[np.ndarray, "sequences"] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check_budget(max_tokens, max_sentences)
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, but is {seed}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be from 0 to world_size - 1 = {world_size - 1}, but is {rank}")
        if repeats is not None and (not shuffle or len(repeats) != len(lengths)):
            raise ValueError("repeats needs shuffle, and a number for each sequence")
        self._lengths = _as_columns(lengths)
        self._repeats = repeats
        if len(self._lengths) == 0:
            raise RequestError("There is no sequence to make batches of: the data is empty, or all of it was left out.")
        self._max_tokens = max_tokens
        self._max_sentences = max_sentences
        self._shuffle = shuffle
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._plan_id = self._fingerprint()
        self._epoch = 0
        self._position = 0  # batches of this epoch already handed out
        self._batches: list[Indices] | None = None  # this rank's batches of this epoch, once they are needed

    @property
    def epoch(self) -> int:
        """The epoch, from 0, of the batch handed out last."""
        return self._epoch

    def __iter__(self) -> Iterator[Indices]:
        return self

    def __next__(self) -> Indices:
        batches = self._current_batches()
        if self._position == len(batches):
            self._epoch, self._position, self._batches = self._epoch + 1, 0, None
            batches = self._current_batches()
        self._position += 1
        return batches[self._position - 1]

    def epoch_batches(self, epoch: int) -> list[Indices]:
        """All batches of this rank in an epoch, in order. Does not move the iterator."""
        return self._plan(epoch)[self._rank :: self._world_size]

    def padding_waste(self, epoch: int) -> float:
        """Padded positions over real ones, less 1, of an epoch: all sides and ranks together."""
        plan = self._plan(epoch)
        real = sum(int(self._lengths[rows].sum()) for rows in plan)
        padded = sum(len(rows) * int(self._lengths[rows].max(axis=0).sum()) for rows in plan)
        return padded / real - 1 if real else 0.0

    def state_dict(self) -> dict[str, int | str]:
        """What continues this iterator exactly: the same for all ranks, and JSON can hold it.

        `epochs_ended` counts an epoch from its last batch on, before the first of the next is asked for.
        """
        ended = self._position == len(self._current_batches())
        return {
            "seed": self._seed,
            "epoch": self._epoch,
            "position": self._position,
            "epochs_ended": self._epoch + ended,
            "plan": self._plan_id,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues after the batch where `state` was taken; costs one plan, whatever the position.

        Raises:
            RequestError: the state belongs to other lengths or other batch settings.
        """
        if state["plan"] != self._plan_id:
            raise RequestError(
                "The saved place in the training data cannot be continued from: since then the data, the codec, or "
                "the batch settings (max_tokens, max_sentences, shuffle, number of devices) have changed."
            )
        self._seed, self._epoch, self._position = int(state["seed"]), int(state["epoch"]), int(state["position"])
        self._batches = None

    def _current_batches(self) -> list[Indices]:
        if self._batches is None:
            self._batches = self.epoch_batches(self._epoch)
        return self._batches

    def _plan(self, epoch: int) -> list[Indices]:
        if not self._shuffle:
            order = _longest_first(self._lengths)
            return self._even_out(_cut(order, self._lengths, self._max_tokens, self._max_sentences))
        random = np.random.default_rng([self._seed, epoch])
        chosen = len(self._lengths) if self._repeats is None else _repeated(self._repeats, self._seed, epoch)
        shuffled = random.permutation(chosen)
        batches: list[Indices] = []
        for start in range(0, len(shuffled), _POOL_SIZE):
            order = _alike_together(shuffled[start : start + _POOL_SIZE], self._lengths, random)
            batches += _cut(order, self._lengths, self._max_tokens, self._max_sentences)
        batches = self._even_out(batches)
        return [batches[index] for index in random.permutation(len(batches))]

    def _even_out(self, batches: list[Indices]) -> list[Indices]:
        if missing := -len(batches) % self._world_size:
            by_rows = sorted(range(len(batches)), key=lambda index: -len(batches[index]))
            halved = {index for index in by_rows[:missing] if len(batches[index]) > 1}
            if not halved:
                return batches + [batches[index % len(batches)] for index in range(missing)]
            parts = [_halves(rows) if index in halved else [rows] for index, rows in enumerate(batches)]
            return self._even_out([rows for part in parts for rows in part])
        return batches

    def _fingerprint(self) -> str:
        settings = [self._max_tokens, self._max_sentences, self._shuffle, self._world_size, self._lengths.shape]
        digest = hashlib.sha256(repr(settings).encode())
        digest.update(np.ascontiguousarray(self._lengths, dtype="<i8").data)
        if self._repeats is not None:
            digest.update(np.ascontiguousarray(self._repeats, dtype="<f8").data)
        return digest.hexdigest()[:16]


def length_batches(lengths: Lengths, max_tokens: int, max_sentences: int | None = None) -> list[Indices]:
    """Batches for one pass where order is free (evaluation, prediction): longest first, every index once.

    `lengths` and the budget are as in `TokenBudgetSampler`; no sequences give no batches.
    """
    _check_budget(max_tokens, max_sentences)
    columns = _as_columns(lengths)
    return _cut(_longest_first(columns), columns, max_tokens, max_sentences)


def _repeated(repeats: Float64[np.ndarray, "sequences"], seed: int, epoch: int) -> Indices:
    """The indices of an epoch: each as often as the whole part of its number, and some once more for the rest."""
    chosen = [np.repeat(np.arange(len(repeats)), np.floor(repeats).astype(np.int64))]
    for group, number in enumerate(np.unique(repeats)):
        members = np.flatnonzero(repeats == number)
        share = round(float(number % 1) * len(members))
        if number < 1:
            share = max(share, 1)
        # One order for all epochs, of which each takes the next part: so all have their turn equally often.
        order = np.random.default_rng([seed, group, len(members)]).permutation(members)
        chosen.append(order[(epoch * share + np.arange(share)) % len(members)])
    return np.concatenate(chosen).astype(np.int64)


class LengthFilter(NamedTuple):
    """Which pairs are short enough, and how many are not."""

    indices: Int64[np.ndarray, "kept"]
    num_left_out: int


def within_length(lengths: Int[np.ndarray, "pairs sides"], max_length: int | None) -> LengthFilter:
    """The pairs with at most `max_length` tokens, `<end>` counted, on every side; None keeps all."""
    longest = lengths.max(axis=1)
    kept = np.flatnonzero(longest <= (np.inf if max_length is None else max_length)).astype(np.int64)
    return LengthFilter(kept, len(lengths) - len(kept))


def _check_budget(max_tokens: int, max_sentences: int | None) -> None:
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be 1 or more, but is {max_tokens}")
    if max_sentences is not None and max_sentences < 1:
        raise ValueError(f"max_sentences must be 1 or more, or None, but is {max_sentences}")


def _as_columns(lengths: Lengths) -> Int[np.ndarray, "sequences sides"]:
    return lengths[:, None] if lengths.ndim == 1 else lengths


def _halves(rows: Indices) -> list[Indices]:
    return [rows[: len(rows) // 2], rows[len(rows) // 2 :]]


def _longest_first(lengths: Int[np.ndarray, "sequences sides"]) -> Indices:
    longest = lengths.max(axis=1)
    return np.lexsort((_there_and_back(lengths, longest), -longest)).astype(np.int64)


def _alike_together(
    shuffled: Indices, lengths: Int[np.ndarray, "sequences sides"], random: np.random.Generator
) -> Indices:
    """Sorts a shuffled pool so that neighbours have like lengths on both sides; equal ones stay shuffled."""
    pool = lengths[shuffled]
    longest = pool.max(axis=1)
    return shuffled[np.lexsort((_there_and_back(pool, longest + random.integers(2)), longest))]


def _there_and_back(
    lengths: Int[np.ndarray, "sequences sides"], longest: Int[np.ndarray, "sequences"]
) -> Int[np.ndarray, "sequences"]:
    # Within one longest length, from "source longer" to "target longer"; within the next, the other way round: so the
    # batch that spans the two does not hold both ends.
    difference = lengths[:, 0].astype(np.int64) - lengths[:, -1]
    return np.where(longest % 2 == 1, difference, -difference)


def _cut(
    order: Indices, lengths: Int[np.ndarray, "sequences sides"], max_tokens: int, max_sentences: int | None
) -> list[Indices]:
    """Cuts an order into batches within the budget; each ends where a real token costs fewest padded positions."""
    overhead = _BATCH_OVERHEAD * max_tokens * lengths.shape[1]
    batches: list[Indices] = []
    start = 0
    while start < len(order):
        # A sequence of length 0 still takes a row: it counts as one position.
        widest_window = max_tokens // max(1, int(lengths[order[start]].max()))
        rows = order[start : start + max(1, min(widest_window, max_sentences or widest_window))]
        window = lengths[rows].astype(np.int64)
        widths = np.maximum.accumulate(window, axis=0)
        counts = np.arange(1, len(rows) + 1)
        positions = counts * np.maximum(widths.max(axis=1), 1)
        allowed = max(1, int(np.searchsorted(positions, max_tokens, side="right")))
        real = np.maximum(np.cumsum(window.sum(axis=1)), 1)
        cost = (counts * widths.sum(axis=1) + overhead) / real
        # At least half of what the budget allows; of equally good ends the last.
        size = allowed - int(np.argmin(cost[(allowed - 1) // 2 : allowed][::-1]))
        batches.append(rows[:size])
        start += size
    return batches
