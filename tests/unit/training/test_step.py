import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqlens.tasks.loss_sum import LossSum
from seqlens.training.config import AdamWConfig
from seqlens.training.optimizer import Optimizer
from seqlens.training.precision import Precision, choose_precision
from seqlens.training.step import StepResult, train_step

FLOAT32 = choose_precision("float32", torch.device("cpu"))


def step(
    model: nn.Module,
    batches: list[Any],
    compute_loss: Callable[[nn.Module, Any], LossSum],
    *,
    gradient_clip: float | None = None,
    precision: Precision = FLOAT32,
) -> StepResult:
    optimizer = Optimizer(model, AdamWConfig(learning_rate=0.1))
    return train_step(
        model, batches, compute_loss, optimizer, learning_rate=0.1, gradient_clip=gradient_clip, precision=precision
    )


def gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def tagging_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> LossSum:
    inputs, lengths = batch
    keep = torch.arange(inputs.shape[1]) < lengths[:, None]
    errors = (model(inputs)[0] - inputs).square().sum(-1)[keep]
    return LossSum(errors.sum(), int(keep.sum()), {"errors": float(errors.detach().sum())})


@pytest.mark.parametrize("gradient_clip", [None, 0.01])
def test_accumulated_batches_equal_one_large_batch(gradient_clip: float | None) -> None:
    torch.manual_seed(0)
    whole = nn.GRU(4, 4, batch_first=True).double()
    parts = copy.deepcopy(whole)
    inputs, lengths = torch.randn(9, 6, 4, dtype=torch.float64), torch.tensor([6, 1, 3, 2, 6, 5, 1, 1, 4])
    split = [(inputs[:2], lengths[:2]), (inputs[2:3], lengths[2:3]), (inputs[3:], lengths[3:])]

    one = step(whole, [(inputs, lengths)], tagging_loss, gradient_clip=gradient_clip)
    many = step(parts, split, tagging_loss, gradient_clip=gradient_clip)

    assert (one.count, many.count) == (29, 29)
    assert many.total == pytest.approx(one.total, rel=1e-12)
    assert many.parts["errors"] == pytest.approx(one.parts["errors"], rel=1e-12)
    assert many.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-10)
    for mine, theirs in zip(gradients(parts), gradients(whole), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10 * float(theirs.abs().max()))
    # Adam divides by the gradient's size, so a weight may move by far more than the gradient's rounding error.
    for mine, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-7)


def test_the_gradient_is_that_of_the_mean_loss(linear: nn.Module, points: list[Any], loss_of_points: Any) -> None:
    other = copy.deepcopy(linear)
    loss = loss_of_points(other, points[3])
    (loss.total / loss.count).backward()
    result = step(linear, [points[3]], loss_of_points)
    torch.testing.assert_close(gradients(linear), gradients(other))
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients(other)))
    assert result.gradient_norm == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize("gradient_clip", [0.5, 1e-3])
def test_clipping_scales_to_the_norm_asked_for(
    gradient_clip: float, linear: nn.Module, points: list[Any], loss_of_points: Any
) -> None:
    other = copy.deepcopy(linear)
    free = step(other, points[:2], loss_of_points)
    clipped = step(linear, points[:2], loss_of_points, gradient_clip=gradient_clip)
    assert clipped.gradient_norm == free.gradient_norm > gradient_clip
    for mine, whole in zip(gradients(linear), gradients(other), strict=True):
        torch.testing.assert_close(mine, whole * (gradient_clip / free.gradient_norm))


def test_a_small_gradient_is_not_scaled_up(linear: nn.Module, points: list[Any], loss_of_points: Any) -> None:
    other = copy.deepcopy(linear)
    step(other, points[:1], loss_of_points)
    step(linear, points[:1], loss_of_points, gradient_clip=1e6)
    torch.testing.assert_close(gradients(linear), gradients(other), rtol=0, atol=0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_or_gradient_that_is_not_finite_moves_nothing(
    value: float, linear: nn.Module, points: list[Any]
) -> None:
    def bad_loss(model: nn.Module, batch: Any) -> LossSum:
        return LossSum(model(batch.x).sum() * value, 1, {})

    class BadGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, input: Tensor) -> Tensor:
            return input.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            return gradients[0] * value

    def bad_gradient(model: nn.Module, batch: Any) -> LossSum:
        return LossSum(BadGradient.apply(model(batch.x)).sum(), 1, {})

    before = copy.deepcopy(linear.state_dict())
    assert not math.isfinite(step(linear, points[:1], bad_loss).total)
    result = step(linear, points[:1], bad_gradient)
    assert math.isfinite(result.total)
    assert not math.isfinite(result.gradient_norm)
    assert not result.updated
    torch.testing.assert_close(linear.state_dict(), before, rtol=0, atol=0)


def test_where_nothing_counts_nothing_moves(linear: nn.Module, points: list[Any]) -> None:
    before = copy.deepcopy(linear.state_dict())
    result = step(linear, points[:1], lambda model, batch: LossSum(torch.zeros(()), 0, {}))
    assert (result.total, result.count, result.gradient_norm, result.updated) == (0.0, 0, 0.0, False)
    torch.testing.assert_close(linear.state_dict(), before, rtol=0, atol=0)


def test_bfloat16_is_for_products_and_weights_stay_float32(linear: nn.Module, points: list[Any]) -> None:
    seen: list[torch.dtype] = []

    def compute_loss(model: nn.Module, batch: Any) -> LossSum:
        output = model(batch.x)
        seen.append(output.dtype)
        return LossSum((output.float() - batch.y).square().sum(), len(batch.x), {})

    result = step(linear, points[:1], compute_loss, precision=choose_precision("bfloat16", torch.device("cpu")))
    assert seen == [torch.bfloat16]
    assert result.updated
    assert {parameter.dtype for parameter in linear.parameters()} == {torch.float32}
