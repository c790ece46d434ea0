"""Encoded sentences with their tags, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Int, Int64
from torch import Tensor

from seqlens.data.batch import Sequences, pad
from seqlens.data.sampler import TokenBudgetSampler
from seqlens.data.tagged.forms import FormsCodec
from seqlens.models.words import WordForms


@dataclass(frozen=True, slots=True)
class TagBatch:
    """Sentences as numbers of `forms`, and the ids of their tags, -1 where a tag is not known and at padding."""

    inputs: Sequences
    forms: WordForms
    tags: Int[Tensor, "batch time"]
    indices: tuple[int, ...]

    def to(self, device: torch.device | str) -> "TagBatch":
        """The same batch on `device`."""
        return TagBatch(self.inputs.to(device), self.forms.to(device), self.tags.to(device), self.indices)


@final
class FormTable:
    """Every different word once, encoded when it is first met."""

    def __init__(self, codec: FormsCodec) -> None:
        self._codec = codec
        self._num_features = len(codec.features)
        self._numbers: dict[str, int] = {}
        self._words: list[int] = []
        self._letters: list[list[int]] = []
        self._features: list[list[int]] = []

    def number(self, word: str) -> int:
        """The row of a word."""
        found = self._numbers.get(word)
        if found is None:
            found = self._numbers[word] = len(self._words)
            self._words.append(self._codec.word_id(word))
            self._letters.append(self._codec.letter_ids(word))
            self._features.append(self._codec.feature_ids(word))
        return found

    def select(self, numbers: Int64[np.ndarray, "forms"]) -> WordForms:
        """The forms of some rows, in this order."""
        rows = numbers.tolist()
        letters = pad([self._letters[row] for row in rows])
        features = np.array([self._features[row] for row in rows], dtype=np.int64)
        return WordForms(
            torch.tensor([self._words[row] for row in rows], dtype=torch.int64),
            letters.ids,
            letters.lengths,
            torch.from_numpy(features.reshape(len(rows), self._num_features)),
        )


@final
class TagDataset:
    """Sentences as numbers of words, with the ids of their tags."""

    def __init__(self, table: FormTable, rows: Sequence[Sequence[str]], tags: Sequence[Sequence[int]]) -> None:
        self._table = table
        self._rows = [np.array([table.number(word) for word in row], dtype=np.int64) for row in rows]
        self.tags = [np.asarray(row, dtype=np.int64) for row in tags]
        self.lengths: Int64[np.ndarray, "examples"] = np.array([len(row) for row in self._rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int], epoch: int | None = None) -> TagBatch:
        numbers = np.asarray(indices, dtype=np.int64)
        rows = [self._rows[number] for number in numbers]
        together = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        different, places = np.unique(together, return_inverse=True)
        ends = np.cumsum([len(row) for row in rows])
        tokens = pad(np.split(places, ends[:-1]) if rows else [])
        tags = pad([self.tags[number] for number in numbers], -1)
        return TagBatch(tokens, self._table.select(different), tags.ids, tuple(numbers.tolist()))

    def sampler(self, *, max_tokens: int, seed: int) -> TokenBudgetSampler:
        return TokenBudgetSampler(self.lengths, max_tokens=max_tokens, shuffle=True, seed=seed)
