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
from seqlens.models.letter_grams import Spellings
from seqlens.tasks.classify.spelling import Speller


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """Texts, the numbers of their labels, -1 for a label that training has not, and letters where they are read."""

    inputs: Sequences
    labels: Int[Tensor, " batch"]
    indices: tuple[int, ...]
    spellings: Spellings | None = None

    def to(self, device: torch.device | str) -> "LabelledBatch":
        """The same batch on `device`."""
        spellings = None if self.spellings is None else self.spellings.to(device)
        return LabelledBatch(self.inputs.to(device), self.labels.to(device), self.indices, spellings)


@final
class LabelledDataset:
    """Rows of ids with a label each; `repeats` is how often each is to be seen in an epoch, once if None.

    With a `speller` rows are of its numbers, from which it reads ids and letters.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        labels: Sequence[int],
        repeats: Float64[np.ndarray, "examples"] | None = None,
        speller: Speller | None = None,
    ) -> None:
        self._rows = [np.asarray(row, dtype=np.int32) for row in rows]
        self.labels: Int64[np.ndarray, "examples"] = np.asarray(labels, dtype=np.int64)
        self.lengths: Int64[np.ndarray, "examples"] = np.array([len(row) for row in self._rows], dtype=np.int64)
        self._repeats = repeats
        self._speller = speller

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int], epoch: int | None = None) -> LabelledBatch:
        numbers = np.asarray(indices, dtype=np.int64)
        inputs, spellings = pad([self._rows[number] for number in numbers]), None
        if self._speller is not None:
            inputs, spellings = self._speller.read(inputs)
        return LabelledBatch(inputs, torch.from_numpy(self.labels[numbers]), tuple(numbers.tolist()), spellings)

    def ids(self) -> list[list[int]]:
        """The ids of every text."""
        rows = [row.tolist() for row in self._rows]
        return rows if self._speller is None else [self._speller.ids(row) for row in rows]

    def sampler(self, *, max_tokens: int, seed: int) -> TokenBudgetSampler:
        return TokenBudgetSampler(self.lengths, max_tokens=max_tokens, shuffle=True, seed=seed, repeats=self._repeats)


def balanced_repeats(labels: Int64[np.ndarray, "examples"]) -> Float64[np.ndarray, "examples"]:
    """How often each example is to be seen so that all classes are seen equally often, and the sum is that of once."""
    counts = np.bincount(labels)
    share = len(labels) / np.count_nonzero(counts)
    return np.asarray(share / counts[labels], dtype=np.float64)
