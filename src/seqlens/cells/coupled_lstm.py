"""LSTM that forgets what it overwrites: coupled input and forget gate (Greff et al. 2017, section 3, CIFG).

i_t = σ(W_i [h_{t-1}, x_t] + b_i)   C̃_t = tanh(W_C [h_{t-1}, x_t] + b_C)   C_t = (1 - i_t) * C_{t-1} + i_t * C̃_t
o_t = σ(W_o [h_{t-1}, x_t] + b_o)   h_t = o_t * tanh(C_t)
"""

from typing import ClassVar, final

import torch
from torch import Tensor

from seqlens.cells.cell import Cell
from seqlens.cells.gru import blend
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class CoupledLSTMStage:
    """The whole step after its one recurrent product."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("input", "candidate", "output")
    saved: ClassVar[tuple[str, ...]] = ("input", "candidate", "output", "cell", "squashed_cell")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = product.shape[1] // 3
        summed = input_part + product
        input_gate = torch.sigmoid(summed[:, :hidden_dim])
        candidate = torch.tanh(summed[:, hidden_dim : 2 * hidden_dim])
        output_gate = torch.sigmoid(summed[:, 2 * hidden_dim :])
        cell = blend(values["cell"], candidate, input_gate)
        squashed_cell = torch.tanh(cell)
        return {
            "input": input_gate,
            "candidate": candidate,
            "output": output_gate,
            "squashed_cell": squashed_cell,
            "new_cell": cell,
            "new_hidden": output_gate * squashed_cell,
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        input_gate, candidate, output_gate = values["input"], values["candidate"], values["output"]
        hidden_gradient, squashed_cell = gradients["new_hidden"], values["squashed_cell"]
        cell_gradient = torch.ops.aten.tanh_backward(hidden_gradient * output_gate, squashed_cell)
        cell_gradient += gradients["new_cell"]
        written = cell_gradient * input_gate
        gradient = (
            torch.ops.aten.sigmoid_backward(cell_gradient * (candidate - values["cell"]), input_gate),
            torch.ops.aten.tanh_backward(written, candidate),
            torch.ops.aten.sigmoid_backward(hidden_gradient * squashed_cell, output_gate),
        )
        return StageGradient(gradient, gradient, {"cell": cell_gradient - written})

    def cell_decay(self, values: Values) -> Tensor:
        """The share of the old cell that is kept: `1 - i_t`."""
        return 1 - values["input"]


@final
class CoupledLSTMCell(Cell):
    """LSTM with three gates; its forget gate is `1 - input`, so a forget bias of 1 is -1 in the input gate."""

    gates: ClassVar[tuple[str, ...]] = CoupledLSTMStage.gates
    state_names: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    write_gates: ClassVar[tuple[str, ...]] = ("input",)
    default_forget_bias: ClassVar[float] = 1.0

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (CoupledLSTMStage(),)
