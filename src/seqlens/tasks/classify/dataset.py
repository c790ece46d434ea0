"""Encoded texts with their labels, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor

from seqlens.data.batch import Sequences, pad
from seqlens.data.sampler import TokenBudgetSampler


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """Texts and the numbers of their labels, -1 for a label that training has not."""

    inputs: Sequences
    labels: Int[Tensor, " batch"]
    indices: tuple[int, ...]

    def to(self, device: torch.device | str) -> "LabelledBatch":
        """The same batch on `device`."""
        return LabelledBatch(self.inputs.to(device), self.labels.to(device), self.indices)


@final
class LabelledDataset:
    """Rows of ids with a label each; `repeats` is how often each is to be seen in an epoch, once if None."""

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        labels: Sequence[int],
        repeats: Float64[np.ndarray, "examples"] | None = None,
    ) -> None:
        self._rows = [np.asarray(row, dtype=np.int32) for row in rows]
        self.labels: Int64[np.ndarray, "examples"] = np.asarray(labels, dtype=np.int64)
        self.lengths: Int64[np.ndarray, "examples"] = np.array([len(row) for row in self._rows], dtype=np.int64)
        self._repeats = repeats

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int], epoch: int | None = None) -> LabelledBatch:
        numbers = np.asarray(indices, dtype=np.int64)
        rows = pad([self._rows[number] for number in numbers])
        return LabelledBatch(rows, torch.from_numpy(self.labels[numbers]), tuple(numbers.tolist()))

    def sampler(self, *, max_tokens: int, seed: int) -> TokenBudgetSampler:
        return TokenBudgetSampler(self.lengths, max_tokens=max_tokens, shuffle=True, seed=seed, repeats=self._repeats)


def balanced_repeats(labels: Int64[np.ndarray, "examples"]) -> Float64[np.ndarray, "examples"]:
    """How often each example is to be seen so that all classes are seen equally often, and the sum is that of once."""
    counts = np.bincount(labels)
    share = len(labels) / np.count_nonzero(counts)
    return np.asarray(share / counts[labels], dtype=np.float64)
