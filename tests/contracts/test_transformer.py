"""Transformer encoder and decoder: padding is never seen, nothing comes from the future, steps equal the whole."""

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from seqlens.layers import (
    CausalTransformer,
    MultiHeadAttention,
    NormPlace,
    PositionKind,
    TransformerDecoder,
    TransformerEncoder,
    build_positions,
    rotate,
)
from seqlens.layers.causal_transformer import CausalLayer
from seqlens.layers.transformer import DecoderLayer, EncoderLayer
from seqlens.testing import assert_padding_invariant, assert_same_function, assert_steps_equal_whole

NORMS: tuple[NormPlace, ...] = get_args(NormPlace)
DIM, MEMORY_DIM, HEADS, LAYERS = 8, 6, 2, 2

STACKS: dict[str, dict[str, Any]] = {
    **{norm: {"norm": norm} for norm in NORMS},
    "rotary": {"rotary": True},
}
each_norm = pytest.mark.parametrize("norm", STACKS)


def random_tensor(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_weights(module: nn.Module) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)


def random_encoder(norm: str, dropout_p: float = 0.0) -> TransformerEncoder:
    encoder = TransformerEncoder(DIM, num_layers=LAYERS, num_heads=HEADS, dropout_p=dropout_p, **STACKS[norm]).double()
    random_weights(encoder)
    return encoder


def random_decoder(norm: str) -> TransformerDecoder:
    decoder = TransformerDecoder(
        DIM, memory_dim=MEMORY_DIM, num_layers=LAYERS, num_heads=HEADS, **STACKS[norm]
    ).double()
    random_weights(decoder)
    return decoder


# --- encoder -----------------------------------------------------------------------------------------------------


@each_norm
def test_padding_never_changes_what_the_encoder_says(norm: str) -> None:
    assert_padding_invariant(random_encoder(norm), (random_tensor(5, 6, DIM), torch.tensor([3, 0, 6, 1, 5])))


@each_norm
def test_encoder_outputs_are_zero_at_padding(norm: str) -> None:
    outputs = random_encoder(norm)(random_tensor(3, 4, DIM), torch.tensor([2, 0, 4]))
    assert not outputs[0, 2:].any()
    assert not outputs[1].any()
    assert bool(outputs[0, :2].all())


@each_norm
def test_full_lengths_are_no_lengths(norm: str) -> None:
    encoder = random_encoder(norm)
    inputs = random_tensor(3, 4, DIM)
    full = torch.full((3,), 4)
    assert_same_function(lambda given: encoder(given, full), encoder, inputs)


@pytest.mark.parametrize("norm", NORMS)
def test_an_encoder_knows_no_order(norm: str) -> None:
    """Without positions a permuted input gives the permuted output: every position sees every other."""
    encoder = random_encoder(norm)
    order = torch.tensor([2, 0, 3, 1])
    assert_same_function(
        lambda given: encoder(given[:, order]), lambda given: encoder(given)[:, order], random_tensor(2, 4, DIM)
    )


# --- decoder -----------------------------------------------------------------------------------------------------


@each_norm
def test_padding_never_changes_what_the_decoder_says(norm: str) -> None:
    decoder = random_decoder(norm)

    def decode(inputs: Tensor, lengths: Tensor, memory: Tensor, memory_lengths: Tensor) -> object:
        weights: list[Tensor] = []
        return decoder(inputs, memory, lengths=lengths, memory_lengths=memory_lengths, weights=weights), weights

    assert_padding_invariant(
        decoder,
        (random_tensor(5, 4, DIM), torch.tensor([2, 3, 0, 1, 4])),
        (random_tensor(5, 6, MEMORY_DIM, seed=2), torch.tensor([3, 0, 6, 1, 5])),
        call=decode,
    )


@each_norm
def test_the_decoder_sees_no_later_target(norm: str) -> None:
    decoder = random_decoder(norm)
    inputs, memory = random_tensor(2, 5, DIM), random_tensor(2, 3, MEMORY_DIM, seed=2)
    outputs = decoder(inputs, memory)
    for t in range(1, 5):
        later = inputs.clone()
        later[:, t:] = 7.0
        torch.testing.assert_close(decoder(later, memory)[:, :t], outputs[:, :t], rtol=1e-12, atol=1e-14)
        assert not torch.allclose(decoder(later, memory)[:, t:], outputs[:, t:])


@each_norm
@pytest.mark.parametrize("lengths", [None, [3, 0]], ids=str)
def test_steps_equal_the_whole(norm: str, lengths: list[int] | None) -> None:
    decoder = random_decoder(norm)
    memory = random_tensor(2, 3, MEMORY_DIM, seed=2)
    given = None if lengths is None else torch.tensor(lengths)
    assert_steps_equal_whole(
        decoder,
        random_tensor(2, 5, DIM),
        state=decoder.start(memory, given),
        whole=lambda inputs: decoder(inputs, memory, memory_lengths=given),
    )


