"""The LSTM whose gates see the input only (Feng et al., "Were RNNs all we needed?", 2024, section 3.2).

f_t = σ(W_f x_t + b_f)    i_t = σ(W_i x_t + b_i)    h̃_t = W x_t + b
f'_t = f_t / (f_t + i_t)    h_t = f'_t * h_{t-1} + (1 - f'_t) * h̃_t

Given the inputs its state is a linear recurrence, so all steps can be computed by one scan.
"""

from typing import ClassVar, final

import torch
from torch import Tensor

from seqlens.cells.cell import Cell
from seqlens.cells.gru import blend
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class MinLSTMStage:
    """The whole step; `product` has no rows. The value `kept` is `f'_t`."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate")
    saved: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "kept", "hidden")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = input_part.shape[1] // 3
        of_input, of_forget = input_part[:, :hidden_dim], input_part[:, hidden_dim : 2 * hidden_dim]
        candidate = input_part[:, 2 * hidden_dim :]
        # f / (f + i) as a sigmoid: it stays a number where both gates are shut.
        kept = torch.sigmoid(torch.nn.functional.logsigmoid(of_forget) - torch.nn.functional.logsigmoid(of_input))
        return {
            "input": torch.sigmoid(of_input),
            "forget": torch.sigmoid(of_forget),
            "candidate": candidate,
            "kept": kept,
            "new_hidden": blend(candidate, values["hidden"], kept),
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        gradient, kept, candidate = gradients["new_hidden"], values["kept"], values["candidate"]
        below = gradient * kept
        of_kept = torch.ops.aten.sigmoid_backward(gradient * (values["hidden"] - candidate), kept)
        of_input = of_kept * (values["input"] - 1)
        of_forget = of_kept * (1 - values["forget"])
        return StageGradient((of_input, of_forget, gradient - below), gradient[:, :0], {"hidden": below})

    def decay(self, values: Values) -> Tensor:
        """The share of the old state that is kept: `f'_t`."""
        return values["kept"]


@final
class MinLSTMCell(Cell):
    """minLSTM; its `recurrent_weight` has no rows and is no parameter, and its one state is `hidden`."""

    gates: ClassVar[tuple[str, ...]] = MinLSTMStage.gates
    keep_gates: ClassVar[tuple[str, ...]] = ("forget",)
    write_gates: ClassVar[tuple[str, ...]] = ("input",)

    def __init__(self, input_dim: int, hidden_dim: int, *, bias: bool = True) -> None:
        super().__init__(input_dim, hidden_dim, bias=bias, recurrent=False)

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (MinLSTMStage(),)
