"""Lengths drawn evenly: beside `PackedSequence`, and beside what the steps at their active batch would cost alone."""

from bisect import bisect_left
from dataclasses import replace

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.recurrent_figures import TIMED, milliseconds, sizes_of, timed, times_over
from benchmarks.speed.recurrent_variants import WITH_TORCH, Case, Size
from benchmarks.speed.timing import Times
from seqlens.cells import CellKind

IDEAL_BAR = 1.2
PACKED_BAR, PACKED_TIME = 5.0, 512
CELLS: tuple[CellKind, ...] = ("rnn", "lstm", "gru", "gru_after")
COST_STEPS = 64
"""Steps of the batches from which the cost of a step is had."""


def measure(*, quick: bool) -> Result:
    """Asserts equality with packed sequences of torch's layer where it has one, and with sequences run alone."""
    figures: list[Figure] = []
    worst = 0.0
    for whole in sizes_of(quick=quick):
        if whole.batch == 1:
            continue
        size = replace(whole, ragged=True)
        for kind in CELLS:
            found, difference = _measure_one(kind, size, quick=quick)
            figures += found
            worst = max(worst, difference)
    facts = {
        "ragged": "lengths drawn evenly from 1 to the number of steps; against torch's layer over PackedSequence "
        f"outputs and gradients equal to within {worst:.1e} of the largest entry, asserted ≤ 1e-5",
        "time": TIMED,
        "ideal": f"whole batches of 1, 2, 4, … sequences and {COST_STEPS} steps, timed in the same rounds, give the "
        "cost of a step at each; the ideal is the sum of the costs of all steps at the sequences then still running, "
        "costs between the measured ones by linear interpolation",
    }
    return Result(
        name="recurrent_ragged",
        title="Recurrent layers over sequences of many lengths",
        figures=tuple(figures),
        facts=facts,
    )


def _measure_one(kind: CellKind, size: Size, *, quick: bool) -> tuple[list[Figure], float]:
    case = Case(kind, size)
    case.check_executor()
    worst = case.assert_equal(loop=False) if kind in WITH_TORCH else 0.0
    steps = min(size.time, COST_STEPS)
    batches = [2**power for power in range(size.batch.bit_length()) if 2**power < size.batch] + [size.batch]
    wholes = {batch: Case(kind, Size(steps, batch, size.hidden)) for batch in batches}
    training = {"ours": case.train, **{f"{batch}": wholes[batch].train for batch in batches}}
    if kind in WITH_TORCH:
        training["packed"] = case.train_torch
    forward = {"ours": case.forward, **{f"{batch}": wholes[batch].forward for batch in batches}}
    if kind in WITH_TORCH:
        forward["packed"] = case.forward_torch
    assert case.lengths is not None
    active = [int((case.lengths > step).sum()) for step in range(size.time)]
    figures: list[Figure] = []
    for what, times in (
        ("training step", timed(f"{kind}, {size}", training, quick=quick)),
        ("forward", timed(f"{kind}, {size}", forward, quick=quick)),
    ):
        label = f"{kind}, {size}, {what}"
        ideal = cost_of_steps(active, {batch: times[f"{batch}"] for batch in batches}, steps)
        figures.append(times_over(f"{label}: time over the ideal", times["ours"], ideal, IDEAL_BAR, lower=True))
        if "packed" in times:
            name = f"{label}: time of torch's layer over PackedSequence over ours"
            held = kind == "lstm" and (size.time == PACKED_TIME or quick)
            figures.append(times_over(name, times["packed"], times["ours"], PACKED_BAR if held else None))
        figures.append(milliseconds(label, times["ours"]))
    return figures, worst


def cost_of_steps(active: list[int], costs: dict[int, Times], steps: int) -> Times:
    """The sum of the costs of steps at their active batches, round by round, from whole batches of so many `steps`."""
    batches = sorted(costs)
    seconds = []
    for number in range(len(costs[batches[0]].seconds)):
        known = {batch: costs[batch].seconds[number] / steps for batch in batches}
        seconds.append(sum(_between(known, batches, batch) for batch in active))
    return Times(tuple(seconds))


def _between(known: dict[int, float], batches: list[int], batch: int) -> float:
    place = bisect_left(batches, batch)
    above = batches[place]
    if above == batch:
        return known[batch]
    below = batches[place - 1]
    share = (batch - below) / (above - below)
    return (1 - share) * known[below] + share * known[above]
