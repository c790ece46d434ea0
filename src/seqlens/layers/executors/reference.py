"""The reference: a cell unrolled over packed steps, autograd doing the rest. Slow, and the judge of all others."""

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Cell, CellState, Values, run_stages


def run_reference(
    cell: Cell,
    input_part: Float[Tensor, "steps rows"],
    batch_sizes: tuple[int, ...],
    state: CellState,
    trace: list[Values] | None = None,
) -> tuple[Float[Tensor, "steps hidden"], CellState]:
    """Runs a cell over packed steps.

    Args:
        cell: the cell; its `input_weight` and `bias` are already in `input_part`.
        input_part: `x W_x^T + b` of every packed step.
        batch_sizes: sequences still running at each step, not rising.
        state: the state before the first step, `[batch, hidden_dim]` each, rows sorted as the packed steps are.
        trace: a list that receives every step's values by name, where gates and states are asked for.

    Returns:
        The output of every packed step, and the state of each sequence after its own last step.
    """
    ended: dict[str, list[Tensor]] = {name: [] for name in state}
    outputs: list[Tensor] = []
    stages, weight, bias = cell.stages, cell.recurrent_weight, cell.recurrent_bias
    running = dict(state)
    for input_t, size in zip(input_part.split(batch_sizes), batch_sizes, strict=True):
        for name, tensor in running.items():
            ended[name].append(tensor[size:])
            running[name] = tensor[:size]
        values = run_stages(stages, input_t, running, weight, bias)
        running = {name: values[f"new_{name}"] for name in state}
        outputs.append(values["new_hidden"].to(input_part.dtype))
        if trace is not None:
            trace.append(values)
    final = {name: torch.cat([running[name], *reversed(ended[name])]) for name in state}
    return torch.cat(outputs) if outputs else input_part[:, : cell.hidden_dim], final
