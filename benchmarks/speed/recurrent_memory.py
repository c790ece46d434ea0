"""Memory of one training step in a fresh process: ours beside torch's fused layer.

Run as `python -m benchmarks.speed.recurrent_memory VARIANT KIND TIME BATCH HIDDEN` it prints bytes.
"""

import sys
from typing import cast

from benchmarks.provenance import REPOSITORY
from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.memory import peak_bytes, reset_peak, resident_bytes
from benchmarks.speed.process import run_python
from benchmarks.speed.recurrent_figures import QUICK_SIZES
from benchmarks.speed.recurrent_variants import Case, Size
from seqlens.cells import CellKind

BAR = 1.1
CELLS: tuple[CellKind, ...] = ("rnn", "lstm", "gru_after")
SIZE = Size(128, 32, 512)
PROCESSES = 3
MEBIBYTE = 2**20


def measure(*, quick: bool) -> Result:
    """At one size, after equal outputs and gradients were asserted at it."""
    size = QUICK_SIZES[0] if quick else SIZE
    figures = []
    worst = 0.0
    for kind in CELLS[1:2] if quick else CELLS:
        worst = max(worst, Case(kind, size).assert_equal(loop=False))
        ours, theirs = (_median_bytes(variant, kind, size, 1 if quick else PROCESSES) for variant in ("ours", "torch"))
        label = f"{kind}, {size}, training step"
        figures.append(
            Figure(
                name=f"{label}: extra memory of ours over that of torch's fused layer",
                value=ours / max(theirs, 1),
                unit="×",
                bar=BAR,
            )
        )
        figures.append(Figure(name=f"{label}: extra memory", value=ours / MEBIBYTE, unit="MiB"))
    facts = {
        "equality": f"outputs and gradients to within {worst:.1e} of the largest entry, asserted ≤ 1e-5",
        "memory": "forward and backward in a fresh process, after one step on a small batch: the kernel's peak "
        "resident size (VmHWM, reset just before by clear_refs) less what was resident just before, so weights and "
        f"inputs are not counted, outputs and gradients are; median over {PROCESSES} processes",
    }
    return Result(
        name="recurrent_memory",
        title="Memory of a training step of recurrent layers",
        figures=tuple(figures),
        facts=facts,
    )


def _median_bytes(variant: str, kind: str, size: Size, processes: int) -> int:
    numbers = [str(number) for number in (size.time, size.batch, size.hidden)]
    command = ["-m", "benchmarks.speed.recurrent_memory", variant, kind, *numbers]
    found = sorted(int(run_python(command, folder=REPOSITORY).output) for _ in range(processes))
    return found[len(found) // 2]


def main(variant: str, kind: CellKind, size: Size) -> None:
    """Measures in this process."""
    small, case = Case(kind, Size(2, 1, size.hidden)), Case(kind, size)
    run = {"ours": case.train, "torch": case.train_torch}[variant]
    {"ours": small.train, "torch": small.train_torch}[variant]()
    reset_peak()
    before = resident_bytes()
    kept = run()
    print(peak_bytes() - before)
    del kept


if __name__ == "__main__":
    given_time, given_batch, given_hidden = (int(number) for number in sys.argv[3:6])
    main(sys.argv[1], cast(CellKind, sys.argv[2]), Size(given_time, given_batch, given_hidden))
