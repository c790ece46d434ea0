"""Gates and states of all steps from the hidden states that an executor has put out.

Executors are fast because they keep no gates. A gate of step `t` is a function of that step's input and of the state
before it; with the hidden states of all steps known, all gates are one product and one pointwise pass away. A second
state, the cell of an LSTM, is not put out, but where it is linear it follows from the gates by a scan. Where it is not
(the gates of a peephole LSTM read it), only an unroll finds it. Gradients flow through all of it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Cell, CellState, LinearCellStage, Masks, Recurrence, Values, run_stages

_BLOCK = 2**17


def can_be_recomputed(cell: Cell) -> bool:
    """Whether the hidden states of all steps tell everything else: there is no other state, or a linear `cell`."""
    return len(cell.state_names) == 1 or (len(cell.state_names) == 2 and _linear_stage(cell) is not None)


def recompute(
    cell: Cell,
    input_part: Float[Tensor, "steps rows"],
    batch_sizes: tuple[int, ...],
    state: CellState,
    outputs: Float[Tensor, "steps hidden"],
    masks: Masks,
) -> list[Values]:
    """The gates and the new states of packed steps by name, as the stages name them, block after block of rows.

    Args:
        cell: the cell that was run, one that can be recomputed.
        input_part: `cell.input_part` of every packed step.
        batch_sizes: sequences still running at each step, not rising.
        state: the state before the first step.
        outputs: the output of every packed step.
        masks: those that the executor was given.
    """
    hidden = outputs.to(state["hidden"].dtype)
    earlier = {"hidden": _earlier(hidden, state["hidden"], batch_sizes)}
    operand_mask = None if masks.operand is None else masks.operand[_rows(batch_sizes, hidden.device)]
    recurrence = _with_gates(cell.recurrence(masks.weight))
    linear = _linear_stage(cell)
    if linear is not None:
        # The gates do not read the cell, and what is written to one of zeros is what is added to any other.
        earlier["cell"] = state["cell"].new_zeros(1, state["cell"].shape[1]).expand(hidden.shape[0], -1)
    block = _block_rows(input_part)
    names, tensors = list(earlier), [input_part, *earlier.values()]
    if operand_mask is not None:
        tensors.append(operand_mask)
    found, decays, addends = [], [], []
    # Split and not sliced: the gradient of each slice would be as large as the whole.
    for input_rows, *rows in zip(*(tensor.split(block) for tensor in tensors), strict=True):
        own = Masks(operand=None if operand_mask is None else rows.pop())
        values = run_stages(recurrence, input_rows, dict(zip(names, rows, strict=True)), own)
        found.append({name: values[name] for name in cell.gates})
        if linear is not None:
            decays.append(linear.cell_decay(values))
            addends.append(values["new_cell"])
    new = {"new_hidden": hidden}
    if linear is not None:
        decay, addend = torch.cat(decays), torch.cat(addends)
        if (kept := masks.zoneout.get("cell")) is not None:
            decay, addend = decay + (1 - decay) * kept, addend * (1 - kept)
        new["new_cell"] = _scan(decay, addend, state["cell"], batch_sizes)
    for name, tensor in new.items():
        for values, rows_of_state in zip(found, tensor.split(block), strict=True):
            values[name] = rows_of_state
    return found


def _block_rows(input_part: Tensor) -> int:
    """Rows of a block that stays in a processor's cache from one pointwise function to the next."""
    steps, width = input_part.shape
    return max(_BLOCK // max(width, 1), 1) if input_part.device.type == "cpu" else max(steps, 1)


def _linear_stage(cell: Cell) -> LinearCellStage | None:
    return next((stage for stage in cell.stages if isinstance(stage, LinearCellStage)), None)


def _with_gates(recurrence: Recurrence) -> Recurrence:
    """The stages up to the last that has gates: what comes after gives the output, which is known."""
    count = max(number for number, stage in enumerate(recurrence.stages, start=1) if stage.gates)
    return recurrence._replace(stages=recurrence.stages[:count], weights=recurrence.weights[:count])


def _scan(decay: Tensor, addend: Tensor, initial: Tensor, batch_sizes: tuple[int, ...]) -> Tensor:
    """`c_t = decay_t * c_{t-1} + addend_t` of every packed step."""
    states, state = [], initial
    for kept, added in zip(decay.split(batch_sizes), addend.split(batch_sizes), strict=True):
        state = torch.addcmul(added, kept, state[: kept.shape[0]])
        states.append(state)
    return torch.cat(states)


def _earlier(states: Tensor, initial: Tensor, batch_sizes: tuple[int, ...]) -> Tensor:
    """The state before every packed step: row `r` of a step follows row `r` of the step before."""
    sizes = torch.tensor(batch_sizes, device="cpu")
    index = torch.arange(batch_sizes[0], states.shape[0], device="cpu") - torch.repeat_interleave(sizes[:-1], sizes[1:])
    return torch.cat((initial[: batch_sizes[0]], states.index_select(0, index.to(states.device))))


def _rows(batch_sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Which sequence each packed step is of."""
    sizes = torch.tensor(batch_sizes, device=device)
    first = torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    return torch.arange(len(first), device=device) - first
