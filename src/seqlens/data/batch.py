"""What a model is given: rectangles of token ids, with the true length of every row."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor


class Sequences(NamedTuple):
    """Rows of ids, padded at the end to one width. No rows and rows of length 0 are valid.

    `ids` is int64 on any device; `lengths` is int64 and stays on the CPU, where packing and planning need it.
    """

    ids: Int[Tensor, "batch time"]
    lengths: Int[Tensor, "batch"]

    def mask(self) -> Bool[Tensor, "batch time"]:
        """True where there is a token, False at padding; on the device of `ids`."""
        positions = torch.arange(self.ids.shape[1], device=self.ids.device)
        return positions < self.lengths.to(self.ids.device).unsqueeze(1)

    def twice(self) -> "Sequences":
        """All rows, and then all again."""
        return Sequences(self.ids.repeat(2, 1), self.lengths.repeat(2))

    def to(self, device: torch.device | str) -> "Sequences":
        """The same rows with `ids` on `device`. From pinned memory the copy does not wait for the device."""
        return Sequences(self.ids.to(device, non_blocking=self.ids.is_pinned()), self.lengths)

    def pin_memory(self) -> "Sequences":
        """The same rows in page-locked memory, from which a copy to a CUDA device need not wait."""
        return Sequences(self.ids.pin_memory(), self.lengths)


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Pairs of sequences: rows of `source` and `target` belong together.

    Source rows end with `<end>`; target rows end with `<end>` and have no `<start>` (the model puts it there).
    `indices` says which sequence of the corpus each row is. Without targets (prediction), `target` is None.
    """

    source: Sequences
    target: Sequences | None
    indices: tuple[int, ...]

    def twice(self) -> "PairBatch":
        """All pairs, and then all again."""
        target = None if self.target is None else self.target.twice()
        return PairBatch(self.source.twice(), target, (*self.indices, *self.indices))

    def to(self, device: torch.device | str) -> "PairBatch":
        """The same batch with the ids on `device`."""
        target = None if self.target is None else self.target.to(device)
        return PairBatch(self.source.to(device), target, self.indices)

    def pin_memory(self) -> "PairBatch":
        """The same batch with the ids in page-locked memory."""
        target = None if self.target is None else self.target.pin_memory()
        return PairBatch(self.source.pin_memory(), target, self.indices)


def pad(rows: SequenceOf[SequenceOf[int] | NDArray[Any]], padding_id: int = 0) -> Sequences:
    """Pads rows of ids at the end to the length of the longest: ids `[rows, longest]`, lengths `[rows]`."""
    arrays = [np.asarray(row, dtype=np.int64) for row in rows]
    if any(array.ndim != 1 for array in arrays):
        raise ValueError(f"every row must be a 1-D sequence of ids, found shapes {[a.shape for a in arrays]}")
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    tokens = np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64)
    return pad_slices(tokens, np.cumsum(lengths) - lengths, lengths, padding_id)


def pad_slices(
    tokens: NDArray[Any], starts: NDArray[np.int64], lengths: NDArray[np.int64], padding_id: int = 0
) -> Sequences:
    """Pads the slices `tokens[start : start + length]` of a flat array `[num_tokens]` without a loop over rows."""
    columns = np.arange(lengths.max(initial=0), dtype=np.int64)
    is_token = columns < lengths[:, None]
    ids = np.full(is_token.shape, padding_id, dtype=np.int64)
    # Row by row is also the order in which a boolean index visits the rectangle.
    ids[is_token] = tokens[(starts[:, None] + columns)[is_token]]
    return Sequences(torch.from_numpy(ids), torch.from_numpy(np.array(lengths, dtype=np.int64)))
