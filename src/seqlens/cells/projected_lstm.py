"""LSTM with a recurrent projection (Sak, Senior & Beaufays 2014, section 2): a large memory, a small output.

The gates are those of an LSTM, `cell_dim` wide; `C_t = f_t * C_{t-1} + i_t * C̃_t` and then `h_t = R (o_t * tanh(C_t))`.
This is the function of torch's LSTM with `hidden_size=cell_dim, proj_size=hidden_dim`.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from seqlens.cells.cell import Cell
from seqlens.cells.lstm import LSTMStage
from seqlens.cells.stage import Stage, StageGradient, Values


@final
class MemoryStage:
    """First stage: an LSTM's step, whose result `cell_output [batch, cell_dim]` is not yet the hidden state."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = LSTMStage.gates
    saved: ClassVar[tuple[str, ...]] = LSTMStage.saved

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        found = LSTMStage().forward(input_part, product, values)
        found["cell_output"] = found.pop("new_hidden")
        return found

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        return LSTMStage().backward({**gradients, "new_hidden": gradients["cell_output"]}, values)

    def cell_decay(self, values: Values) -> Tensor:
        """The share of the old cell that is kept: `f_t`."""
        return values["forget"]


@final
class ProjectionStage:
    """Second stage: the product with the projection is the hidden state; the inputs give nothing to it."""

    operand: ClassVar[str] = "cell_output"
    gates: ClassVar[tuple[str, ...]] = ()
    saved: ClassVar[tuple[str, ...]] = ()

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        return {"new_hidden": product}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        gradient = gradients["new_hidden"]
        return StageGradient(gradient[:, :0], gradient, {})


@final
class ProjectedLSTMCell(Cell):
    """LSTM whose state `cell` is `cell_dim` wide and whose state `hidden`, the output, is `hidden_dim` wide.

    Beside the weights of all cells: `projection_weight [hidden_dim, cell_dim]`.
    """

    gates: ClassVar[tuple[str, ...]] = MemoryStage.gates
    state_names: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    keep_gates: ClassVar[tuple[str, ...]] = ("forget",)
    write_gates: ClassVar[tuple[str, ...]] = ("input",)
    default_forget_bias: ClassVar[float] = 1.0

    def __init__(self, input_dim: int, hidden_dim: int, *, cell_dim: int | None = None, bias: bool = True) -> None:
        """`cell_dim` is twice `hidden_dim` if None.

        Raises:
            ValueError: it is below 1.
        """
        cell_dim = 2 * hidden_dim if cell_dim is None else cell_dim
        if cell_dim < 1:
            raise ValueError(f"`cell_dim` must be at least 1, but is {cell_dim}")
        super().__init__(input_dim, hidden_dim, bias=bias, gate_dim=cell_dim)
        self.projection_weight = nn.Parameter(torch.empty(hidden_dim, cell_dim))
        nn.init.orthogonal_(self.projection_weight)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        # The first call comes from the base class, before there is a projection.
        if "projection_weight" in self._parameters:
            nn.init.orthogonal_(self.projection_weight)

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (MemoryStage(), ProjectionStage())

    @property
    def state_dims(self) -> dict[str, int]:
        return {"hidden": self.hidden_dim, "cell": self.gate_dim}

    def _weights(self, weight: Tensor) -> tuple[Tensor, ...]:
        return (weight, self.projection_weight)
