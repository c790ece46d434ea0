"""LSTM whose gates look at the cell (Gers & Schmidhuber, "Recurrent nets that time and count", 2000).

f_t = σ(W_f [h_{t-1}, x_t] + p_f * C_{t-1} + b_f)   i_t = σ(W_i [h_{t-1}, x_t] + p_i * C_{t-1} + b_i)
C̃_t = tanh(W_C [h_{t-1}, x_t] + b_C)                C_t = f_t * C_{t-1} + i_t * C̃_t
o_t = σ(W_o [h_{t-1}, x_t] + p_o * C_t + b_o)       h_t = o_t * tanh(C_t)
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from seqlens.cells.cell import Cell
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class PeepholeLSTMStage:
    """The whole step; the vector `peephole [3 * hidden_dim]` is that of the input, the forget and the output gate."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "output")
    saved: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "output", "cell", "new_cell", "squashed_cell")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = product.shape[1] // 4
        cell, peephole = values["cell"], values["peephole"]
        summed = input_part + product
        seen = torch.cat((cell, cell), dim=1) * peephole[: 2 * hidden_dim]
        input_forget = torch.sigmoid(summed[:, : 2 * hidden_dim] + seen)
        input_gate, forget_gate = input_forget[:, :hidden_dim], input_forget[:, hidden_dim:]
        candidate = torch.tanh(summed[:, 2 * hidden_dim : 3 * hidden_dim])
        new_cell = torch.addcmul(forget_gate * cell, input_gate, candidate)
        output_gate = torch.sigmoid(torch.addcmul(summed[:, 3 * hidden_dim :], new_cell, peephole[2 * hidden_dim :]))
        squashed_cell = torch.tanh(new_cell)
        return {
            "input": input_gate,
            "forget": forget_gate,
            "candidate": candidate,
            "output": output_gate,
            "squashed_cell": squashed_cell,
            "new_cell": new_cell,
            "new_hidden": output_gate * squashed_cell,
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        input_gate, forget_gate, candidate = values["input"], values["forget"], values["candidate"]
        output_gate, cell, squashed_cell = values["output"], values["cell"], values["squashed_cell"]
        of_input, of_forget, of_output = values["peephole"].chunk(3)
        hidden_gradient = gradients["new_hidden"]
        output_sum = torch.ops.aten.sigmoid_backward(hidden_gradient * squashed_cell, output_gate)
        cell_gradient = torch.ops.aten.tanh_backward(hidden_gradient * output_gate, squashed_cell)
        cell_gradient = torch.addcmul(cell_gradient + gradients["new_cell"], output_sum, of_output)
        input_sum = torch.ops.aten.sigmoid_backward(cell_gradient * candidate, input_gate)
        forget_sum = torch.ops.aten.sigmoid_backward(cell_gradient * cell, forget_gate)
        candidate_sum = torch.ops.aten.tanh_backward(cell_gradient * input_gate, candidate)
        gradient = (input_sum, forget_sum, candidate_sum, output_sum)
        seen = torch.cat((input_sum * cell, forget_sum * cell, output_sum * values["new_cell"]), dim=1)
        below = torch.addcmul(cell_gradient * forget_gate, input_sum, of_input)
        below = torch.addcmul(below, forget_sum, of_forget)
        return StageGradient(gradient, gradient, {"cell": below, "peephole": seen.sum(0)})


@final
class PeepholeLSTMCell(Cell):
    """LSTM with peepholes, `peephole [3 * hidden_dim]`: input, forget, output; they start at 0, as a plain LSTM."""

    gates: ClassVar[tuple[str, ...]] = PeepholeLSTMStage.gates
    state_names: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    keep_gates: ClassVar[tuple[str, ...]] = ("forget",)
    write_gates: ClassVar[tuple[str, ...]] = ("input",)
    default_forget_bias: ClassVar[float] = 1.0

    def __init__(self, input_dim: int, hidden_dim: int, *, bias: bool = True) -> None:
        super().__init__(input_dim, hidden_dim, bias=bias)
        self.peephole = nn.Parameter(torch.zeros(3 * hidden_dim))

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (PeepholeLSTMStage(),)

    @property
    def vectors(self) -> Values:
        return {"peephole": self.peephole}
