"""The executor of cells whose gates see the input only: all pointwise work at once, and a scan for the state.

Such a cell is a linear recurrence, `h_t = a_t * h_{t-1} + b_t`, whose `a` and `b` are known for all steps beforehand.
Its gradient is a recurrence too, backward: `g_t = d_t + a_{t+1} * g_{t+1}`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Cell, CellState, Masks, ScanStage
from seqlens.layers.precision import product_dtype


def run_scan(
    cell: Cell,
    input_part: Float[Tensor, "steps rows"],
    batch_sizes: tuple[int, ...],
    state: CellState,
    masks: Masks | None = None,
) -> tuple[Float[Tensor, "steps hidden"], CellState]:
    """Runs a cell of one `ScanStage` over packed steps; arguments and result are those of `run_reference`."""
    masks = Masks() if masks is None else masks
    (stage,) = cell.stages
    assert isinstance(stage, ScanStage)
    hidden = state["hidden"]
    states, final = _Scan.apply(
        stage,
        batch_sizes,
        masks.zoneout.get("hidden"),
        torch.is_grad_enabled(),
        input_part.to(hidden.dtype),
        hidden,
    )
    return states.to(product_dtype(cell.recurrent_weight)), {"hidden": final}


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        stage: ScanStage,
        batch_sizes: tuple[int, ...],
        zoneout: Tensor | float | None,
        keep: bool,
        input_part: Tensor,
        initial: Tensor,
    ) -> tuple[Tensor, Tensor]:
        nothing = initial.new_zeros(1, initial.shape[1]).expand(input_part.shape[0], -1)
        values = stage.forward(input_part, input_part[:, :0], {"hidden": nothing})
        decay, addend = stage.decay(values), values["new_hidden"]
        if zoneout is not None:
            decay, addend = decay + (1 - decay) * zoneout, addend * (1 - zoneout)
        states = linear_scan(decay, addend, initial, batch_sizes)
        earlier, final = _shifted(states, initial, batch_sizes)
        ctx.stage, ctx.batch_sizes, ctx.zoneout, ctx.names = stage, batch_sizes, zoneout, ()
        if keep:
            ctx.names = tuple(name for name in stage.saved if name != "hidden")
            ctx.save_for_backward(decay, earlier, *(values[name] for name in ctx.names))
        return states, final

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("the scan has no second derivative: use executor='reference' for that")
        decay, earlier, *saved = ctx.saved_tensors
        found, initial = _scan_back(decay, gradients[0], gradients[1], ctx.batch_sizes)
        if ctx.zoneout is not None:
            found = found * (1 - ctx.zoneout)
        values = {**dict(zip(ctx.names, saved, strict=True)), "hidden": earlier}
        of_input = ctx.stage.backward({"new_hidden": found}, values).input_part
        if isinstance(of_input, tuple):
            of_input = torch.cat(of_input, dim=1)
        return None, None, None, None, of_input, initial


def linear_scan(
    decay: Float[Tensor, "steps hidden"],
    addend: Float[Tensor, "steps hidden"],
    initial: Float[Tensor, "batch hidden"],
    batch_sizes: tuple[int, ...],
) -> Float[Tensor, "steps hidden"]:
    """`h_t = decay_t * h_{t-1} + addend_t` of every packed step."""
    states = torch.empty_like(addend)
    first, state = 0, initial
    for size in batch_sizes:
        here = slice(first, first + size)
        state = torch.addcmul(addend[here], decay[here], state[:size], out=states[here])
        first += size
    return states


def _scan_back(
    decay: Tensor, gradient: Tensor, final_gradient: Tensor, batch_sizes: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """The gradient of every state, all later steps counted, and that of the initial one."""
    found = gradient.clone()
    running = final_gradient.clone()
    first = found.shape[0]
    for size in reversed(batch_sizes):
        first -= size
        here = slice(first, first + size)
        # What has come down so far: from the next step, or from the end where the sequence ends here.
        found[here] += running[:size]
        torch.mul(found[here], decay[here], out=running[:size])
    return found, running


def _shifted(states: Tensor, initial: Tensor, batch_sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The state before every packed step, and the state after each sequence's last."""
    before: list[Tensor] = []
    ended: list[Tensor] = []
    state, first = initial, 0
    for size in batch_sizes:
        ended.append(state[size:])
        before.append(state[:size])
        state = states[first : first + size]
        first += size
    return torch.cat(before) if before else states, torch.cat([state, *reversed(ended)])
