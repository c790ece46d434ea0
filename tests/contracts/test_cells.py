"""Every cell keeps the contract of `Cell` and `Stage`: a new one is enrolled by appearing in `CellKind`."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from seqlens.cells import Cell, CellKind, Stage, Values, build_cell

CELLS: tuple[CellKind, ...] = get_args(CellKind)
INPUT_DIM, HIDDEN_DIM, BATCH = 3, 4, 5


def random_cell(kind: CellKind, *, bias: bool = True, seed: int = 0) -> Cell:
    torch.manual_seed(seed)
    cell = build_cell(kind, INPUT_DIM, HIDDEN_DIM, bias=bias).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_()
    return cell


def random_state(cell: Cell) -> Values:
    return {name: torch.randn(BATCH, HIDDEN_DIM, dtype=torch.float64) for name in cell.state_names}


def values_before_stages(cell: Cell, scale: float) -> list[tuple[Stage, Tensor, Tensor, Values]]:
    """Each stage with its input part, its product and every value that exists before it."""
    values: Values = random_state(cell)
    given = []
    for stage in cell.stages:
        rows = len(stage.gates) * HIDDEN_DIM
        input_part, product = scale * torch.randn(2, BATCH, rows, dtype=torch.float64)
        given.append((stage, input_part, product, dict(values)))
        values.update(stage.forward(input_part, product, values))
    return given


def read_later(cell: Cell, number: int) -> set[str]:
    """The values of one stage whose gradients an executor hands it: new states, and what later stages read."""
    names = {f"new_{name}" for name in cell.state_names}
    for stage, input_part, product, values in values_before_stages(cell, 1.0)[number + 1 :]:
        values = values | stage.forward(input_part, product, values)
        gradients = {name: torch.zeros_like(tensor) for name, tensor in values.items()}
        names |= {stage.operand, *stage.backward(gradients, values).values}
    return names


@pytest.mark.parametrize("scale", [1.0, 20.0], ids=["usual", "saturated"])
@pytest.mark.parametrize("kind", CELLS)
def test_written_backward_of_every_stage_is_that_of_autograd(kind: CellKind, scale: float) -> None:
    cell = random_cell(kind)
    for number, (stage, input_part, product, values) in enumerate(values_before_stages(cell, scale)):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in values.items()}
        leaves["<input part>"] = input_part.clone().requires_grad_()
        leaves["<product>"] = product.clone().requires_grad_()
        before = {name: leaves[name] for name in values}
        results = stage.forward(leaves["<input part>"], leaves["<product>"], before)
        gradients = {name: torch.randn_like(results[name]) for name in sorted(read_later(cell, number) & set(results))}
        expected = torch.autograd.grad(
            [results[name] for name in gradients],
            list(leaves.values()),
            list(gradients.values()),
            materialize_grads=True,
            allow_unused=True,
        )
        saved = {name: tensor.detach() for name, tensor in (before | results).items() if name in stage.saved}
        found = stage.backward({name: tensor.clone() for name, tensor in gradients.items()}, saved)
        written = {"<input part>": found.input_part, "<product>": found.product, **found.values}
        assert set(written) <= set(leaves)
        for name, gradient in zip(leaves, expected, strict=True):
            actual = written.get(name, torch.zeros_like(gradient))
            torch.testing.assert_close(
                actual, gradient, rtol=1e-10, atol=1e-13, msg=lambda text, at=name: f"{at}: {text}"
            )


@pytest.mark.parametrize("kind", CELLS)
def test_stages_read_their_arguments_and_never_write_them(kind: CellKind) -> None:
    cell = random_cell(kind)
    for stage, input_part, product, values in values_before_stages(cell, 1.0):
        inputs = {"<input part>": input_part, "<product>": product, **values}
        copies = {name: tensor.clone() for name, tensor in inputs.items()}
        results = values | stage.forward(input_part, product, values)
        assert set(values) == set(inputs) - {"<input part>", "<product>"}
        for name, tensor in inputs.items():
            assert torch.equal(tensor, copies[name]), name
        gradients = {name: torch.randn_like(tensor) for name, tensor in results.items()}
        copies = {
            name: tensor.clone() for name, tensor in (results | {f"d {n}": g for n, g in gradients.items()}).items()
        }
        stage.backward(gradients, results)
        for name, tensor in (results | {f"d {n}": g for n, g in gradients.items()}).items():
            assert torch.equal(tensor, copies[name]), name


@pytest.mark.parametrize("kind", CELLS)
def test_stages_compute_the_named_gates_and_states(kind: CellKind) -> None:
    cell = random_cell(kind)
    assert tuple(gate for stage in cell.stages for gate in stage.gates) == cell.gates
    assert cell.state_names[0] == "hidden"
    values: Values = random_state(cell)
    for stage, input_part, product, _ in values_before_stages(cell, 1.0):
        assert stage.operand in values, f"{stage.operand} is not there yet"
        values.update(stage.forward(input_part, product, values))
    wanted = {*cell.gates, *(f"new_{name}" for name in cell.state_names)}
    wanted |= {name for stage in cell.stages for name in stage.saved}
    assert wanted <= set(values)
    for name in (*cell.gates, *(f"new_{name}" for name in cell.state_names)):
        assert values[name].shape == (BATCH, HIDDEN_DIM), name


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_weights_have_the_one_layout(kind: CellKind, bias: bool) -> None:
    cell = random_cell(kind, bias=bias)
    rows = len(cell.gates) * HIDDEN_DIM
    shapes = {name: tuple(parameter.shape) for name, parameter in cell.named_parameters()}
    expected = {"input_weight": (rows, INPUT_DIM), "recurrent_weight": (rows, HIDDEN_DIM)}
    if bias:
        expected["bias"] = (rows,)
        if kind == "gru_after":
            expected["candidate_bias"] = (HIDDEN_DIM,)
    assert shapes == expected


@pytest.mark.parametrize("kind", CELLS)
def test_a_step_gives_output_state_and_gates(kind: CellKind) -> None:
    cell = random_cell(kind)
    state = cell.initial_state(BATCH)
    assert {name: tensor.dtype for name, tensor in state.items()} == dict.fromkeys(cell.state_names, torch.float64)
    assert all(not tensor.any() for tensor in state.values())
    step = cell(torch.randn(BATCH, INPUT_DIM, dtype=torch.float64), state)
    assert torch.equal(step.output, step.state["hidden"])
    assert tuple(step.state) == cell.state_names
    assert tuple(step.gates) == cell.gates


@pytest.mark.parametrize("kind", CELLS)
def test_fresh_weights_are_orthogonal_and_forget_little(kind: CellKind) -> None:
    torch.manual_seed(3)
    cell = build_cell(kind, INPUT_DIM, HIDDEN_DIM)
    for block in cell.recurrent_weight.split(HIDDEN_DIM):
        torch.testing.assert_close(block @ block.t(), torch.eye(HIDDEN_DIM), rtol=0.0, atol=1e-5)
    assert cell.bias is not None
    for gate, block in zip(cell.gates, cell.bias.split(HIDDEN_DIM), strict=True):
        assert torch.equal(block, torch.full_like(block, 1.0 if kind == "lstm" and gate == "forget" else 0.0)), gate
