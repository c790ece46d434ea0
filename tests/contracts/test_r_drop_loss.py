"""`r_drop_loss` is the formula of the paper, value and gradients, without all the logits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlens.layers.r_drop_loss import r_drop_loss
from seqlens.layers.vocabulary_blocks import LOW_BLOCK_ROWS, MIN_BLOCK_ROWS, NUM_BLOCKS, SLICE_ROWS
from seqlens.layers.vocabulary_loss import vocabulary_loss
from seqlens.testing import assert_same_function
from tests.draws import draws

VOCAB, DIM = 11, 5


def random_case(rows: int, dtype: torch.dtype = torch.float64, *, bias: bool = True) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(rows)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    targets = torch.randint(0, VOCAB, (rows,), generator=generator)
    return draw(2, rows, DIM), draw(VOCAB, DIM), targets, *((draw(VOCAB),) if bias else ())


def expected_loss(smoothing: float, weight: float) -> object:
    def total(features: Tensor, matrix: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
        logits = torch.nn.functional.linear(features, matrix, bias)
        entropies = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.repeat(2), reduction="sum", label_smoothing=smoothing
        )
        one, other = torch.log_softmax(logits, dim=2)
        divergence = torch.nn.functional.kl_div(one, other, reduction="sum", log_target=True)
        divergence = divergence + torch.nn.functional.kl_div(other, one, reduction="sum", log_target=True)
        return entropies / 2 + weight / 2 * divergence / 2

    return total


def chunked_loss(smoothing: float, weight: float) -> object:
    def total(features: Tensor, matrix: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
        return r_drop_loss(features, matrix, bias, targets, label_smoothing=smoothing, divergence_weight=weight).total

    return total


# None at all, one, a block's worth and one more, and enough for blocks of more than one slice, of odd size too.
ROWS = (0, 1, 20, MIN_BLOCK_ROWS // 2, MIN_BLOCK_ROWS // 2 + 1, NUM_BLOCKS * (SLICE_ROWS + 9) // 2 + 5)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("smoothing", "weight"), [(0.0, 0.0), (0.0, 5.0), (0.1, 5.0)])
def test_it_is_the_papers_formula(smoothing: float, weight: float, bias: bool, rows: int) -> None:
    case = random_case(rows, bias=bias)
    assert_same_function(chunked_loss(smoothing, weight), expected_loss(smoothing, weight), *case)


def test_it_is_the_papers_formula_in_float32() -> None:
    assert_same_function(chunked_loss(0.1, 5.0), expected_loss(0.1, 5.0), *random_case(300, torch.float32))


@draws(20)
@given(
    rows=st.integers(0, 5),
    scale=st.sampled_from([1.0, 1e2]),
    smoothing=st.floats(0, 0.9),
    weight=st.floats(0, 10),
)
def test_it_is_the_papers_formula_for_any_logits(rows: int, scale: float, smoothing: float, weight: float) -> None:
    features, *rest = random_case(rows)
    assert_same_function(chunked_loss(smoothing, weight), expected_loss(smoothing, weight), scale * features, *rest)


def test_autocast_is_near_float32() -> None:
    def autocast(*case: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return chunked_loss(0.1, 5.0)(*case)  # type: ignore[operator]

    case = random_case(LOW_BLOCK_ROWS // 2 + 200, torch.float32)
    assert_same_function(autocast, expected_loss(0.1, 5.0), *case, tolerance=2e-2)
    assert autocast(*case).dtype == torch.float32, "sums stay in float32"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_of_two_equal_readings_it_is_the_loss_of_one(smoothing: float) -> None:
    features, matrix, targets, bias = random_case(40)
    twice = features[:1].expand(2, -1, -1)
    found = r_drop_loss(twice, matrix, bias, targets, label_smoothing=smoothing, divergence_weight=5.0)
    expected = vocabulary_loss(features[0], matrix, bias, targets, label_smoothing=smoothing)
    torch.testing.assert_close(found.total, expected.total)
    torch.testing.assert_close(found.nll, expected.nll)
    torch.testing.assert_close(found.divergence, torch.zeros_like(found.divergence), atol=1e-12, rtol=0)


def test_its_parts_are_told_without_gradients() -> None:
    features, matrix, targets, bias = random_case(40)
    features.requires_grad_()
    loss = r_drop_loss(features, matrix, bias, targets, divergence_weight=3.0)
    torch.testing.assert_close(loss.total, loss.nll + 1.5 * loss.divergence)
    assert loss.divergence > 0
    assert loss.total.requires_grad
    assert not loss.nll.requires_grad
    assert not loss.divergence.requires_grad
    with torch.no_grad():
        assert torch.equal(r_drop_loss(features, matrix, bias, targets, divergence_weight=3.0).total, loss.total)


def test_a_second_backward_is_an_error_not_a_wrong_gradient() -> None:
    features, matrix, targets, bias = random_case(3)
    features.requires_grad_()
    total = r_drop_loss(features, matrix, bias, targets, divergence_weight=1.0).total
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(total, features, create_graph=True)
    total = r_drop_loss(features, matrix, bias, targets, divergence_weight=1.0).total
    torch.autograd.grad(total, [features], retain_graph=True)
    with pytest.raises(RuntimeError, match="goes backward once"):
        torch.autograd.grad(total, [features])
