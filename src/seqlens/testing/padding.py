"""Padding never changes an answer."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqlens.testing.compare import check_close, check_names, results_of, running
from seqlens.testing.gradients import evaluating, gradients_of, trainable, weighted_sum

PaddedInput = tuple[Tensor, Tensor]
"""`values [batch, time, ...]` and `lengths [batch]`: what lies at and beyond a row's length is padding."""

FLOAT_FILLS = (0.0, float("nan"), float("inf"), -1e30)
WHOLE_FILLS = (0, 1)


def assert_padding_invariant(
    module: nn.Module,
    *inputs: PaddedInput,
    call: Callable[..., object] | None = None,
    fills: Sequence[int | float] | None = None,
    extra_time: int = 2,
    gradients: bool = True,
    tolerance: float | None = None,
) -> None:
    """Asserts that each sequence of a batch gets what it gets alone, whatever the padding holds.

    Every sequence is run alone, without any padding; then all in one batch, once for each fill. Each tensor that the
    module returns has the batch as its first axis; a row of it is cut to the shape it has alone (so that weights
    `[batch, queries, keys]` and states `[batch, dim]` may stand beside outputs `[batch, time, dim]`), and what is cut
    off is not looked at. Then the gradients of the weights must be the sum of those of the sequences alone, those of
    the inputs the same, and zero at the padding. The module runs in evaluation mode, without dropout.

    Args:
        module: any module.
        inputs: one pair `(values [batch, time, ...], lengths [batch])`, or more (a source and a target).
        call: how the module is run, `call(values, lengths, values, lengths, ...)`; the module itself if None.
            Needed where it returns tensors that are not by sequence: return those that are.
        fills: what is written at padding; 0, NaN, infinity and -1e30 if None, for whole numbers 0 and 1.
        extra_time: padding steps beyond the longest sequence.
        gradients: whether gradients are compared as well.
        tolerance: largest difference as a part of the largest entry; 1e-10 in float64 and 1e-5 in float32 if None.

    Raises:
        AssertionError: an answer or a gradient depends on the padding or on the other sequences, or the module raises
            an error of its own.
    """
    run = _Run(module, call or module, gradients)
    pairs = [(values.detach(), lengths) for values, lengths in inputs]
    batch = len(pairs[0][1])
    rounds = max(len(_fills(values, fills)) for values, _ in pairs)
    with evaluating(module):
        alone = [run(f"sequence {row} alone ({_steps(pairs, row)})", _row(pairs, row), [row]) for row in range(batch)]
        for number in range(rounds):
            fill = _fill(pairs[0][0], fills, number)
            filled = [_filled(values, lengths, fills, number, extra_time) for values, lengths in pairs]
            shapes = [result.tensors for result in alone]
            together = run(f"the batch (padding: {fill:g})", filled, list(range(batch)), shapes)
            for row, expected in enumerate(alone):
                _check_row(together, expected, row, pairs, fill, tolerance)
            for name, gradient in together.parameters.items():
                total = torch.stack([result.parameters[name] for result in alone]).sum(0)
                check_close(gradient, total, tolerance, f"the gradient of `{name}` (padding: {fill:g})")


class _Result(NamedTuple):
    """`tensors` by path, those of row `i` cut to the shape they have alone; gradients of inputs and of parameters."""

    tensors: dict[str, Tensor]
    rows: list[dict[str, Tensor]]
    inputs: list[Tensor | None]
    parameters: dict[str, Tensor]


