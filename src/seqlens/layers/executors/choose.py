"""Which executor runs a cell, as a function of its arguments, with the reason in a sentence."""

from typing import Literal, NamedTuple

import torch

from seqlens.cells import Cell, GRUCell, LSTMCell, RNNCell
from seqlens.layers.executors.fused import can_be_fused
from seqlens.layers.product import is_small

ExecutorChoice = Literal["auto", "reference", "generic", "scan", "fused"]

_COPIED_A_STEP = 2**14
"""Numbers that are copied about as fast as a step of a batch of one is turned round in Python."""


class Circumstances(NamedTuple):
    """What of a call the choice looks at.

    `whole`: all sequences have equally many steps, at least one. `lowered`: products run in another dtype than the
    weights (autocast). `masked`: zoneout or variational dropout happens in every step. `grad`: gradients are recorded.
    `batch_size`: sequences; None for many. `time`: steps of the longest.
    """

    device_type: str = "cpu"
    dtype: torch.dtype = torch.float32
    whole: bool = True
    lowered: bool = False
    masked: bool = False
    grad: bool = True
    batch_size: int | None = None
    time: int = 1


class Choice(NamedTuple):
    """The executor's name and, in a sentence, why it and not a faster one."""

    name: Literal["reference", "generic", "scan", "fused"]
    reason: str


def choose_executor(asked: ExecutorChoice, cell: Cell, given: Circumstances) -> Choice:
    """Chooses. A compiled executor plugs in here: one more case, before the fused one, for the cells it computes.

    Raises:
        ValueError: an executor was asked for by name that cannot run this.
    """
    if asked == "reference":
        return Choice("reference", "The reference unroll runs because executor='reference' was asked for.")
    if torch.compiler.is_compiling():
        return Choice("reference", "The reference unroll runs while torch.compile or torch.export traces the layer.")
    stages = cell.stages
    # What makes a stage a `ScanStage`; to ask the protocol itself takes longer than a step.
    scans = len(stages) == 1 and hasattr(stages[0], "decay")
    against = _against_fused(cell, given)
    if asked == "scan" and not scans:
        raise ValueError(f"executor='scan' is for cells whose gates see the input only, not for {type(cell).__name__}")
    if asked == "fused" and against is not None:
        raise ValueError(f"executor='fused' cannot run here: {against}")
    if asked == "scan" or (asked == "auto" and scans):
        return Choice("scan", "The scan runs: gates of all steps at once, as they see the input only, then the state.")
    if asked == "fused":
        return Choice("fused", "torch's fused layer runs because executor='fused' was asked for.")
    if asked == "auto" and against is None:
        against = _slower_fused(cell, given)
        if against is None:
            return Choice("fused", "torch's fused layer runs: it computes exactly this, and faster than stages.")
    why = "executor='generic' was asked for" if asked == "generic" else against
    return Choice(
        "generic",
        "The generic executor runs: one product for all inputs, the cell's stages with their written backward "
        f"over the sequences still running, one product for each weight gradient. Not torch's fused layer: {why}.",
    )


def _against_fused(cell: Cell, given: Circumstances) -> str | None:
    """Why torch's fused layer would compute something else; None if it would not."""
    if not can_be_fused(cell):
        return f"torch has none for {type(cell).__name__}{_details(cell)}"
    if given.masked:
        return "it has neither zoneout nor dropout inside a step"
    if given.lowered:
        return "under autocast it would round the states too"
    if not given.whole:
        return "it runs on after the end of a shorter or empty sequence"
    return None


def _slower_fused(cell: Cell, given: Circumstances) -> str | None:
    """Why torch's fused layer would not be faster; None if it would be."""
    if given.device_type != "cpu":
        return None
    if given.dtype != torch.float32:
        return f"on a CPU it is made for float32, not for {str(given.dtype).removeprefix('torch.')}"
    if isinstance(cell, LSTMCell) and torch.backends.mkldnn.is_available():
        return None
    # In small products what counts is the turn-around of a step, which is shorter in C++. A GRU's weights are copied.
    copies_little = isinstance(cell, RNNCell) or cell.recurrent_weight.numel() <= _COPIED_A_STEP * given.time
    small = given.batch_size is not None and is_small(given.batch_size, cell.recurrent_weight)
    if small and copies_little and not given.grad:
        return None
    return f"on a CPU it is no faster for {type(cell).__name__}"


def _details(cell: Cell) -> str:
    return "(reset='before')" if isinstance(cell, GRUCell) else ""
