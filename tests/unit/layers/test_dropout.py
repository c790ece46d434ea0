"""Dropout draws its own bits: the right share, the right scale, the same for one seed, and the gradient of its mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlens.layers.dropout import Dropout, keep_mask

DTYPES = (torch.float32, torch.float64, torch.bfloat16)


@settings(max_examples=30)
@given(p=st.floats(0.001, 0.99), shape=st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_a_mask_has_the_shape_and_holds_zeros_and_ones(p: float, shape: list[int]) -> None:
    like = torch.empty(shape)
    mask, scale = keep_mask(like, p)
    assert mask.shape == like.shape
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert scale == pytest.approx(1 / (1 - p), rel=2e-3)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.9])
def test_the_right_share_is_dropped_everywhere(p: float) -> None:
    torch.manual_seed(0)
    mask, _ = keep_mask(torch.empty(400, 1000), p)
    kept = 1 - p
    error = (kept * p / 1000) ** 0.5
    for axis in (0, 1):
        means = mask.mean(axis)
        assert (means - kept).abs().max() < 6 * error * (1 if axis else 2.5**0.5)
    # Neighbours in either direction are independent: their common share is the square.
    for one, other in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1]), (mask[:, 4:], mask[:, :-4])):
        assert float((one * other).mean()) == pytest.approx(kept**2, abs=0.005)


def test_two_calls_differ_and_one_seed_repeats() -> None:
    like = torch.empty(50, 7)
    torch.manual_seed(3)
    first, second = keep_mask(like, 0.5)[0], keep_mask(like, 0.5)[0]
    torch.manual_seed(3)
    assert torch.equal(keep_mask(like, 0.5)[0], first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_is_kept(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    outputs = Dropout(0.2)(torch.ones(500, 500, dtype=dtype))
    assert float(outputs.double().mean()) == pytest.approx(1.0, abs=0.01)
    assert outputs.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fusions_are_what_they_fuse(dtype: torch.dtype) -> None:
    """With one seed, `add` and `relu` drop what the plain call drops, values and gradients."""
    layer = Dropout(0.4)

    def run(fused: bool) -> list[Tensor]:
        torch.manual_seed(5)
        residual, branch = (torch.randn(6, 11, dtype=dtype).requires_grad_() for _ in range(2))
        torch.manual_seed(7)
        added = layer.add(residual, branch) if fused else residual + layer(branch)
        rectified = layer.relu(branch) if fused else layer(torch.relu(branch))
        weights = torch.linspace(-1, 2, 66, dtype=dtype).view(6, 11)
        total = (weights * (added + 2 * rectified)).sum()
        return [added, rectified, *torch.autograd.grad(total, [residual, branch])]

    for ours, expected in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(ours, expected)


def test_a_residual_keeps_its_dtype() -> None:
    residual = torch.randn(3, 4, requires_grad=True)
    branch = torch.randn(3, 4).bfloat16().requires_grad_()
    for layer in (Dropout(0.5), Dropout(0.0), Dropout(0.5).eval()):
        added = layer.add(residual, branch)
        assert added.dtype == torch.float32
        gradients = torch.autograd.grad(added.sum(), [residual, branch])
        assert [gradient.dtype for gradient in gradients] == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("layer", [Dropout(0.7).eval(), Dropout(0.0)])
def test_it_is_nothing_in_evaluation_and_without_probability(layer: Dropout) -> None:
    inputs = torch.randn(4, 3)
    state = torch.get_rng_state()
    assert layer(inputs) is inputs
    assert torch.equal(layer.add(inputs, inputs), 2 * inputs)
    assert torch.equal(layer.relu(inputs), torch.relu(inputs))
    assert torch.equal(torch.get_rng_state(), state), "nothing was drawn"


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_an_impossible_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=f"is {p}"):
        Dropout(p)


def test_it_can_be_compiled_and_exported() -> None:
    model = nn.Sequential(nn.Linear(3, 4), Dropout(0.5))
    exported = torch.export.export(model.eval(), (torch.randn(2, 3),))
    inputs = torch.randn(2, 3)
    torch.testing.assert_close(exported.module()(inputs), model(inputs))
