"""A projection is `nn.Linear`, whatever the number of rows."""

import pytest
import torch
from torch import Tensor, nn

from seqlens.layers.product import is_small
from seqlens.layers.projection import ROW_MULTIPLE, Projection
from seqlens.testing import assert_same_function

SHAPES = ((0, 6), (1, 6), (3, 5, 6), (ROW_MULTIPLE, 6), (2, ROW_MULTIPLE, 6), (ROW_MULTIPLE + 1, 6), (3, 0, 6))


def same_weights() -> tuple[Projection, nn.Linear]:
    torch.manual_seed(0)
    ours, theirs = Projection(6, 4), nn.Linear(6, 4)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("shape", SHAPES)
def test_in_float64_it_is_linear(shape: tuple[int, ...]) -> None:
    ours, theirs = (layer.double() for layer in same_weights())
    assert_same_function(ours, theirs, torch.randn(*shape, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_under_autocast_it_is_what_linear_is_there(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """The same products in bfloat16, up to the order of their sums."""
    inputs = torch.randn(*shape).to(dtype)

    def run(layer: nn.Module) -> list[Tensor]:
        given = inputs.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = layer(given)
        gradients = torch.autograd.grad(outputs.float().square().sum(), [given, *layer.parameters()])
        return [outputs, *gradients]

    for ours, theirs in zip(*(run(layer) for layer in same_weights()), strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if ours.numel():
            ours, theirs = ours.detach().float(), theirs.detach().float()
            scale = float(theirs.abs().max())
            assert float((ours - theirs).abs().max()) <= 1e-2 * scale + 1e-6


def test_it_survives_what_linear_survives() -> None:
    ours, _ = same_weights()
    exported = torch.export.export(ours, (torch.randn(5, 6),))
    inputs = torch.randn(5, 6)
    torch.testing.assert_close(exported.module()(inputs), ours(inputs))


def test_large_products_in_float32_are_those_of_linear() -> None:
    """These run by other kernels, and have a second derivative nevertheless."""
    torch.manual_seed(0)
    ours, theirs = Projection(48, 40), nn.Linear(48, 40)
    theirs.load_state_dict(ours.state_dict())
    inputs = torch.randn(3, 100, 48)
    assert not is_small(300, ours.weight)

    def run(layer: nn.Module) -> list[Tensor]:
        given = inputs.clone().requires_grad_()
        outputs = layer(given)
        first = torch.autograd.grad(outputs.square().sum(), [given, *layer.parameters()], create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), [given, *layer.parameters()])
        return [outputs, *first, *second]

    for ours_one, theirs_one in zip(run(ours), run(theirs), strict=True):
        difference, scale = (ours_one - theirs_one).detach().abs().max(), theirs_one.detach().abs().max()
        assert difference <= 1e-5 * scale
