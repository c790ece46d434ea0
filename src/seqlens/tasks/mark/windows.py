"""Scores of long sequences, window by window, as if they had been read at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from seqlens.data.batch import pad
from seqlens.data.sampler import length_batches
from seqlens.tasks.mark.grammar import ids_of

_BASES_A_BATCH = 40_000


class Window(NamedTuple):
    """Bases `start` to `end` of a sequence are read; of their scores those from `first` to `last` are kept."""

    sequence: int
    start: int
    end: int
    first: int
    last: int


def plan_windows(length: int, *, window: int, overlap: int, stride: int = 1, sequence: int = 0) -> list[Window]:
    """Windows over a sequence, whose kept parts follow one another.

    Windows begin at multiples of `stride`, and end as far from them as the sequence does, so that an encoder that takes
    `stride` bases a step cuts every window, from either side, as it would the whole.
    """
    if length <= window:
        return [Window(sequence, 0, length, 0, length)]
    step = max((window - 2 * overlap) // stride * stride, stride)
    size = window // stride * stride + length % stride
    found: list[Window] = []
    start = kept = 0
    while True:
        end = min(start + size, length)
        last = length if end == length else end - overlap
        found.append(Window(sequence, start, end, kept, last))
        if end == length:
            return found
        kept, start = last, start + step


def score_windows(
    model: nn.Module,
    sequences: Sequence[str],
    *,
    window: int,
    overlap: int,
    device: torch.device | str = "cpu",
) -> list[Float32[np.ndarray, "_ 2 8"]]:
    """A marker's scores of each sequence.

    They are those of the whole sequence where the model reaches no further than `overlap` bases; a recurrent or
    Transformer encoder reaches further, and what it sees beyond is lost.
    """
    stride = int(getattr(model, "stride", 1)) if getattr(model, "encoder", None) is not None else 1
    plan = [
        one
        for number, sequence in enumerate(sequences)
        for one in plan_windows(len(sequence), window=window, overlap=overlap, stride=stride, sequence=number)
    ]
    found = [np.zeros((len(sequence), 2, 8), dtype=np.float32) for sequence in sequences]
    sizes = np.array([one.end - one.start for one in plan], dtype=np.int64)
    with torch.no_grad():
        for indices in length_batches(sizes, _BASES_A_BATCH):
            chosen = [plan[index] for index in indices]
            rows = pad([ids_of(sequences[one.sequence][one.start : one.end]) for one in chosen]).to(device)
            scores = model(rows.ids, rows.lengths).scores.float().cpu().numpy()
            for row, one in enumerate(chosen):
                kept = scores[row, one.first - one.start : one.last - one.start]
                found[one.sequence][one.first : one.last] = kept
    return found
