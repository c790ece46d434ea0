"""RNN, LSTM and GRU against torch's own, and against the lecture's equations in numpy.

torch orders a GRU's gates reset, update, candidate, as seqlens does, but its update gate keeps the old state where
ours lets the new one in: its rows change sign. torch adds two biases, we have one, and one more for the candidate of
a GRU that resets after the product. An LSTM's gates stand in torch's order.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils import _pytree as pytree

from seqlens.cells import CellKind
from seqlens.layers import GRU, LSTM, RNN, LayerState, RecurrentLayer, RecurrentState
from seqlens.layers.build import build_recurrent
from seqlens.testing import assert_same_function

INPUT_DIM, HIDDEN_DIM, TIME = 3, 4, 6
TORCH_LAYERS = {"rnn": (RNN, nn.RNN), "lstm": (LSTM, nn.LSTM), "gru": (GRU, nn.GRU)}

each_kind = pytest.mark.parametrize("kind", TORCH_LAYERS)
each_direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-way"])
each_depth = pytest.mark.parametrize("num_layers", [1, 3])


def build_pair(
    kind: str, num_layers: int, bidirectional: bool, *, bias: bool = True
) -> tuple[RecurrentLayer, nn.RNNBase]:
    """Our layer and torch's, with the same function."""
    torch.manual_seed(0)
    ours_type, torch_type = TORCH_LAYERS[kind]
    theirs = torch_type(
        INPUT_DIM, HIDDEN_DIM, num_layers=num_layers, bidirectional=bidirectional, bias=bias, batch_first=True
    ).double()
    reset: dict[str, Any] = {"reset": "after"} if kind == "gru" else {}
    ours = ours_type(
        INPUT_DIM, HIDDEN_DIM, num_layers=num_layers, bidirectional=bidirectional, bias=bias, **reset
    ).double()
    with torch.no_grad():
        for number, layer in enumerate(ours.layers):
            for cell, suffix in ((layer.forward_cell, ""), (layer.backward_cell, "_reverse")):
                if cell is None:
                    continue
                taken = {name: getattr(theirs, f"{name}_l{number}{suffix}", None) for name in PARAMETERS}
                copy_weights(kind, cell, taken)
    return ours, theirs


PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def turn_update(kind: str, rows: Tensor) -> Tensor:
    """The update gate in the sense of the other side."""
    if kind != "gru":
        return rows
    reset, update, candidate = rows.chunk(3)
    return torch.cat((reset, -update, candidate))


def copy_weights(kind: str, cell: Any, theirs: dict[str, Tensor | None]) -> None:
    turned = {name: None if tensor is None else turn_update(kind, tensor) for name, tensor in theirs.items()}
    cell.input_weight.copy_(turned["weight_ih"])
    cell.recurrent_weight.copy_(turned["weight_hh"])
    if turned["bias_ih"] is None or turned["bias_hh"] is None:
        return
    cell.bias.copy_(turned["bias_ih"] + turned["bias_hh"])
    if kind == "gru":
        inner = slice(2 * HIDDEN_DIM, None)
        cell.bias[inner] = turned["bias_ih"][inner]
        cell.candidate_bias.copy_(turned["bias_hh"][inner])


def to_torch_state(state: RecurrentState) -> Any:
    """`[layers * directions, batch, hidden_dim]`, a pair of them for an LSTM."""
    sides = [side for layer in state.layers for side in layer if side is not None]
    stacked = {name: torch.stack([side[name] for side in sides]) for name in sides[0]}
    return (stacked["hidden"], stacked["cell"]) if "cell" in stacked else stacked["hidden"]


def from_torch_state(state: Any, bidirectional: bool) -> RecurrentState:
    named = {"hidden": state[0], "cell": state[1]} if isinstance(state, tuple) else {"hidden": state}
    sides = [dict(zip(named, parts, strict=True)) for parts in zip(*named.values(), strict=True)]
    step = 2 if bidirectional else 1
    return RecurrentState(tuple(LayerState(*sides[first : first + step]) for first in range(0, len(sides), step)))


