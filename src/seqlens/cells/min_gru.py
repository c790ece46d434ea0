"""The GRU whose gates see the input only (Feng et al., "Were RNNs all we needed?", 2024, section 3.1).

z_t = σ(W_z x_t + b_z)     h̃_t = W x_t + b     h_t = (1 - z_t) * h_{t-1} + z_t * h̃_t

Given the inputs its state is a linear recurrence, so all steps can be computed by one scan.
"""

from typing import ClassVar, final

import torch
from torch import Tensor

from seqlens.cells.cell import Cell
from seqlens.cells.gru import blend
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class MinGRUStage:
    """The whole step; `product` has no rows."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("update", "candidate")
    saved: ClassVar[tuple[str, ...]] = ("update", "candidate", "hidden")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = input_part.shape[1] // 2
        update, candidate = torch.sigmoid(input_part[:, :hidden_dim]), input_part[:, hidden_dim:]
        return {
            "update": update,
            "candidate": candidate,
            "new_hidden": blend(values["hidden"], candidate, update),
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        gradient, update, candidate = gradients["new_hidden"], values["update"], values["candidate"]
        written = gradient * update
        opened = torch.ops.aten.sigmoid_backward(gradient * (candidate - values["hidden"]), update)
        return StageGradient((opened, written), gradient[:, :0], {"hidden": gradient - written})

    def decay(self, values: Values) -> Tensor:
        """The share of the old state that is kept: `1 - z_t`."""
        return 1 - values["update"]


@final
class MinGRUCell(Cell):
    """minGRU; its `recurrent_weight` has no rows and is no parameter."""

    gates: ClassVar[tuple[str, ...]] = MinGRUStage.gates
    write_gates: ClassVar[tuple[str, ...]] = ("update",)

    def __init__(self, input_dim: int, hidden_dim: int, *, bias: bool = True) -> None:
        super().__init__(input_dim, hidden_dim, bias=bias, recurrent=False)

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (MinGRUStage(),)
