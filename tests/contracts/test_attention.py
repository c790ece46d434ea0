"""Attention with one head and every score: formulas, masks, and padding that is never seen."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from seqlens.layers import (
    Attention,
    ScoreKind,
    build_score,
    length_mask,
    masked_softmax,
)
from seqlens.layers.scores import AdditiveScore
from seqlens.testing import assert_padding_invariant
from tests.contracts.attention import (
    DIM,
    VALUE_DIM,
    Perceptron,
    each_named_score,
    each_score,
    random_attention,
    random_tensor,
    random_weights,
)

# --- scores ------------------------------------------------------------------------------------------------------

Array = NDArray[np.float64]
Formula = Callable[[dict[str, Array], Array, Array], float]

FORMULAS: dict[ScoreKind, Formula] = {
    "dot": lambda w, q, k: float(q @ k),
    "scaled_dot": lambda w, q, k: float(q @ k / np.sqrt(len(k))),
    "bilinear": lambda w, q, k: float(q @ w["weight"] @ k),
    "additive": lambda w, q, k: float(
        w["vector.weight"][0] @ np.tanh(w["query.weight"] @ q + w["query.bias"] + w["key.weight"] @ k)
    ),
}


@each_named_score
def test_a_score_is_its_formula(kind: ScoreKind) -> None:
    key_dim = DIM if "dot" in kind else 5
    score = build_score(kind, DIM, key_dim).double()
    random_weights(score)
    weights = {name: tensor.numpy() for name, tensor in score.state_dict().items()}
    queries, keys = random_tensor(2, 3, DIM), random_tensor(2, 6, key_dim, seed=2)
    found = score(queries, score.prepare(keys)).detach().numpy()
    assert found.shape == (2, 3, 6)
    for place in np.ndindex(2, 3, 6):
        expected = FORMULAS[kind](weights, queries[place[:2]].numpy(), keys[place[0], place[2]].numpy())
        assert found[place] == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("kind", ["dot", "scaled_dot"])
def test_a_dot_score_needs_one_size(kind: ScoreKind) -> None:
    with pytest.raises(ValueError, match="4 and 5"):
        build_score(kind, 4, 5)


def test_a_score_of_ones_own() -> None:
    attention = random_attention("a score")
    queries, keys = random_tensor(2, 3, DIM), random_tensor(2, 5, DIM, seed=2)
    found = attention(queries, attention.prepare(keys))
    distances = torch.cdist(queries, keys).square()
    expected = torch.softmax(-attention.score.sharpness * distances, dim=-1)
    torch.testing.assert_close(found.weights, expected)
    torch.testing.assert_close(found.context, expected @ keys)
    assert [name for name, _ in attention.named_parameters()] == ["score.sharpness"]


def test_a_function_is_a_score() -> None:
    attention = random_attention("a function")
    queries, keys = random_tensor(2, 3, DIM), random_tensor(2, 5, DIM, seed=2)
    found = attention(queries, attention.prepare(keys))
    expected = torch.softmax(3 * torch.cosine_similarity(queries[:, :, None], keys[:, None], dim=3), dim=-1)
    torch.testing.assert_close(found.weights, expected)
    assert not list(attention.parameters())


def test_the_weights_of_a_module_that_is_a_score_are_trained_and_saved() -> None:
    attention = random_attention("a module")
    names = [name for name, _ in attention.named_parameters()]
    assert names == [f"score.function.layers.{name}" for name in ("0.weight", "0.bias", "2.weight")]
    queries, keys = random_tensor(2, 3, DIM), random_tensor(2, 5, DIM, seed=2)
    attention(queries, attention.prepare(keys)).context.square().sum().backward()
    assert attention.get_parameter(names[0]).grad is not None
    again = Attention(DIM, DIM, score=Perceptron()).double()
    again.load_state_dict(attention.state_dict())
    assert torch.equal(again(queries, again.prepare(keys)).weights, attention(queries, attention.prepare(keys)).weights)


def test_a_function_that_is_no_score_gets_a_sentence() -> None:
    attention = Attention(DIM, DIM, score=lambda query, keys: query @ keys[0].T @ keys[0])
    keys = random_tensor(2, 5, DIM)
    with pytest.raises(ValueError, match=r"here \[2, 3, 5\], but yours gives \[2, 3, 4\]"):
        attention(random_tensor(2, 3, DIM), attention.prepare(keys))


# --- attention ---------------------------------------------------------------------------------------------------


def assert_attention_ignores_padding(attention: Attention) -> None:
    """Keys and values are padded (row 1 has none at all), queries are not: they come from whoever asks."""
    lengths, all_queries = torch.tensor([3, 0, 5, 1]), torch.full((4,), 2)

    def attend(keys: Tensor, key_lengths: Tensor, values: Tensor, _: Tensor, queries: Tensor, __: Tensor) -> object:
        return attention(queries, attention.prepare(keys, values, lengths=key_lengths))

    assert_padding_invariant(
        attention,
        (random_tensor(4, 7, DIM), lengths),
        (random_tensor(4, 7, VALUE_DIM, seed=2), lengths),
        (random_tensor(4, 2, DIM, seed=3), all_queries),
        call=attend,
        extra_time=0,
    )

    def attend_to_keys(keys: Tensor, key_lengths: Tensor, queries: Tensor, _: Tensor) -> object:
        return attention(queries, attention.prepare(keys, lengths=key_lengths))

    assert_padding_invariant(
        attention,
        (random_tensor(4, 7, DIM), lengths),
        (random_tensor(4, 2, DIM, seed=3), all_queries),
        call=attend_to_keys,
        extra_time=0,
    )


@each_score
def test_padding_never_changes_an_answer(kind: str) -> None:
    assert_attention_ignores_padding(random_attention(kind))


@each_score
def test_weights_average_the_values_and_sum_to_one(kind: str) -> None:
    attention = random_attention(kind)
    keys, values, queries = random_tensor(3, 5, DIM), random_tensor(3, 5, VALUE_DIM), random_tensor(3, 2, DIM, seed=3)
    lengths = torch.tensor([5, 0, 2])
    context, weights = attention(queries, attention.prepare(keys, values, lengths=lengths))
    torch.testing.assert_close(weights.sum(2), (lengths > 0).double()[:, None].expand(3, 2))
    assert not weights[2, :, 2:].any(), "exactly zero, not nearly"
    torch.testing.assert_close(context, weights @ values)
    assert bool((weights[0] > 0).all())


@each_score
def test_a_query_that_may_see_nothing_gets_zeros_and_finite_gradients(kind: str) -> None:
    attention = random_attention(kind)
    keys = random_tensor(2, 4, DIM).requires_grad_()
    queries = random_tensor(2, 3, DIM, seed=3).requires_grad_()
    keep = torch.ones(2, 3, 4, dtype=torch.bool)
    keep[0, 1] = False
    context, weights = attention(queries, attention.prepare(keys, lengths=torch.tensor([4, 0])), keep)
    nothing = torch.tensor([[False, True, False], [True, True, True]])
    assert not weights[nothing].any()
    assert not context[nothing].any()
    assert weights[~nothing].any()
    context.square().sum().backward()
    for gradient in (keys.grad, queries.grad, *(parameter.grad for parameter in attention.parameters())):
        assert gradient is not None
        assert bool(gradient.isfinite().all())
    assert queries.grad is not None
    assert not queries.grad[nothing].any()


@each_score
def test_a_mask_narrows_what_each_query_sees(kind: str) -> None:
    """A mask over keys is as good as leaving these keys out."""
    attention = random_attention(kind)
    keys, queries = random_tensor(2, 5, DIM), random_tensor(2, 3, DIM, seed=3)
    keep = torch.zeros(2, 3, 5, dtype=torch.bool)
    keep[:, :, [0, 3, 4]] = True
    context, weights = attention(queries, attention.prepare(keys, lengths=torch.tensor([5, 4])), keep)
    for row, kept in ((0, [0, 3, 4]), (1, [0, 3])):
        alone = attention(queries[row : row + 1], attention.prepare(keys[row : row + 1, kept]))
        torch.testing.assert_close(context[row], alone.context[0])
        torch.testing.assert_close(weights[row][:, kept], alone.weights[0])


@each_score
def test_memory_select_takes_rows(kind: str) -> None:
    attention = random_attention(kind)
    keys, queries = random_tensor(3, 5, DIM), random_tensor(3, 2, DIM, seed=3)
    rows = torch.tensor([2, 0, 2])
    for lengths in (torch.tensor([5, 1, 3]), None):
        memory = attention.prepare(keys, lengths=lengths)
        whole = attention(queries, memory)
        chosen = attention(queries[rows], memory.select(rows))
        assert torch.equal(chosen.context, whole.context[rows])
        assert torch.equal(chosen.weights, whole.weights[rows])


@given(data=st.data())
def test_masked_softmax_is_softmax_of_what_is_kept(data: st.DataObject) -> None:
    numbers = st.floats(-50, 50, width=32)
    rows, keys = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    scores = torch.tensor(
        data.draw(st.lists(st.lists(numbers, min_size=keys, max_size=keys), min_size=rows, max_size=rows))
    )
    flags = st.lists(st.booleans(), min_size=keys, max_size=keys)
    mask = torch.tensor(data.draw(st.lists(flags, min_size=rows, max_size=rows)))
    weights = masked_softmax(scores, mask)
    for row in range(rows):
        assert not weights[row][~mask[row]].any()
        torch.testing.assert_close(weights[row][mask[row]], torch.softmax(scores[row][mask[row]], 0))
    torch.testing.assert_close(masked_softmax(scores.bfloat16(), None), torch.softmax(scores.bfloat16().float(), -1))


def test_length_mask_keeps_the_first_steps() -> None:
    expected = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
    assert torch.equal(length_mask(torch.tensor([2, 0, 3]), 3), expected)
    assert length_mask(torch.tensor([0]), 0).shape == (1, 0)


# --- coverage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_coverage_is_read_in_the_models_precision(dtype: torch.dtype) -> None:
    score = AdditiveScore(DIM, DIM, coverage=True)
    torch.nn.init.ones_(score.coverage.weight)  # type: ignore[union-attr]
    attention = Attention(DIM, DIM, score=score).to(dtype)
    query, keys = torch.randn(2, 3, DIM, dtype=dtype), torch.randn(2, 5, DIM, dtype=dtype)
    memory = attention.prepare(keys)
    plain = attention(query, memory).weights
    covered = attention(query, memory, coverage=5 * torch.rand(2, 3, 5)).weights  # float32, as weights are
    assert covered.isfinite().all()
    assert not torch.equal(plain, covered)


@pytest.mark.parametrize("score", ["dot", "bilinear", "additive", lambda q, k: q @ k.transpose(1, 2)])
def test_coverage_that_nobody_reads_is_refused(score: ScoreKind) -> None:
    attention = Attention(DIM, DIM, score=score)
    memory = attention.prepare(torch.randn(2, 5, DIM))
    with pytest.raises(ValueError, match="`coverage` is for a score that reads it"):
        attention(torch.randn(2, 3, DIM), memory, coverage=torch.zeros(2, 3, 5))