class _Run:
    """One run of the module with the gradients of what is compared."""

    def __init__(self, module: nn.Module, call: Callable[..., object], gradients: bool) -> None:
        self.call = call
        self.gradients = gradients
        self.leaves = trainable(module) if gradients else {}

    def __call__(
        self, what: str, pairs: Sequence[PaddedInput], seeds: list[int], alone: list[dict[str, Tensor]] | None = None
    ) -> _Result:
        values = [given.clone().requires_grad_(self.gradients and given.is_floating_point()) for given, _ in pairs]
        arguments = [part for value, (_, lengths) in zip(values, pairs, strict=True) for part in (value, lengths)]
        with running(what):
            result = self.call(*arguments)
        tensors = results_of(result)
        _check_batch_axis(tensors, len(seeds))
        if alone is None:
            rows = [tensors]
        else:
            for row, shapes in enumerate(alone):
                check_names(tensors, shapes, ("the batch", f"sequence {row} alone"))
            rows = [_cut_row(tensors, shapes, row) for row, shapes in enumerate(alone)]
        total = torch.stack([weighted_sum(row, seed) for row, seed in zip(rows, seeds, strict=True)]).sum()
        inputs = {str(number): value for number, value in enumerate(values) if value.requires_grad}
        found = gradients_of(total, {**inputs, **self.leaves}) if self.gradients else {}
        return _Result(
            tensors,
            rows,
            [found.pop(str(number), None) for number in range(len(values))],
            {name: found[name] for name in self.leaves},
        )


def _check_batch_axis(tensors: dict[str, Tensor], batch: int) -> None:
    for path, tensor in tensors.items():
        if tensor.ndim == 0 or len(tensor) != batch:
            raise ValueError(
                f"{path} must have the {batch} sequences as its first axis, but has the shape {list(tensor.shape)}:"
                " give a `call` that returns only tensors that are by sequence"
            )


def _cut_row(tensors: dict[str, Tensor], shapes: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    return {path: _cut(tensor[row : row + 1], shapes[path].shape) for path, tensor in tensors.items()}


def _cut(tensor: Tensor, shape: torch.Size) -> Tensor:
    if tensor.ndim != len(shape):
        return tensor
    return tensor[tuple(slice(0, size) for size in shape)]


def _row(pairs: Sequence[PaddedInput], row: int) -> list[PaddedInput]:
    """One sequence as a batch of its own without padding."""
    return [(values[row : row + 1, : int(lengths[row])], lengths[row : row + 1]) for values, lengths in pairs]


def _steps(pairs: Sequence[PaddedInput], row: int) -> str:
    return " and ".join(f"{int(lengths[row])} of {values.shape[1]} steps" for values, lengths in pairs)


def _fills(values: Tensor, fills: Sequence[int | float] | None) -> Sequence[int | float]:
    return fills or (FLOAT_FILLS if values.is_floating_point() else WHOLE_FILLS)


def _fill(values: Tensor, fills: Sequence[int | float] | None, number: int) -> int | float:
    own = _fills(values, fills)
    return own[number % len(own)]


def _filled(
    values: Tensor, lengths: Tensor, fills: Sequence[int | float] | None, number: int, extra_time: int
) -> PaddedInput:
    fill = _fill(values, fills, number)
    longer = torch.cat((values, values.new_zeros(len(values), extra_time, *values.shape[2:])), dim=1)
    padding = torch.arange(longer.shape[1], device=values.device) >= lengths.to(values.device)[:, None]
    return longer.masked_fill(padding.view(padding.shape + (1,) * (values.ndim - 2)), fill), lengths


def _check_row(
    together: _Result,
    alone: _Result,
    row: int,
    pairs: Sequence[PaddedInput],
    fill: int | float,
    tolerance: float | None,
) -> None:
    who = f"sequence {row} ({_steps(pairs, row)}; padding: {fill:g})"
    for path, expected in alone.tensors.items():
        check_close(together.rows[row][path], expected, tolerance, f"{path} of {who}")
    for number, (gradient, expected_gradient) in enumerate(zip(together.inputs, alone.inputs, strict=True)):
        if gradient is None or expected_gradient is None:
            continue
        length = int(pairs[number][1][row])
        which = f"the gradient of input {number} of {who}"
        check_close(gradient[row : row + 1, :length], expected_gradient, tolerance, which)
        padding = gradient[row, length:]
        check_close(padding, torch.zeros_like(padding), 0.0, f"{which}, from its padding on,")
