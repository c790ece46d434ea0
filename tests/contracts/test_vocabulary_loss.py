"""`vocabulary_loss` is torch's cross-entropy, value and gradients, without its logits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlens.layers.vocabulary_blocks import LOW_BLOCK_ROWS, MIN_BLOCK_ROWS, NUM_BLOCKS, SLICE_ROWS, ScoreBlocks
from seqlens.layers.vocabulary_loss import vocabulary_loss
from seqlens.testing import assert_same_function
from tests.draws import draws

VOCAB, DIM = 11, 5


def random_case(rows: int, dtype: torch.dtype = torch.float64, *, bias: bool = True) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(rows)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    targets = torch.randint(0, VOCAB, (rows,), generator=generator)
    return draw(rows, DIM), draw(VOCAB, DIM), targets, *((draw(VOCAB),) if bias else ())


def test_autocast_leaves_float64_alone() -> None:
    features, weight, targets, bias = random_case(7)
    expected = vocabulary_loss(features, weight, bias, targets)
    with torch.autocast("cpu", torch.bfloat16):
        found = vocabulary_loss(features, weight, bias, targets)
    assert torch.equal(found.total, expected.total)


def expected_loss(smoothing: float) -> object:
    def total(features: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
        logits = torch.nn.functional.linear(features, weight, bias)
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)

    return total


def chunked_loss(smoothing: float) -> object:
    def total(features: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
        return vocabulary_loss(features, weight, bias, targets, label_smoothing=smoothing).total

    return total


# None at all, one, less than a block, exactly one, one more, and enough for blocks of more than one slice.
ROWS = (0, 1, 20, MIN_BLOCK_ROWS, MIN_BLOCK_ROWS + 1, NUM_BLOCKS * (SLICE_ROWS + 9))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_cross_entropy(smoothing: float, bias: bool, rows: int) -> None:
    case = random_case(rows, bias=bias)
    assert_same_function(chunked_loss(smoothing), expected_loss(smoothing), *case)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_cross_entropy_in_float32(smoothing: float) -> None:
    assert_same_function(chunked_loss(smoothing), expected_loss(smoothing), *random_case(300, torch.float32))


@draws(20)
@given(rows=st.integers(0, 5), scale=st.sampled_from([1.0, 1e3]), smoothing=st.floats(0, 0.9))
def test_it_is_cross_entropy_for_any_logits(rows: int, scale: float, smoothing: float) -> None:
    features, *rest = random_case(rows)
    assert_same_function(chunked_loss(smoothing), expected_loss(smoothing), scale * features, *rest)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_autocast_is_near_float32(smoothing: float) -> None:
    def autocast(*case: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return chunked_loss(smoothing)(*case)  # type: ignore[operator]

    case = random_case(LOW_BLOCK_ROWS + 400, torch.float32)
    assert_same_function(autocast, expected_loss(smoothing), *case, tolerance=2e-2)
    assert autocast(*case).dtype == torch.float32, "sums stay in float32"


def test_nll_is_the_loss_without_smoothing_and_without_gradient() -> None:
    features, weight, targets, bias = random_case(40)
    features.requires_grad_()
    smoothed = vocabulary_loss(features, weight, bias, targets, label_smoothing=0.2)
    plain = vocabulary_loss(features, weight, bias, targets)
    assert torch.equal(smoothed.nll, plain.nll)
    torch.testing.assert_close(plain.total, plain.nll, rtol=0, atol=0)
    assert not torch.allclose(smoothed.total, smoothed.nll)
    assert not smoothed.nll.requires_grad
    assert smoothed.total.requires_grad


def test_the_gradient_of_a_scaled_loss_is_scaled() -> None:
    """Accumulated over micro-batches a loss is divided by a count, or scaled up for float16."""
    features, weight, targets, bias = (t.requires_grad_() if t.is_floating_point() else t for t in random_case(30))
    leaves = [features, weight, bias]
    plain = torch.autograd.grad(vocabulary_loss(features, weight, bias, targets).total, leaves)
    scaled = torch.autograd.grad(vocabulary_loss(features, weight, bias, targets).total * 0.25, leaves)
    for one, quarter in zip(plain, scaled, strict=True):
        assert torch.equal(quarter, one * 0.25)


def test_a_second_backward_is_an_error_not_a_wrong_gradient() -> None:
    """The gradients are handed over without a copy, so there are none left for a second time."""
    features, weight, targets, bias = (t.requires_grad_() if t.is_floating_point() else t for t in random_case(30))
    total = vocabulary_loss(features, weight, bias, targets).total
    torch.autograd.grad(total, [features], retain_graph=True)
    with pytest.raises(RuntimeError, match="goes backward once"):
        torch.autograd.grad(total, [features])


def test_without_gradients_nothing_is_kept() -> None:
    features, weight, targets, bias = random_case(30)
    weight.requires_grad_()
    with torch.no_grad():
        quiet = vocabulary_loss(features, weight, bias, targets)
    assert not quiet.total.requires_grad
    assert torch.equal(quiet.total, vocabulary_loss(features, weight, bias, targets).total)


def test_a_second_derivative_is_an_error_not_a_missing_term() -> None:
    features, weight, targets, bias = random_case(3)
    features.requires_grad_()
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(vocabulary_loss(features, weight, bias, targets).total, features, create_graph=True)


def test_means_for_smoothing_are_not_rounded_under_autocast() -> None:
    features, weight, _, bias = random_case(40, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        blocks = ScoreBlocks(features, weight, bias, torch.bfloat16)
    assert blocks.mean_scores.dtype == torch.float32
    rounded = blocks.features[:40].float() @ blocks.weight.float().mean(0) + blocks.bias.float().mean()
    torch.testing.assert_close(blocks.mean_scores[:40], rounded, rtol=1e-2, atol=2e-3)
