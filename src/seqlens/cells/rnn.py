"""The plain recurrent net (Elman, "Finding structure in time", 1990): `h_t = tanh(W [h_{t-1}, x_t] + b)`.

`activation="relu"`: `h_t = max(0, W [h_{t-1}, x_t] + b)`, the net of Le et al. 2015 when it starts at the identity.
"""

from typing import ClassVar, Literal, final, get_args

import torch
from torch import Tensor

from seqlens.cells.cell import Cell
from seqlens.cells.stage import Stage, StageGradient, Values
from seqlens.errors import check_choice

Activation = Literal["tanh", "relu"]


@final
class RNNStage:
    """`new_hidden = tanh(input_part + product)`, or `relu` of it."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("candidate",)
    saved: ClassVar[tuple[str, ...]] = ("candidate",)

    def __init__(self, activation: Activation) -> None:
        self.activation = activation

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        summed = input_part + product
        hidden = torch.tanh(summed) if self.activation == "tanh" else torch.relu(summed)
        return {"candidate": hidden, "new_hidden": hidden}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        hidden = values["candidate"]
        if self.activation == "tanh":
            gradient = torch.ops.aten.tanh_backward(gradients["new_hidden"], hidden)
        else:
            gradient = torch.ops.aten.threshold_backward(gradients["new_hidden"], hidden, 0)
        return StageGradient(gradient, gradient, {})


@final
class RNNCell(Cell):
    """`h_t = tanh(W [h_{t-1}, x_t] + b)`; its one gate, `candidate`, is the new state itself."""

    gates: ClassVar[tuple[str, ...]] = ("candidate",)

    def __init__(self, input_dim: int, hidden_dim: int, *, bias: bool = True, activation: Activation = "tanh") -> None:
        check_choice("activation", activation, get_args(Activation))
        super().__init__(input_dim, hidden_dim, bias=bias)
        self.activation: Activation = activation

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (RNNStage(self.activation),)
