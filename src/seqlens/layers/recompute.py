"""Gates and states of all steps from the hidden states that an executor has put out.

Executors are fast because they keep no gates. A gate of step `t` is a function of that step's input and of the state
before it; with the hidden states of all steps known, all gates are one product and one pointwise pass away. A second
state (the cell of an LSTM) is not put out: where it is linear it follows from the gates by a scan, otherwise steps are
taken one after the other, without their products. Gradients flow through all of it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqlens.cells import Cell, CellState, LinearCellStage, Masks, Recurrence, Values, run_stages, zone_out


def recompute(
    cell: Cell,
    input_part: Float[Tensor, "steps rows"],
    batch_sizes: tuple[int, ...],
    state: CellState,
    outputs: Float[Tensor, "steps hidden"],
    masks: Masks,
) -> Values:
    """The gates and the new states of packed steps by name, as the stages name them; at least one step.

    Args:
        cell: the cell that was run.
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
    linear = next((stage for stage in recurrence.stages if isinstance(stage, LinearCellStage)), None)
    if len(state) > 1 and linear is None:
        values = _one_by_one(recurrence, input_part, batch_sizes, {**state, **earlier}, masks, operand_mask)
        return {**values, "new_hidden": hidden}
    if linear is not None:
        # The gates do not read the cell, and what is written to one of zeros is what is added to any other.
        earlier["cell"] = state["cell"].new_zeros(1, state["cell"].shape[1]).expand(hidden.shape[0], -1)
    values = run_stages(recurrence, input_part, earlier, Masks(operand=operand_mask))
    found = {name: values[name] for name in cell.gates}
    if linear is not None:
        decay, addend = linear.cell_decay(values), values["new_cell"]
        if (kept := masks.zoneout.get("cell")) is not None:
            decay, addend = decay + (1 - decay) * kept, addend * (1 - kept)
        found["new_cell"] = _scan(decay, addend, state["cell"], batch_sizes)
    return {**found, "new_hidden": hidden}


def _one_by_one(
    recurrence: Recurrence,
    input_part: Tensor,
    batch_sizes: tuple[int, ...],
    before: CellState,
    masks: Masks,
    operand_mask: Tensor | None,
) -> Values:
    """Steps with the products of all hidden states known; `before["hidden"]` holds those of all packed steps."""
    hidden = before["hidden"]
    entering = hidden if operand_mask is None else hidden * operand_mask
    products = [
        nn.functional.linear(entering, weight).to(hidden.dtype).split(batch_sizes)
        if stage.operand == "hidden"
        else None
        for stage, weight in zip(recurrence.stages, recurrence.weights, strict=True)
    ]
    running = {name: tensor for name, tensor in before.items() if name != "hidden"}
    steps: list[Values] = []
    first = 0
    for step, (input_t, hidden_t) in enumerate(
        zip(input_part.split(batch_sizes), hidden.split(batch_sizes), strict=True)
    ):
        size = hidden_t.shape[0]
        own = masks.of_step(first, size)
        values = {**recurrence.vectors, **{name: tensor[:size] for name, tensor in running.items()}, "hidden": hidden_t}
        for number, rows in enumerate(recurrence.input_rows()):
            stage, known = recurrence.stages[number], products[number]
            if known is None:
                operand = values[stage.operand] if own.operand is None else values[stage.operand] * own.operand
                product = nn.functional.linear(operand, recurrence.weights[number]).to(hidden.dtype)
            else:
                product = known[step]
            values.update(stage.forward(input_t[:, rows].to(hidden.dtype), product, values))
        for name in running:
            new = values["new_" + name]
            values["new_" + name] = zone_out(new, values[name], own.zoneout[name]) if name in own.zoneout else new
            running[name] = values["new_" + name]
        steps.append(values)
        first += size
    names = [gate for stage in recurrence.stages for gate in stage.gates] + ["new_" + name for name in running]
    return {name: torch.cat([values[name] for values in steps]) for name in names}


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
    sizes = torch.tensor(batch_sizes)
    index = torch.arange(batch_sizes[0], states.shape[0]) - torch.repeat_interleave(sizes[:-1], sizes[1:])
    return torch.cat((initial[: batch_sizes[0]], states.index_select(0, index.to(states.device))))


def _rows(batch_sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Which sequence each packed step is of."""
    sizes = torch.tensor(batch_sizes)
    first = torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    return (torch.arange(len(first)) - first).to(device)
