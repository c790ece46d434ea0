"""RNN with layer norm (Ba et al. 2016; which variant: `row_norm.py`): `h_t = tanh(LN(U h_{t-1}) + LN(W x_t) + b)`."""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from seqlens.cells.cell import Cell, Linear
from seqlens.cells.row_norm import norm_rows, norm_rows_backward
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class LayerNormRNNStage:
    """`new_hidden = tanh(input_part + LN(product))`."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("candidate",)
    saved: ClassVar[tuple[str, ...]] = ("candidate", "product", "mean", "scale")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        normed, mean, scale = norm_rows(product, values["recurrent_gain"])
        hidden = torch.tanh(input_part + normed)
        return {"product": product, "mean": mean, "scale": scale, "candidate": hidden, "new_hidden": hidden}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        gradient = torch.ops.aten.tanh_backward(gradients["new_hidden"], values["candidate"])
        product, gain, _ = norm_rows_backward(
            gradient, values["product"], values["mean"], values["scale"], values["recurrent_gain"]
        )
        return StageGradient(gradient, product, {"recurrent_gain": gain})


@final
class LayerNormRNNCell(Cell):
    """RNN with layer norm; the gains `input_gain` and `recurrent_gain`, `[hidden_dim]` each, start at 1."""

    gates: ClassVar[tuple[str, ...]] = ("candidate",)

    def __init__(self, input_dim: int, hidden_dim: int, *, bias: bool = True) -> None:
        super().__init__(input_dim, hidden_dim, bias=bias)
        self.input_gain = nn.Parameter(torch.ones(hidden_dim))
        self.recurrent_gain = nn.Parameter(torch.ones(hidden_dim))

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (LayerNormRNNStage(),)

    @property
    def vectors(self) -> Values:
        return {"recurrent_gain": self.recurrent_gain}

    def input_part(self, inputs: Tensor, linear: Linear = nn.functional.linear) -> Tensor:
        product = linear(inputs, self.input_weight, None).to(self.input_gain.dtype)
        return norm_rows(product, self.input_gain, self.bias)[0]
