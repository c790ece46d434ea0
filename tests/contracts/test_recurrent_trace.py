"""Every gate and state of every step: recomputed by the fast path, and equal to a loop and to the reference's trace."""

from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

from seqlens.cells import Cell, CellKind, LinearCellStage, build_cell
from seqlens.layers import RecurrentLayer, RecurrentState, RecurrentTrace, directions
from seqlens.layers.build import build_recurrent
from seqlens.layers.executors.reference import run_reference
from seqlens.layers.recompute import can_be_recomputed
from seqlens.testing import assert_same_function
from seqlens.testing.compare import check_close
from tests.contracts.own_cell import OwnCell
from tests.contracts.recurrent import (
    CELLS,
    FUSED,
    HIDDEN_DIM,
    INPUT_DIM,
    LENGTHS,
    SCANNED,
    TIME,
    each_cell,
    each_direction,
    random_inputs,
    random_layer,
    random_state,
    with_executor,
)


@each_cell
@each_direction
def test_trace_is_a_loop_over_the_cell(kind: CellKind, bidirectional: bool) -> None:
    layer = random_layer(kind, bidirectional=bidirectional, num_layers=2)
    inputs, lengths, state = random_inputs(4), torch.tensor([4, 0, 6, 1]), random_state(layer, 4)
    traced = layer.trace(inputs, lengths, state)
    ordinary = layer(inputs, lengths, state)
    assert torch.allclose(traced.output.outputs, ordinary.outputs, rtol=1e-12, atol=1e-14)
    assert torch.allclose(traced.output.state.last(), ordinary.state.last(), rtol=1e-12, atol=1e-14)
    for row, length in enumerate(lengths.tolist()):
        below = inputs[row, :length]
        for number, parts in enumerate(layer.layers):
            directions = [(parts.forward_cell, traced.layers[number].forward, state.layers[number].forward, 1)]
            if bidirectional:
                trace, start = traced.layers[number].backward, state.layers[number].backward
                assert trace is not None
                assert start is not None
                directions.append((parts.backward_cell, trace, start, -1))
            else:
                assert traced.layers[number].backward is None
            above = []
            for cell, trace, start, way in directions:
                assert tuple(trace.gates) == cell.gates
                assert tuple(trace.states) == cell.state_names
                outputs = [torch.zeros(0)] * length
                step_state = {name: tensor[row : row + 1] for name, tensor in start.items()}
                for t in range(length)[::way]:
                    result = cell(below[t : t + 1], step_state)
                    step_state, outputs[t] = result.state, result.output[0]
                    for name, tensor in result.gates.items():
                        torch.testing.assert_close(trace.gates[name][row, t], tensor[0], rtol=1e-10, atol=1e-12)
                    for name, tensor in result.state.items():
                        torch.testing.assert_close(trace.states[name][row, t], tensor[0], rtol=1e-10, atol=1e-12)
                dims = [cell.gate_dim] * len(cell.gates) + list(cell.state_dims.values())
                for tensor, dim in zip((*trace.gates.values(), *trace.states.values()), dims, strict=True):
                    assert tensor.shape == (4, TIME, dim)
                    assert not tensor[row, length:].any(), "a trace is zero at padding"
                above.append(torch.stack(outputs) if outputs else torch.zeros(0, HIDDEN_DIM, dtype=torch.float64))
            below = torch.cat(above, dim=1)


def test_a_trace_of_nothing_has_the_kind_of_the_layer() -> None:
    traced = random_layer("lstm").trace(random_inputs(2), torch.tensor([0, 0])).layers[0].forward
    for tensor in (*traced.gates.values(), *traced.states.values()):
        assert tensor.shape == (2, TIME, HIDDEN_DIM)
        assert tensor.dtype == torch.float64
        assert not tensor.any()


# --- the fast path -----------------------------------------------------------------------------------------------

MASKS: dict[str, dict[str, float]] = {
    "no masks": {},
    "zoneout": {"zoneout_p": 0.3},
    "zoneout of the cell alone": {"cell_zoneout_p": 0.4},
    "recurrent dropout": {"recurrent_dropout_p": 0.4},
    "weight dropout": {"weight_dropout_p": 0.4},
    "all": {"zoneout_p": 0.2, "cell_zoneout_p": 0.5, "recurrent_dropout_p": 0.3, "weight_dropout_p": 0.3},
}


@final
class Traced(nn.Module):
    """A layer whose trace is looked at; every call draws the same masks. Parameters are named as the layer's."""

    def __init__(self, layer: RecurrentLayer, *, training: bool) -> None:
        super().__init__()
        self.layer, self.is_training = layer, training

    def forward(self, inputs: Tensor, lengths: Tensor | None, state: RecurrentState | None) -> RecurrentTrace:
        torch.manual_seed(7)
        return self.layer.train(self.is_training).trace(inputs, lengths, state)


def masked_layer(kind: CellKind, masks: str, **options: Any) -> RecurrentLayer:
    chances = MASKS[masks]
    if kind in SCANNED:
        chances = {name: p for name, p in chances.items() if "dropout" not in name}
    layer = build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, **chances, **options)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.6)
    return layer.double()


