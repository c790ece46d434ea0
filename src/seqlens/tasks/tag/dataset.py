"""Encoded sentences with their tags, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Int, Int64
from torch import Tensor

from seqlens.data.batch import Sequences, pad
from seqlens.data.sampler import TokenBudgetSampler
from seqlens.data.tagged.forms import FormsCodec
from seqlens.data.tagged.records import TaggedText
from seqlens.models.words import WordForms
from seqlens.tasks.tag.tags import TagSet


class Sentence(NamedTuple):
    """The number of each token's form, and the ids of its tags."""

    forms: Int64[np.ndarray, "time"]
    tags: Int64[np.ndarray, "time"]


@dataclass(frozen=True, slots=True)
class TagBatch:
    """The sentences of some texts, a row each: numbers of `forms`, and the ids of their tags, -1 at padding.

    `texts [batch]` says which text of the batch a sentence is of.
    """

    inputs: Sequences
    texts: Int[Tensor, " batch"]
    forms: WordForms
    tags: Int[Tensor, "batch time"]
    indices: tuple[int, ...]

    def to(self, device: torch.device | str) -> "TagBatch":
        """The same batch on `device`."""
        inputs, forms, tags = self.inputs.to(device), self.forms.to(device), self.tags.to(device)
        return TagBatch(inputs, self.texts.to(device), forms, tags, self.indices)


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
    """Texts as the numbers of their words, with the ids of their tags, a sentence at a time."""

    def __init__(self, table: FormTable, tags: TagSet, examples: Sequence[TaggedText]) -> None:
        self._table = table
        self.sentences = [_sentences(table, tags, example) for example in examples]
        self.spans = [example.token_spans() for example in examples]
        counts = [sum(len(sentence.forms) for sentence in of) for of in self.sentences]
        self.lengths: Int64[np.ndarray, "examples"] = np.array(counts, dtype=np.int64)

    @property
    def longest_parts(self) -> Int64[np.ndarray, "examples"]:
        """The words of each text's longest sentence."""
        return np.array([max((len(one.forms) for one in of), default=0) for of in self.sentences], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.sentences)

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int], epoch: int | None = None) -> TagBatch:
        numbers = np.asarray(indices, dtype=np.int64)
        rows = [(place, sentence) for place, number in enumerate(numbers) for sentence in self.sentences[number]]
        together = np.concatenate([sentence.forms for _, sentence in rows]) if rows else np.zeros(0, dtype=np.int64)
        different, places = np.unique(together, return_inverse=True)
        ends = np.cumsum([len(sentence.forms) for _, sentence in rows], dtype=np.int64)
        return TagBatch(
            pad(np.split(places, ends[:-1]) if rows else []),
            torch.tensor([place for place, _ in rows], dtype=torch.int64),
            self._table.select(different),
            pad([sentence.tags for _, sentence in rows], -1).ids,
            tuple(numbers.tolist()),
        )

    def sampler(self, *, max_tokens: int, seed: int) -> TokenBudgetSampler:
        return TokenBudgetSampler(self.lengths, max_tokens=max_tokens, shuffle=True, seed=seed)


def _sentences(table: FormTable, tags: TagSet, example: TaggedText) -> list[Sentence]:
    forms = np.array([table.number(word) for word in example.words()], dtype=np.int64)
    ids = np.array(tags.ids(len(forms), example.token_spans()), dtype=np.int64)
    return [Sentence(forms[first:end], ids[first:end]) for first, end in example.sentences()]
