"""The parts of which every recurrent cell is made.

One time step of a cell is a short row of *stages*. A stage is one recurrent product (`operand @ weight.T`)
followed by a pure pointwise function whose backward is written out. An RNN, an LSTM and a GRU that resets after
the product have one stage; a GRU that resets before it has two. Executors know stages and nothing else, so a new
cell runs in every executor without a line of theirs being changed.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

Values = dict[str, Tensor]
"""Named tensors of one step, each `[batch, hidden_dim]`: states, gates, and what lies between them."""

CellState = dict[str, Tensor]
"""The state of one cell by name, each `[batch, hidden_dim]`: `hidden`, and `cell` for an LSTM."""


class StageGradient(NamedTuple):
    """What a stage's backward returns: gradients of its two summands and of the values it read."""

    input_part: Tensor
    product: Tensor
    values: Values


@runtime_checkable
class Stage(Protocol):
    """One recurrent product and one pointwise function.

    `operand` names the value that the recurrent weight multiplies: a state, or a value of an earlier stage.
    `gates` names the gates computed here, in the order of the rows in the weights.
    `saved` names what `backward` reads; executors keep nothing else.
    """

    operand: ClassVar[str]
    gates: ClassVar[tuple[str, ...]]
    saved: ClassVar[tuple[str, ...]]

    def forward(
        self,
        input_part: Float[Tensor, "batch rows"],
        product: Float[Tensor, "batch rows"],
        values: Values,
    ) -> Values:
        """Returns the new values; a new state `s` is named `new_s`. Reads, never writes, its arguments."""
        ...

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        """`gradients` hold those of every new state, and of every value that a later stage has read."""
        ...


class CellStep(NamedTuple):
    """One step's result: the output, the state to carry on, and every gate by name."""

    output: Float[Tensor, "batch hidden"]
    state: CellState
    gates: Values


class Cell(nn.Module, ABC):
    """One recurrent cell: parameters in one layout, stages, named state.

    Weights (one layout, since run folders outlive code), rows in the order of `gates`:
    `input_weight [gates * hidden_dim, input_dim]`, `recurrent_weight [gates * hidden_dim, hidden_dim]`,
    `bias [gates * hidden_dim]`.
    """

    gates: ClassVar[tuple[str, ...]]
    state_names: ClassVar[tuple[str, ...]] = ("hidden",)

    def __init__(self, input_dim: int, hidden_dim: int, *, bias: bool = True) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.hidden_dim = hidden_dim
        rows = len(self.gates) * hidden_dim
        self.input_weight = nn.Parameter(torch.empty(rows, input_dim))
        self.recurrent_weight = nn.Parameter(torch.empty(rows, hidden_dim))
        self.bias = nn.Parameter(torch.empty(rows)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier uniform input weights a gate at a time, orthogonal recurrent weights, zero biases."""
        with torch.no_grad():
            for block in self.input_weight.split(self.hidden_dim):
                nn.init.xavier_uniform_(block)
            for block in self.recurrent_weight.split(self.hidden_dim):
                nn.init.orthogonal_(block)
            for parameter in self.parameters():
                if parameter.ndim == 1:
                    parameter.zero_()

    @property
    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The stages of one step, in order; together they compute `gates`, in that order."""

    @property
    def recurrent_bias(self) -> Tensor | None:
        """A bias `[gates * hidden_dim]` added to the recurrent product, for cells that have one."""
        return None

    def initial_state(
        self, batch_size: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> CellState:
        """Zeros, `[batch_size, hidden_dim]` for each name."""
        weight = self.recurrent_weight
        return {
            name: torch.zeros(batch_size, self.hidden_dim, device=device or weight.device, dtype=dtype or weight.dtype)
            for name in self.state_names
        }

    def forward(self, x_t: Float[Tensor, "batch input"], state: CellState) -> CellStep:
        """Computes one step from the equations, differentiable by autograd."""
        input_part = nn.functional.linear(x_t, self.input_weight, self.bias)
        values = run_stages(self.stages, input_part, state, self.recurrent_weight, self.recurrent_bias)
        return CellStep(
            values["new_hidden"],
            {name: values[f"new_{name}"] for name in self.state_names},
            {name: values[name] for name in self.gates},
        )


def run_stages(
    stages: tuple[Stage, ...],
    input_part: Float[Tensor, "batch rows"],
    state: CellState,
    recurrent_weight: Float[Tensor, "rows hidden"],
    recurrent_bias: Float[Tensor, " rows"] | None,
) -> Values:
    """Runs one step; returns the state it started from and every value computed on the way, by name."""
    values: Values = dict(state)
    hidden_dim = recurrent_weight.shape[1]
    first = 0
    for stage in stages:
        rows = slice(first, first + len(stage.gates) * hidden_dim)
        bias = None if recurrent_bias is None else recurrent_bias[rows]
        operand = values[stage.operand]
        # Under autocast the products come in its dtype; states and what touches them stay in their own.
        product = nn.functional.linear(operand, recurrent_weight[rows], bias).to(operand.dtype)
        values.update(stage.forward(input_part[:, rows].to(operand.dtype), product, values))
        first = rows.stop
    return values
