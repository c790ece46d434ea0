"""The letter n-grams of tokens, known by a hash, so that a word never seen is read by its parts."""

from collections.abc import Iterable, Sequence
from typing import final
from zlib import crc32

import numpy as np
import torch

from seqlens.data.batch import Sequences, pad
from seqlens.data.text import PADDING_ID, WordsCodec
from seqlens.models.classifier_config import LetterGramsConfig
from seqlens.models.letter_grams import Spellings

_MAX_LETTERS = 40


def letter_grams(word: str, config: LetterGramsConfig) -> list[int]:
    """The numbers, from 1, of the n-grams of `<word>`, each once a place; letters after the fortieth do not count."""
    marked = f"<{word[:_MAX_LETTERS]}>"
    return [
        crc32(marked[first : first + length].encode()) % config.num_buckets + 1
        for length in range(config.shortest, config.longest + 1)
        for first in range(len(marked) - length + 1)
    ]


@final
class Speller:
    """Numbers the different tokens of texts, in place of their ids, and knows the id and the letters of each.

    Two words that are both unknown have one id, but two numbers. Number 0 is padding.
    """

    def __init__(self, codec: WordsCodec, config: LetterGramsConfig) -> None:
        self._codec = codec
        self._config = config
        self._numbers: dict[tuple[int, str], int] = {}
        self._ids = [PADDING_ID]
        self._grams: list[list[int]] = [[]]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """The number of each token."""
        return [
            [
                self._number(id, piece)
                for id, piece in zip(self._codec.encode(text), self._codec.pieces(text), strict=True)
            ]
            for text in texts
        ]

    def ids(self, numbers: Sequence[int]) -> list[int]:
        """The ids of tokens."""
        return [self._ids[number] for number in numbers]

    def read(self, numbers: Sequences) -> tuple[Sequences, Spellings]:
        """The ids of padded rows of numbers, and the letters of their tokens."""
        different, places = np.unique(numbers.ids.numpy(), return_inverse=True)
        rows = different.tolist()
        ids = torch.tensor([self._ids[row] for row in rows], dtype=torch.int64)
        where = torch.from_numpy(places.reshape(numbers.ids.shape))
        return Sequences(ids[where], numbers.lengths), Spellings(where, pad([self._grams[row] for row in rows]).ids)

    def _number(self, id: int, piece: str) -> int:
        found = self._numbers.get((id, piece))
        if found is None:
            found = self._numbers[id, piece] = len(self._ids)
            self._ids.append(id)
            self._grams.append(letter_grams(piece, self._config))
        return found
