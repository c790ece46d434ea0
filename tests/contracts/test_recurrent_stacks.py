"""Stacks: directions merged, residuals, learned states, starts by name, truncated backpropagation through time."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from seqlens.cells import CellKind
from seqlens.layers import LSTM, RNN, RecurrentLayer
from seqlens.layers.build import build_recurrent
from seqlens.layers.executors.choose import ExecutorChoice
from seqlens.testing import (
    assert_chunks_equal_whole,
    assert_padding_invariant,
    assert_same_function,
    assert_steps_equal_whole,
)

CELLS: tuple[CellKind, ...] = get_args(CellKind)
INPUT_DIM, HIDDEN_DIM, TIME = 3, 4, 6
LENGTHS = torch.tensor([4, 0, 6, 1])

each_cell = pytest.mark.parametrize("kind", CELLS)


def randomised(layer: RecurrentLayer) -> RecurrentLayer:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.6)
    return layer.double()


def random_inputs(batch: int = 4) -> Tensor:
    return torch.randn(batch, TIME, INPUT_DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@each_cell
def test_directions_are_concatenated_added_or_averaged(kind: CellKind) -> None:
    layers = [
        randomised(build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, bidirectional=True, merge=merge))
        for merge in ("concatenate", "sum", "mean")
    ]
    assert [layer.output_dim for layer in layers] == [2 * HIDDEN_DIM, HIDDEN_DIM, HIDDEN_DIM]
    concatenated, added, averaged = (layer(random_inputs(), LENGTHS).outputs for layer in layers)
    forward, backward = concatenated.chunk(2, dim=2)
    torch.testing.assert_close(added, forward + backward)
    torch.testing.assert_close(averaged, (forward + backward) / 2)
    assert torch.equal(layers[0](random_inputs()).state.last(), layers[1](random_inputs()).state.last())
    deep = randomised(build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, num_layers=2, bidirectional=True, merge="sum"))
    assert_padding_invariant(deep, (random_inputs(), LENGTHS))


@each_cell
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-way"])
def test_residuals_go_around_every_layer_but_the_first(kind: CellKind, bidirectional: bool) -> None:
    options = {"num_layers": 3, "bidirectional": bidirectional, "residual": True}
    layer = randomised(build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, **options))
    expected, singles = random_inputs(), layer.layers
    for number, single in enumerate(singles):
        alone = build_recurrent(kind, expected.shape[2], HIDDEN_DIM, bidirectional=bidirectional).double()
        alone.layers[0].load_state_dict(single.state_dict())
        outputs = alone(expected, LENGTHS).outputs
        # Padding of the inputs is not zero, that of outputs is.
        expected = outputs if number == 0 else expected + outputs
    torch.testing.assert_close(layer(random_inputs(), LENGTHS).outputs, expected)
    assert_padding_invariant(layer, (random_inputs(), LENGTHS))
    if not bidirectional:
        assert_steps_equal_whole(layer, random_inputs())
        assert_chunks_equal_whole(layer, random_inputs(), chunk_sizes=(2, 0, 3, 1))


@each_cell
def test_a_learned_state_is_where_every_sequence_starts(kind: CellKind) -> None:
    options = {"num_layers": 2, "bidirectional": True, "learned_state": True}
    layer = build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, **options)
    assert not layer.initial_state(2).last().any(), "it starts at zero"
    assert all(
        tuple(side or ()) == layer.layers[0].forward_cell.state_names for side in layer.initial_state(2).layers[0]
    )
    randomised(layer)
    plain = build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, num_layers=2, bidirectional=True).double()
    learned = {name for name in layer.state_dict() if "_start." in name}
    cell = layer.layers[0].forward_cell
    sides = [f"layers.{number}.{side}_start." for number in (0, 1) for side in ("forward", "backward")]
    assert learned == {side + name for side in sides for name in cell.state_names}
    plain.load_state_dict({name: tensor for name, tensor in layer.state_dict().items() if name not in learned})
    output = layer(random_inputs(), LENGTHS)
    expected = plain(random_inputs(), LENGTHS, layer.initial_state(4))
    torch.testing.assert_close(output.outputs, expected.outputs)
    # The empty sequence ends where it began, and that is not zero.
    for number, (forward, backward) in enumerate(output.state.layers):
        assert backward is not None
        for name in cell.state_names:
            parameter = layer.get_parameter(f"layers.{number}.forward_start.{name}")
            assert torch.equal(forward[name][1], parameter)
    output.outputs.square().sum().backward()
    for name in learned:
        gradient = layer.get_parameter(name).grad
        assert gradient is not None
        assert gradient.any(), name
    assert_padding_invariant(layer, (random_inputs(), LENGTHS))


@each_cell
def test_stepping_from_a_learned_state_equals_the_whole(kind: CellKind) -> None:
    layer = randomised(build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, num_layers=2, learned_state=True))
    assert_steps_equal_whole(layer, random_inputs())
    assert_chunks_equal_whole(layer, random_inputs(), chunk_sizes=(4, 2))


@pytest.mark.parametrize("executor", ["auto", "reference"])
@each_cell
def test_truncated_backpropagation_through_time(kind: CellKind, executor: ExecutorChoice) -> None:
    """Chunks give the outputs of the whole; a detached state cuts the gradient and nothing else."""
    layer = randomised(build_recurrent(kind, INPUT_DIM, HIDDEN_DIM, num_layers=2, executor=executor))
    inputs = random_inputs()
    whole = layer(inputs).outputs
    whole_gradients = torch.autograd.grad(whole.square().sum(), list(layer.parameters()))

    def in_chunks(*, cut: bool) -> tuple[Tensor, list[Tensor]]:
        state, outputs = layer.initial_state(len(inputs)), []
        total: list[Tensor] = [torch.zeros_like(parameter) for parameter in layer.parameters()]
        loss = torch.zeros((), dtype=torch.float64)
        for chunk in inputs.split(2, dim=1):
            output = layer(chunk, None, state.detach() if cut else state)
            outputs.append(output.outputs.detach())
            state, part = output.state, output.outputs.square().sum()
            if cut:
                for sum_, gradient in zip(total, torch.autograd.grad(part, list(layer.parameters())), strict=True):
                    sum_ += gradient
            else:
                loss = loss + part
        return torch.cat(outputs, dim=1), total if cut else list(torch.autograd.grad(loss, list(layer.parameters())))

    for cut in (False, True):
        outputs, gradients = in_chunks(cut=cut)
        torch.testing.assert_close(outputs, whole, rtol=1e-10, atol=1e-12)
        close = [
            torch.allclose(one, other, rtol=1e-8, atol=1e-10)
            for one, other in zip(gradients, whole_gradients, strict=True)
        ]
        assert all(close) is not cut


def test_starts_by_name_reach_every_cell() -> None:
    layer = RNN(2, 3, num_layers=2, bidirectional=True, activation="relu", start="identity")
    for name, parameter in layer.named_parameters():
        if name.endswith("recurrent_weight"):
            assert torch.equal(parameter, torch.eye(3)), name
    lstm = LSTM(2, 50, num_layers=2, start="chrono", longest=200)
    assert all(part.forward_cell.bias[50:100].max() > 3 for part in lstm.layers)
    forgetful = LSTM(2, 3, num_layers=2, forget_bias=-2.0)
    assert all(torch.equal(part.forward_cell.bias[3:6], torch.full((3,), -2.0)) for part in forgetful.layers)
    with pytest.raises(ValueError, match="cells without gates, such as RNNCell, not for LSTMCell"):
        LSTM(2, 3, start="identity")
    with pytest.raises(ValueError, match="not for RNNCell"):
        RNN(2, 3, forget_bias=1.0)


def test_a_projected_lstm_has_a_cell_of_its_own_size() -> None:
    layer = LSTM(3, 2, variant="projected", cell_dim=5, num_layers=2, bidirectional=True)
    outputs, state = layer(torch.randn(4, 6, 3))
    assert outputs.shape == (4, 6, 4)
    assert state.last("hidden").shape == (4, 4)
    assert state.last("cell").shape == (4, 10)


def test_layers_of_a_stack_are_the_sum_of_single_ones() -> None:
    """Two layers are one on the other, with and without what this page adds."""
    layer = randomised(LSTM(INPUT_DIM, HIDDEN_DIM, num_layers=2))
    below, above = LSTM(INPUT_DIM, HIDDEN_DIM).double(), LSTM(HIDDEN_DIM, HIDDEN_DIM).double()
    below.layers[0].load_state_dict(layer.layers[0].state_dict())
    above.layers[0].load_state_dict(layer.layers[1].state_dict())

    def stacked(inputs: Tensor) -> Tensor:
        return above(below(inputs, LENGTHS).outputs, LENGTHS).outputs

    assert_same_function(lambda inputs: layer(inputs, LENGTHS).outputs, stacked, random_inputs())
