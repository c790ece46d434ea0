"""Records for training, as random crops of both strands, and whole ones for scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from seqlens.data.batch import Sequences, pad
from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord
from seqlens.data.sampler import TokenBudgetSampler
from seqlens.tasks.mark.counted import CrossCounted
from seqlens.tasks.mark.grammar import GeneGrammar, ids_of
from seqlens.tasks.mark.states import States, paint, turned


@dataclass(frozen=True, slots=True)
class MarkBatch:
    """Bases, what the grammar allows before each of them, and the states that genes give them.

    In training also the log-odds of what was counted, on other records, for this strand and for the other one.
    """

    bases: Sequences
    signals: Bool[Tensor, "batch time 2 5"]
    states: Int[Tensor, "batch time"]
    indices: tuple[int, ...]
    log_odds: Float[Tensor, "2 batch time columns"] | None = None

    def to(self, device: torch.device | str) -> "MarkBatch":
        """The same batch on `device`."""
        log_odds = None if self.log_odds is None else self.log_odds.to(device)
        return MarkBatch(self.bases.to(device), self.signals.to(device), self.states.to(device), self.indices, log_odds)


@final
class MarkDataset:
    """Records with their states; with `crop_length` an item is a crop, and a record has as many as it has lengths.

    Where a crop lies and which strand it shows is a function of seed, epoch and index.
    """

    def __init__(
        self,
        records: Sequence[DnaRecord],
        grammar: GeneGrammar,
        *,
        crop_length: int | None = None,
        max_crops: int | None = None,
        kmer: int = 0,
        boundaries: bool = False,
        seed: int = 0,
    ) -> None:
        """With `kmer`, batches of crops have the log-odds of words of that size, with `boundaries` also of those.

        A record has no more than `max_crops` crops.
        """
        self.records = list(records)
        self._grammar = grammar
        self._states = [paint(record) for record in self.records]
        self._crop_length = crop_length
        self._seed = seed
        self._counted = None
        if kmer and crop_length is not None:
            self._counted = CrossCounted(self.records, kmer, grammar if boundaries else None)
        sizes = np.array([len(record.sequence) for record in self.records], dtype=np.int64)
        if crop_length is None:
            self._record_of = np.arange(len(sizes))
            self.lengths: Int64[np.ndarray, "items"] = sizes
        else:
            most = max_crops if max_crops is not None else int(sizes.max(initial=1))
            repeats = np.rint(sizes / crop_length).astype(np.int64).clip(1, most)
            self._record_of = np.repeat(np.arange(len(sizes)), repeats)
            self.lengths = np.minimum(sizes, crop_length)[self._record_of]

    def __len__(self) -> int:
        return len(self._record_of)

    def states(self, index: int) -> States:
        """The states of a whole record."""
        return self._states[self._record_of[index]]

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int], epoch: int | None = None) -> MarkBatch:
        numbers = [int(index) for index in indices]
        cut = [self._cut(number, epoch) for number in numbers]
        sequences = [sequence for sequence, _ in cut]
        batch = make_batch(sequences, [states for _, states in cut], self._grammar, numbers)
        return batch if self._counted is None else replace(batch, log_odds=self._log_odds(numbers, sequences))

    def sampler(self, *, max_tokens: int, seed: int) -> TokenBudgetSampler:
        return TokenBudgetSampler(self.lengths, max_tokens=max_tokens, shuffle=True, seed=seed)

    def _log_odds(self, numbers: Sequence[int], sequences: Sequence[str]) -> Float[Tensor, "2 batch time columns"]:
        assert self._counted is not None
        columns = self._counted.num_columns
        found = np.zeros((2, len(sequences), max(map(len, sequences), default=0), columns), dtype=np.float32)
        for row, (number, sequence) in enumerate(zip(numbers, sequences, strict=True)):
            record = int(self._record_of[number])
            for strand, reading in enumerate((sequence, reverse_complement(sequence))):
                found[strand, row, : len(sequence)] = self._counted.of(record, reading)
        return torch.from_numpy(found)

    def _cut(self, index: int, epoch: int | None) -> tuple[str, States]:
        number = self._record_of[index]
        sequence, states = self.records[number].sequence, self._states[number]
        if self._crop_length is None:
            return sequence, states
        draw = np.random.default_rng((self._seed, 0 if epoch is None else epoch, index))
        room = len(sequence) - int(self.lengths[index])
        first = int(draw.integers(0, room + 1))
        part = slice(first, first + int(self.lengths[index]))
        sequence, states = sequence[part], states[part]
        if draw.random() < 0.5:
            return reverse_complement(sequence), turned(states)
        return sequence, states


def make_batch(
    sequences: Sequence[str], states: Sequence[States], grammar: GeneGrammar, indices: Sequence[int]
) -> MarkBatch:
    """Pads sequences with what the grammar says of them; no states count as 0."""
    bases = pad([ids_of(sequence) for sequence in sequences])
    batch, time = bases.ids.shape
    signals = np.zeros((batch, time, 2, 5), dtype=bool)
    padded = np.zeros((batch, time), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        signals[row, : len(sequence)] = grammar.signals(sequence)
        if states:
            padded[row, : len(sequence)] = states[row]
    return MarkBatch(bases, torch.from_numpy(signals), torch.from_numpy(padded), tuple(indices))
