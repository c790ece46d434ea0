"""Processes that train one model together: each reads its rows of every batch, and all make the same update.

A training of several processes is that of one: the same batches, steps and learning rates, up to the order of sums and
to what is dropped. So a recipe needs no other settings, and a training may be resumed with another number of processes.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar, final

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Int64
from torch import Tensor, nn

from seqlens.errors import WorkError

Value = TypeVar("Value")
Number = TypeVar("Number", int, float)
Rows = Int64[np.ndarray, "batch"]

# A validation or the writing of a checkpoint may take long; a process that ends is noticed at once all the same.
_PATIENCE = timedelta(days=1)


class LostProcessError(WorkError):
    """The processes cannot reach each other any more, most often since one has ended."""


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch has no class of its own for this
        what = (str(error).splitlines() or ["no reason is given"])[0].rstrip(".")
        raise LostProcessError(f"The processes of this training cannot reach each other any more ({what}).") from error


@final
@dataclass(frozen=True, slots=True)
class Group:
    """This process among `size`; `rank` 0 is the first, which alone validates, writes and tells."""

    rank: int = 0
    size: int = 1
    device: torch.device | str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this one does what only one may do."""
        return self.rank == 0

    def share(self, rows: Rows) -> Rows:
        """Of the rows of a batch those that this process reads: every `size`-th, so that all shares are as long."""
        return rows[self.rank :: self.size]

    def largest(self, number: Number) -> Number:
        """The largest of a number that each process has."""
        if self.size == 1:
            return number
        found = torch.tensor(number, dtype=torch.float64 if isinstance(number, float) else torch.int64)
        with _together():
            dist.all_reduce(found, dist.ReduceOp.MAX)
            return type(number)(found)

    def from_first(self, value: Value | None) -> Value:
        """What the first process has; a picklable value, which the others need not give."""
        box = [value]
        if self.size > 1:
            with _together():
                dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]  # type: ignore[return-value]  # the first gives a value

    def wait(self) -> None:
        """Waits until all processes are here."""
        self.largest(0)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Puts into each tensor the sum over all processes, which give the same shapes."""
        if self.size == 1:
            return
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            by_dtype.setdefault(tensor.dtype, []).append(tensor)
        for some in by_dtype.values():
            flat = torch.cat([tensor.reshape(-1) for tensor in some])
            with _together():
                dist.all_reduce(flat)
            for tensor, part in zip(some, flat.split([tensor.numel() for tensor in some]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def copy_from_first(self, model: nn.Module) -> None:
        """Gives every process the weights and buffers of the first."""
        if self.size > 1:
            with _together():
                for tensor in (*model.parameters(), *model.buffers()):
                    dist.broadcast(tensor.data, src=0)


ALONE = Group()


@dataclass(frozen=True, slots=True)
class Place:
    """Which process this is: among all, and among those of this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0


def told_place() -> Place:
    """What RANK, WORLD_SIZE and LOCAL_RANK say, as torchrun sets them; the only process where they are not set."""
    rank, size, local_rank = (os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if not rank or not size:
        return Place()
    return Place(int(rank), int(size), int(local_rank or rank))


def take_device(place: Place, device: torch.device) -> torch.device:
    """The process's own device: on CUDA that of its local rank."""
    if device.type == "cuda":
        device = torch.device("cuda", place.local_rank)
        torch.cuda.set_device(device)
    return device


@contextmanager
def joined_group(place: Place, device: torch.device, store: Any = None) -> Iterator[Group]:
    """The group of all processes while inside. Each waits here for the others.

    On CUDA each process takes the device of its local rank. `store` (torch.distributed.Store) is where they meet; by
    default it is at MASTER_ADDR and MASTER_PORT.

    Raises:
        LostProcessError: the others cannot be reached.
    """
    if place.size == 1:
        yield Group(device=device)
        return
    device = take_device(place, device)
    # The functions there have the group of the moment of the import for a default, and torch imports them some time: so
    # the group would outlive its end, and its threads would now and then abort the end of the process.
    import_module("torch.distributed.nn.functional")
    # What is on the CPU goes by Gloo also there, which notices at once when a process has ended.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    told = sys.excepthook
    with _together():
        if store is None:
            dist.init_process_group(backend, timeout=_PATIENCE)
        else:
            dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=_PATIENCE)
    sys.excepthook = told  # torch puts one of its own there
    try:
        group = Group(place.rank, place.size, device)
        group.wait()
        yield group
    finally:
        dist.destroy_process_group()
