"""Every variant of a cell against the equations of its paper, written down in numpy for one sequence."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from seqlens.cells import CellKind
from seqlens.layers.build import build_recurrent

INPUT_DIM, HIDDEN_DIM, CELL_DIM, TIME = 3, 4, 8, 6

Array = NDArray[np.float64]
Weights = dict[str, Array]
State = dict[str, Array]
Step = Callable[[Weights, Array, State], State]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def norm(rows: Array, gain: Array, bias: Array | float = 0.0) -> Array:
    """Ba et al. 2016, equation 4."""
    return gain * (rows - rows.mean()) / np.sqrt(rows.var() + 1e-5) + bias


def rnn_relu(w: Weights, x: Array, s: State) -> State:
    """Le et al. 2015, section 2."""
    return {"hidden": np.maximum(0, w["recurrent_weight"] @ s["hidden"] + w["input_weight"] @ x + w["bias"])}


def rnn_layer_norm(w: Weights, x: Array, s: State) -> State:
    recurrent = norm(w["recurrent_weight"] @ s["hidden"], w["recurrent_gain"])
    return {"hidden": np.tanh(recurrent + norm(w["input_weight"] @ x, w["input_gain"]) + w["bias"])}


def lstm_peephole(w: Weights, x: Array, s: State) -> State:
    """Gers & Schmidhuber 2000, section 3."""
    i, f, c, o = np.split(w["recurrent_weight"] @ s["hidden"] + w["input_weight"] @ x + w["bias"], 4)
    of_i, of_f, of_o = np.split(w["peephole"], 3)
    cell = sigmoid(f + of_f * s["cell"]) * s["cell"] + sigmoid(i + of_i * s["cell"]) * np.tanh(c)
    return {"cell": cell, "hidden": sigmoid(o + of_o * cell) * np.tanh(cell)}


def lstm_coupled(w: Weights, x: Array, s: State) -> State:
    """Greff et al. 2017, section 3, CIFG."""
    i, c, o = np.split(w["recurrent_weight"] @ s["hidden"] + w["input_weight"] @ x + w["bias"], 3)
    cell = (1 - sigmoid(i)) * s["cell"] + sigmoid(i) * np.tanh(c)
    return {"cell": cell, "hidden": sigmoid(o) * np.tanh(cell)}


def lstm_projected(w: Weights, x: Array, s: State) -> State:
    """Sak et al. 2014, equations 1 to 6, without peepholes."""
    i, f, c, o = np.split(w["recurrent_weight"] @ s["hidden"] + w["input_weight"] @ x + w["bias"], 4)
    cell = sigmoid(f) * s["cell"] + sigmoid(i) * np.tanh(c)
    return {"cell": cell, "hidden": w["projection_weight"] @ (sigmoid(o) * np.tanh(cell))}


def lstm_layer_norm(w: Weights, x: Array, s: State) -> State:
    """Ba et al. 2016, equations 20 to 22."""
    recurrent = norm(w["recurrent_weight"] @ s["hidden"], w["recurrent_gain"])
    i, f, c, o = np.split(recurrent + norm(w["input_weight"] @ x, w["input_gain"]) + w["bias"], 4)
    cell = sigmoid(f) * s["cell"] + sigmoid(i) * np.tanh(c)
    return {"cell": cell, "hidden": sigmoid(o) * np.tanh(norm(cell, w["cell_gain"], w["cell_bias"]))}


def gru_layer_norm(w: Weights, x: Array, s: State) -> State:
    """Ba et al. 2016, equations 23 to 25."""
    both = 2 * HIDDEN_DIM
    recurrent, given = w["recurrent_weight"] @ s["hidden"], w["input_weight"] @ x
    gates = norm(recurrent[:both], w["recurrent_gain"][:both]) + norm(given[:both], w["input_gain"][:both])
    r, z = np.split(sigmoid(gates + w["bias"][:both]), 2)
    inner = norm(recurrent[both:], w["recurrent_gain"][both:], w["candidate_bias"])
    candidate = np.tanh(norm(given[both:], w["input_gain"][both:]) + w["bias"][both:] + r * inner)
    return {"hidden": (1 - z) * s["hidden"] + z * candidate}


def min_gru(w: Weights, x: Array, s: State) -> State:
    """Feng et al. 2024, section 3.1."""
    z, candidate = np.split(w["input_weight"] @ x + w["bias"], 2)
    return {"hidden": (1 - sigmoid(z)) * s["hidden"] + sigmoid(z) * candidate}


def min_lstm(w: Weights, x: Array, s: State) -> State:
    """Feng et al. 2024, section 3.2."""
    i, f, candidate = np.split(w["input_weight"] @ x + w["bias"], 3)
    i, f = sigmoid(i), sigmoid(f)
    return {"hidden": f / (f + i) * s["hidden"] + i / (f + i) * candidate}


PAPERS: dict[CellKind, Step] = {
    "rnn_relu": rnn_relu,
    "rnn_layer_norm": rnn_layer_norm,
    "lstm_peephole": lstm_peephole,
    "lstm_coupled": lstm_coupled,
    "lstm_projected": lstm_projected,
    "lstm_layer_norm": lstm_layer_norm,
    "gru_layer_norm": gru_layer_norm,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
}


def test_every_cell_is_held_to_its_equations_here_or_in_test_torch_recurrent() -> None:
    assert {*PAPERS, "rnn", "lstm", "gru", "gru_after"} == set(get_args(CellKind))


@pytest.mark.parametrize("kind", PAPERS)
def test_every_variant_is_its_paper(kind: CellKind) -> None:
    torch.manual_seed(0)
    layer = build_recurrent(kind, INPUT_DIM, HIDDEN_DIM).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    inputs = torch.randn(2, TIME, INPUT_DIM, dtype=torch.float64)
    cell = layer.layers[0].forward_cell
    weights = {name: tensor.numpy() for name, tensor in cell.state_dict().items()}
    outputs, end = layer(inputs)
    traced = layer.trace(inputs).layers[0].forward
    for row in range(2):
        state: State = {name: np.zeros(dim) for name, dim in cell.state_dims.items()}
        for t in range(TIME):
            state = PAPERS[kind](weights, inputs[row, t].numpy(), state)
            np.testing.assert_allclose(outputs[row, t].detach().numpy(), state["hidden"], rtol=1e-10, atol=1e-12)
            for name, expected in state.items():
                found = traced.states[name][row, t].detach().numpy()
                np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        for name, expected in state.items():
            np.testing.assert_allclose(end.last(name)[row].detach().numpy(), expected, rtol=1e-10, atol=1e-12)
