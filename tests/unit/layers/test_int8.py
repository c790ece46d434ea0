"""Products of 8-bit integers: what they round, and nothing else."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlens.errors import RequestError
from seqlens.layers import int8
from seqlens.layers.int8 import LARGEST, NormedFeedForward, NormedProduct, has_int8_products
from seqlens.layers.precision import choose_search_precision
from tests.draws import draws

CPU = torch.device("cpu")
needs_int8 = pytest.mark.skipif(not has_int8_products("cpu"), reason="this processor has no products of 8-bit integers")


def random_norm(dim: int, seed: int = 0) -> nn.LayerNorm:
    random = torch.Generator().manual_seed(seed)
    norm = nn.LayerNorm(dim)
    with torch.no_grad():
        norm.weight.normal_(1.0, 0.4, generator=random)
        norm.bias.normal_(0.0, 0.4, generator=random)
        norm.weight[0] = 0.0  # a column that is nothing but its shift
    return norm


def normed(norm: nn.LayerNorm, rows: int, seed: int = 1) -> Tensor:
    inputs = torch.randn(rows, *norm.normalized_shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        found: Tensor = norm(3 * inputs + 1)
    return found


def random_linear(dim: int, out: int, seed: int = 2) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(dim, out)


def relative(found: Tensor, expected: Tensor) -> float:
    """Root mean square of the differences over that of what is expected."""
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())


def in_integers(norm: nn.LayerNorm, linear: nn.Linear, rows: Tensor) -> np.ndarray:
    """The same by the definition, slowly: numpy's integers, and doubles outside of them."""
    scale, shift = norm.weight.detach().double().numpy(), norm.bias.detach().double().numpy()
    step = min(LARGEST, len(scale) ** 0.5) / 127
    plain = (rows.double().numpy() - shift) / np.where(scale == 0, np.inf, scale)
    steps = np.clip(np.floor(plain / step + 0.5), -127, 127).astype(np.int64)
    weight = linear.weight.detach().double().numpy() * scale
    size = np.abs(weight).max(axis=1, keepdims=True) / 127
    integers = np.rint(weight / np.where(size == 0, 1, size)).astype(np.int64)
    bias = linear.bias.detach().double().numpy() + linear.weight.detach().double().numpy() @ shift
    return np.asarray((steps @ integers.T) * step * size.T + bias)


@needs_int8
@draws(20)
@given(dim=st.integers(2, 90), out=st.integers(1, 70), rows=st.integers(1, 9), seed=st.integers(0, 9))
def test_a_product_is_that_of_rounded_rows_and_weights(dim: int, out: int, rows: int, seed: int) -> None:
    norm, linear = random_norm(dim, seed), random_linear(dim, out, seed)
    inputs = normed(norm, rows, seed)
    found = NormedProduct(norm, linear.weight, linear.bias)(inputs)
    expected = in_integers(norm, linear, inputs)
    # An entry half way between two steps may be rounded either way.
    near = np.abs(found.numpy() - expected) <= 1e-4
    step = min(LARGEST, dim**0.5) / 127 * np.abs((linear.weight * norm.weight).detach().numpy()).max()
    assert near.mean() > 0.8
    assert np.abs(found.numpy() - expected).max() <= 2 * step + 1e-4


@needs_int8
@pytest.mark.parametrize("dim", [16, 128, 256])
def test_products_are_near_those_of_floats(dim: int) -> None:
    norm, linear = random_norm(dim), random_linear(dim, 48)
    inputs = normed(norm, 40)
    product = NormedProduct(norm, linear.weight, linear.bias)
    with torch.no_grad():
        expected = linear(inputs)
    assert relative(product(inputs), expected) < 0.025
    assert product(inputs[:0]).shape == (0, 48)


@needs_int8
@pytest.mark.parametrize("dim", [16, 128, 512])
def test_a_feed_forward_is_near_that_of_floats(dim: int) -> None:
    norm, up, down = random_norm(dim), random_linear(dim, 4 * dim), random_linear(4 * dim, dim)
    with torch.no_grad():
        up.weight[:5] *= 100  # ranges of its middle differ from entry to entry
        up.weight[5], up.bias[5] = 0.0, -1.0
        down.weight[:, :5] /= 100
        inputs = normed(norm, 40)
        expected = down(up(inputs).relu())
    assert relative(NormedFeedForward(norm, up, down)(inputs), expected) < 0.03


@needs_int8
def test_a_row_does_not_depend_on_those_beside_it() -> None:
    norm, up, down = random_norm(96), random_linear(96, 200), random_linear(200, 96)
    inputs = normed(norm, 33)
    inputs[7] *= 50
    for product in (
        NormedProduct(norm, up.weight, up.bias),
        NormedFeedForward(norm, up, down),
    ):
        together = product(inputs)
        for number in (0, 7, 32):
            assert torch.equal(product(inputs[number : number + 1])[0], together[number])


@needs_int8
def test_what_is_far_from_the_mean_is_cut_and_does_not_wrap() -> None:
    norm, linear = nn.LayerNorm(400), random_linear(400, 8)
    spike = torch.zeros(2, 400)
    spike[0, 3], spike[1, 3] = 1000.0, -1000.0
    with torch.no_grad():
        inputs = norm(spike)
        cut = inputs.clamp(-LARGEST, LARGEST)
        assert inputs.abs().max() > 2 * LARGEST
        found = NormedProduct(norm, linear.weight, linear.bias)(inputs)
    torch.testing.assert_close(found, linear(cut).detach(), atol=0.05, rtol=0.0)


@pytest.fixture
def asked_anew() -> Iterator[None]:
    has_int8_products.cache_clear()
    yield
    has_int8_products.cache_clear()


@pytest.mark.usefixtures("asked_anew")
def test_a_processor_without_units_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    with pytest.raises(RequestError) as caught:
        choose_search_precision("int8", CPU)
    assert str(caught.value) == (
        "precision is 'int8', but there are no fast products of 8-bit integers on this processor with this torch; "
        "expected 'auto', 'bfloat16' or 'float32'."
    )
    with pytest.raises(RequestError, match="8-bit integers on cuda, only on a CPU; expected"):
        choose_search_precision("int8", torch.device("cuda"))


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.skipif(not hasattr(torch.ops.onednn, "qlinear_pointwise"), reason="this torch has no such operator")
@pytest.mark.parametrize("wrong", ["signature", "sums", "positive"])
def test_a_torch_whose_operator_is_another_one_is_not_used(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": True}, raising=False)
    right = int8._Int8Weight.__call__

    def call(self: int8._Int8Weight, rows: Tensor, *rest: float, relu_step: float | None = None) -> Tensor:
        if wrong == "signature":
            raise RuntimeError("qlinear_pointwise() expected at most 3 arguments")
        found = right(self, rows, *rest, relu_step=relu_step)  # type: ignore[arg-type]
        return found + 1 if (wrong == "sums") is (relu_step is None) else found

    monkeypatch.setattr(int8._Int8Weight, "__call__", call)
    assert not has_int8_products("cpu")


@pytest.mark.usefixtures("asked_anew")
def test_units_are_asked_for_by_an_older_torch_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not has_int8_products("cpu")


@needs_int8
def test_what_is_asked_for_is_done_and_says_so() -> None:
    chosen = choose_search_precision("int8", CPU)
    assert chosen.int8
    assert chosen.reason.startswith("8-bit integers for feed-forwards and the vocabulary, as asked for; others in ")
    assert not choose_search_precision("auto", CPU).int8
