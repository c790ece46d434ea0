"""The parts of which every recurrent cell is made.

One time step of a cell is a short row of *stages*. A stage is one recurrent product (`operand @ weight.T`)
followed by a pure function of rows whose backward is written out. An RNN, an LSTM and a GRU that resets after
the product have one stage; a GRU that resets before it and a projected LSTM have two. Executors know stages and
nothing else, so a new cell runs in every executor without a line of theirs being changed.
"""

from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqlens.cells.masks import Masks, zone_out

Values = dict[str, Tensor]
"""Named tensors of one step, each `[batch, dim]`: states, gates, and what lies between them; and the cell's vectors."""

CellState = dict[str, Tensor]
"""The state of one cell by name, each `[batch, dim]`: `hidden`, and `cell` for an LSTM."""


Rows = Tensor | tuple[Tensor, ...]
"""`[batch, rows]`, whole or in parts that stand side by side: a part less is a copy less."""


class StageGradient(NamedTuple):
    """What a stage's backward returns: gradients of its two summands and of the values it read.

    Where both summands have one gradient, they should be the very same object, and so should parts that they have in
    common at the beginning: what is shared is then kept once.
    """

    input_part: Rows
    product: Rows
    values: Values


@runtime_checkable
class Stage(Protocol):
    """One recurrent product and one function of each row.

    `operand` names the value that the recurrent weight multiplies: a state, or a value of an earlier stage.
    `gates` names the gates computed here, in the order of the rows in the weights.
    `saved` names what `backward` reads, as `forward` read or returned it; executors keep nothing else. The cell's
    vectors need not be named: they are handed to both.
    """

    operand: ClassVar[str]
    gates: ClassVar[tuple[str, ...]]
    saved: ClassVar[tuple[str, ...]]

    def forward(
        self,
        input_part: Float[Tensor, "batch input_rows"],
        product: Float[Tensor, "batch rows"],
        values: Values,
    ) -> Values:
        """Returns the new values; a new state `s` is named `new_s`. Reads, never writes, its arguments.

        `input_part` has no columns for a stage without gates, `product` none for a cell that multiplies no state.
        """
        ...

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        """`gradients` hold those of every new state, and of every value that a later stage has read.

        The gradient of a vector of the cell is summed over the batch.
        """
        ...


@runtime_checkable
class ScanStage(Stage, Protocol):
    """A stage that multiplies no state by a weight and is linear in its one state, `hidden`: all steps at once."""

    def decay(self, values: Values) -> Float[Tensor, "batch hidden"]:
        """What multiplies the old state, from the values that `forward` returned."""
        ...


@runtime_checkable
class LinearCellStage(Stage, Protocol):
    """A stage whose gates do not read the state `cell` and which is linear in it: `new_cell = decay * cell + rest`."""

    def cell_decay(self, values: Values) -> Float[Tensor, "batch cell"]:
        """What multiplies the old `cell`, from the values that `forward` returned."""
        ...


class Recurrence(NamedTuple):
    """All that executors know of a cell: its stages, what each multiplies by, vectors they read, rows of a gate.

    Each weight is `[rows, operand]`, the same number of rows as its stage's product has.
    """

    stages: tuple[Stage, ...]
    weights: tuple[Tensor, ...]
    vectors: Values
    gate_dim: int

    def input_rows(self) -> list[slice]:
        """Each stage's columns of the input part."""
        found: list[slice] = []
        for stage in self.stages:
            first = found[-1].stop if found else 0
            found.append(slice(first, first + len(stage.gates) * self.gate_dim))
        return found


class CellStep(NamedTuple):
    """One step's result: the output, the state to carry on, and every gate by name."""

    output: Float[Tensor, "batch hidden"]
    state: CellState
    gates: Values


def run_stages(
    recurrence: Recurrence,
    input_part: Float[Tensor, "batch rows"],
    state: CellState,
    masks: Masks,
) -> Values:
    """Runs one step; returns the state it started from and every value computed on the way, by name."""
    values: Values = {**recurrence.vectors, **state}
    for stage, weight, rows in zip(recurrence.stages, recurrence.weights, recurrence.input_rows(), strict=True):
        operand = values[stage.operand]
        dtype = operand.dtype
        if masks.operand is not None and stage.gates:
            operand = operand * masks.operand
        # Under autocast the products come in its dtype; states and what touches them stay in their own.
        product = nn.functional.linear(operand, weight).to(dtype)
        values.update(stage.forward(input_part[:, rows].to(dtype), product, values))
    for name, mask in masks.zoneout.items():
        values["new_" + name] = zone_out(values["new_" + name], values[name], mask)
    if masks.ended is not None:
        for name, old in state.items():
            values["new_" + name] = torch.where(masks.ended, old, values["new_" + name])
    return values
