"""The reference: a cell unrolled over packed steps, autograd doing the rest. Slow, and the judge of all others."""

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Cell, CellState, Masks, Values, run_stages
from seqlens.layers.precision import product_dtype


def run_reference(
    cell: Cell,
    input_part: Float[Tensor, "steps rows"],
    batch_sizes: tuple[int, ...],
    state: CellState,
    masks: Masks | None = None,
    trace: list[Values] | None = None,
) -> tuple[Float[Tensor, "steps hidden"], CellState]:
    """Runs a cell over packed steps.

    Args:
        cell: the cell; its `input_weight` and `bias` are already in `input_part`.
        input_part: `cell.input_part` of every packed step.
        batch_sizes: sequences still running at each step, not rising.
        state: the state before the first step, `[batch, dim]` each, rows sorted as the packed steps are.
        masks: what randomness was drawn; none if None. Rows of zoneout are those of the packed steps.
        trace: a list that receives every step's values by name, where gates and states are asked for.

    Returns:
        The output of every packed step, and the state of each sequence after its own last step.
    """
    masks = Masks() if masks is None else masks
    recurrence = cell.recurrence(masks.weight)
    dtype = product_dtype(cell.recurrent_weight)
    ended: dict[str, list[Tensor]] = {name: [] for name in state}
    outputs: list[Tensor] = []
    running = dict(state)
    first = 0
    for input_t, size in zip(input_part.split(batch_sizes), batch_sizes, strict=True):
        for name, tensor in running.items():
            ended[name].append(tensor[size:])
            running[name] = tensor[:size]
        values = run_stages(recurrence, input_t, running, masks.of_step(first, size))
        running = {name: values[f"new_{name}"] for name in state}
        outputs.append(values["new_hidden"].to(dtype))
        first += size
        if trace is not None:
            trace.append(values)
    final = {name: torch.cat([running[name], *reversed(ended[name])]) for name in state}
    return torch.cat(outputs) if outputs else input_part.new_zeros(0, cell.hidden_dim, dtype=dtype), final
