"""Every cell keeps the contract of `Cell` and `Stage`: a new one is enrolled by appearing in `CellKind`."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from seqlens.cells import Cell, CellKind, Rows, Stage, Values, build_cell

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
    return {name: torch.randn(BATCH, dim, dtype=torch.float64) for name, dim in cell.state_dims.items()}


def random_values(cell: Cell) -> Values:
    """What there is before the first stage: the state, and the vectors of the cell."""
    return {name: vector.detach() for name, vector in cell.vectors.items()} | random_state(cell)


def values_before_stages(cell: Cell, scale: float) -> list[tuple[Stage, Tensor, Tensor, Values]]:
    """Each stage with its input part, its product and every value that exists before it."""
    values: Values = random_values(cell)
    given = []
    for stage, weight in zip(cell.stages, cell.recurrence().weights, strict=True):
        input_part = scale * torch.randn(BATCH, len(stage.gates) * cell.gate_dim, dtype=torch.float64)
        product = scale * torch.randn(BATCH, weight.shape[0], dtype=torch.float64)
        given.append((stage, input_part, product, dict(values)))
        values.update(stage.forward(input_part, product, values))
    return given


def whole(rows: Rows) -> Tensor:
    return torch.cat(rows, dim=1) if isinstance(rows, tuple) else rows


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
        kept = {*stage.saved, *cell.vectors}
        saved = {name: tensor.detach() for name, tensor in (before | results).items() if name in kept}
        found = stage.backward({name: tensor.clone() for name, tensor in gradients.items()}, saved)
        written = {"<input part>": whole(found.input_part), "<product>": whole(found.product), **found.values}
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
    values: Values = random_values(cell)
    for stage, input_part, product, _ in values_before_stages(cell, 1.0):
        assert stage.operand in values, f"{stage.operand} is not there yet"
        values.update(stage.forward(input_part, product, values))
    wanted = {*cell.gates, *(f"new_{name}" for name in cell.state_names)}
    wanted |= {name for stage in cell.stages for name in stage.saved}
    assert wanted <= set(values)
    dims = dict.fromkeys(cell.gates, cell.gate_dim) | {f"new_{name}": dim for name, dim in cell.state_dims.items()}
    for name, dim in dims.items():
        assert values[name].shape == (BATCH, dim), name


OWN_PARAMETERS: dict[CellKind, dict[str, tuple[int, ...]]] = {
    "gru_after": {"candidate_bias": (HIDDEN_DIM,)},
    "lstm_peephole": {"peephole": (3 * HIDDEN_DIM,)},
    "lstm_projected": {"projection_weight": (HIDDEN_DIM, 2 * HIDDEN_DIM)},
    "rnn_layer_norm": {"input_gain": (HIDDEN_DIM,), "recurrent_gain": (HIDDEN_DIM,)},
    "lstm_layer_norm": {
        "input_gain": (4 * HIDDEN_DIM,),
        "recurrent_gain": (4 * HIDDEN_DIM,),
        "cell_gain": (HIDDEN_DIM,),
        "cell_bias": (HIDDEN_DIM,),
    },
    "gru_layer_norm": {
        "input_gain": (3 * HIDDEN_DIM,),
        "recurrent_gain": (3 * HIDDEN_DIM,),
        "candidate_bias": (HIDDEN_DIM,),
    },
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_weights_have_the_one_layout(kind: CellKind, bias: bool) -> None:
    cell = random_cell(kind, bias=bias)
    rows = len(cell.gates) * cell.gate_dim
    shapes = {name: tuple(parameter.shape) for name, parameter in cell.named_parameters()}
    expected = {"input_weight": (rows, INPUT_DIM), "recurrent_weight": (rows, HIDDEN_DIM)}
    if kind in ("min_gru", "min_lstm"):
        del expected["recurrent_weight"]
    expected |= OWN_PARAMETERS.get(kind, {})
    if bias:
        expected["bias"] = (rows,)
    else:
        for name in ("candidate_bias", "cell_bias"):
            expected.pop(name, None)
    assert shapes == expected
    assert set(cell.state_dict()) == set(expected)


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
    for block in cell.recurrent_weight.split(cell.gate_dim):
        if len(block):
            torch.testing.assert_close(block.t() @ block, torch.eye(HIDDEN_DIM), rtol=0.0, atol=1e-5)
    for name, parameter in cell.named_parameters():
        if parameter.ndim == 1 and name != "bias":
            assert torch.equal(parameter, torch.full_like(parameter, 1.0 if name.endswith("gain") else 0.0)), name
    assert cell.bias is not None
    # An LSTM forgets little from the start; where its forget gate is coupled, it lets little in.
    biases = {"forget": 1.0} if "cell" in cell.state_names else {}
    biases = {"input": -1.0} if kind == "lstm_coupled" else biases
    for gate, block in zip(cell.gates, cell.bias.split(cell.gate_dim), strict=True):
        assert torch.equal(block, torch.full_like(block, biases.get(gate, 0.0))), gate


# --- starts by name ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS)
def test_an_orthogonal_start_is_the_usual_one(kind: CellKind) -> None:
    torch.manual_seed(0)
    usual = build_cell(kind, INPUT_DIM, HIDDEN_DIM)
    started = build_cell(kind, INPUT_DIM, HIDDEN_DIM)
    torch.manual_seed(0)
    started.start("orthogonal")
    for name, parameter in usual.named_parameters():
        assert torch.equal(started.get_parameter(name), parameter), name


@pytest.mark.parametrize("kind", CELLS)
def test_chrono_remembers_as_long_as_asked(kind: CellKind) -> None:
    """Tallec & Ollivier 2018: what keeps starts at log(u), what overwrites at -log(u), u from 1 to longest - 1."""
    cell = build_cell(kind, INPUT_DIM, 300)
    if not cell.keep_gates and not cell.write_gates:
        with pytest.raises(ValueError, match="a gate that keeps or overwrites"):
            cell.start("chrono", longest=100)
        return
    with pytest.raises(ValueError, match="needs `longest`"):
        cell.start("chrono")
    cell.start("chrono", longest=100)
    assert cell.bias is not None
    spans = []
    for gate, block in zip(cell.gates, cell.bias.detach().split(cell.gate_dim), strict=True):
        if gate in cell.keep_gates or gate in cell.write_gates:
            spans.append((block if gate in cell.keep_gates else -block).exp())
            assert spans[-1].min() >= 1 - 1e-5
            assert 90 < spans[-1].max() <= 99 + 1e-3
            assert torch.equal(block, block if gate in cell.keep_gates else -spans[0].log()) or len(spans) > 1
        else:
            assert not block.any(), gate
    for span in spans[1:]:
        torch.testing.assert_close(span, spans[0])


@pytest.mark.parametrize("kind", CELLS)
def test_identity_is_for_cells_without_gates(kind: CellKind) -> None:
    cell = build_cell(kind, INPUT_DIM, HIDDEN_DIM)
    if kind in ("rnn", "rnn_relu", "rnn_layer_norm"):
        cell.start("identity")
        assert torch.equal(cell.recurrent_weight, torch.eye(HIDDEN_DIM))
        assert 0 < cell.input_weight.abs().max() < 0.01
        assert cell.bias is not None
        assert not cell.bias.any()
    else:
        with pytest.raises(ValueError, match="cells without gates"):
            cell.start("identity")


@pytest.mark.parametrize("kind", CELLS)
def test_uniform_is_as_torch_starts(kind: CellKind) -> None:
    cell = build_cell(kind, INPUT_DIM, 25)
    cell.start("uniform")
    bound = cell.gate_dim**-0.5
    for name, parameter in cell.named_parameters():
        if name.endswith("gain"):
            assert torch.equal(parameter, torch.ones_like(parameter))
        else:
            assert bound / 2 < parameter.abs().max() <= bound, name


@pytest.mark.parametrize("kind", CELLS)
def test_a_forget_bias_keeps_the_state(kind: CellKind) -> None:
    cell = build_cell(kind, INPUT_DIM, HIDDEN_DIM)
    if not cell.keep_gates and not cell.write_gates:
        with pytest.raises(ValueError, match="a gate that keeps or overwrites"):
            cell.set_forget_bias(2.0)
        return
    cell.set_forget_bias(30.0)
    state = random_state(cell.double())
    with torch.no_grad():
        cell.input_weight.zero_()
        cell.recurrent_weight.zero_()
    after = cell(torch.zeros(BATCH, INPUT_DIM, dtype=torch.float64), state).state
    kept = "cell" if "cell" in cell.state_names else "hidden"
    # A minLSTM shares 1 out between its gates: here a forget gate of 1 and an input gate of 1/2.
    share = 2 / 3 if kind == "min_lstm" else 1.0
    torch.testing.assert_close(after[kept], share * state[kept], rtol=0.0, atol=1e-8)
    with pytest.raises(ValueError, match="bias=False"):
        build_cell(kind, INPUT_DIM, HIDDEN_DIM, bias=False).set_forget_bias(1.0)
