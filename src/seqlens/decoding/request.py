"""What every search is given beside a model: symbols, lengths, and what the outputs must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

Phrase = Sequence[int]


@final
@dataclass(frozen=True, slots=True)
class SearchRequest:
    """The arguments common to all searches. They are checked when a search begins, which raises a RequestError."""

    start_id: int
    end_id: int
    max_lengths: Sequence[int]
    """For every input the largest number of symbols, the end included; 0 gives an empty, unfinished hypothesis."""
    length_penalty: float = 1.0
    """0 or more, see `Hypothesis`."""
    forbidden_ids: Sequence[int] = ()
    """Symbols never chosen (padding, start, perhaps unknown)."""
    min_length: int = 0
    """The smallest number of symbols, the end included."""
    prefixes: Sequence[Sequence[int]] | None = None
    """For every input the symbols forced at the start of its outputs, forbidden or not; they count in the
    log-probability, the length and the tokens returned."""
    phrases: Sequence[Sequence[Phrase]] | None = None
    """For every input the runs of symbols that must stand in its outputs; only beam search can."""
    streams: Sequence[int] | None = None
    """For every input a number of its own: where two have the same, sampling draws the same for both. Their places in
    the batch if None."""
    device: torch.device | str | None = None
    """Where the step function wants its symbols; the CPU if None."""
