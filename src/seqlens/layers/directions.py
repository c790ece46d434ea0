"""One layer of a recurrent stack: a cell that reads forward, and maybe one that reads backward."""

from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from seqlens.cells import Cell, CellState, Values
from seqlens.layers.executors.choose import Circumstances, ExecutorChoice, choose_executor
from seqlens.layers.executors.fused import run_fused
from seqlens.layers.executors.generic import run_generic
from seqlens.layers.executors.reference import run_reference
from seqlens.layers.executors.scan import run_scan
from seqlens.layers.options import Merge
from seqlens.layers.packing import Packing
from seqlens.layers.precision import product_dtype
from seqlens.layers.projection import linear
from seqlens.layers.randomness import Randomness
from seqlens.layers.recompute import can_be_recomputed, recompute
from seqlens.layers.state import LayerState
from seqlens.layers.trace import LayerTrace, gather_trace


class Call(NamedTuple):
    """One call of a stack: where the steps lie, which executor was asked for, what is random; traces if wanted."""

    packing: Packing
    executor: ExecutorChoice
    randomness: Randomness
    training: bool
    traces: list[LayerTrace] | None


@final
class Directions(nn.Module):
    """The cells of one layer, how their outputs are merged, and the states they start from if those are learned."""

    def __init__(self, forward_cell: Cell, backward_cell: Cell | None, merge: Merge, *, learned_state: bool) -> None:
        super().__init__()
        self.forward_cell = forward_cell
        self.backward_cell = backward_cell
        self.merge: Merge = merge
        self.forward_start = _learned(forward_cell) if learned_state else None
        self.backward_start = _learned(backward_cell) if learned_state and backward_cell is not None else None

    def run(self, packed: Tensor, state: LayerState, call: Call) -> tuple[Tensor, LayerState]:
        """Runs packed steps; returns the merged outputs and the state after each sequence's end."""
        packing, traces = call.packing, call.traces
        steps: list[Values] | None = None if traces is None else []
        outputs, forward_state = _run_cell(self.forward_cell, packed, state.forward, call, steps)
        forward_trace = gather_trace(self.forward_cell, packing, steps, reverse=False)
        if self.backward_cell is None or state.backward is None:
            if traces is not None:
                traces.append(LayerTrace(forward_trace, None))
            return outputs, LayerState(forward_state)
        back_steps: list[Values] | None = None if traces is None else []
        backward_outputs, backward_state = _run_cell(
            self.backward_cell, packed[packing.reversal], state.backward, call, back_steps
        )
        if traces is not None:
            back_trace = gather_trace(self.backward_cell, packing, back_steps, reverse=True)
            traces.append(LayerTrace(forward_trace, back_trace))
        merged = self._merged(outputs, backward_outputs[packing.reversal])
        return merged, LayerState(forward_state, backward_state)

    @property
    def state_dims(self) -> tuple[dict[str, int], ...]:
        """The size of each state by name, of the forward cell and maybe of the backward one."""
        return tuple(cell.state_dims for cell in (self.forward_cell, self.backward_cell) if cell is not None)

    def initial_state(self, batch_size: int, *, device: torch.device | None, dtype: torch.dtype | None) -> LayerState:
        """Zeros, or what was learned."""
        sides = []
        for cell, start in ((self.forward_cell, self.forward_start), (self.backward_cell, self.backward_start)):
            if cell is None:
                continue
            if start is None:
                sides.append(cell.initial_state(batch_size, device=device, dtype=dtype))
            else:
                # A ParameterDict has an order of its own.
                named = {name: start[name].to(device=device, dtype=dtype) for name in cell.state_names}
                sides.append({name: vector.expand(batch_size, -1) for name, vector in named.items()})
        return LayerState(*sides)

    def _merged(self, forward: Tensor, backward: Tensor) -> Tensor:
        match self.merge:
            case "concatenate":
                return torch.cat((forward, backward), dim=1)
            case "sum":
                return forward + backward
            case "mean":
                return (forward + backward) / 2


def circumstances(cell: Cell, packing: Packing | None, randomness: Randomness, *, training: bool) -> Circumstances:
    """What the choice of an executor looks at; without a packing, sequences of one length are meant."""
    weight = cell.recurrent_weight
    return Circumstances(
        device_type=weight.device.type,
        dtype=weight.dtype,
        whole=packing is None or packing.is_whole,
        lowered=product_dtype(weight) != weight.dtype,
        masked=max(randomness.zoneout_p, randomness.cell_zoneout_p) > 0
        or (training and randomness.recurrent_dropout_p > 0),
        grad=torch.is_grad_enabled(),
        batch_size=None if packing is None else packing.batch_size,
        time=1 if packing is None else len(packing.batch_sizes),
    )


def _learned(cell: Cell) -> nn.ParameterDict:
    dtype = cell.recurrent_weight.dtype
    return nn.ParameterDict(
        {name: nn.Parameter(torch.zeros(dim, dtype=dtype)) for name, dim in cell.state_dims.items()}
    )


def _run_cell(
    cell: Cell, packed: Tensor, state: CellState, call: Call, trace: list[Values] | None
) -> tuple[Tensor, CellState]:
    packing = call.packing
    sizes = packing.batch_sizes
    masks = call.randomness.draw(cell, rows=packing.batch_size, steps=packed.shape[0], training=call.training)
    if packing.padding is not None:
        masks = masks._replace(ended=packing.padding[:, None])
    given = circumstances(cell, packing, call.randomness, training=call.training)
    name = choose_executor(call.executor, cell, given).name
    if trace is not None and not can_be_recomputed(cell):
        name = "reference"
    if name == "fused" and trace is None:
        return run_fused(cell, packed, sizes, state, masks.weight)
    input_part = cell.input_part(packed, linear)
    match name:
        case "reference":
            return run_reference(cell, input_part, sizes, state, masks, trace)
        case "generic":
            outputs, final = run_generic(cell, input_part, sizes, state, masks)
        case "scan":
            outputs, final = run_scan(cell, input_part, sizes, state, masks)
        case "fused":
            outputs, final = run_fused(cell, packed, sizes, state, masks.weight)
    if trace is not None and sizes:
        trace.extend(recompute(cell, input_part, sizes, state, outputs, masks))
    return outputs, final
