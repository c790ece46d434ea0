"""The gated recurrent unit (Cho et al. 2014), in both forms that go by this name.

    z_t = σ(W_z [h_{t-1}, x_t])    r_t = σ(W_r [h_{t-1}, x_t])    h_t = (1 - z_t) * h_{t-1} + z_t * h̃_t

`reset="before"`: `h̃_t = tanh(W [r_t * h_{t-1}, x_t])`, the paper's equation 8 and the lecture's.
`reset="after"`: `h̃_t = tanh(W x_t + r_t * (U h_{t-1} + b_U))`, that of cuDNN, torch and Keras' default.

The update gate `z` lets the new state in, here and everywhere in seqlens; torch, Keras and ONNX mean its opposite.
"""

from typing import ClassVar, Literal, final, get_args

import torch
from torch import Tensor, nn

from seqlens.cells.cell import Cell
from seqlens.cells.stage import Stage, StageGradient, Values
from seqlens.errors import check_choice

Reset = Literal["before", "after"]


def blend(hidden: Tensor, candidate: Tensor, update: Tensor) -> Tensor:
    """`(1 - z) * h + z * h̃`."""
    return torch.addcmul(hidden, update, candidate - hidden)


def blend_backward(gradient: Tensor, values: Values) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the update gate, of the candidate's sum (before its tanh) and of the earlier hidden state."""
    update, candidate, hidden = values["update"], values["candidate"], values["hidden"]
    candidate_gradient = gradient * update
    hidden_gradient = gradient - candidate_gradient
    update_gradient = gradient * (candidate - hidden)
    return update_gradient, torch.ops.aten.tanh_backward(candidate_gradient, candidate), hidden_gradient


@final
class GRUAfterStage:
    """The whole step of a GRU whose reset gate multiplies the recurrent product."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate")
    saved: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate", "product", "hidden")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = product.shape[1] // 3
        reset_update = torch.sigmoid(input_part[:, : 2 * hidden_dim] + product[:, : 2 * hidden_dim])
        reset, update = reset_update[:, :hidden_dim], reset_update[:, hidden_dim:]
        candidate_product = product[:, 2 * hidden_dim :]
        if "candidate_bias" in values:
            candidate_product = candidate_product + values["candidate_bias"]
        candidate = torch.tanh(torch.addcmul(input_part[:, 2 * hidden_dim :], reset, candidate_product))
        return {
            "reset": reset,
            "update": update,
            "candidate": candidate,
            "product": candidate_product,
            "new_hidden": blend(values["hidden"], candidate, update),
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        update, candidate, hidden = blend_backward(gradients["new_hidden"], values)
        reset = torch.ops.aten.sigmoid_backward(candidate * values["product"], values["reset"])
        update = torch.ops.aten.sigmoid_backward(update, values["update"])
        product = candidate * values["reset"]
        read = {"hidden": hidden}
        if "candidate_bias" in values:
            read["candidate_bias"] = product.sum(0)
        return StageGradient((reset, update, candidate), (reset, update, product), read)


@final
class GRUGatesStage:
    """First stage of a GRU that resets before the product: both gates, and the hidden state as reset."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("reset", "update")
    saved: ClassVar[tuple[str, ...]] = ("reset", "update", "hidden")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        hidden_dim = product.shape[1] // 2
        reset_update = torch.sigmoid(input_part + product)
        reset, update = reset_update[:, :hidden_dim], reset_update[:, hidden_dim:]
        return {
            "reset": reset,
            "update": update,
            "reset_hidden": reset * values["hidden"],
        }

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        reset_hidden = gradients["reset_hidden"]
        gates = (
            torch.ops.aten.sigmoid_backward(reset_hidden * values["hidden"], values["reset"]),
            torch.ops.aten.sigmoid_backward(gradients["update"], values["update"]),
        )
        return StageGradient(gates, gates, {"hidden": reset_hidden * values["reset"]})


@final
class GRUCandidateStage:
    """Second stage of a GRU that resets before the product: the candidate from the reset state, and the blend."""

    operand: ClassVar[str] = "reset_hidden"
    gates: ClassVar[tuple[str, ...]] = ("candidate",)
    saved: ClassVar[tuple[str, ...]] = ("update", "candidate", "hidden")

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        candidate = torch.tanh(input_part + product)
        return {"candidate": candidate, "new_hidden": blend(values["hidden"], candidate, values["update"])}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        update, candidate, hidden = blend_backward(gradients["new_hidden"], values)
        return StageGradient(candidate, candidate, {"update": update, "hidden": hidden})


@final
class GRUCell(Cell):
    """GRU with its reset gate before or after the recurrent product: two functions, so `reset` says which.

    For `reset="after"` the candidate's product has a bias of its own, `candidate_bias [hidden_dim]`.
    """

    gates: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate")
    write_gates: ClassVar[tuple[str, ...]] = ("update",)

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        bias: bool = True,
        reset: Reset = "before",
    ) -> None:
        check_choice("reset", reset, get_args(Reset))
        super().__init__(input_dim, hidden_dim, bias=bias)
        self.reset: Reset = reset
        has_candidate_bias = bias and reset == "after"
        self.candidate_bias = nn.Parameter(torch.zeros(hidden_dim)) if has_candidate_bias else None

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (GRUAfterStage(),) if self.reset == "after" else (GRUGatesStage(), GRUCandidateStage())

    @property
    def vectors(self) -> Values:
        return {} if self.candidate_bias is None else {"candidate_bias": self.candidate_bias}

    @property
    def recurrent_bias(self) -> Tensor | None:
        if self.candidate_bias is None:
            return None
        return nn.functional.pad(self.candidate_bias, (2 * self.hidden_dim, 0))
