"""GRU with layer norm (Ba et al. 2016, supplement, equations 23 to 25); its reset gate stands after the product.

[r_t, z_t] = σ(LN(U_g h_{t-1}) + LN(W_g x_t) + b_g)    h̃_t = tanh(LN(W x_t) + b + r_t * (LN(U h_{t-1}) + b_U))
h_t = (1 - z_t) * h_{t-1} + z_t * h̃_t
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from seqlens.cells.cell import Cell, Linear
from seqlens.cells.gru import blend, blend_backward
from seqlens.cells.row_norm import norm_rows, norm_rows_backward
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class LayerNormGRUStage:
    """The whole step; one norm over the product's rows of both gates, one over those of the candidate."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate")
    saved: ClassVar[tuple[str, ...]] = (
        "gates_product", "candidate_product", "gates_mean", "gates_scale", "candidate_mean", "candidate_scale",
        "reset_update", "reset", "update", "candidate", "normed_candidate", "hidden",
    )  # fmt: skip

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = product.shape[1] // 3
        both = 2 * hidden_dim
        gain = values["recurrent_gain"]
        # Norms read whole rows, so each half is copied once for both directions.
        gates_product, candidate_product = product[:, :both].contiguous(), product[:, both:].contiguous()
        normed_gates, gates_mean, gates_scale = norm_rows(gates_product, gain[:both])
        normed_candidate, mean, scale = norm_rows(candidate_product, gain[both:], values.get("candidate_bias"))
        reset_update = torch.sigmoid(input_part[:, :both] + normed_gates)
        reset, update = reset_update[:, :hidden_dim], reset_update[:, hidden_dim:]
        candidate = torch.tanh(torch.addcmul(input_part[:, both:], reset, normed_candidate))
        return {
            "gates_product": gates_product,
            "candidate_product": candidate_product,
            "gates_mean": gates_mean,
            "gates_scale": gates_scale,
            "candidate_mean": mean,
            "candidate_scale": scale,
            "normed_candidate": normed_candidate,
            "reset_update": reset_update,
            "reset": reset,
            "update": update,
            "candidate": candidate,
            "new_hidden": blend(values["hidden"], candidate, update),
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        update, candidate, hidden = blend_backward(gradients["new_hidden"], values)
        both = 2 * hidden.shape[1]
        gain = values["recurrent_gain"]
        gates = torch.cat((candidate * values["normed_candidate"], update), dim=1)
        gates = torch.ops.aten.sigmoid_backward(gates, values["reset_update"])
        of_gates, gates_gain, _ = norm_rows_backward(
            gates, values["gates_product"], values["gates_mean"], values["gates_scale"], gain[:both]
        )
        of_candidate, candidate_gain, candidate_bias = norm_rows_backward(
            candidate * values["reset"],
            values["candidate_product"],
            values["candidate_mean"],
            values["candidate_scale"],
            gain[both:],
            values.get("candidate_bias"),
        )
        read = {"hidden": hidden, "recurrent_gain": torch.cat((gates_gain, candidate_gain))}
        if candidate_bias is not None:
            read["candidate_bias"] = candidate_bias
        return StageGradient((gates, candidate), (of_gates, of_candidate), read)


@final
class LayerNormGRUCell(Cell):
    """GRU with layer norm; `input_gain` and `recurrent_gain` are `[3 * hidden_dim]` and start at 1.

    `candidate_bias [hidden_dim]` is that of the norm that the reset gate multiplies.
    """

    gates: ClassVar[tuple[str, ...]] = LayerNormGRUStage.gates
    write_gates: ClassVar[tuple[str, ...]] = ("update",)

    def __init__(self, input_dim: int, hidden_dim: int, *, bias: bool = True) -> None:
        super().__init__(input_dim, hidden_dim, bias=bias)
        self.input_gain = nn.Parameter(torch.ones(3 * hidden_dim))
        self.recurrent_gain = nn.Parameter(torch.ones(3 * hidden_dim))
        self.candidate_bias = nn.Parameter(torch.zeros(hidden_dim)) if bias else None

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (LayerNormGRUStage(),)

    @property
    def vectors(self) -> Values:
        found: Values = {"recurrent_gain": self.recurrent_gain}
        return found if self.candidate_bias is None else {**found, "candidate_bias": self.candidate_bias}

    def input_part(self, inputs: Tensor, linear: Linear = nn.functional.linear) -> Tensor:
        product = linear(inputs, self.input_weight, None).to(self.input_gain.dtype)
        halves = (2 * self.hidden_dim, self.hidden_dim)
        biases = (None, None) if self.bias is None else self.bias.split(halves)
        parts = zip(product.split(halves, dim=1), self.input_gain.split(halves), biases, strict=True)
        return torch.cat([norm_rows(*part)[0] for part in parts], dim=1)
