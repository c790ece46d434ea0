"""The public assertions on torch's own layers: what is right passes, and the known faults are found and named.

`docs/testing.md` shows these; a test there whose sentence a new torch no longer gives tells that a fault is gone.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlens.testing import (
    assert_chunks_equal_whole,
    assert_padding_invariant,
    assert_same_function,
    assert_steps_equal_whole,
)

DIM = 4
LENGTHS = torch.tensor([2, 5, 1])
WITH_EMPTY = torch.tensor([2, 5, 0])
QUERY_LENGTHS = torch.tensor([2, 2, 2])

Call = Callable[..., object]


def random_inputs(time: int = 5) -> Tensor:
    return torch.randn(3, time, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def recurrent(kind: type[nn.RNNBase], *, bidirectional: bool = False, num_layers: int = 1) -> nn.RNNBase:
    torch.manual_seed(0)
    make: Callable[..., nn.RNNBase] = kind
    return make(DIM, DIM, batch_first=True, bidirectional=bidirectional, num_layers=num_layers).double()


def padding_mask(values: Tensor, lengths: Tensor) -> Tensor:
    """As torch has it: True where padding is."""
    return torch.arange(values.shape[1]) >= lengths[:, None]


def encoder() -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(DIM, 2, 8, batch_first=True, dropout=0.0)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).double()


each_recurrent = pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU], ids=lambda kind: kind.__name__)


# --- recurrent layers --------------------------------------------------------------------------------------------


@each_recurrent
def test_a_backward_direction_reads_the_padding_first(kind: type[nn.RNNBase]) -> None:
    """pytorch#517: the most common fault of all, and no error is raised."""
    layer = recurrent(kind, bidirectional=True)
    with pytest.raises(AssertionError, match=r"the output of sequence 0 \(2 of 5 steps; padding: 0\) is off by"):
        assert_padding_invariant(layer, (random_inputs(), LENGTHS), call=lambda inputs, _: layer(inputs)[0])


@each_recurrent
def test_a_forward_directions_outputs_are_right_but_its_final_state_and_gradients_are_not(
    kind: type[nn.RNNBase],
) -> None:
    layer = recurrent(kind)
    given = (random_inputs(), LENGTHS)
    assert_padding_invariant(layer, given, call=lambda inputs, _: layer(inputs)[0], gradients=False)
    with pytest.raises(AssertionError, match=r"the gradient of input 0 of sequence 0 .*padding: nan\) is off by inf"):
        assert_padding_invariant(layer, given, call=lambda inputs, _: layer(inputs)[0])

    def final(inputs: Tensor, _: Tensor) -> Tensor:
        state = layer(inputs)[1]
        return (state[0] if isinstance(state, tuple) else state)[0]

    with pytest.raises(AssertionError, match=r"the output of sequence 0 \(2 of 5 steps; padding: 0\) is off by"):
        assert_padding_invariant(layer, given, call=final)


