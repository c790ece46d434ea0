"""Attention with many heads: the fused path, causal queries, padding that is never seen."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from seqlens.layers import (
    MultiHeadAttention,
)
from seqlens.testing import assert_padding_invariant, assert_same_function
from tests.contracts.attention import (
    DIM,
    HEADS,
    OWN_SCORES,
    SCORES,
    VALUE_DIM,
    random_attention,
    random_heads,
    random_tensor,
)


def heads_over(attention: MultiHeadAttention) -> Callable[[Tensor, Tensor, Tensor, Tensor], object]:
    def attend(memory: Tensor, lengths: Tensor, queries: Tensor, _: Tensor) -> object:
        ready = attention.prepare(memory, lengths)
        return attention(queries, ready), attention.weights(queries, ready)

    return attend


def test_padding_never_changes_an_answer_of_many_heads() -> None:
    attention = random_heads(memory_dim=VALUE_DIM)
    assert_padding_invariant(
        attention,
        (random_tensor(4, 7, VALUE_DIM), torch.tensor([3, 0, 5, 1])),
        (random_tensor(4, 2, DIM, seed=3), torch.full((4,), 2)),
        call=heads_over(attention),
        extra_time=0,
    )


@pytest.mark.parametrize("lengths", [None, [5, 2, 3]], ids=str)
def test_causal_queries_see_no_later_key(lengths: list[int] | None) -> None:
    attention = random_heads()
    inputs = random_tensor(3, 5, DIM)
    given = None if lengths is None else torch.tensor(lengths)

    def attend(inputs: Tensor) -> tuple[Tensor, Tensor]:
        ready = attention.prepare(inputs, given)
        return attention(inputs, ready, causal=True), attention.weights(inputs, ready, causal=True)

    outputs, weights = attend(inputs)
    assert weights.shape == (3, HEADS, 5, 5)
    assert not weights.triu(1).any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, HEADS, 5, dtype=torch.float64))
    for t in range(1, 5):
        later = inputs.clone()
        later[:, t:] += 1.0
        torch.testing.assert_close(attend(later)[0][:, :t], outputs[:, :t], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("lengths", [None, [4, 0, 2, 1]], ids=str)
def test_the_fused_path_is_the_average_by_the_weights(causal: bool, lengths: list[int] | None) -> None:
    """`forward` (fused), `weights` and the path with dropout are one function."""
    attention = random_heads()
    given = None if lengths is None else torch.tensor(lengths)

    def by_weights(inputs: Tensor) -> Tensor:
        ready = attention.prepare(inputs, given)
        mixed = attention.weights(inputs, ready, causal=causal) @ ready.values
        return attention.output(mixed.transpose(1, 2).flatten(2))

    def fused(inputs: Tensor) -> Tensor:
        return attention(inputs, attention.prepare(inputs, given), causal=causal)

    inputs = random_tensor(4, 4, DIM)
    assert_same_function(fused, by_weights, inputs)
    dropping = random_heads(dropout_p=1e-12).train()
    dropped = dropping(inputs, dropping.prepare(inputs, given), causal=causal)
    torch.testing.assert_close(dropped, fused(inputs), rtol=1e-10, atol=1e-12)


def test_no_key_to_see_gives_the_output_of_zero() -> None:
    attention = random_heads()
    queries = random_tensor(2, 3, DIM).requires_grad_()
    empty = torch.zeros(2, dtype=torch.int64)
    for memory in (random_tensor(2, 4, DIM), random_tensor(2, 0, DIM)):
        outputs = attention(queries, attention.prepare(memory, empty))
        torch.testing.assert_close(outputs, attention.output.bias.expand(2, 3, DIM))
        (gradient,) = torch.autograd.grad(outputs.square().sum(), queries)
        assert not gradient.any()


def test_weights_are_dropped_in_training_only() -> None:
    attention = random_heads(dropout_p=0.5)
    inputs = random_tensor(2, 5, DIM)
    ready = attention.prepare(inputs)
    assert not torch.equal(attention(inputs, ready), attention(inputs, ready))
    attention.eval()
    assert torch.equal(attention(inputs, ready), attention(inputs, ready))


def test_heads_must_divide_the_size() -> None:
    with pytest.raises(ValueError, match="10 with 4 heads"):
        MultiHeadAttention(10, 4)


@pytest.mark.parametrize("kind", [*SCORES, *OWN_SCORES, "multi-head"])
def test_bfloat16_autocast_is_near_float32(kind: str) -> None:
    attention = random_heads().float() if kind == "multi-head" else random_attention(kind).float()
    memory, queries, lengths = (
        random_tensor(2, 5, DIM).float(),
        random_tensor(2, 3, DIM, seed=3).float(),
        torch.tensor([5, 2]),
    )

    def attend(memory: Tensor, queries: Tensor) -> object:
        if isinstance(attention, MultiHeadAttention):
            return attention(queries, attention.prepare(memory, lengths))
        return attention(queries, attention.prepare(memory, lengths=lengths))

    def autocast(memory: Tensor, queries: Tensor) -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return attend(memory, queries)

    assert_same_function(autocast, attend, memory, queries, tolerance=5e-2)
