"""Padding is never seen, chunks equal the whole, steps equal the whole; the state that is carried."""

from typing import Literal

import pytest
import torch

from seqlens.cells import CellKind
from seqlens.testing import (
    assert_chunks_equal_whole,
    assert_padding_invariant,
    assert_steps_equal_whole,
)
from tests.contracts.recurrent import (
    HIDDEN_DIM,
    each_cell,
    each_depth,
    each_direction,
    random_inputs,
    random_layer,
    random_state,
    with_executor,
)


@each_cell
@each_direction
@pytest.mark.parametrize("executor", ["reference", "generic"])
def test_padding_never_changes_an_answer(
    kind: CellKind, bidirectional: bool, executor: Literal["reference", "generic"]
) -> None:
    layer = with_executor(random_layer(kind, bidirectional=bidirectional, num_layers=2), executor)
    assert_padding_invariant(layer, (random_inputs(5), torch.tensor([3, 0, 6, 1, 6])))


@each_cell
def test_padding_never_changes_an_answer_in_float32(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, dtype=torch.float32)
    assert_padding_invariant(layer, (random_inputs(4, dtype=torch.float32), torch.tensor([3, 0, 6, 1])))


@each_cell
def test_outputs_are_zero_at_padding_and_an_empty_sequence_ends_where_it_began(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2)
    state = random_state(layer, 3)
    lengths = torch.tensor([2, 0, 6])
    outputs, end = layer(random_inputs(3), lengths, state)
    for row, length in enumerate(lengths.tolist()):
        assert not outputs[row, length:].any()
        # A rectifier's outputs may be zero elsewhere too.
        assert outputs[row, :length].any() if kind == "rnn_relu" and length else outputs[row, :length].all()
    for before, after in zip(state.layers, end.layers, strict=True):
        assert before.backward is not None
        assert after.backward is not None
        for name in before.forward:
            assert torch.equal(before.forward[name][1], after.forward[name][1])
            assert torch.equal(before.backward[name][1], after.backward[name][1])


@each_cell
@each_depth
@pytest.mark.parametrize("chunk_sizes", [(1, 5), (4, 2), (2, 0, 3, 1)], ids=str)
def test_chunks_equal_the_whole(kind: CellKind, num_layers: int, chunk_sizes: tuple[int, ...]) -> None:
    layer = random_layer(kind, num_layers=num_layers)
    assert_chunks_equal_whole(layer, random_inputs(3), chunk_sizes=chunk_sizes)
    lengths = torch.tensor([4, 0, 6])
    assert_chunks_equal_whole(layer, random_inputs(3), lengths, chunk_sizes=chunk_sizes, state=random_state(layer, 3))


@each_cell
@each_depth
def test_steps_equal_the_whole(kind: CellKind, num_layers: int) -> None:
    layer = random_layer(kind, num_layers=num_layers)
    assert_steps_equal_whole(layer, random_inputs(3))
    state = random_state(layer, 3)
    assert_steps_equal_whole(layer, random_inputs(3), state=state, whole=lambda inputs: layer(inputs, None, state)[0])


# --- state -------------------------------------------------------------------------------------------------------


@each_cell
def test_select_takes_rows_in_any_order_and_number(kind: CellKind) -> None:
    layer = random_layer(kind, bidirectional=True, num_layers=2)
    state = layer(random_inputs(3)).state
    rows = torch.tensor([2, 0, 2, 2])
    chosen = state.select(rows)
    for before, after in zip(state.layers, chosen.layers, strict=True):
        assert before.backward is not None
        assert after.backward is not None
        for name in before.forward:
            assert torch.equal(after.forward[name], before.forward[name][rows])
            assert torch.equal(after.backward[name], before.backward[name][rows])
    assert torch.equal(chosen.last(), state.last()[rows])
    assert state.last().shape == (3, 2 * HIDDEN_DIM)


@each_cell
def test_detach_cuts_the_graph(kind: CellKind) -> None:
    layer = random_layer(kind)
    inputs = random_inputs(2).requires_grad_()
    state = layer(inputs).state
    layer(random_inputs(2), None, state.detach()).outputs.sum().backward()
    assert inputs.grad is None
    assert layer.layers[0].forward_cell.input_weight.grad.any()
    layer(random_inputs(2), None, state).outputs.sum().backward()
    assert inputs.grad is not None