@each_norm
def test_rows_of_one_group_share_its_memory(norm: str) -> None:
    """Three rows a group, two groups: each row gets what it gets with a copy of the memory of its own."""
    decoder = random_decoder(norm)
    memory, lengths = random_tensor(2, 3, MEMORY_DIM, seed=2), torch.tensor([3, 2])
    rows = torch.tensor([0, 0, 0, 1, 1, 1])
    inputs = random_tensor(6, 4, DIM)
    whole_weights: list[Tensor] = []
    decoder(inputs, memory[rows], memory_lengths=lengths[rows], weights=whole_weights)
    cache = decoder.start(memory, lengths).reorder(rows, None)
    assert_steps_equal_whole(
        decoder, inputs, state=cache, whole=lambda given: decoder(given, memory[rows], memory_lengths=lengths[rows])
    )
    for t in range(4):
        weights: list[Tensor] = []
        _, cache = decoder.step(inputs[:, t], cache, weights)
        for layer, whole in zip(weights, whole_weights, strict=True):
            assert layer.shape == (2, HEADS, 3, 3)
            torch.testing.assert_close(layer.transpose(1, 2).flatten(0, 1), whole[:, :, t])
    assert cache.steps == 4
    assert cache.memory[0].keys.shape[0] == 2, "kept once a group"


@each_norm
def test_weights_over_the_memory_sum_to_one(norm: str) -> None:
    weights: list[Tensor] = []
    memory = random_tensor(3, 5, MEMORY_DIM, seed=2)
    random_decoder(norm)(random_tensor(3, 4, DIM), memory, memory_lengths=torch.tensor([5, 0, 2]), weights=weights)
    assert len(weights) == LAYERS
    for layer in weights:
        assert layer.shape == (3, HEADS, 4, 5)
        expected = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)[:, None, None].expand(3, HEADS, 4)
        torch.testing.assert_close(layer.sum(-1), expected)
        assert not layer[2, :, :, 2:].any()


# --- both --------------------------------------------------------------------------------------------------------


def test_dropout_is_for_training() -> None:
    encoder = random_encoder("pre", dropout_p=0.5)
    inputs = random_tensor(2, 3, DIM)
    assert not torch.equal(encoder(inputs), encoder(inputs))
    encoder.eval()
    assert torch.equal(encoder(inputs), encoder(inputs))


@pytest.mark.parametrize(("activation_dropout_p", "is_random"), [(None, True), (0.5, True), (0.0, False)])
def test_dropout_of_activations_has_its_own_probability(activation_dropout_p: float | None, is_random: bool) -> None:
    encoder = TransformerEncoder(DIM, num_heads=HEADS, dropout_p=0.5, activation_dropout_p=activation_dropout_p)
    decoder = TransformerDecoder(DIM, num_heads=HEADS, dropout_p=0.5, activation_dropout_p=activation_dropout_p)
    causal = CausalTransformer(DIM, num_heads=HEADS, dropout_p=0.5, activation_dropout_p=activation_dropout_p)
    inputs = random_tensor(2, 3, DIM).float()
    for stack in (encoder, decoder, causal):
        for layer in stack.layers:
            assert isinstance(layer, EncoderLayer | DecoderLayer | CausalLayer)
            assert torch.equal(layer.feed_forward(inputs), layer.feed_forward(inputs)) != is_random


