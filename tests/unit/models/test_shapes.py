"""The small models for the other shapes keep the same promises."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from seqlens.layers import GRU, LSTM, TransformerEncoder
from seqlens.layers.options import Merge
from seqlens.models.encoders import (
    ConvolutionalEncoder,
    Encoder,
    EncoderOutput,
    RecurrentEncoder,
    SelfAttentionEncoder,
    pool_last,
)
from seqlens.models.shapes import Pooling, SequenceClassifier, SequenceGenerator, SequenceTagger
from seqlens.testing import assert_chunks_equal_whole, assert_padding_invariant, assert_steps_equal_whole

DIM = 4
LENGTHS = torch.tensor([3, 0, 5, 1])


def build_encoder(kind: str) -> Encoder:
    torch.manual_seed(0)
    if kind == "recurrent":
        return RecurrentEncoder(GRU(DIM, 3, bidirectional=True)).double()
    if kind == "convolutional":
        return ConvolutionalEncoder(DIM, 6, first_kernel=3, kernel=3, dilations=(1, 2)).double()
    layer = TransformerEncoder(DIM, num_layers=1, num_heads=2)
    return SelfAttentionEncoder(layer, positions="sinusoidal", max_length=9, dropout_p=0.3).double()


@pytest.mark.parametrize("merge", ["concatenate", "sum", "mean"])
def test_a_summary_is_merged_as_the_outputs_are(merge: Merge) -> None:
    encoder = RecurrentEncoder(GRU(DIM, 3, bidirectional=True, merge=merge)).double()
    inputs = random_inputs(1, 1, DIM)
    # Of one step the last state of either direction is its output.
    encoded = encoder(inputs, torch.tensor([1]))
    torch.testing.assert_close(encoded.summary, encoded.memory[:, 0])
    found = SequenceClassifier(encoder, num_classes=2).double()(inputs, torch.tensor([1]))
    assert found.logits.shape == (1, 2)


def sizes_of(pooling: Pooling) -> dict[str, int]:
    """What pooling by position needs besides."""
    sizes = {"positions": {"num_positions": 4}, "frames": {"num_positions": 4, "input_dim": DIM}}
    return sizes.get(pooling, {})


def random_inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


each_encoder = pytest.mark.parametrize("kind", ["recurrent", "self-attention", "convolutional"])


@each_encoder
@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_padding_never_changes_a_class(kind: str, pooling: Pooling) -> None:
    model = SequenceClassifier(build_encoder(kind), num_classes=2, pooling=pooling, **sizes_of(pooling)).double()
    assert_padding_invariant(model, (random_inputs(4, 5, DIM), LENGTHS))


@each_encoder
def test_padding_never_changes_a_tag(kind: str) -> None:
    model = SequenceTagger(build_encoder(kind), num_tags=3).double()
    assert_padding_invariant(model, (random_inputs(4, 5, DIM), LENGTHS))


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_an_empty_sequence_is_judged_by_the_bias_alone(pooling: Pooling) -> None:
    model = SequenceClassifier(build_encoder("recurrent"), num_classes=2, pooling=pooling, **sizes_of(pooling)).double()
    logits = model(random_inputs(2, 5, DIM), torch.tensor([0, 5])).logits
    torch.testing.assert_close(logits[0], model.output.bias)
    assert not torch.allclose(logits[1], model.output.bias)


def test_pooling_by_hand() -> None:
    memory = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [0.0, 0.0]], [[5.0, -6.0], [0.0, 0.0], [0.0, 0.0]]])
    lengths = torch.tensor([2, 1])

    def given(inputs: Tensor, lengths: Tensor) -> EncoderOutput:
        return EncoderOutput(inputs, inputs[:, 0] * 10, lengths)

    expected = {"summary": [[10, -40], [50, -60]], "last": [[3, -2], [5, -6]], "mean": [[2, -3], [5, -6]]}
    expected["max"] = [[3, -2], [5, -6]]
    learned = {"attention", "combined", "positions", "frames"}
    assert set(expected) == set(get_args(Pooling)) - learned
    for pooling in (one for one in get_args(Pooling) if one not in learned):
        model = SequenceClassifier(RecurrentEncoder(GRU(2, 2)), num_classes=2, pooling=pooling)
        model.encoder.forward = given  # type: ignore[method-assign]
        with torch.no_grad():
            model.output.weight.copy_(torch.eye(2))
            model.output.bias.zero_()
        assert model(memory, lengths).logits.tolist() == expected[pooling], pooling
    model = SequenceClassifier(RecurrentEncoder(GRU(2, 2)), num_classes=6, pooling="combined")
    model.encoder.forward = given  # type: ignore[method-assign]
    with torch.no_grad():
        model.output.weight.copy_(torch.eye(6))
        model.output.bias.zero_()
    output = model(memory, lengths)
    assert output.weights is not None
    weighed = (output.weights[:, :, None] * memory).sum(1)
    together = torch.cat((torch.tensor([[3.0, -2.0, 2.0, -3.0], [5.0, -6.0, 5.0, -6.0]]), weighed), 1)
    torch.testing.assert_close(output.logits, together)
    assert pool_last(memory, torch.tensor([0, 3])).tolist() == [[0, 0], [0, 0]]


def test_pooling_by_positions_keeps_each_step_apart() -> None:
    model = SequenceClassifier(build_encoder("convolutional"), num_classes=2, pooling="positions", num_positions=4)
    model = model.double().eval()
    inputs = random_inputs(1, 6, DIM)
    whole = model(inputs, torch.tensor([6])).logits
    # Kernels reach 1 + 1 + 2 steps, so the last of six says nothing to the first, but something to the second.
    changed = inputs.clone()
    changed[:, 5] += 1
    assert not torch.allclose(model(changed, torch.tensor([6])).logits, whole)
    with torch.no_grad():
        model.output.weight[:, model.output.in_features // 4 :] = 0
    cut = model(inputs, torch.tensor([6])).logits
    torch.testing.assert_close(model(changed, torch.tensor([6])).logits, cut)
    with pytest.raises(ValueError, match="num_positions"):
        SequenceClassifier(build_encoder("recurrent"), num_classes=2, pooling="positions")
    with pytest.raises(ValueError, match="input_dim"):
        SequenceClassifier(build_encoder("recurrent"), num_classes=2, pooling="frames", num_positions=4)


def build_generator(condition_dim: int | None = None) -> SequenceGenerator:
    torch.manual_seed(0)
    return SequenceGenerator(LSTM(DIM, 3, num_layers=2), vocab_size=7, condition_dim=condition_dim).double().eval()


def test_a_generator_steps_and_reads_chunks() -> None:
    model = build_generator(condition_dim=5)
    tokens = torch.randint(0, 7, (3, 6), generator=torch.Generator().manual_seed(2))
    state = model.start(random_inputs(3, 5))
    assert_steps_equal_whole(model, tokens, state=state, whole=lambda ids: model(ids, None, state).logits)
    assert_chunks_equal_whole(model, tokens, torch.tensor([6, 0, 3]), state=state.detach(), chunk_sizes=(2, 1, 3))
    assert_padding_invariant(model, (tokens, torch.tensor([6, 0, 3])))


def test_a_generator_starts_from_its_vector() -> None:
    model = build_generator(condition_dim=5)
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    logits = model(tokens, None, model.start(random_inputs(2, 5))).logits
    assert not torch.allclose(logits[0], logits[1])
    with pytest.raises(ValueError, match="condition_dim"):
        build_generator().start(random_inputs(2, 5))


def test_a_generator_must_not_see_what_it_predicts() -> None:
    with pytest.raises(ValueError, match="one direction"):
        SequenceGenerator(GRU(DIM, 3, bidirectional=True), vocab_size=7)


@pytest.mark.parametrize("layer", [GRU(DIM, 3), LSTM(DIM, 3), LSTM(DIM, 3, variant="layer_norm")])
def test_a_generator_that_starts_under_autocast_keeps_its_state_wide(layer: GRU | LSTM) -> None:
    model = SequenceGenerator(layer, vocab_size=5, condition_dim=2).eval()
    tokens = torch.tensor([[1, 2, 3]])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        state = model.start(torch.randn(1, 2))
        assert {part.dtype for part in state.layers[0].forward.values()} == {torch.float32}
        final = model(tokens, None, state).state
        assert {part.dtype for part in final.layers[0].forward.values()} == {torch.float32}