def random_inputs(batch: int) -> Tensor:
    return torch.randn(batch, TIME, INPUT_DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def random_state(layer: RecurrentLayer, batch: int) -> RecurrentState:
    generator = torch.Generator().manual_seed(2)
    zeros = layer.initial_state(batch)
    return pytree.tree_map_only(Tensor, lambda t: torch.randn(t.shape, generator=generator, dtype=t.dtype), zeros)


@each_kind
@each_direction
@each_depth
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("executor", ["generic", "reference"])
def test_outputs_states_and_gradients_are_those_of_torch(
    kind: str, bidirectional: bool, num_layers: int, bias: bool, executor: Any
) -> None:
    ours, theirs = build_pair(kind, num_layers, bidirectional, bias=bias)
    ours.executor = executor

    def run_torch(inputs: Tensor, state: RecurrentState) -> object:
        outputs, end = theirs(inputs, to_torch_state(state))
        return outputs, from_torch_state(end, bidirectional)

    def run_ours(inputs: Tensor, state: RecurrentState) -> object:
        return tuple(ours(inputs, None, state))

    assert_same_function(run_ours, run_torch, random_inputs(3), random_state(ours, 3))


@each_kind
@each_direction
@each_depth
def test_packed_sequences(kind: str, bidirectional: bool, num_layers: int) -> None:
    """Ragged lengths, in no order; torch takes no empty sequence."""
    ours, theirs = build_pair(kind, num_layers, bidirectional)
    lengths = torch.tensor([3, 6, 1, 3])

    def run_torch(inputs: Tensor, state: RecurrentState) -> object:
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        outputs, end = theirs(packed, to_torch_state(state))
        padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=TIME)
        return padded, from_torch_state(end, bidirectional)

    def run_ours(inputs: Tensor, state: RecurrentState) -> object:
        return tuple(ours(inputs, lengths, state))

    assert_same_function(run_ours, run_torch, random_inputs(4), random_state(ours, 4))


@each_kind
@each_direction
def test_gradients_of_the_weights(kind: str, bidirectional: bool) -> None:
    ours, theirs = build_pair(kind, 2, bidirectional)
    inputs, lengths = random_inputs(4), torch.tensor([3, 6, 1, 3])
    weights = torch.randn(4, TIME, ours.output_dim, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (ours(inputs, lengths).outputs * weights).sum().backward()
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    padded, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True, total_length=TIME)
    (padded * weights).sum().backward()
    for number, layer in enumerate(ours.layers):
        for cell, suffix in ((layer.forward_cell, ""), (layer.backward_cell, "_reverse")):
            if cell is None:
                continue
            found = {name: getattr(theirs, f"{name}_l{number}{suffix}").grad for name in PARAMETERS}
            torch_gradients = {name: turn_update(kind, gradient) for name, gradient in found.items()}
            pairs = [
                (cell.input_weight, torch_gradients["weight_ih"]),
                (cell.recurrent_weight, torch_gradients["weight_hh"]),
                (cell.bias, torch_gradients["bias_ih"]),
            ]
            if kind == "gru":
                pairs.append((cell.candidate_bias, torch_gradients["bias_hh"][2 * HIDDEN_DIM :]))
            for parameter, expected in pairs:
                assert (parameter.grad - expected).abs().max() <= 1e-10 * expected.abs().max()


# --- the lecture's equations -------------------------------------------------------------------------------------

Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


SYMBOLS = {"input": "i", "forget": "f", "candidate": "C", "output": "o", "reset": "r", "update": "z"}


PLAIN: tuple[CellKind, ...] = ("rnn", "lstm", "gru", "gru_after")
"""The others are held to their papers in test_papers.py."""