@each_norm
def test_bfloat16_autocast_is_near_float32(norm: str) -> None:
    encoder, decoder = random_encoder(norm).float(), random_decoder(norm).float()
    lengths = torch.tensor([3, 0, 4])

    def both(source: Tensor, target: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        return encoder(source, lengths), decoder(target, memory, memory_lengths=lengths)

    def autocast(*given: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            return both(*given)

    inputs = (random_tensor(3, 4, DIM), random_tensor(3, 2, DIM, seed=2), random_tensor(3, 4, MEMORY_DIM, seed=3))
    assert_same_function(autocast, both, *(tensor.float() for tensor in inputs), tolerance=5e-2)


def test_export_with_lengths() -> None:
    encoder = random_encoder("pre").eval()
    inputs, lengths = random_tensor(3, 4, DIM), torch.tensor([4, 0, 2])
    exported = torch.export.export(encoder, (inputs, lengths)).module()
    for other in (lengths, torch.tensor([1, 3, 4])):
        assert_same_function(exported, encoder, inputs, other)


# --- positions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(PositionKind))
@pytest.mark.parametrize("dim", [6, 7])
def test_positions_do_not_depend_on_where_a_run_of_them_starts(kind: PositionKind, dim: int) -> None:
    positions = build_positions(kind, dim, 20)
    like = torch.zeros(1, dtype=torch.float64)
    whole = positions(0, 20, like)
    assert whole.shape == (20, dim)
    assert whole.dtype == torch.float64
    torch.testing.assert_close(positions(13, 4, like), whole[13:17])
    assert len(torch.unique(whole, dim=0)) == 20
    assert positions(0, 0, like).shape == (0, dim)


def test_sinusoidal_positions_are_the_formula() -> None:
    table = build_positions("sinusoidal", 6, 1)(0, 9, torch.zeros(1))
    for position in range(9):
        for pair in range(3):
            angle = torch.tensor(position / 10_000 ** (2 * pair / 6))
            torch.testing.assert_close(table[position, 2 * pair], angle.sin(), rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(table[position, 2 * pair + 1], angle.cos(), rtol=1e-5, atol=1e-6)


def test_learned_positions_end_somewhere() -> None:
    positions = build_positions("learned", 4, 5)
    assert positions.max_length == 5
    with pytest.raises(ValueError, match="reach 5 steps, but the sequence has 6"):
        positions(2, 4, torch.zeros(1))
    assert build_positions("sinusoidal", 4, 5).max_length is None


# --- rotary positions --------------------------------------------------------------------------------------------


def test_a_rotary_score_depends_on_the_distance_alone() -> None:
    query, key = random_tensor(1, HEADS, 1, 6), random_tensor(1, HEADS, 1, 6, seed=2)
    scores = {
        (m, n): (rotate(query, m) * rotate(key, n)).sum(3) for m in (0, 3, 40, 1000) for n in (0, 3, 40, 997, 1000)
    }
    by_distance: dict[int, list[Tensor]] = {}
    for (m, n), score in scores.items():
        by_distance.setdefault(m - n, []).append(score)
    assert len(by_distance[0]) == 4
    assert len(by_distance[3]) == 2
    for same in by_distance.values():
        for score in same[1:]:
            torch.testing.assert_close(score, same[0], rtol=1e-10, atol=1e-11)
    assert not torch.allclose(by_distance[0][0], by_distance[3][0])


def test_rotary_positions_are_the_formula() -> None:
    """Each pair of entries is a complex number, turned by `position * 10,000^(-2i / d)` (equation 34)."""
    heads = random_tensor(2, HEADS, 5, 6)
    turned = rotate(heads, 7)
    for place in range(3):
        for t in range(5):
            angle = torch.tensor(1j * (7 + t) * 10_000 ** (-2 * place / 6), dtype=torch.complex128)
            before = torch.complex(heads[:, :, t, place], heads[:, :, t, place + 3])
            after = torch.complex(turned[:, :, t, place], turned[:, :, t, place + 3])
            torch.testing.assert_close(after, before * torch.exp(angle), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(turned.norm(dim=3), heads.norm(dim=3))


def test_a_whole_rotary_sequence_may_stand_anywhere() -> None:
    attention = MultiHeadAttention(DIM, HEADS, rotary=True).double()
    random_weights(attention)
    inputs = random_tensor(2, 5, DIM)
    here = attention(inputs, attention.prepare(inputs), causal=True)
    there = attention(inputs, attention.prepare(inputs, start=90), causal=True, start=90)
    torch.testing.assert_close(there, here, rtol=1e-10, atol=1e-11)
    apart = attention(inputs, attention.prepare(inputs, start=90), causal=True)
    assert not torch.allclose(apart, here)


def test_an_encoder_with_rotary_positions_knows_the_order() -> None:
    encoder = random_encoder("rotary")
    inputs, order = random_tensor(2, 4, DIM), torch.tensor([2, 0, 3, 1])
    assert not torch.allclose(encoder(inputs[:, order]), encoder(inputs)[:, order])


def test_rotary_positions_need_pairs() -> None:
    with pytest.raises(ValueError, match="a head has 3 entries"):
        MultiHeadAttention(6, 2, rotary=True)


@pytest.mark.parametrize("kind", ["encoder", "decoder", "language model"])
def test_autocast_leaves_float64_alone(kind: str) -> None:
    inputs = torch.randn(2, 5, 8, dtype=torch.float64)
    layers: dict[str, Callable[[], Tensor]] = {
        "encoder": partial(TransformerEncoder(8, num_heads=2).double().eval(), inputs),
        "decoder": partial(TransformerDecoder(8, num_heads=2).double().eval(), inputs, inputs[:, :3]),
        "language model": lambda: language_model(inputs)[0],
    }
    language_model = CausalTransformer(8, num_heads=2).double().eval()
    expected = layers[kind]()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layers[kind]()
    assert found.dtype == torch.float64
    assert torch.equal(found, expected)
