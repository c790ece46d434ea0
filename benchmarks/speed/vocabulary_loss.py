"""The loss over the vocabulary beside the plain one: equal numbers, then memory and time."""

from benchmarks.provenance import REPOSITORY
from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.process import run_python
from benchmarks.speed.timing import interleave, ratio
from benchmarks.speed.vocabulary_loss_variants import Size, assert_equal, make_inputs, run_fused, run_plain

BAR = 25.0
SIZES = (Size(rows=4096, vocab=8000, dim=256), Size(rows=4096, vocab=32000, dim=512))
QUICK_SIZES = (Size(rows=300, vocab=500, dim=16),)
ROUNDS = 7
PROCESSES = 3
MEBIBYTE = 2**20


def measure(*, quick: bool) -> Result:
    """Asserts equality at every size before anything is measured, memory in fresh processes, time interleaved."""
    figures: list[Figure] = []
    worst = 0.0
    processes, rounds = (1, 2) if quick else (PROCESSES, ROUNDS)
    for size in QUICK_SIZES if quick else SIZES:
        worst = max(worst, assert_equal(size))
        figures += [*_memory(size, processes), *_time(size, rounds)]
    facts = {
        "equality": "loss and gradients of features, weight and bias, with and without label smoothing, against "
        f"cross_entropy of the plain logits in float32: largest difference {worst:.1e} of the largest entry, asserted "
        "≤ 1e-5 before anything was measured",
        "memory": "forward and backward in a fresh process, after a small warm-up: the kernel's peak resident size "
        "(VmHWM, reset just before by clear_refs) less what was resident just before, inputs and weights included "
        f"there; so all buffers count, the gradients that are returned too; median over {processes}",
        "time": f"float32, label smoothing 0.1, {rounds} interleaved rounds",
    }
    return Result(name="vocabulary_loss", title="Loss over the vocabulary", figures=tuple(figures), facts=facts)


def _memory(size: Size, processes: int) -> list[Figure]:
    extra = {variant: sorted(_extra_bytes(variant, size) for _ in range(processes)) for variant in ("fused", "plain")}
    middle = {variant: values[len(values) // 2] for variant, values in extra.items()}
    fused, low, high = middle["fused"], extra["fused"][0], extra["fused"][-1]
    logits, returned = size.logits_bytes, size.gradient_bytes
    return [
        Figure(
            name=f"{size}: extra memory, of the float32 logits' {logits / MEBIBYTE:,.0f} MiB",
            value=100 * fused / logits,
            unit="%",
            low=100 * low / logits,
            high=100 * high / logits,
            bar=BAR,
        ),
        Figure(
            name=f"{size}: the same without the {returned / MEBIBYTE:,.1f} MiB of gradients it returns",
            value=100 * (fused - returned) / logits,
            unit="%",
        ),
        Figure(name=f"{size}: the plain loss' extra memory", value=100 * middle["plain"] / logits, unit="%"),
    ]


def _extra_bytes(variant: str, size: Size) -> int:
    sizes = [str(number) for number in (size.rows, size.vocab, size.dim)]
    done = run_python(["-m", "benchmarks.speed.vocabulary_loss_variants", variant, *sizes], folder=REPOSITORY)
    return int(done.output)


def _time(size: Size, rounds: int) -> list[Figure]:
    inputs = make_inputs(size)
    times = interleave(
        {"fused": lambda: run_fused(inputs, 0.1), "plain": lambda: run_plain(inputs, 0.1)}, rounds=rounds
    )
    slower = ratio(times["plain"], times["fused"])
    fused = times["fused"]
    return [
        Figure(
            name=f"{size}: time of the plain loss over ours",
            value=slower.median,
            unit="×",
            low=slower.low,
            high=slower.high,
            better="higher",
        ),
        Figure(
            name=f"{size}: forward and backward",
            value=1e3 * fused.median,
            unit="ms",
            low=1e3 * fused.low,
            high=1e3 * fused.high,
        ),
    ]