def through_packing(layer: nn.RNNBase) -> Call:
    def call(inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        outputs, state = layer(packed)
        hidden = state[0] if isinstance(state, tuple) else state
        return pad_packed_sequence(outputs, batch_first=True)[0], hidden.transpose(0, 1)

    return call


@each_recurrent
def test_packing_is_right_but_refuses_an_empty_sequence(kind: type[nn.RNNBase]) -> None:
    """pytorch#11514."""
    layer = recurrent(kind, bidirectional=True, num_layers=2)
    assert_padding_invariant(layer, (random_inputs(), LENGTHS), call=through_packing(layer))
    sentence = r"the module fails on sequence 2 alone \(0 of 5 steps\): RuntimeError: .*"
    with pytest.raises(AssertionError, match=sentence):
        assert_padding_invariant(layer, (random_inputs(), WITH_EMPTY), call=through_packing(layer))


@each_recurrent
def test_a_state_is_not_batch_first(kind: type[nn.RNNBase]) -> None:
    """pytorch#4145: `batch_first=True` does not hold for states."""
    layer = recurrent(kind)
    with pytest.raises(ValueError, match=r"must have the 3 sequences as its first axis, but has the shape \[1, 3, 4\]"):
        assert_padding_invariant(layer, (random_inputs(), LENGTHS), call=lambda inputs, _: layer(inputs)[1])


@each_recurrent
def test_chunks(kind: type[nn.RNNBase]) -> None:
    layer = recurrent(kind, num_layers=2)
    inputs = random_inputs()
    assert_chunks_equal_whole(layer, inputs, chunk_sizes=(2, 3), call=lambda chunk, _, state: layer(chunk, state))
    with pytest.raises(AssertionError, match="the module fails on the 0 steps from 2 on: RuntimeError"):
        assert_chunks_equal_whole(layer, inputs, chunk_sizes=(2, 0, 3), call=lambda c, _, state: layer(c, state))
    both = recurrent(kind, bidirectional=True)
    with pytest.raises(AssertionError, match=r"the outputs of sequence 0 in chunks of 2, 3 is off"):
        assert_chunks_equal_whole(both, inputs, chunk_sizes=(2, 3), call=lambda chunk, _, state: both(chunk, state))


def test_steps_of_a_cell_equal_its_layer_and_two_layers_are_not_one_function() -> None:
    layer = recurrent(nn.LSTM)
    cell = nn.LSTMCell(DIM, DIM).double()
    cell.load_state_dict({name.removesuffix("_l0"): tensor for name, tensor in layer.state_dict().items()})

    def step(x_t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        hidden, memory = cell(x_t, state)
        return hidden, (hidden, memory)

    zeros = torch.zeros(3, DIM, dtype=torch.float64)
    assert_steps_equal_whole(layer, random_inputs(), step=step, state=(zeros, zeros))
    torch.manual_seed(1)
    with pytest.raises(AssertionError, match=r"\[0\] is off by"):
        assert_same_function(nn.LSTM(DIM, DIM, batch_first=True).double(), layer, random_inputs())


# --- attention ---------------------------------------------------------------------------------------------------


def test_a_transformer_without_its_mask_sees_the_padding() -> None:
    module = encoder()
    with pytest.raises(AssertionError, match=r"the output of sequence 0 \(2 of 5 steps; padding: 0\) is off by"):
        assert_padding_invariant(module, (random_inputs(), LENGTHS), call=lambda inputs, _: module(inputs))


def test_a_transformer_with_its_mask_is_right_until_the_padding_is_no_number() -> None:
    """A mask gives NaN the weight 0, and 0 times NaN is NaN."""
    module = encoder()

    def call(inputs: Tensor, lengths: Tensor) -> Tensor:
        return module(inputs, src_key_padding_mask=padding_mask(inputs, lengths))

    assert_padding_invariant(module, (random_inputs(), LENGTHS), call=call, fills=(0.0, -3.0))
    with pytest.raises(AssertionError, match=r"sequence 0 \(2 of 5 steps; padding: nan\) is off by inf"):
        assert_padding_invariant(module, (random_inputs(), LENGTHS), call=call)


def test_a_query_without_any_key_is_nan() -> None:
    """A memory of no steps: alone the context is zero, in a batch NaN, and so are the gradients of the whole batch."""
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(DIM, 2, batch_first=True).double()

    def call(query: Tensor, _: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        return attention(query, memory, memory, key_padding_mask=padding_mask(memory, lengths))[0]

    queries = (random_inputs(2), QUERY_LENGTHS)
    assert_padding_invariant(attention, queries, (random_inputs(), LENGTHS), call=call, fills=(0.0,))
    with pytest.raises(AssertionError, match=r"sequence 2 \(2 of 2 steps and 0 of 5 steps; .*: nan, expected 0"):
        assert_padding_invariant(attention, queries, (random_inputs(), WITH_EMPTY), call=call, fills=(0.0,))


def test_a_causal_transformer_keeps_no_state() -> None:
    """Chunk after chunk through a causal mask is not the whole: torch has nothing to carry over."""
    module = encoder()

    def call(chunk: Tensor, _: Tensor | None, state: None) -> tuple[Tensor, None]:
        mask = nn.Transformer.generate_square_subsequent_mask(chunk.shape[1], dtype=chunk.dtype)
        return module(chunk, mask=mask), state

    with pytest.raises(AssertionError, match=r"the outputs of sequence 0 in chunks of 2, 3 is off by .* at \[2, "):
        assert_chunks_equal_whole(module, random_inputs(), chunk_sizes=(2, 3), call=call)


# --- what else reads beyond the end ------------------------------------------------------------------------------


def test_a_convolution_reads_beyond_the_end() -> None:
    """Outputs at the last steps come from the padding: right only while it holds zeros, and never for gradients."""
    torch.manual_seed(0)
    convolution = nn.Conv1d(DIM, DIM, 3, padding=1).double()

    def call(inputs: Tensor, _: Tensor) -> Tensor:
        return convolution(inputs.transpose(1, 2)).transpose(1, 2)

    given = (random_inputs(), LENGTHS)
    assert_padding_invariant(convolution, given, call=call, fills=(0.0,), gradients=False)
    with pytest.raises(AssertionError, match=r"sequence 0 \(2 of 5 steps; padding: nan\) is off by inf"):
        assert_padding_invariant(convolution, given, call=call, gradients=False)
    with pytest.raises(AssertionError, match=r"the gradient of input 0 of sequence 0 .*, from its padding on, is off"):
        assert_padding_invariant(convolution, given, call=call, fills=(0.0,))


def test_a_bag_of_ids_counts_the_padding_unless_told() -> None:
    ids = torch.randint(1, 9, (3, 5), generator=torch.Generator().manual_seed(0))

    def check(bag: nn.EmbeddingBag) -> None:
        assert_padding_invariant(bag, (ids, LENGTHS), call=lambda given, _: bag(given), fills=(0,))

    check(nn.EmbeddingBag(9, DIM, mode="mean", padding_idx=0).double())
    with pytest.raises(AssertionError, match=r"the output of sequence 0 \(2 of 5 steps; padding: 0\) is off"):
        check(nn.EmbeddingBag(9, DIM, mode="mean").double())
