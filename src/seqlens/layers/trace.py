"""Every gate and state of a recurrent layer, on request."""

from typing import NamedTuple

import torch
from torch import Tensor

from seqlens.cells import Cell, Values
from seqlens.layers.packing import Packing
from seqlens.layers.state import RecurrentOutput


class DirectionTrace(NamedTuple):
    """`gates[name]` and `states[name]`, each `[batch, time, dim]` in the order of the input, zero at padding.

    `dim` is `hidden_dim`, but for the gates and the state `cell` of a projected LSTM, where it is `cell_dim`.
    `states["hidden"][:, t]` is the state after step `t` was read (for a backward cell: coming from the end).
    """

    gates: dict[str, Tensor]
    states: dict[str, Tensor]


class LayerTrace(NamedTuple):
    """One layer's trace by direction."""

    forward: DirectionTrace
    backward: DirectionTrace | None


class RecurrentTrace(NamedTuple):
    """The layer's ordinary output, and the trace of every layer, first layer first."""

    output: RecurrentOutput
    layers: tuple[LayerTrace, ...]


def gather_trace(cell: Cell, packing: Packing, steps: list[Values] | None, *, reverse: bool) -> DirectionTrace:
    """Puts the values of packed steps (each alone, or in blocks) into batch order; nothing where none were kept."""
    if steps is None:
        return DirectionTrace({}, {})

    def padded(name: str, dim: int) -> Tensor:
        if not steps:
            return packing.unpack(cell.recurrent_weight.new_zeros(0, dim))
        packed = torch.cat([values[name] for values in steps])
        return packing.unpack(packed[packing.reversal] if reverse else packed)

    return DirectionTrace(
        {name: padded(name, cell.gate_dim) for name in cell.gates},
        {name: padded(f"new_{name}", dim) for name, dim in cell.state_dims.items()},
    )
