"""Two modules, or two ways to run one, are the same function."""

from collections.abc import Callable
from typing import Any, Literal

from seqlens.testing.compare import check_close, check_names, results_of, tensors_of
from seqlens.testing.gradients import as_leaves, evaluating, gradients_of, trainable, weighted_sum


def assert_same_function(
    actual: Callable[..., object],
    expected: Callable[..., object],
    *arguments: Any,
    gradients: Literal["all", "inputs", "none"] = "inputs",
    tolerance: float | None = None,
) -> None:
    """Asserts that two modules or functions give the same outputs and gradients for the same arguments.

    Both run in evaluation mode, without dropout. Their results may be nested (tuples, dicts, named tuples), with
    tensors at the same places.

    Args:
        actual: the module or function under test.
        expected: the one that is believed.
        arguments: given to both; floating tensors among them, also nested ones, receive gradients.
        gradients: of the arguments (`inputs`), also of the parameters (`all`; both must be modules whose parameters
            have the same names), or `none`.
        tolerance: largest difference as a part of the largest entry; 1e-10 in float64 and 1e-5 in float32 if None.
            With a stated one their results may differ in dtype.

    Raises:
        AssertionError: an output or a gradient differs.
    """
    given = as_leaves(arguments)
    inputs = {f"the argument at {path}": leaf for path, leaf in tensors_of(given).items() if leaf.requires_grad}
    results, found = [], []
    with evaluating(actual, expected):
        for function in (actual, expected):
            result = results_of(function(*given))
            leaves = {} if gradients == "none" else dict(inputs)
            if gradients == "all":
                leaves.update({f"`{name}`": tensor for name, tensor in trainable(function).items()})
            results.append(result)
            found.append(gradients_of(weighted_sum(result), leaves))
    (result, believed), (gradient, believed_gradient) = results, found
    check_names(result, believed, ("the first", "the second"))
    for path, tensor in believed.items():
        check_close(result[path], tensor, tolerance, path)
    check_names(gradient, believed_gradient, ("the first, among its gradients,", "the second, among its gradients,"))
    for name, tensor in believed_gradient.items():
        check_close(gradient[name], tensor, tolerance, f"the gradient of {name}")
