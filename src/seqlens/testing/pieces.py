"""Chunks equal the whole, and so do single steps."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlens.testing.compare import check_close, check_names, results_of, running
from seqlens.testing.gradients import evaluating, gradients_of, trainable, weighted_sum


def assert_chunks_equal_whole(
    module: nn.Module,
    inputs: Tensor,
    lengths: Tensor | None = None,
    *,
    chunk_sizes: Sequence[int],
    state: Any = None,
    call: Callable[[Tensor, Tensor | None, Any], tuple[Tensor, Any]] | None = None,
    gradients: bool = True,
    tolerance: float | None = None,
) -> None:
    """Asserts that a sequence in chunks, the state carried over, gives what it gives in one piece.

    Outputs, the final state, and (through all chunks) the gradients of inputs and weights are compared. The module
    runs in evaluation mode, without dropout.

    Args:
        module: any module that reads a state and returns one.
        inputs: `[batch, time, ...]`.
        lengths: real steps of each sequence, `[batch]`; a chunk gets those that fall into it, from none to all.
        chunk_sizes: steps of each chunk; together the time of the inputs.
        state: the state to start from; None where the module makes its own.
        call: `call(chunk, lengths, state) -> (outputs [batch, time, ...], state)`; if None the module is called just
            so. For torch's layers: `call=lambda chunk, lengths, state: gru(chunk, state)`.
        gradients: whether gradients are compared as well.
        tolerance: largest difference as a part of the largest entry; 1e-10 in float64 and 1e-5 in float32 if None.

    Raises:
        AssertionError: the chunks give something else, or the module raises an error of its own.
        ValueError: the chunks do not add up to the inputs.
    """
    if sum(chunk_sizes) != inputs.shape[1]:
        raise ValueError(f"`chunk_sizes` must add up to {inputs.shape[1]} steps, but to {sum(chunk_sizes)}")
    run: Callable[..., tuple[Tensor, Any]] = call or module
    leaf = inputs.detach().clone().requires_grad_(gradients and inputs.is_floating_point())
    leaves = {"the inputs": leaf} if leaf.requires_grad else {}
    leaves.update({f"`{name}`": tensor for name, tensor in trainable(module).items()} if gradients else {})
    with evaluating(module):
        with running("the whole"):
            outputs, end = run(leaf, lengths, state)
        whole = {"the outputs": outputs, **_state_tensors(end)}
        pieces, first = [], 0
        for chunk, size in zip(leaf.split(list(chunk_sizes), dim=1), chunk_sizes, strict=True):
            own = None if lengths is None else (lengths.long() - first).clamp(0, size)
            with running(f"the {size} steps from {first} on"):
                outputs, state = run(chunk, own, state)
            pieces.append(outputs)
            first += size
        chunked = {"the outputs": torch.cat(pieces, dim=1), **_state_tensors(state)}
    check_names(chunked, whole, ("the run in chunks", "the whole"))
    said = f"in chunks of {', '.join(map(str, chunk_sizes))}"
    for path, expected in whole.items():
        if chunked[path].shape == expected.shape and path == "the outputs":
            for row in range(len(expected)):
                check_close(chunked[path][row], expected[row], tolerance, f"{path} of sequence {row} {said}")
        check_close(chunked[path], expected, tolerance, f"{path} {said}")
    found = gradients_of(weighted_sum(chunked), leaves)
    for name, expected in gradients_of(weighted_sum(whole), leaves).items():
        check_close(found[name], expected, tolerance, f"the gradient of {name} {said}")


def assert_steps_equal_whole(
    module: nn.Module,
    inputs: Tensor,
    *,
    step: Callable[[Tensor, Any], tuple[Tensor, Any]] | None = None,
    state: Any = None,
    whole: Callable[[Tensor], Tensor] | None = None,
    tolerance: float | None = None,
) -> None:
    """Asserts that one step at a time, the state carried over, gives the outputs of the whole.

    The module runs in evaluation mode, without dropout, and without gradients.

    Args:
        module: any module that can take one step.
        inputs: what is stepped over, `[batch, time, ...]`: vectors, or ids.
        step: `step(x_t [batch, ...], state) -> (output [batch, ...], state)`; `module.step` if None.
        state: the state before the first step; `module.initial_state(batch)` if None.
        whole: `whole(inputs) -> outputs [batch, time, ...]`; if None the module, whose first result is taken where it
            returns a tuple.
        tolerance: largest difference as a part of the largest entry; 1e-10 in float64 and 1e-5 in float32 if None.

    Raises:
        AssertionError: a step gives something else, or the module raises an error of its own.
    """
    take = step or module.step
    with evaluating(module), torch.no_grad():
        with running("the whole"):
            expected = (whole or module)(inputs)
        if isinstance(expected, tuple):
            expected = expected[0]
        if state is None:
            state = module.initial_state(len(inputs))  # type: ignore[operator]
        if expected.shape[:2] != inputs.shape[:2]:
            found = f"{list(expected.shape)} for inputs {list(inputs.shape)}"
            raise AssertionError(f"the whole must give an output for every step, but gives {found}")
        for number, x_t in enumerate(inputs.unbind(1)):
            with running(f"step {number} of {inputs.shape[1]}"):
                output, state = take(x_t, state)  # type: ignore[operator]
            for row in range(len(inputs)):
                said = f"the output of sequence {row} at step {number} of {inputs.shape[1]}"
                check_close(output[row], expected[row, number], tolerance, said)


def _state_tensors(state: Any) -> dict[str, Tensor]:
    found = {} if state is None else results_of(state)
    return {f"the final state at {path}": tensor for path, tensor in found.items()}
