"""Recurrent layers beside torch's fused ones; the benchmarks `recurrent_*` hold the other figures of theirs."""

from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.recurrent_figures import (
    LARGE,
    TIMED,
    milliseconds,
    peak_times,
    side_of_peak,
    sizes_of,
    timed,
    times_over,
)
from benchmarks.speed.recurrent_variants import WITH_TORCH, Case
from benchmarks.speed.timing import Times

BAR, GRU_BAR = 0.97, 1.3


def measure(*, quick: bool) -> Result:
    """Asserts equal outputs and gradients of whatever is compared before it times it."""
    side = side_of_peak(quick=quick)
    figures: list[Figure] = []
    explanations: dict[str, None] = {}
    worst, peak = 0.0, 0.0
    for size in sizes_of(quick=quick):
        for kind in WITH_TORCH:
            # A projected LSTM is four LSTMs of its width; two sizes tell enough.
            if kind == "lstm_projected" and size.steps * size.hidden > LARGE // 5:
                continue
            case = Case(kind, size)
            worst = max(worst, case.assert_equal(loop=False))
            explanations[f"{kind}: {case.check_executor()}"] = None
            # One pair after the other: whoever follows a training step of its own finds its weights in the cache.
            for training in (True, False):
                pair = (case.train, case.train_torch) if training else (case.forward, case.forward_torch)
                variants: dict[str, Callable[[], Any]] = {"ours": pair[0], "torch": pair[1]}
                times = timed(f"{kind}, {size}", variants, quick=quick)
                products = peak_times(quick=quick)
                figures += _figures(case, times, products, side, training=training)
                peak = max(peak, 2 * side**3 / products.median)
    facts = {
        "equality": "outputs, with gradients and without, and the gradients of inputs and weights against torch's "
        f"fused layer in float32: largest difference {worst:.1e} of the largest entry, asserted ≤ 1e-5 at every size "
        "before anything was timed",
        "time": "one layer, one direction, input as wide as the state, float32, steps × sequences × width, "
        f"{TIMED}; a ratio is the median of the rounds' own ratios",
        "share of the peak": "matrix-product operations over the real steps in a second, of those of a "
        f"{side} × {side} × {side} float32 product timed just after, by MKL or oneDNN, whichever is faster "
        f"(at best {peak / 1e9:,.0f} GFLOP/s)",
        "executor": " ".join(explanations),
    }
    return Result(
        name="recurrent", title="Recurrent layers beside torch's fused ones", figures=tuple(figures), facts=facts
    )


def _figures(case: Case, times: dict[str, Times], product: Times, side: int, *, training: bool) -> list[Figure]:
    label = f"{case.kind}, {case.size}, {'training step' if training else 'forward'}"
    bar = GRU_BAR if training and case.kind == "gru_after" else BAR
    percent = 100 * case.size.flops(case.cell, training=training) / (2 * side**3)
    shares = sorted(percent * product.median / second for second in times["ours"].seconds)
    return [
        times_over(f"{label}: time of torch's fused layer over ours", times["torch"], times["ours"], bar),
        Figure(
            name=f"{label}: share of the matrix-product peak",
            value=median(shares),
            unit="%",
            low=shares[0],
            high=shares[-1],
            better="higher",
        ),
        milliseconds(label, times["ours"]),
    ]
