"""A cell of one's own in the generic executor: what it asks of a stage, and what it never does."""

import weakref
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from seqlens.cells import Cell, CellState, Stage, StageGradient, Values
from seqlens.layers.executors.generic import run_generic
from seqlens.layers.executors.reference import run_reference
from seqlens.testing import assert_same_function
from tests.contracts.own_cell import OwnCell
from tests.contracts.recurrent import (
    HIDDEN_DIM,
    INPUT_DIM,
)


@final
class SpyStage:
    """An RNN's stage that says whether anything in it is recorded by autograd, and which of its gates are kept."""

    operand: ClassVar[str] = "hidden"
    gates: ClassVar[tuple[str, ...]] = ("candidate",)
    saved: ClassVar[tuple[str, ...]] = ("candidate",)

    def __init__(self, seen: list[tuple[str, bool]], alive: list[weakref.ref[Tensor]]) -> None:
        self.seen, self.alive = seen, alive

    def forward(self, input_part: Tensor, product: Tensor, values: Values) -> Values:
        candidate = torch.tanh(input_part + product)
        self.alive[:] = [gate for gate in self.alive if gate() is not None] + [weakref.ref(candidate)]
        self.seen.append(("forward", torch.is_grad_enabled() or candidate.requires_grad))
        return {"candidate": candidate, "new_hidden": candidate.clone()}

    def backward(self, gradients: Values, values: Values) -> StageGradient:
        gradient = gradients["new_hidden"] * (1 - values["candidate"] ** 2)
        self.seen.append(("backward", torch.is_grad_enabled() or gradient.requires_grad))
        return StageGradient(gradient, gradient, {})


@final
class SpyCell(Cell):
    gates: ClassVar[tuple[str, ...]] = ("candidate",)

    def __init__(self) -> None:
        super().__init__(INPUT_DIM, HIDDEN_DIM)
        self.seen: list[tuple[str, bool]] = []
        self.alive: list[weakref.ref[Tensor]] = []

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (SpyStage(self.seen, self.alive),)


def test_no_autograd_inside_the_generic_executor() -> None:
    cell = SpyCell()
    state = {"hidden": torch.randn(2, HIDDEN_DIM, requires_grad=True)}
    outputs, _ = run_generic(cell, torch.randn(5, HIDDEN_DIM, requires_grad=True), (2, 2, 1), state)
    outputs.sum().backward()
    assert cell.seen == [("forward", False)] * 3 + [("backward", False)] * 3


def test_gates_are_dropped_at_once_where_no_gradient_is_wanted() -> None:
    """Reading a long sequence under `no_grad` must not cost the memory of all its steps."""
    for grad, kept in ((True, range(10, 11)), (False, range(1, 3))):
        cell = SpyCell()
        with torch.set_grad_enabled(grad):
            run_generic(cell, torch.randn(10, HIDDEN_DIM), (1,) * 10, {"hidden": torch.zeros(1, HIDDEN_DIM)})
        assert len(cell.alive) in kept


def test_a_cell_of_ones_own_runs_in_the_generic_executor() -> None:
    torch.manual_seed(0)
    cell = OwnCell(INPUT_DIM, HIDDEN_DIM).double()
    state = {name: torch.randn(3, HIDDEN_DIM, dtype=torch.float64) for name in cell.state_names}
    input_part = torch.randn(8, 3 * HIDDEN_DIM, dtype=torch.float64)

    class Run(nn.Module):
        def __init__(self, reference: bool) -> None:
            super().__init__()
            self.recurrent_weight, self.reference = cell.recurrent_weight, reference

        def forward(self, input_part: Tensor, state: CellState) -> object:
            run = run_reference if self.reference else run_generic
            return run(cell, input_part, (3, 3, 1, 1), state)

    assert_same_function(Run(reference=False), Run(reference=True), input_part, state, gradients="all")