@pytest.fixture
def no_reference(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts the calls of the reference unroll."""
    calls: list[str] = []

    def spy(cell: Cell, *rest: Any) -> Any:
        calls.append(type(cell).__name__)
        return run_reference(cell, *rest)

    monkeypatch.setattr(directions, "run_reference", spy)
    return calls


@each_cell
@each_direction
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_a_trace_is_that_of_the_reference(
    kind: CellKind, bidirectional: bool, masks: str, training: bool, no_reference: list[str]
) -> None:
    """Values, and the gradients of inputs, states and weights through every one of them."""
    layer = masked_layer(kind, masks, bidirectional=bidirectional, num_layers=2)
    fast, slow = (Traced(with_executor(layer, executor), training=training) for executor in ("auto", "reference"))
    state = random_state(layer, 4)
    for lengths in (torch.tensor([4, 0, 6, 1]), None):
        fast(random_inputs(4), lengths, state)
        assert bool(no_reference) is (kind == "lstm_peephole")
        assert_same_function(fast, slow, random_inputs(4), lengths, state, gradients="all")
        no_reference.clear()


@each_cell
@each_direction
@pytest.mark.parametrize("case", LENGTHS)
def test_a_trace_of_any_lengths_is_that_of_the_reference(kind: CellKind, bidirectional: bool, case: str) -> None:
    layer = random_layer(kind, bidirectional=bidirectional)
    batch, time, given = LENGTHS[case]
    lengths = None if given is None else torch.tensor(given, dtype=torch.int64)
    fast, slow = (Traced(with_executor(layer, executor), training=False) for executor in ("auto", "reference"))
    assert_same_function(fast, slow, random_inputs(batch, time), lengths, random_state(layer, batch), gradients="all")


@pytest.mark.parametrize("kind", FUSED)
def test_a_trace_of_a_fused_layer_is_that_of_the_reference(kind: CellKind, no_reference: list[str]) -> None:
    """In float32, where the CPU's fused LSTM runs of itself."""
    layer = random_layer(kind, bidirectional=True, num_layers=3, dtype=torch.float32)
    fast, slow = (Traced(with_executor(layer, executor), training=False) for executor in ("fused", "reference"))
    inputs = random_inputs(3, 40, torch.float32)
    with torch.no_grad():
        fast(inputs, None, None)
    assert not no_reference
    assert_same_function(fast, slow, inputs, None, None, gradients="all", tolerance=1e-4)
    assert_same_function(fast, slow, inputs, None, None, gradients="none")


@each_cell
def test_a_trace_under_autocast_is_near_that_of_float32(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2, dtype=torch.float32)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.5)
    inputs, lengths = random_inputs(4, dtype=torch.float32), torch.tensor([4, 0, 6, 1])
    expected = layer.trace(inputs, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        traced = layer.trace(inputs, lengths)
    tolerance = 1.5e-1 if kind.endswith("layer_norm") else 3e-2
    for layers, plain in zip(traced.layers, expected.layers, strict=True):
        for direction, plain_direction in zip(layers, plain, strict=True):
            assert direction is not None
            assert plain_direction is not None
            for name, tensor in {**direction.gates, **direction.states}.items():
                wanted = {**plain_direction.gates, **plain_direction.states}[name]
                assert tensor.dtype == torch.float32, name
                check_close(tensor, wanted, tolerance, name)


def test_a_cell_whose_second_state_is_not_linear_is_unrolled() -> None:
    for kind in CELLS:
        assert can_be_recomputed(build_cell(kind, 2, 3)) is (kind != "lstm_peephole"), kind
    assert not can_be_recomputed(OwnCell(2, 3))


@each_cell
def test_a_step_that_declares_its_cell_linear_is_so(kind: CellKind) -> None:
    cell = build_cell(kind, INPUT_DIM, HIDDEN_DIM).double()
    for stage, weight in zip(cell.stages, cell.recurrence().weights, strict=True):
        if not isinstance(stage, LinearCellStage):
            continue
        before = {name: torch.randn(5, dim, dtype=torch.float64) for name, dim in cell.state_dims.items()}
        vectors = {name: torch.randn_like(vector) for name, vector in cell.vectors.items()}
        input_part = torch.randn(5, len(stage.gates) * cell.gate_dim, dtype=torch.float64)
        product = torch.randn(5, len(weight), dtype=torch.float64)
        values = stage.forward(input_part, product, {**vectors, **before})
        empty = {**vectors, **before, "cell": torch.zeros_like(before["cell"])}
        rest = stage.forward(input_part, product, empty)
        assert all(torch.equal(values[gate], rest[gate]) for gate in stage.gates)
        check_close(values["new_cell"], stage.cell_decay(rest) * before["cell"] + rest["new_cell"], None, "new_cell")


def test_a_long_trace_takes_the_memory_of_what_it_returns() -> None:
    """70,000 steps: one product for all gates, so that it takes moments and not the minutes of an unroll."""
    layer = random_layer("lstm", dtype=torch.float32)
    with torch.no_grad():
        traced = layer.trace(random_inputs(1, 70_000, torch.float32))
        outputs = layer(random_inputs(1, 70_000, torch.float32)).outputs
    assert torch.equal(traced.layers[0].forward.states["hidden"], outputs)
    cell = traced.layers[0].forward.states["cell"]
    check_close(traced.layers[0].forward.gates["output"] * cell.tanh(), outputs, None, "o * tanh(C)")