def lecture_loop(
    kind: CellKind, gate_order: tuple[str, ...], weights: dict[str, Array], inputs: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Gates and states by step, `[time, hidden_dim]`, of one sequence, by the equations `W [h_{t-1}, x_t] + b`."""
    rows = [SYMBOLS[gate] for gate in gate_order]
    joined = np.concatenate((weights["recurrent_weight"], weights["input_weight"]), axis=1)
    W = dict(zip(rows, np.split(joined, len(rows)), strict=True))
    b = dict(zip(rows, np.split(weights["bias"], len(rows)), strict=True))
    h, c = np.zeros((2, HIDDEN_DIM))
    steps: list[tuple[dict[str, Array], dict[str, Array]]] = []
    for x in inputs:
        hx = np.concatenate((h, x))
        if kind == "rnn":
            h = np.tanh(W["C"] @ hx + b["C"])
            steps.append(({"candidate": h}, {"hidden": h}))
        elif kind == "lstm":
            f, i, o = (sigmoid(W[gate] @ hx + b[gate]) for gate in "fio")
            candidate = np.tanh(W["C"] @ hx + b["C"])
            c = f * c + i * candidate
            h = o * np.tanh(c)
            gates = {"input": i, "forget": f, "candidate": candidate, "output": o}
            steps.append((gates, {"hidden": h, "cell": c}))
        else:
            z, r = (sigmoid(W[gate] @ hx + b[gate]) for gate in "zr")
            if kind == "gru":
                candidate = np.tanh(W["C"] @ np.concatenate((r * h, x)) + b["C"])
            else:
                recurrent, given = np.split(W["C"], [HIDDEN_DIM], axis=1)
                candidate = np.tanh(given @ x + b["C"] + r * (recurrent @ h + weights["candidate_bias"]))
            h = (1 - z) * h + z * candidate
            steps.append(({"reset": r, "update": z, "candidate": candidate}, {"hidden": h}))
    gates_by_name = {name: np.stack([gates[name] for gates, _ in steps]) for name in steps[0][0]}
    return gates_by_name, {name: np.stack([states[name] for _, states in steps]) for name in steps[0][1]}


@pytest.mark.parametrize("kind", PLAIN)
def test_every_cell_is_its_equations(kind: CellKind) -> None:
    torch.manual_seed(0)
    layer = build_recurrent(kind, INPUT_DIM, HIDDEN_DIM).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    inputs = random_inputs(2)
    cell = layer.layers[0].forward_cell
    weights = {name: tensor.numpy() for name, tensor in cell.state_dict().items()}
    traced = layer.trace(inputs)
    outputs, end = layer(inputs)
    found_gates, found_states = traced.layers[0].forward
    for row in range(2):
        gates, states = lecture_loop(kind, cell.gates, weights, inputs[row].numpy())
        assert set(gates) == set(found_gates)
        assert set(states) == set(found_states)
        for expected, found in ((gates, found_gates), (states, found_states)):
            for name, array in expected.items():
                np.testing.assert_allclose(found[name][row].detach().numpy(), array, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(outputs[row].detach().numpy(), states["hidden"], rtol=1e-10, atol=1e-12)
        for name, array in states.items():
            np.testing.assert_allclose(end.last(name)[row].detach().numpy(), array[-1], rtol=1e-10, atol=1e-12)


def test_the_two_grus_differ() -> None:
    """Their weights fit each other, so taking one for the other goes unnoticed but for the numbers."""
    torch.manual_seed(0)
    before, after = GRU(3, 4, bias=False, reset="before"), GRU(3, 4, bias=False, reset="after")
    after.load_state_dict(before.state_dict())
    inputs = torch.randn(1, 5, 3)
    torch.testing.assert_close(before(inputs).outputs[:, 0], after(inputs).outputs[:, 0])
    assert (before(inputs).outputs - after(inputs).outputs)[:, 1:].abs().max() > 1e-3
