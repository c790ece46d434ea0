"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate by Gers et al. 2000).

f_t = σ(W_f [h_{t-1}, x_t] + b_f)      i_t = σ(W_i [h_{t-1}, x_t] + b_i)
C̃_t = tanh(W_C [h_{t-1}, x_t] + b_C)   C_t = f_t * C_{t-1} + i_t * C̃_t
o_t = σ(W_o [h_{t-1}, x_t] + b_o)      h_t = o_t * tanh(C_t)
"""

from typing import ClassVar, final

import torch
from torch import Tensor

from seqlens.cells.cell import Cell
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class LSTMStage:
    """The whole LSTM step after its one recurrent product."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "output")
    saved: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "output", "cell", "squashed_cell")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = product.shape[1] // 4
        summed = input_part + product
        input_forget = torch.sigmoid(summed[:, : 2 * hidden_dim])
        input_gate, forget_gate = input_forget[:, :hidden_dim], input_forget[:, hidden_dim:]
        candidate = torch.tanh(summed[:, 2 * hidden_dim : 3 * hidden_dim])
        output_gate = torch.sigmoid(summed[:, 3 * hidden_dim :])
        cell = torch.addcmul(forget_gate * values["cell"], input_gate, candidate)
        squashed_cell = torch.tanh(cell)
        return {
            "input": input_gate,
            "forget": forget_gate,
            "candidate": candidate,
            "output": output_gate,
            "squashed_cell": squashed_cell,
            "new_cell": cell,
            "new_hidden": output_gate * squashed_cell,
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        input_gate, forget_gate, candidate = values["input"], values["forget"], values["candidate"]
        output_gate = values["output"]
        hidden_gradient, squashed_cell = gradients["new_hidden"], values["squashed_cell"]
        cell_gradient = torch.ops.aten.tanh_backward(hidden_gradient * output_gate, squashed_cell)
        cell_gradient += gradients["new_cell"]
        gradient = (
            torch.ops.aten.sigmoid_backward(cell_gradient * candidate, input_gate),
            torch.ops.aten.sigmoid_backward(cell_gradient * values["cell"], forget_gate),
            torch.ops.aten.tanh_backward(cell_gradient * input_gate, candidate),
            torch.ops.aten.sigmoid_backward(hidden_gradient * squashed_cell, output_gate),
        )
        return StageGradient(gradient, gradient, {"cell": cell_gradient * forget_gate})

    def cell_decay(self, values: Values) -> Tensor:
        """The share of the old cell that is kept: `f_t`."""
        return values["forget"]


@final
class LSTMCell(Cell):
    """LSTM with a forget gate; state `hidden` and `cell`. The forget gate's bias starts at 1 (Jozefowicz 2015)."""

    gates: ClassVar[tuple[str, ...]] = LSTMStage.gates
    state_names: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    keep_gates: ClassVar[tuple[str, ...]] = ("forget",)
    write_gates: ClassVar[tuple[str, ...]] = ("input",)
    default_forget_bias: ClassVar[float] = 1.0

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (LSTMStage(),)
