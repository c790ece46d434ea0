"""LSTM with layer norm (Ba et al. 2016, supplement, equations 20 to 22).

[i_t, f_t, C̃_t, o_t] = [σ, σ, tanh, σ](LN(U h_{t-1}) + LN(W x_t) + b)
C_t = f_t * C_{t-1} + i_t * C̃_t     h_t = o_t * tanh(LN(C_t))
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from seqlens.cells.cell import Cell, Linear
from seqlens.cells.row_norm import norm_rows, norm_rows_backward
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class LayerNormLSTMStage:
    """The whole step; one norm over the product's rows of all gates, one over the cell."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "output")
    saved: ClassVar[tuple[str, ...]] = (
        "product", "mean", "scale", "input_forget", "candidate", "output", "cell", "new_cell", "cell_mean",
        "cell_scale", "squashed_cell",
    )  # fmt: skip

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = product.shape[1] // 4
        normed, mean, scale = norm_rows(product, values["recurrent_gain"])
        summed = input_part + normed
        input_forget = torch.sigmoid(summed[:, : 2 * hidden_dim])
        input_gate, forget_gate = input_forget[:, :hidden_dim], input_forget[:, hidden_dim:]
        candidate = torch.tanh(summed[:, 2 * hidden_dim : 3 * hidden_dim])
        output_gate = torch.sigmoid(summed[:, 3 * hidden_dim :])
        cell = torch.addcmul(forget_gate * values["cell"], input_gate, candidate)
        normed_cell, cell_mean, cell_scale = norm_rows(cell, values["cell_gain"], values.get("cell_bias"))
        squashed_cell = torch.tanh(normed_cell)
        return {
            "product": product,
            "mean": mean,
            "scale": scale,
            "input_forget": input_forget,
            "input": input_gate,
            "forget": forget_gate,
            "candidate": candidate,
            "output": output_gate,
            "cell_mean": cell_mean,
            "cell_scale": cell_scale,
            "squashed_cell": squashed_cell,
            "new_cell": cell,
            "new_hidden": output_gate * squashed_cell,
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        input_forget, candidate, output_gate = values["input_forget"], values["candidate"], values["output"]
        hidden_dim = candidate.shape[1]
        input_gate, forget_gate = input_forget[:, :hidden_dim], input_forget[:, hidden_dim:]
        hidden_gradient, squashed_cell = gradients["new_hidden"], values["squashed_cell"]
        cell_gradient, cell_gain, cell_bias = norm_rows_backward(
            torch.ops.aten.tanh_backward(hidden_gradient * output_gate, squashed_cell),
            values["new_cell"],
            values["cell_mean"],
            values["cell_scale"],
            values["cell_gain"],
            values.get("cell_bias"),
        )
        cell_gradient = cell_gradient + gradients["new_cell"]
        gates = torch.cat((cell_gradient * candidate, cell_gradient * values["cell"]), dim=1)
        gradient = torch.cat(
            (
                torch.ops.aten.sigmoid_backward(gates, input_forget),
                torch.ops.aten.tanh_backward(cell_gradient * input_gate, candidate),
                torch.ops.aten.sigmoid_backward(hidden_gradient * squashed_cell, output_gate),
            ),
            dim=1,
        )
        product, recurrent_gain, _ = norm_rows_backward(
            gradient, values["product"], values["mean"], values["scale"], values["recurrent_gain"]
        )
        read = {"cell": cell_gradient * forget_gate, "recurrent_gain": recurrent_gain, "cell_gain": cell_gain}
        if cell_bias is not None:
            read["cell_bias"] = cell_bias
        return StageGradient(gradient, product, read)

    def cell_decay(self, values: Values) -> Tensor:
        """The share of the old cell that is kept: `f_t`."""
        return values["forget"]


@final
class LayerNormLSTMCell(Cell):
    """LSTM with layer norm.

    `input_gain` and `recurrent_gain` are `[4 * hidden_dim]`, `cell_gain` and `cell_bias` `[hidden_dim]`; gains start
    at 1; without biases there is no `cell_bias` either.
    """

    gates: ClassVar[tuple[str, ...]] = LayerNormLSTMStage.gates
    state_names: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    keep_gates: ClassVar[tuple[str, ...]] = ("forget",)
    write_gates: ClassVar[tuple[str, ...]] = ("input",)
    default_forget_bias: ClassVar[float] = 1.0

    def __init__(self, input_dim: int, hidden_dim: int, *, bias: bool = True) -> None:
        super().__init__(input_dim, hidden_dim, bias=bias)
        self.input_gain = nn.Parameter(torch.ones(4 * hidden_dim))
        self.recurrent_gain = nn.Parameter(torch.ones(4 * hidden_dim))
        self.cell_gain = nn.Parameter(torch.ones(hidden_dim))
        self.cell_bias = nn.Parameter(torch.zeros(hidden_dim)) if bias else None

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (LayerNormLSTMStage(),)

    @property
    def vectors(self) -> Values:
        found: Values = {"recurrent_gain": self.recurrent_gain, "cell_gain": self.cell_gain}
        return found if self.cell_bias is None else {**found, "cell_bias": self.cell_bias}

    def input_part(self, inputs: Tensor, linear: Linear = nn.functional.linear) -> Tensor:
        product = linear(inputs, self.input_weight, None).to(self.input_gain.dtype)
        return norm_rows(product, self.input_gain, self.bias)[0]
