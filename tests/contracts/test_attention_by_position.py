"""What a query sees by where it stands: causal, local and relative attention, growing memories, weights on request."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from seqlens.layers import Attention, KeyValues, Memory, MultiHeadAttention, RelativeBias, visible_keys
from seqlens.testing import assert_padding_invariant, assert_same_function, assert_steps_equal_whole

DIM, HEADS = 4, 2
EVERY_SCORE = ("dot", "scaled_dot", "bilinear", "additive", "own")
OPTIONS: dict[str, dict[str, Any]] = {
    "everything": {},
    "window": {"window": 1},
    "relative": {"relative": True},
    "window and relative": {"window": 2, "relative": True},
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
each_score = pytest.mark.parametrize("score", EVERY_SCORE)
each_causal = pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])


def random_tensor(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randomised(module: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.normal_(std=0.7)
    return module


def random_attention(score: str, **options: Any) -> Attention:
    chosen: Any = (lambda query, keys: -torch.cdist(query, keys, p=1.0)) if score == "own" else score
    return randomised(Attention(DIM, DIM, score=chosen, **options))


def random_heads(**options: Any) -> MultiHeadAttention:
    return randomised(MultiHeadAttention(DIM, HEADS, **options))


# --- which keys are seen -----------------------------------------------------------------------------------------


@given(st.integers(0, 4), st.integers(0, 6), st.integers(0, 9), st.booleans(), st.none() | st.integers(0, 4))
def test_visible_keys_are_those_near_enough_and_not_later(
    queries: int, keys: int, start: int, causal: bool, window: int | None
) -> None:
    found = visible_keys(torch.arange(start, start + queries), torch.arange(keys), causal=causal, window=window)
    assert found.shape == (queries, keys)
    for query in range(queries):
        for key in range(keys):
            distance = key - (start + query)
            near = window is None or abs(distance) <= window
            assert bool(found[query, key]) == (near and (not causal or distance <= 0))


def test_a_window_cannot_be_negative() -> None:
    for build in (Attention, MultiHeadAttention):
        with pytest.raises(ValueError, match="0 or more, but is -1"):
            build(DIM, HEADS if build is MultiHeadAttention else DIM, window=-1)


@each_score
@each_causal
@each_option
def test_a_query_is_the_attention_over_the_keys_it_sees(score: str, causal: bool, options: dict[str, Any]) -> None:
    """Leaving keys out is as good as not seeing them, but for their distance."""
    attention = random_attention(score, **{**options, "relative": False})
    inputs = random_tensor(2, 6, DIM)
    found = attention(inputs, attention.prepare(inputs), causal=causal)
    window = options.get("window", 6)
    for t in range(6):
        seen = slice(max(t - window, 0), (t if causal else min(t + window, 5)) + 1)
        alone = attention(inputs[:, t : t + 1], attention.prepare(inputs[:, seen]), start=t - seen.start)
        torch.testing.assert_close(found.context[:, t], alone.context[:, 0])
        torch.testing.assert_close(found.weights[:, t, seen], alone.weights[:, 0])
        assert int(found.weights[:, t].count_nonzero()) == 2 * (seen.stop - seen.start)


@each_option
def test_one_query_of_many_heads_sees_the_same_as_one_head(options: dict[str, Any]) -> None:
    """Many heads with one head, its projections the identity, are scaled-dot attention."""
    heads, one = MultiHeadAttention(DIM, 1, **options).double(), random_attention("scaled_dot", **options)
    with torch.no_grad():
        for weight in (heads.query.weight, *heads.key_value.weight.chunk(2), heads.output.weight):
            weight.copy_(torch.eye(DIM))
        if heads.relative is not None and one.relative is not None:
            heads.relative.load_state_dict(one.relative.state_dict())
    queries, keys, lengths = random_tensor(3, 5, DIM), random_tensor(3, 7, DIM, seed=2), torch.tensor([7, 0, 2])
    expected = one(queries, one.prepare(keys, lengths=lengths), causal=True, start=1)
    ready = heads.prepare(keys, lengths)
    torch.testing.assert_close(heads(queries, ready, causal=True, start=1), expected.context)
    torch.testing.assert_close(heads.weights(queries, ready, causal=True, start=1)[:, 0], expected.weights)


def test_a_window_over_another_sequence_moves_with_the_positions_given() -> None:
    """Cross-attention: three queries spread over nine keys."""
    attention = random_attention("additive", window=1)
    queries, keys = random_tensor(2, 3, DIM), random_tensor(2, 9, DIM, seed=2)
    centres = torch.tensor([[0.0, 4.0, 8.0], [0.5, 3.5, 6.2]], dtype=torch.float64)
    weights = attention(queries, attention.prepare(keys), positions=centres).weights
    seen = [[row.nonzero().flatten().tolist() for row in rows] for rows in weights]
    assert seen == [[[0, 1], [3, 4, 5], [7, 8]], [[0, 1], [3, 4], [6, 7]]]


# --- padding, NaN, nothing to see --------------------------------------------------------------------------------


@each_score
@each_causal
@each_option
def test_padding_never_changes_an_answer(score: str, causal: bool, options: dict[str, Any]) -> None:
    attention = random_attention(score, **options)

    def attend(keys: Tensor, lengths: Tensor, queries: Tensor, _: Tensor) -> object:
        return attention(queries, attention.prepare(keys, lengths=lengths), causal=causal, start=1)

    assert_padding_invariant(
        attention,
        (random_tensor(4, 5, DIM), torch.tensor([3, 0, 5, 1])),
        (random_tensor(4, 4, DIM, seed=3), torch.full((4,), 4)),
        call=attend,
        extra_time=0,
    )


@each_causal
@each_option
def test_padding_never_changes_an_answer_of_many_heads(causal: bool, options: dict[str, Any]) -> None:
    attention = random_heads(**options)

    def attend(keys: Tensor, lengths: Tensor, queries: Tensor, _: Tensor) -> object:
        ready = attention.prepare(keys, lengths)
        outputs = attention(queries, ready, causal=causal, start=1)
        return outputs, attention.weights(queries, ready, causal=causal, start=1)

    assert_padding_invariant(
        attention,
        (random_tensor(4, 5, DIM), torch.tensor([3, 0, 5, 1])),
        (random_tensor(4, 4, DIM, seed=3), torch.full((4,), 4)),
        call=attend,
        extra_time=0,
    )


@each_causal
@each_option
@pytest.mark.parametrize("lengths", [None, [5, 0, 2]], ids=str)
def test_the_fused_path_is_the_average_by_the_weights(
    causal: bool, options: dict[str, Any], lengths: list[int] | None
) -> None:
    attention = random_heads(**options)
    given_lengths = None if lengths is None else torch.tensor(lengths)

    class ByWeights(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, child in attention.named_children():
                self.add_module(name, child)

        def forward(self, inputs: Tensor) -> Tensor:
            ready = attention.prepare(inputs, given_lengths)
            mixed = attention.weights(inputs, ready, causal=causal) @ ready.values
            return attention.output(mixed.transpose(1, 2).flatten(2))

    class Fused(ByWeights):
        def forward(self, inputs: Tensor) -> Tensor:
            return attention(inputs, attention.prepare(inputs, given_lengths), causal=causal)

    assert_same_function(Fused(), ByWeights(), random_tensor(3, 5, DIM), gradients="all")


def test_a_window_that_reaches_no_key_gives_zeros_and_finite_gradients() -> None:
    attention, heads = random_attention("bilinear", window=1), random_heads(window=1, relative=True)
    queries, keys = random_tensor(1, 6, DIM).requires_grad_(), random_tensor(1, 2, DIM, seed=2).requires_grad_()
    context, weights = attention(queries, attention.prepare(keys))
    assert not context[:, 3:].any()
    assert not weights[:, 3:].any()
    outputs = heads(queries, heads.prepare(keys))
    torch.testing.assert_close(outputs[:, 3:], heads.output.bias.expand(1, 3, DIM))
    (context.square().sum() + outputs.square().sum()).backward()
    for gradient in (queries.grad, keys.grad, *(parameter.grad for parameter in heads.parameters())):
        assert gradient is not None
        assert bool(gradient.isfinite().all())


# --- step by step ------------------------------------------------------------------------------------------------


@each_score
@each_option
def test_a_growing_memory_gives_what_the_whole_gives(score: str, options: dict[str, Any]) -> None:
    attention = random_attention(score, **options)

    def step(x_t: Tensor, state: tuple[Memory | None, int]) -> tuple[Tensor, tuple[Memory, int]]:
        memory, steps = state
        new = attention.prepare(x_t[:, None])
        memory = new if memory is None else memory.append(new)
        return attention(x_t[:, None], memory, causal=True, start=steps).context[:, 0], (memory, steps + 1)

    def whole(inputs: Tensor) -> Tensor:
        return attention(inputs, attention.prepare(inputs), causal=True).context

    assert_steps_equal_whole(attention, random_tensor(2, 6, DIM), step=step, state=(None, 0), whole=whole)


@each_option
@pytest.mark.parametrize("rotary", [False, True], ids=["", "rotary"])
def test_cached_keys_give_what_the_whole_gives(options: dict[str, Any], rotary: bool) -> None:
    attention = random_heads(rotary=rotary, **options)

    def step(x_t: Tensor, state: tuple[KeyValues | None, int]) -> tuple[Tensor, tuple[KeyValues, int]]:
        cache, steps = state
        new = attention.prepare(x_t[:, None], start=steps)
        cache = new if cache is None else cache.append(new)
        return attention(x_t[:, None], cache, causal=True, start=steps)[:, 0], (cache, steps + 1)

    def whole(inputs: Tensor) -> Tensor:
        return attention(inputs, attention.prepare(inputs), causal=True)

    assert_steps_equal_whole(attention, random_tensor(2, 6, DIM), step=step, state=(None, 0), whole=whole)


def test_several_queries_after_cached_keys_see_no_later_one() -> None:
    attention = random_heads()
    inputs = random_tensor(2, 6, DIM)
    whole = attention(inputs, attention.prepare(inputs), causal=True)
    cache = attention.prepare(inputs[:, :4]).append(attention.prepare(inputs[:, 4:], start=4))
    torch.testing.assert_close(attention(inputs[:, 4:], cache, causal=True, start=4), whole[:, 4:])


def test_a_memory_with_padding_does_not_grow() -> None:
    attention = random_attention("dot")
    memory = attention.prepare(random_tensor(2, 3, DIM), lengths=torch.tensor([3, 1]))
    with pytest.raises(ValueError, match="in the middle"):
        memory.append(attention.prepare(random_tensor(2, 1, DIM)))


def test_cached_keys_grow_only_where_they_end_and_without_padding() -> None:
    """One key with a mask would be spread over all later ones; a wrong place would turn rotary keys wrongly."""
    attention = random_heads(rotary=True)
    inputs = random_tensor(2, 3, DIM)
    with pytest.raises(ValueError, match="in the middle"):
        attention.prepare(inputs[:, :1], torch.tensor([1, 0])).append(attention.prepare(inputs[:, 1:], start=1))
    for start in (0, 2):
        with pytest.raises(ValueError, match=f"must stand at 1, where the earlier end, but start={start}"):
            attention.prepare(inputs[:, :1]).append(attention.prepare(inputs[:, 1:], start=start))


# --- relative positions ------------------------------------------------------------------------------------------


def test_buckets_are_the_rule_of_the_paper() -> None:
    """One bucket a distance below 8, then ever more a bucket up to 128, and one for all beyond; later keys apart."""
    bias = RelativeBias(1)
    distance = torch.arange(-300, 301)
    bucket = dict(zip(distance.tolist(), bias.bucket(distance).tolist(), strict=True))
    assert [bucket[-n] for n in range(8)] == list(range(8))
    assert [bucket[n] for n in range(1, 8)] == [16 + n for n in range(1, 8)]
    # T5's table: 8 + floor(8 * ln(n / 8) / ln(16)).
    expected = {
        8: 8,
        11: 8,
        12: 9,
        15: 9,
        16: 10,
        22: 10,
        23: 11,
        32: 12,
        45: 12,
        46: 13,
        64: 14,
        90: 14,
        91: 15,
        127: 15,
    }
    assert {n: bucket[-n] for n in expected} == expected
    assert {bucket[-n] for n in range(91, 301)} == {15}
    assert all(bucket[n] == bucket[-n] + 16 for n in range(1, 301))


def test_a_relative_score_depends_on_the_distance_alone() -> None:
    bias = randomised(RelativeBias(HEADS))
    here = bias(torch.arange(5), torch.arange(7))
    there = bias(torch.arange(90, 95), torch.arange(90, 97))
    assert here.shape == (HEADS, 5, 7)
    assert torch.equal(here, there)
    assert torch.equal(here[:, 1:, 1:], here[:, :-1, :-1])
    assert bool((here[:, 0, 1] != here[:, 1, 0]).all())


def test_relative_positions_start_as_none_and_are_learned() -> None:
    inputs = random_tensor(2, 5, DIM)
    torch.manual_seed(0)
    plain = MultiHeadAttention(DIM, HEADS).double()
    torch.manual_seed(0)
    relative = MultiHeadAttention(DIM, HEADS, relative=True).double()
    outputs = relative(inputs, relative.prepare(inputs))
    torch.testing.assert_close(outputs, plain(inputs, plain.prepare(inputs)))
    outputs.square().sum().backward()
    assert relative.relative is not None
    assert relative.relative.weight.grad is not None
    assert relative.relative.weight.grad.any(dim=1).all()


def test_buckets_must_have_room() -> None:
    for arguments in ({"num_buckets": 6}, {"num_buckets": 0}, {"max_distance": 8}):
        with pytest.raises(ValueError, match="multiple of 4"):
            RelativeBias(1, **arguments)


# --- weights on request ------------------------------------------------------------------------------------------


@each_causal
@pytest.mark.parametrize("rotary", [False, True], ids=["", "rotary"])
@each_option
@given(data=st.data())
def test_weights_asked_for_are_those_of_all(
    data: st.DataObject, options: dict[str, Any], rotary: bool, causal: bool
) -> None:
    attention = random_heads(rotary=rotary, **options)
    inputs, lengths = random_tensor(3, 5, DIM), torch.tensor([5, 0, 2])
    ready = attention.prepare(inputs, lengths)
    whole = attention.weights(inputs, ready, causal=causal)
    asked = {
        name: data.draw(st.none() | st.lists(st.integers(0, count - 1), max_size=4), label=name)
        for name, count in (("rows", 3), ("heads", HEADS), ("queries", 5))
    }
    found = attention.weights(inputs, ready, causal=causal, **asked)
    for axis, chosen in enumerate(asked.values()):
        if chosen is not None:
            whole = whole.index_select(axis, torch.tensor(chosen, dtype=torch.int64))
    torch.testing.assert_close(found, whole)


def test_only_what_is_asked_for_is_computed() -> None:
    attention = MultiHeadAttention(32, 8)
    inputs = torch.randn(6, 40, 32)
    ready = attention.prepare(inputs)

    def cost(**asked: Any) -> int:
        with FlopCounterMode(display=False) as counter:
            attention.weights(inputs, ready, **asked)
        return counter.get_total_flops()

    whole = cost()
    assert cost(heads=[3]) * 8 == whole
    assert cost(rows=[5, 0]) * 3 == whole
    assert cost(heads=[1], rows=[2]) * 48 == whole
    scores = 2 * 40 * 40 * 32 * 6
    assert whole - cost(queries=[7]) == scores * 39 // 40


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"heads": [2]}, "`heads` must lie between 0 and 1, but there is a 2"),
        ({"rows": [0, -1]}, "`rows` must lie between 0 and 2, but there is a -1"),
        ({"queries": [5]}, "`queries` must lie between 0 and 4, but there is a 5"),
    ],
    ids=str,
)
def test_what_is_not_there_gets_a_sentence(asked: dict[str, list[int]], sentence: str) -> None:
    attention = random_heads()
    inputs = random_tensor(3, 5, DIM)
    with pytest.raises(ValueError, match=sentence):
        attention.weights(inputs, attention.prepare(inputs), **asked)
