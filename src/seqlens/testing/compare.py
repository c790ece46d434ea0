"""How two tensors are compared, and what is said when they differ."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


def tensors_of(result: object) -> dict[str, Tensor]:
    """Every tensor in nested tuples, lists, dicts and named tuples by its path, such as `[0].hidden` or `['h']`.

    What is no tensor (None, a count) is left out.
    """
    leaves, _ = pytree.tree_flatten_with_path(result)
    return {pytree.keystr(path) or "the output": leaf for path, leaf in leaves if isinstance(leaf, Tensor)}


def results_of(result: object) -> dict[str, Tensor]:
    """The tensors of what a module returned, all of which are to be compared.

    Raises:
        ValueError: it holds none, or an object that cannot be looked into.
    """
    leaves, _ = pytree.tree_flatten_with_path(result)
    for path, leaf in leaves:
        if leaf is not None and not isinstance(leaf, Tensor | bool | int | float | str):
            place = pytree.keystr(path) or "the output"
            raise ValueError(
                f"{place} is a {type(leaf).__name__}, which cannot be looked into: return tensors in tuples, named"
                " tuples, lists or dicts, or wrap the module so that it does"
            )
    if not any(isinstance(leaf, Tensor) for _, leaf in leaves):
        raise ValueError("there is no tensor in what is returned, so nothing to compare")
    return tensors_of(result)


@contextmanager
def running(what: str) -> Iterator[None]:
    """Turns whatever the module raises on `what` into an AssertionError that says so, the error itself behind it."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"the module fails on {what}: {type(error).__name__}: {error}") from error


def check_names(actual: dict[str, Tensor], expected: dict[str, Tensor], who: tuple[str, str]) -> None:
    """Raises AssertionError if two results do not hold tensors at the same places."""
    for one, other, name in ((actual, expected, who[0]), (expected, actual, who[1])):
        alone = [path for path in one if path not in other]
        if alone:
            raise AssertionError(f"only {name} returns a tensor at {', '.join(alone)}")


def check_close(actual: Tensor, expected: Tensor, tolerance: float | None, what: str) -> None:
    """Raises AssertionError if `actual` is not `expected`; `what` begins the sentence.

    Whole numbers and truth values must be equal, and so must infinities and NaN.

    Raises:
        ValueError: no tolerance is stated for numbers that have none of their own.
    """
    if actual.shape != expected.shape:
        raise AssertionError(f"{what} has the shape {list(actual.shape)}, expected {list(expected.shape)}")
    if tolerance is None and actual.dtype != expected.dtype:
        raise AssertionError(f"{what} is {actual.dtype}, expected {expected.dtype}")
    if expected.numel() == 0:
        return
    actual, expected = as_real(actual), as_real(expected)
    allowed_part = _tolerance(expected.dtype, tolerance)
    wide, wide_expected = _wide(actual), _wide(expected)
    largest = float(wide_expected.nan_to_num(0.0, 0.0, 0.0).abs().max())
    same = (wide == wide_expected) | (wide.isnan() & wide_expected.isnan())
    difference = (wide - wide_expected).abs().nan_to_num(torch.inf).masked_fill(same, 0.0)
    off = difference > allowed_part * largest
    if not bool(off.any()):
        return
    worst = int(difference.argmax())
    place = [int(index) for index in torch.unravel_index(torch.tensor(worst), expected.shape)]
    raise AssertionError(
        f"{what} is off by {float(difference.flatten()[worst]):.3g} at {place}:"
        f" {float(wide.flatten()[worst]):.9g}, expected {float(wide_expected.flatten()[worst]):.9g};"
        f" allowed is {allowed_part:g} of the largest entry, {largest:.3g};"
        f" {int(off.sum())} of {off.numel()} entries are off"
    )


def _tolerance(dtype: torch.dtype, tolerance: float | None) -> float:
    if not dtype.is_floating_point:
        return 0.0
    if tolerance is not None:
        return tolerance
    if dtype not in TOLERANCES:
        raise ValueError(f"{dtype} has no tolerance of its own: give `tolerance`")
    return TOLERANCES[dtype]


def as_real(tensor: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones; others as they are."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _wide(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double()
