"""Inspections of small models whose answer is known beforehand."""

import math

import pytest
import torch

from seqlens.data.batch import PairBatch, Sequences
from seqlens.data.examples import Pair
from seqlens.data.text import CharactersConfig
from seqlens.errors import RequestError
from seqlens.inspection import (
    AttentionMap,
    GradientThroughTime,
    attention_map,
    encoder_gates,
    gradient_through_time,
    gradient_warning,
)
from seqlens.inspection.gradients import by_lag
from seqlens.models.config import (
    DecoderConfig,
    EncoderConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    TransducerConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seqlens.models.encoders import RecurrentEncoder
from seqlens.models.transducer import Transducer
from seqlens.tasks.transduce.config import SharedCodec, TransduceConfig
from seqlens.tasks.transduce.task import TransduceTask

BOTTLENECK = RecurrentDecoderConfig(cell="gru", hidden_dim=12, attention=None)


def build(encoder: EncoderConfig, decoder: DecoderConfig) -> tuple[TransduceTask, Transducer]:
    model = TransducerConfig(embedding_dim=12, encoder=encoder, decoder=decoder, dropout_p=0.0)
    config = TransduceConfig(codec=SharedCodec(text=CharactersConfig()), model=model)
    task = TransduceTask.fit(config, lambda: [Pair("abcdefgh", "hgfedcba")])
    torch.manual_seed(0)
    return task, task.build_model().eval()


def batch(length: int) -> PairBatch:
    source = Sequences(torch.randint(4, 12, (2, length)), torch.tensor([length, length]))
    target = Sequences(torch.randint(4, 12, (2, 3)), torch.tensor([3, 3]))
    return PairBatch(source, target, (0, 1))


def test_norms_are_averaged_by_distance_from_the_end() -> None:
    gradient = torch.zeros(2, 3, 2)
    gradient[0, :, 0] = torch.tensor([1.0, 2.0, 3.0])
    gradient[1, :2, 1] = torch.tensor([5.0, 7.0])
    gradient[1, 2, :] = 1000.0  # padding
    result = by_lag(gradient, torch.tensor([3, 2]), both_ends=False)
    assert result.norms == pytest.approx((5.0, 3.5, 1.0))
    assert result.counts == (2, 2, 1)


def test_with_two_directions_the_nearer_end_counts() -> None:
    gradient = torch.tensor([1.0, 2.0, 9.0, 4.0, 3.0])[None, :, None]
    result = by_lag(gradient, torch.tensor([5]), both_ends=True)
    assert result.norms == pytest.approx((2.0, 3.0, 9.0))
    assert result.counts == (2, 2, 1)


@pytest.mark.parametrize(
    ("norms", "word"),
    [
        ((1.0,) * 8 + (1e-7,) * 2, "vanishes"),
        ((1.0,) * 8 + (0.0,) * 2, "vanishes"),
        ((1e-4,) * 8 + (10.0,) * 2, "explodes"),
        ((0.0,) * 8 + (1.0,) * 2, "explodes"),
        ((math.nan,) * 10, "explodes"),
        ((math.inf,) * 10, "explodes"),
        ((1.0,) * 9 + (math.nan,), "explodes"),
        ((1.0,) * 10, ""),
    ],
)
def test_a_warning_says_what_is_wrong_and_what_to_do(norms: tuple[float, ...], word: str) -> None:
    warning = gradient_warning(GradientThroughTime(norms, (1,) * len(norms)))
    assert (warning is None) == (word == "")
    if warning is not None:
        assert word in warning
        assert "LSTM" in warning or "gradient_clip" in warning


def test_a_contracting_rnn_is_warned_of_and_weights_keep_their_gradients() -> None:
    _, model = build(RecurrentEncoderConfig(cell="rnn", hidden_dim=12, bidirectional=False), BOTTLENECK)
    assert isinstance(model.encoder, RecurrentEncoder)
    with torch.no_grad():
        for name, parameter in model.encoder.layer.named_parameters():
            if name.endswith("recurrent_weight"):
                parameter.copy_(torch.eye(12) * 0.1)
    result = gradient_through_time(model, batch(40))
    assert result.ratio < 1e-6
    assert "vanishes" in (gradient_warning(result) or "")
    assert all(parameter.grad is None for parameter in model.parameters())


def test_attention_reaches_far_where_the_bottleneck_does_not() -> None:
    encoder = RecurrentEncoderConfig(cell="rnn", hidden_dim=12, bidirectional=False)
    _, attending = build(encoder, RecurrentDecoderConfig(cell="gru", hidden_dim=12, attention="additive"))
    _, bottleneck = build(encoder, BOTTLENECK)
    assert gradient_through_time(attending, batch(40)).ratio > gradient_through_time(bottleneck, batch(40)).ratio


@pytest.mark.parametrize(
    ("decoder", "layers", "heads"),
    [
        (RecurrentDecoderConfig(cell="gru", hidden_dim=12, attention="bilinear"), 1, 1),
        (RecurrentDecoderConfig(cell="gru", hidden_dim=12, attention="additive", input_feeding=True), 1, 1),
        (TransformerDecoderConfig(num_layers=2, num_heads=3, dropout_p=0.0), 2, 3),
    ],
    ids=["gru", "input feeding", "transformer"],
)
def test_an_attention_map_has_a_row_a_target_token_that_sums_to_one(
    decoder: DecoderConfig, layers: int, heads: int
) -> None:
    task, model = build(RecurrentEncoderConfig(cell="gru", hidden_dim=6), decoder)
    result = attention_map(task, model, "abc", "cb")
    assert result.source_tokens == ("a", "b", "c", "<end>")
    assert result.target_tokens == ("c", "b", "<end>")
    assert [tuple(layer.shape) for layer in result.layers] == [(heads, 3, 4)] * layers
    torch.testing.assert_close(result.mean.sum(1), torch.ones(3))


def test_coverage_shows_what_was_left_out_and_what_was_repeated() -> None:
    weights = torch.tensor([[[0.0, 0.9, 0.1, 0.0], [0.1, 0.8, 0.1, 0.0], [0.0, 0.7, 0.2, 0.1], [0.1, 0.0, 0.0, 0.9]]])
    found = AttentionMap(("a", "b", "c", "<end>"), ("x", "y", "z", "<end>"), (weights,))
    assert found.coverage == pytest.approx((0.2, 2.4, 0.4, 1.0))
    assert (found.left_out, found.repeated) == ((0,), (1,))


def test_a_copied_word_is_shown_by_its_name() -> None:
    config = TransduceConfig(
        codec=SharedCodec(text=CharactersConfig()), model=TransducerConfig(embedding_dim=12, copy=True)
    )
    task = TransduceTask.fit(config, lambda: [Pair("abc", "cb")])
    result = attention_map(task, task.build_model().eval(), "aXbY", "YZ")
    assert result.source_tokens == ("a", "X", "b", "Y", "<end>")
    assert result.target_tokens == ("Y", "<unk>", "<end>")
    sides = (Sequences(torch.tensor([ids]), torch.tensor([len(ids)])) for ids in task.encode_pair("aX", "X"))
    assert gradient_through_time(task.build_model(), PairBatch(*sides, (0,))).counts == (2, 1)


def test_what_is_not_there_is_refused_in_a_sentence() -> None:
    task, model = build(RecurrentEncoderConfig(cell="gru", hidden_dim=6), BOTTLENECK)
    with pytest.raises(RequestError, match="no attention"):
        attention_map(task, model, "a", "b")
    task, model = build(TransformerEncoderConfig(num_heads=2, num_layers=1), TransformerDecoderConfig(num_heads=2))
    with pytest.raises(RequestError, match="no gates"):
        encoder_gates(task, model, "a")


def test_gates_are_those_of_the_layers_own_trace() -> None:
    task, model = build(RecurrentEncoderConfig(cell="lstm", hidden_dim=6), BOTTLENECK)
    assert isinstance(model.encoder, RecurrentEncoder)
    result = encoder_gates(task, model, "abc")
    assert result.tokens == ("a", "b", "c", "<end>")
    names = {f"layer 1 {way} {name}" for way in ("forward", "backward") for name in ("forget", "cell", "hidden")}
    assert names <= set(result.values)
    ids = torch.tensor([[*task.source_codec.encode("abc"), 3]])
    traced = model.encoder.layer.trace(model.embed_source(ids), torch.tensor([4]))
    torch.testing.assert_close(result.values["layer 1 forward forget"], traced.layers[0].forward.gates["forget"][0])
