"""Training steps of a Transformer beside a plain loop over `torch.nn.Transformer`: equal losses, then time."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.timing import Times, interleave, ratio
from benchmarks.speed.training_variants import Size, Step, assert_same_start, build_ours, our_step, plain_step
from seqlens.data.batch import PairBatch, pad
from seqlens.errors import WorkError

STEPS = 300
LAST = 30
"""Steps at the end over which losses are compared."""
START_TOLERANCE = 1e-4
LOSS_TOLERANCE = 0.01
BARS = {"bfloat16": 2.0, "float32": 1.3}
QUICK_SIZE = Size(layers=1, dim=16, heads=2, wide=32, vocab=60)


def measure(*, quick: bool) -> Result:
    """Every batch trains all three, one after the other; the ratios of steps are told only if the losses agree."""
    size, steps = (QUICK_SIZE, 4) if quick else (Size(), STEPS)
    batches = list(islice(_random_batches(size) if quick else _multi30k_batches(size), steps))
    start = assert_same_start(size, batches[:3], tolerance=START_TOLERANCE)
    losses: dict[str, list[float]] = {}
    variants: dict[str, Step] = {
        "plain": plain_step(size, build_ours(size)),
        "float32": our_step(size, "float32"),
        "bfloat16": our_step(size, "bfloat16"),
    }
    times = _train(variants, batches, losses)
    last = LAST if not quick else 2
    ends = {name: float(np.mean(values[-last:])) for name, values in losses.items()}
    if not quick:
        for name in BARS:
            difference = abs(ends[name] / ends["plain"] - 1)
            if difference > LOSS_TOLERANCE:
                raise WorkError(
                    f"The loss of {name} differs from the plain loop's by {difference:.2%} after {steps} steps."
                )
    tokens = float(np.mean([int(batch.target.lengths.sum()) for batch in batches if batch.target is not None]))
    facts = {
        "equality": f"before training the losses differ by {start:.1e} of their size (dropout off, asserted ≤ "
        f"{START_TOLERANCE:g}); the mean loss of the last {last} of {steps} steps: "
        + ", ".join(f"{name} {value:.4f}" for name, value in ends.items())
        + f" (asserted within {LOSS_TOLERANCE:.0%})",
        "model": str(size),
        "time": f"every batch trains all three in turn, {tokens:,.0f} target tokens a batch, {torch.get_num_threads()} "
        "threads; a ratio is the median of the batches' own ratios; the first step of each is not counted",
        "plain": "torch.nn.Transformer in float32, CrossEntropyLoss, clip_grad_norm_, AdamW, started from our weights",
    }
    return Result(name="training", title="Training a Transformer", figures=tuple(_figures(times, tokens)), facts=facts)


def _train(variants: dict[str, Step], batches: list[PairBatch], losses: dict[str, list[float]]) -> dict[str, Times]:
    remaining = {name: iter(batches) for name in variants}

    def runner(name: str) -> Callable[[], None]:
        def run() -> None:
            losses.setdefault(name, []).append(variants[name](next(remaining[name])))

        return run

    runs = {name: runner(name) for name in variants}
    torch.manual_seed(1)
    return interleave(runs, rounds=len(batches) - 1)


def _figures(times: dict[str, Times], tokens: float) -> Iterator[Figure]:
    for name, bar in BARS.items():
        faster = ratio(times["plain"], times[name])
        seconds = sorted(one / other for one, other in zip(times["plain"].seconds, times[name].seconds, strict=True))
        low, high = np.quantile(seconds, [0.05, 0.95])
        yield Figure(
            name=f"time of the plain loop over ours in {name} (median, 5 % and 95 % of the steps)",
            value=faster.median,
            unit="×",
            low=float(low),
            high=float(high),
            bar=bar,
            better="higher",
        )
    for name, taken in times.items():
        rate = tokens * len(taken.seconds) / sum(taken.seconds)
        yield Figure(name=f"target tokens a second, {name}", value=rate, unit="", better="higher")


def _multi30k_batches(size: Size) -> Iterator[PairBatch]:
    from seqlens.config import load_config
    from seqlens.training.run_config import RunConfig
    from seqlens.workflows.preparation import make_batches, prepare
    from seqlens.workflows.recipes import find_recipe

    changes = {"batches.max_tokens": 4096, "task.codec.text.vocab_size": size.vocab}
    config = load_config(RunConfig, find_recipe("translation/transformer").path, changes)
    prepared = prepare(config, codec_folder=None, announce=lambda text: None)
    source = make_batches(prepared, prefetch=0)
    while True:
        yield next(source)


def _random_batches(size: Size) -> Iterator[PairBatch]:
    random = np.random.default_rng(0)
    while True:
        rows = [
            [[*random.integers(4, size.vocab, random.integers(1, 6)).tolist(), 3] for _ in range(5)] for _ in range(2)
        ]
        yield PairBatch(pad(rows[0]), pad(rows[1]), tuple(range(5)))
