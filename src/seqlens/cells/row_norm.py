"""The norm of rows (Ba, Kiros & Hinton, "Layer normalization", 2016, equation 4) and its gradient.

Which variant: the products with the state and with the input are normed apart, each with gains of its own, as in the
paper's LSTM and GRU (supplement, equations 20 to 25) and here in the RNN too, so that the input's norm stays outside of
the loop over time. The biases of both norms and of the cell are one, `bias`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-5


def norm_rows(
    rows: Float[Tensor, "batch dim"], gain: Float[Tensor, " dim"], bias: Float[Tensor, " dim"] | None = None
) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch 1"], Float[Tensor, "batch 1"]]:
    """`gain * (rows - mean) / deviation + bias`; and the mean and the inverse deviation, which the backward reads."""
    normed, mean, scale = torch.native_layer_norm(rows, [rows.shape[1]], gain, bias, EPSILON)
    return normed, mean, scale


def norm_rows_backward(
    gradient: Float[Tensor, "batch dim"],
    rows: Float[Tensor, "batch dim"],
    mean: Float[Tensor, "batch 1"],
    scale: Float[Tensor, "batch 1"],
    gain: Float[Tensor, " dim"],
    bias: Float[Tensor, " dim"] | None = None,
) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, " dim"], Float[Tensor, " dim"] | None]:
    """Gradients of the rows, the gain and, if there is one, the bias."""
    of_rows, of_gain, of_bias = torch.ops.aten.native_layer_norm_backward(
        gradient, rows, [rows.shape[1]], mean, scale, gain, bias, [True, True, bias is not None]
    )
    return of_rows, of_gain, of_bias
