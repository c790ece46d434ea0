"""What a task makes of examples so that batches of them can be planned and made."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Int64

Indices = Int64[np.ndarray, "batch"]


@runtime_checkable
class Sampler(Protocol):
    """An endless plan of batches that says where it is, such as `TokenBudgetSampler`."""

    @property
    def epoch(self) -> int:
        """The epoch, from 0, of the batch handed out last."""

    def __next__(self) -> Indices: ...

    def epoch_batches(self, epoch: int) -> list[Indices]:
        """All batches of an epoch; does not move the plan."""

    def padding_waste(self, epoch: int) -> float:
        """Padded positions over real ones, less 1."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class ReadInParts(Protocol):
    """A dataset whose examples are read in several rows each, such as the sentences of a text."""

    @property
    def longest_parts(self) -> Int[np.ndarray, "examples"]:
        """The positions of each example's longest row."""


@runtime_checkable
class Dataset(Protocol):
    """Encoded examples in memory.

    `lengths` is `[examples]`, or `[examples, sides]`, in the positions that a batch's budget counts.
    """

    @property
    def lengths(self) -> Int[np.ndarray, "examples"] | Int[np.ndarray, "examples sides"]: ...

    def __len__(self) -> int: ...

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int], epoch: int | None = None) -> Any:
        """The examples at `indices` as a batch, which has `.to(device)`.

        With an `epoch` it is one for training, and may be drawn anew (a crop, a strand): as a function of seed, epoch
        and index alone, so that a resumed training sees the same.
        """

    def sampler(self, *, max_tokens: int, seed: int) -> Sampler:
        """The plan of training batches."""
