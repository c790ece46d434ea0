"""F1 of marked spans, as the CoNLL script and seqeval count it: a span is right if its ends and its label are."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float64

from seqlens.metrics.sufficient import Statistics

Span = tuple[int, int, str]
"""Begin, end, label; in any unit, as long as both sides use the same."""
Measure = Literal["f1", "precision", "recall"]
_NAMES: dict[Measure, str] = {"f1": "F1", "precision": "precision", "recall": "recall"}


def span_statistics(
    truth: Sequence[Collection[Span]], found: Sequence[Collection[Span]], *, name: str = ""
) -> dict[Measure, Statistics]:
    """F1, precision and recall over all spans of all examples together, 0 to 1, with a row an example.

    Where a measure would divide by 0 it is 0, as in seqeval. `name` is put before those of the measures.
    """
    rows = np.zeros((len(truth), 3))
    for number, (true, answered) in enumerate(zip(truth, found, strict=True)):
        right = set(true)
        wanted = set(answered)
        rows[number] = len(right & wanted), len(wanted), len(right)
    measures: dict[Measure, Callable[[Float64[np.ndarray, "*sets 3"]], Float64[np.ndarray, "*sets"]]] = {
        "f1": _f1,
        "precision": _precision,
        "recall": _recall,
    }
    digest = hashlib.sha256("\n".join(repr(sorted(spans)) for spans in truth).encode()).hexdigest()
    first = Statistics("", rows, _f1, "spans:exact|micro", digest, decimals=4)
    return {
        measure: replace(first, name=f"{name} {_NAMES[measure]}".strip(), score_totals=function)
        for measure, function in measures.items()
    }


def _f1(totals: Float64[np.ndarray, "*sets 3"]) -> Float64[np.ndarray, "*sets"]:
    return _ratio(2 * totals[..., 0], totals[..., 1] + totals[..., 2])


def _precision(totals: Float64[np.ndarray, "*sets 3"]) -> Float64[np.ndarray, "*sets"]:
    return _ratio(totals[..., 0], totals[..., 1])


def _recall(totals: Float64[np.ndarray, "*sets 3"]) -> Float64[np.ndarray, "*sets"]:
    return _ratio(totals[..., 0], totals[..., 2])


def _ratio(part: Float64[np.ndarray, "*sets"], whole: Float64[np.ndarray, "*sets"]) -> Float64[np.ndarray, "*sets"]:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(np.asarray(part, dtype=np.float64)), where=whole > 0))
