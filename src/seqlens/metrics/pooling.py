"""Statistics of several parts of a whole, or of several systems on the same examples, as one."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float64

from seqlens.errors import RequestError
from seqlens.metrics.sufficient import Statistics


def pool_parts(parts: Sequence[Statistics]) -> Statistics:
    """The examples of all parts together, in their order: the folds of a cross-validation as one test set.

    Raises:
        RequestError: the parts were not measured in the same way.
    """
    first = parts[0]
    for part in parts[1:]:
        same = (part.name, part.signature) == (first.name, first.signature)
        if not same or part.per_example.shape[1] != first.per_example.shape[1]:
            raise RequestError(
                f"{first.name} ({first.signature}) of one part cannot be pooled with {part.name} ({part.signature}) of "
                "another; both must be measured in the same way."
            )
    chosen = hashlib.sha256("\n".join(part.references_id for part in parts).encode()).hexdigest()
    return replace(first, per_example=np.concatenate([part.per_example for part in parts]), references_id=chosen)


def mean_of_systems(systems: Sequence[Statistics]) -> Statistics:
    """The mean of a score over several systems on the same examples (seeds, repeats), as one statistic of the examples.

    What tells the examples of one from those of another is the first one's.
    """
    first = systems[0]
    if len(systems) == 1:
        return first
    widths = tuple(one.per_example.shape[1] for one in systems)
    return replace(
        first,
        per_example=np.concatenate([one.per_example for one in systems], axis=1),
        score_totals=partial(_mean_of_scores, tuple(systems), widths),
        signature=f"{first.signature}|mean of {len(systems)}",
    )


def _mean_of_scores(
    systems: Sequence[Statistics], widths: Sequence[int], totals: Float64[np.ndarray, "*sets counts"]
) -> Float64[np.ndarray, "*sets"]:
    parts = np.split(totals, np.cumsum(widths)[:-1], axis=-1)
    return np.asarray(np.mean([one.score_totals(part) for one, part in zip(systems, parts, strict=True)], axis=0))
