"""Encoded texts in memory: lines in batches by length, a running text in parallel streams of windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Int, Int64
from torch import Tensor

from seqlens.data.batch import Sequences, pad, pad_slices
from seqlens.data.sampler import TokenBudgetSampler
from seqlens.data.text import END_ID, START_ID
from seqlens.errors import RequestError

Ids = Int64[np.ndarray, "_"]


@dataclass(frozen=True, slots=True)
class TextBatch:
    """What the model reads, `inputs`, and the tokens that come next, `targets [batch, time]`.

    `continues`: row `i` goes on where row `i` of the batch before ended; there may be fewer rows than there.
    """

    inputs: Sequences
    targets: Int[Tensor, "batch time"]
    continues: bool
    indices: tuple[int, ...]

    def to(self, device: torch.device | str) -> "TextBatch":
        """The same batch on `device`."""
        return TextBatch(self.inputs.to(device), self.targets.to(device), self.continues, self.indices)


@dataclass(frozen=True, slots=True)
class TextSize:
    """What scores count of a text beside its tokens: characters, and what its unknown pieces cost in nats."""

    characters: int
    unknown_nats: float


@final
class LineDataset:
    """A document a row: `<start>` and its tokens are read, its tokens and `<end>` predicted."""

    def __init__(self, rows: Sequence[Sequence[int]], sizes: Sequence[TextSize]) -> None:
        self.rows = [np.asarray(row, dtype=np.int64) for row in rows]
        self.sizes = tuple(sizes)
        self.lengths: Ids = np.array([len(row) + 1 for row in self.rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int], epoch: int | None = None) -> TextBatch:
        """Documents of these numbers, padded at the end."""
        chosen = [self.rows[int(number)] for number in indices]
        inputs = pad([np.concatenate(([START_ID], row)) for row in chosen])
        targets = pad([np.concatenate((row, [END_ID])) for row in chosen])
        return TextBatch(inputs, targets.ids, False, tuple(int(number) for number in indices))

    def sampler(self, *, max_tokens: int, seed: int) -> TokenBudgetSampler:
        """Batches of like lengths in another order each epoch."""
        return TokenBudgetSampler(self.lengths, max_tokens=max_tokens, shuffle=True, seed=seed)


@final
class StreamDataset:
    """A running text in windows, which `batch` takes by number.

    `lengths` are tokens of its blocks, for what is said of the data only.
    """

    def __init__(self, blocks: Sequence[Sequence[int]], sizes: Sequence[TextSize], *, window: int) -> None:
        self.lengths: Ids = np.array([len(block) for block in blocks], dtype=np.int64)
        # As it is read: one place to the right.
        self._shifted: Ids = np.concatenate([[START_ID], *blocks]).astype(np.int64)
        self.tokens = self._shifted[1:]
        self.sizes = tuple(sizes)
        self.window = window
        self.num_windows = -(-len(self.tokens) // window)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int], epoch: int | None = None) -> TextBatch:
        """Windows of these numbers, of which the last of the text may be shorter.

        Windows that begin a stream of `sampler` read `<start>` first, as there is no state that knows what was before.
        """
        numbers = np.asarray(indices, dtype=np.int64)
        firsts = numbers * self.window
        lengths = np.minimum(len(self.tokens) - firsts, self.window)
        targets = pad_slices(self.tokens, firsts, lengths)
        # One place to the right: every token is predicted from those before it.
        inputs = pad_slices(self._shifted, firsts, lengths)
        begins = bool(len(numbers)) and int(numbers[0]) == 0
        if begins:
            inputs.ids[:, :1] = START_ID
        return TextBatch(inputs, targets.ids, not begins, tuple(numbers.tolist()))

    def sampler(self, *, max_tokens: int, seed: int) -> "StreamSampler":
        """The streams; the order is that of the text, so `seed` changes nothing."""
        return self.streams(max(1, max_tokens // self.window))

    def streams(self, count: int) -> "StreamSampler":
        """The text cut into at most so many parallel streams."""
        return StreamSampler(self.num_windows, count)


@final
class StreamSampler:
    """Windows in `num_streams` parallel streams: batch `k` of an epoch is the `k`th window of each.

    Streams are equally long but for one window, the longer ones first; so the last batch may have fewer rows, and no
    window is left out.
    """

    def __init__(self, num_windows: int, num_streams: int) -> None:
        """Raises RequestError where there is no window."""
        if num_windows < 1:
            raise RequestError("There is no text to make batches of: the data is empty.")
        self.num_windows = num_windows
        self.num_streams = min(num_streams, num_windows)
        sizes = np.full(self.num_streams, num_windows // self.num_streams, dtype=np.int64)
        sizes[: num_windows % self.num_streams] += 1
        self._firsts, self._sizes = np.cumsum(sizes) - sizes, sizes
        self._taken = 0

    @property
    def batches_per_epoch(self) -> int:
        return int(self._sizes[0])

    @property
    def epoch(self) -> int:
        """The epoch, from 0, of the batch handed out last."""
        return max(self._taken - 1, 0) // self.batches_per_epoch

    def __next__(self) -> Ids:
        self._taken += 1
        return self._batch((self._taken - 1) % self.batches_per_epoch)

    def epoch_batches(self, epoch: int) -> list[Ids]:
        """All batches of an epoch, which are those of every epoch."""
        return [self._batch(number) for number in range(self.batches_per_epoch)]

    def padding_waste(self, epoch: int) -> float:
        """None but in the last window of the text, which is not counted."""
        return 0.0

    def state_dict(self) -> dict[str, int]:
        """What continues this iterator exactly; `epochs_ended` counts an epoch from its last batch on."""
        return {
            "taken": self._taken,
            "windows": self.num_windows,
            "streams": self.num_streams,
            "epochs_ended": self._taken // self.batches_per_epoch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues after the batch where `state` was taken.

        Raises:
            RequestError: the state belongs to another text or other batch settings.
        """
        if (state.get("windows"), state.get("streams")) != (self.num_windows, self.num_streams):
            raise RequestError(
                "The saved place in the training text cannot be continued from: since then the text, the codec, "
                "'task.window' or 'batches.max_tokens' have changed."
            )
        self._taken = int(state["taken"])

    def _batch(self, number: int) -> Ids:
        return np.asarray(self._firsts[self._sizes > number] + number, dtype=np.int64)


TextDataset = LineDataset | StreamDataset
