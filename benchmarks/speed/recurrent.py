"""Forward and backward of RNN, LSTM and GRU layers beside torch's fused layers and a Python loop over cells."""

from collections.abc import Callable
from typing import get_args

import torch

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.recurrent_variants import Kind, Size, Trio
from benchmarks.speed.timing import Times, interleave, ratio

SIZES = (Size(128, 32, 256), Size(128, 32, 512), Size(128, 32, 512, ragged=True), Size(512, 64, 512))
QUICK_SIZES = (Size(5, 3, 8), Size(5, 3, 8, ragged=True))
ROUNDS = 7
PEAK_SIDE, QUICK_PEAK_SIDE = 2048, 64
_NAMES: dict[Kind, str] = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def measure(*, quick: bool) -> Result:
    """Asserts equal outputs and gradients at every size before it times anything there."""
    rounds = 2 if quick else ROUNDS
    side = QUICK_PEAK_SIDE if quick else PEAK_SIDE
    figures: list[Figure] = []
    explanations: dict[str, None] = {}
    worst, best_peak = 0.0, 0.0
    kinds: tuple[Kind, ...] = get_args(Kind)
    for size in QUICK_SIZES if quick else SIZES:
        for kind in kinds:
            trio = Trio(kind, size)
            worst = max(worst, trio.assert_equal())
            explanations[trio.layer.explain()] = None
            times = interleave({**trio.variants, "product": _product(side)}, rounds=rounds)
            figures += _figures(trio, times, side)
            best_peak = max(best_peak, 2 * side**3 / times["product"].median)
    facts = {
        "equality": "outputs and the gradients of inputs and weights against torch's fused layer in float32: largest "
        f"difference {worst:.1e} of the largest entry, asserted ≤ 1e-5 at every size before anything was timed",
        "time": f"one layer, one direction, input as wide as the state, float32, steps × sequences × width, {rounds} "
        "interleaved rounds; a ratio is the median of the rounds' own ratios; GRU resets after the product, as "
        "torch's; torch's ragged batches are packed",
        "share of the peak": "matrix-product operations of forward and backward, over the real steps, in a second, of "
        f"those of a {side} × {side} × {side} float32 product timed in the same rounds "
        f"(at best {best_peak / 1e9:,.0f} GFLOP/s)",
        "executor": " ".join(explanations),
    }
    return Result(name="recurrent", title="Recurrent layers", figures=tuple(figures), facts=facts)


def _figures(trio: Trio, times: dict[str, Times], side: int) -> list[Figure]:
    label = f"{_NAMES[trio.kind]}, {trio.size}"
    ours = times["ours"]
    found = []
    for variant, name in (("fused", "torch's fused layer"), ("loop", "a Python loop over torch's cells")):
        slower = ratio(times[variant], ours)
        figure = Figure(
            name=f"{label}: time of {name} over ours",
            value=slower.median,
            unit="×",
            low=slower.low,
            high=slower.high,
            better="higher",
        )
        found.append(figure)
    share = ratio(times["product"], ours)
    percent = 100 * trio.size.flops(trio.kind) / (2 * side**3)
    return [
        *found,
        Figure(
            name=f"{label}: share of the matrix-product peak",
            value=percent * share.median,
            unit="%",
            low=percent * share.low,
            high=percent * share.high,
            better="higher",
        ),
        Figure(
            name=f"{label}: forward and backward",
            value=1e3 * ours.median,
            unit="ms",
            low=1e3 * ours.low,
            high=1e3 * ours.high,
        ),
    ]


def _product(side: int) -> Callable[[], torch.Tensor]:
    one, other = torch.randn(side, side), torch.randn(side, side)
    return lambda: one @ other
