"""torch's own fused layers, where they compute exactly what a cell does: oneDNN's LSTM on a CPU, cuDNN on a GPU.

They know no lengths that end early, no randomness inside and no state in another dtype than the inputs, so they run
where all sequences of a batch are equally long. (Given packed sequences, on a CPU they lose their speed.)
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from seqlens.cells import Cell, CellState, GRUCell, LSTMCell, RNNCell


def can_be_fused(cell: Cell) -> bool:
    """Whether torch has a layer with the function of this cell."""
    if isinstance(cell, GRUCell):
        return cell.reset == "after"
    return isinstance(cell, LSTMCell | RNNCell)


def run_fused(
    cell: Cell,
    packed: Float[Tensor, "steps input"],
    batch_sizes: tuple[int, ...],
    state: CellState,
    weight_mask: Float[Tensor, "rows hidden"] | None = None,
) -> tuple[Float[Tensor, "steps hidden"], CellState]:
    """Runs a cell over packed inputs, `batch_sizes` being all alike; the result is that of `run_reference`."""
    time, batch = len(batch_sizes), batch_sizes[0]
    inputs = packed.view(time, batch, packed.shape[1])
    recurrent = cell.recurrent_weight if weight_mask is None else cell.recurrent_weight * weight_mask
    weights = [cell.input_weight, recurrent]
    if cell.bias is not None:
        other = cell.recurrent_bias
        weights += [cell.bias, torch.zeros_like(cell.bias) if other is None else other]
    # One layer, no dropout, one direction, time first; the kernels keep what a gradient needs only in training.
    rest = (cell.bias is not None, 1, 0.0, torch.is_grad_enabled(), False, False)
    # A learned state is one row for all sequences, and kernels read rows.
    hidden, *memory = (state[name][None].contiguous() for name in cell.state_names)
    with exact_products(packed.device.type):
        match cell:
            case LSTMCell():
                outputs, *ends = torch._VF.lstm(inputs, (hidden, *memory), weights, *rest)
            case GRUCell():
                outputs, *ends = torch._VF.gru(inputs, hidden, [_turned(weight) for weight in weights], *rest)
            case RNNCell(activation="relu"):
                outputs, *ends = torch._VF.rnn_relu(inputs, hidden, weights, *rest)
            case _:
                outputs, *ends = torch._VF.rnn_tanh(inputs, hidden, weights, *rest)
    return outputs.flatten(0, 1), {name: end[0] for name, end in zip(cell.state_names, ends, strict=True)}


@contextmanager
def exact_products(device_type: str) -> Iterator[None]:
    """Keeps cuDNN from rounding float32 to TF32, where torch's other products do not either.

    It would by default, and then a sequence had other outputs alone than in a batch of several lengths, which the
    generic executor runs.
    """
    if device_type != "cuda" or torch.get_float32_matmul_precision() != "highest":
        yield
        return
    cudnn = torch.backends.cudnn
    # The flag of recurrent layers alone came after torch 2.8.
    own = hasattr(cudnn.rnn, "fp32_precision")
    place, name, exact = (cudnn.rnn, "fp32_precision", "ieee") if own else (cudnn, "allow_tf32", False)
    before = getattr(place, name)
    setattr(place, name, exact)
    try:
        yield
    finally:
        setattr(place, name, before)


def _turned(rows: Tensor) -> Tensor:
    """A GRU's rows with the update gate in torch's sense: σ(-a) = 1 - σ(a), so its rows change sign."""
    reset, update, candidate = rows.chunk(3)
    return torch.cat((reset, -update, candidate))
