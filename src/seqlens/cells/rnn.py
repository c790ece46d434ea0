"""The plain recurrent net (Elman, "Finding structure in time", 1990): `h_t = tanh(W [h_{t-1}, x_t] + b)`."""

from typing import ClassVar, final

import torch
from torch import Tensor

from seqlens.cells.stage import Cell, Stage, StageGradient, Values


@final
class RNNStage:
    """`new_hidden = tanh(input_part + product)`."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("candidate",)
    saved: ClassVar[tuple[str, ...]] = ("new_hidden",)

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden = torch.tanh(input_part + product)
        return {"candidate": hidden, "new_hidden": hidden}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        gradient = torch.ops.aten.tanh_backward(gradients["new_hidden"], values["new_hidden"])
        return StageGradient(gradient, gradient, {})


@final
class RNNCell(Cell):
    """`h_t = tanh(W [h_{t-1}, x_t] + b)`; its one gate, `candidate`, is the new state itself."""

    gates: ClassVar[tuple[str, ...]] = ("candidate",)

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (RNNStage(),)
