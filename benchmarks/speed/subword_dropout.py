"""What BPE dropout costs a word, in the thread that makes batches, and by how much rows grow."""

import time
from collections.abc import Sequence
from statistics import median

import numpy as np
from jaxtyping import Int64

from benchmarks.speed.figures import Figure, Result
from benchmarks.speed.padding import QUICK_OVERRIDES, QUICK_RECIPE, RECIPE
from seqlens.data.encoded import EncodedPairs
from seqlens.data.subword_dropout import SubwordDropout

DROPOUT_PS = (0.1, 0.3)
ROUNDS = 5
QUICK_CODECS = {f"task.codec.{side}": {"kind": "subwords", "vocab_size": 330} for side in ("source", "target")}


def measure(*, quick: bool) -> Result:
    """Makes the batches of whole epochs, with their words cut at random and as they are."""
    from seqlens.config import load_config
    from seqlens.data.subword_dropout import build_subword_dropout
    from seqlens.training.run_config import RunConfig
    from seqlens.workflows.preparation import prepare
    from seqlens.workflows.recipes import find_recipe

    recipe = QUICK_RECIPE if quick else RECIPE
    config = load_config(RunConfig, find_recipe(recipe).path, {**QUICK_OVERRIDES, **QUICK_CODECS} if quick else {})
    prepared = prepare(config, codec_folder=None, announce=lambda text: None)
    task, pairs, batches = prepared.task, prepared.train, prepared.sampler.epoch_batches(0)
    words = sum(
        len(side.split()) for pair in prepared.corpus.read("train") for side in (pair.source, pair.target or "")
    )
    figures = []
    for dropout_p in DROPOUT_PS:
        dropout = build_subword_dropout(
            task.source_codec, task.target_codec, dropout_p=dropout_p, seed=config.seed, max_length=None
        )
        assert dropout is not None
        seconds, growth = _measure(dropout, pairs, batches, rounds=1 if quick else ROUNDS)
        costs = [1e6 * extra / words for extra in seconds]
        figures += [
            Figure(
                name=f"microseconds a word, probability {dropout_p}",
                value=median(costs),
                unit="",
                low=min(costs),
                high=max(costs),
            ),
            Figure(name=f"tokens over those without, probability {dropout_p}", value=growth, unit="×"),
        ]
    facts = {
        "data": f"{prepared.corpus.name}, {len(pairs):,} training pairs, {words:,} words between spaces on both sides",
        "how": f"recipe {recipe}: its codec and its batches, {len(batches):,} an epoch; processor time of the "
        "thread beyond that of the same batches as they are",
    }
    return Result(name="subword_dropout", title="BPE dropout", figures=tuple(figures), facts=facts)


def _measure(
    dropout: SubwordDropout, pairs: EncodedPairs, batches: Sequence[Int64[np.ndarray, "_"]], *, rounds: int
) -> tuple[list[float], float]:
    """Seconds beyond those of batches as they are, a number an epoch, and by how much the last epoch's rows grew."""
    extra, tokens = [], 0
    for epoch in range(rounds + 1):
        started = time.thread_time()
        for indices in batches:
            pairs.batch(indices)
        plain = time.thread_time() - started
        started, tokens = time.thread_time(), 0
        for indices in batches:
            batch = dropout.batch(pairs, indices, epoch)
            assert batch.target is not None
            tokens += int(batch.source.lengths.sum() + batch.target.lengths.sum())
        if epoch:  # the first learns the words; later ones are what an epoch costs
            extra.append(time.thread_time() - started - plain)
    return extra, tokens / int(pairs.lengths.sum())
