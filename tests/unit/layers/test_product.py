"""Products that are computed another way from a certain size on are the same products."""

from typing import get_args

import pytest
import torch

from seqlens.cells import CellKind
from seqlens.layers.build import build_recurrent
from seqlens.layers.product import StepProduct, outer_sum, rows_product
from seqlens.layers.projection import linear
from seqlens.testing import assert_same_function

SHAPES = ((1, 3, 5), (0, 4, 6), (40, 130, 120), (1100, 40, 70), (1030, 70, 40))
"""Rows, inputs, outputs: small, none, large, more than are added up at a time."""


def assert_near(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    if expected.numel():
        assert (found.double() - expected).abs().max() <= 1e-6 * expected.abs().max() + 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_those_of_float64(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    rows, inputs, outputs = shape
    x, weight = torch.randn(rows, inputs, dtype=dtype), torch.randn(outputs, inputs, dtype=dtype)
    bias, gradient = torch.randn(outputs, dtype=dtype), torch.randn(rows, outputs, dtype=dtype)
    wide = torch.randn(rows, 2 * inputs, dtype=dtype)
    assert_near(rows_product(x, weight, bias), x.double() @ weight.double().t() + bias.double())
    assert_near(rows_product(gradient, weight.t()), gradient.double() @ weight.double())
    assert_near(rows_product(wide[:, :inputs], weight), wide[:, :inputs].double() @ weight.double().t())
    assert_near(rows_product(x[:1].expand(rows, -1), weight), x[:1].double().expand(rows, -1) @ weight.double().t())
    assert_near(outer_sum(gradient, x), gradient.double().t() @ x.double())
    assert_near(outer_sum(wide[:, :inputs], gradient), wide[:, :inputs].double().t() @ gradient.double())
    assert_near(outer_sum(gradient, wide[:, :inputs]), gradient.double().t() @ wide[:, :inputs].double())
    assert_near(outer_sum(x, gradient), x.double().t() @ gradient.double())
    for times in (1, 100):
        product, turned = StepProduct(weight, times), StepProduct(weight.t(), times)
        for number in (rows, 1, rows):
            assert_near(product(x[:number]), x[:number].double() @ weight.double().t())
            assert_near(turned(gradient[:number]), gradient[:number].double() @ weight.double())


@pytest.mark.parametrize("bias", [True, False])
def test_linear_has_both_derivatives(bias: bool) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(30, 40, 60), torch.randn(50, 60), *([torch.randn(50)] if bias else [])]
    found = []
    for function in (linear, torch.nn.functional.linear):
        given = [tensor.clone().requires_grad_() for tensor in tensors]
        outputs = function(given[0], given[1], given[2] if bias else None)
        first = torch.autograd.grad(outputs.square().sum(), given, create_graph=True)
        second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), given, allow_unused=True)
        once = torch.autograd.grad(function(given[0], given[1], None).sum(), given[:2])
        found.append([outputs, *first, *second, *once])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "ragged"])
@pytest.mark.parametrize("kind", get_args(CellKind))
def test_a_layer_with_large_products_is_the_reference(kind: CellKind, whole: bool) -> None:
    torch.manual_seed(0)
    batch, time, dim = 40, 6, 120
    layers = {name: build_recurrent(kind, dim, dim) for name in ("generic", "reference")}
    layers["generic"].load_state_dict(layers["reference"].state_dict())
    for name, layer in layers.items():
        layer.executor = name
    lengths = None if whole else torch.randint(0, time + 1, (batch,))
    assert_same_function(
        layers["generic"], layers["reference"], torch.randn(batch, time, dim), lengths, gradients="all"
    )
