"""Every cell beside a Python loop over it; reset before the product and layer norm beside plain cells; bfloat16.

Beside the loop stands what no layer can beat: the products alone, as fast as the processor multiplies large squares.
"""

from collections.abc import Callable
from typing import Any, get_args

import torch

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.recurrent_figures import (
    TIMED,
    faster,
    milliseconds,
    peak_times,
    side_of_peak,
    sizes_of,
    timed,
    times_over,
)
from benchmarks.speed.recurrent_variants import Case, Size, fastest_product
from benchmarks.speed.timing import Times
from seqlens.cells import CellKind

LOOP_BAR, LOOP_HIDDEN = 3.0, 256
PLAIN: dict[CellKind, CellKind] = {
    "gru": "gru_after",
    "rnn_layer_norm": "rnn",
    "lstm_layer_norm": "lstm",
    "gru_layer_norm": "gru_after",
}
"""The plain cell that a costlier one is held against."""
PLAIN_BAR = 1.3
LOW_BAR, LOW_HIDDEN = 2.0, 512
LOW_CELLS: tuple[CellKind, ...] = ("rnn", "lstm", "gru", "gru_after")


def measure(*, quick: bool) -> Result:
    """Asserts that no cell falls back on the reference at any size; then the figures."""
    sizes = sizes_of(quick=quick)
    worst = 0.0
    figures: list[Figure] = []
    for size in sizes:
        for kind in get_args(CellKind):
            Case(kind, size).check_executor()
    for size in sizes:
        if size.hidden <= LOOP_HIDDEN:
            found, difference = _beside_a_loop(size, quick=quick)
            figures += found
            worst = max(worst, difference)
    largest = max(sizes, key=lambda size: size.steps * size.hidden)
    for size in sizes:
        if len(sizes) == 1 or size != largest:
            figures += _beside_plain_cells(size, quick=quick)
    low_worst = 0.0
    for size in sizes:
        if quick or (size.hidden == LOW_HIDDEN and size.batch > 1):
            found, difference = _in_bfloat16(size, quick=quick)
            figures += found
            low_worst = max(low_worst, difference)
    facts = {
        "Python loop": "the cell called once a step and autograd through it, as one would write it in torch; outputs "
        f"and all gradients equal to within {worst:.1e} of the largest entry, asserted ≤ 1e-5",
        "plain cells": "the same layer without layer norm, or the GRU that resets after the product; each cell is held "
        "against its loop before",
        "bfloat16": "autocast, float32 weights; outputs within "
        f"{low_worst:.1e} of the largest entry of those in float32, asserted ≤ 5e-2",
        "time": TIMED,
        "no reference": "asserted for every cell at every size in float32: explain() names a faster executor",
    }
    return Result(
        name="recurrent_cells",
        title="Recurrent cells beside a Python loop, a plain cell, and bfloat16",
        figures=tuple(figures),
        facts=facts,
    )


def _beside_a_loop(size: Size, *, quick: bool) -> tuple[list[Figure], float]:
    figures: list[Figure] = []
    worst = 0.0
    side, peak = side_of_peak(quick=quick), peak_times(quick=quick)
    for kind in get_args(CellKind):
        case = Case(kind, size)
        worst = max(worst, case.assert_equal(loop=True))
        pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "training step": (case.train, case.train_loop),
            "forward": (case.forward, case.forward_loop),
        }
        for what, (ours, loop) in pairs.items():
            times = timed(f"{kind}, {size}, {what}", {"ours": ours, "loop": loop}, quick=quick)
            name = f"{kind}, {size}, {what}: time of a Python loop over"
            figures.append(times_over(f"{name} ours", times["loop"], times["ours"], LOOP_BAR))
            share = size.flops(case.cell, training=what == "training step") / (2 * side**3)
            alone = Times((share * peak.median,) * len(times["loop"].seconds))
            figures.append(times_over(f"{name} that of the products alone at the peak", times["loop"], alone, None))
    return figures, worst


def _beside_plain_cells(size: Size, *, quick: bool) -> list[Figure]:
    cases = {kind: Case(kind, size) for kind in {*PLAIN, *PLAIN.values()}}
    figures = []
    for what in ("training step", "forward"):
        runs: dict[CellKind, Callable[[], Any]] = {
            kind: case.train if what == "training step" else case.forward for kind, case in cases.items()
        }
        times = timed(f"{size}, {what}", {f"{kind}": run for kind, run in runs.items()}, quick=quick)
        for kind, plain in PLAIN.items():
            name = f"{kind}, {size}, {what}: time of ours over that of {plain}"
            figures.append(times_over(name, times[kind], times[plain], PLAIN_BAR, lower=True))
    return figures


def _in_bfloat16(size: Size, *, quick: bool) -> tuple[list[Figure], float]:
    figures: list[Figure] = []
    worst = 0.0
    one, other = (torch.randn(side_of_peak(quick=quick), side_of_peak(quick=quick)) for _ in range(2))
    low, low_other = one.bfloat16(), other.bfloat16()
    variants = {**fastest_product(len(one)), "bfloat16": lambda: low @ low_other}
    times = timed("products", variants, quick=quick)
    name = f"a product of {len(one):,} rows and columns at {size}: time in float32 over that in bfloat16"
    figures.append(times_over(name, faster(times, fastest_product(1)), times["bfloat16"], None))
    for kind in LOW_CELLS:
        case = Case(kind, size)
        worst = max(worst, case.assert_low_near())
        times = timed(f"{kind}, {size}", {"float32": case.train, "bfloat16": case.train_low}, quick=quick)
        name = f"{kind}, {size}, training step: time in float32 over that in bfloat16"
        figures.append(times_over(name, times["float32"], times["bfloat16"], LOW_BAR))
        figures.append(milliseconds(f"{kind}, {size}, training step in bfloat16", times["bfloat16"]))
    return figures, worst
