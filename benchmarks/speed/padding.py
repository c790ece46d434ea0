"""How many positions of the training batches are padding, with shuffling, at a recipe's own budget."""

from statistics import fmean

import numpy as np
from jaxtyping import Int

from benchmarks.speed.figures import Figure, Result

BAR = 5.0
EPOCHS = 5
RECIPE = "translation/gru-attention"
# Needs no download; with one locale and few pairs, since its numbers mean nothing.
QUICK_RECIPE = "dates/smoke"
QUICK_OVERRIDES = {"data.locales": ["en_US"], "data.num_train": 200}


def measure(*, quick: bool) -> Result:
    """Plans epochs as training does; data comes from where SEQLENS_MIRROR says, or else is downloaded."""
    from seqlens.config import load_config
    from seqlens.training.run_config import RunConfig
    from seqlens.workflows.preparation import prepare
    from seqlens.workflows.recipes import find_recipe

    recipe = QUICK_RECIPE if quick else RECIPE
    config = load_config(RunConfig, find_recipe(recipe).path, QUICK_OVERRIDES if quick else {})
    prepared = prepare(config, codec_folder=None, announce=lambda text: None)
    wastes = [100 * prepared.sampler.padding_waste(epoch) for epoch in range(EPOCHS)]
    lengths, budget = prepared.train.lengths, config.batches.max_tokens
    plans = [prepared.sampler.epoch_batches(epoch) for epoch in range(2)]
    earlier = {frozenset(batch.tolist()) for batch in plans[0]}
    kept = sum(frozenset(batch.tolist()) in earlier for batch in plans[1]) / len(plans[1])
    tokens = [int(lengths[batch].sum()) for batch in plans[0]]
    figures = (
        Figure(
            name="padded positions over real ones, less 1, the worst of the epochs",
            value=max(wastes),
            unit="%",
            low=min(wastes),
            high=max(wastes),
            bar=BAR,
        ),
        Figure(name="the same as the share of all positions", value=_share(max(wastes)), unit="%"),
        Figure(name="the same in random batches of this budget", value=100 * random_waste(lengths, budget), unit="%"),
        Figure(name="batches of epoch 2 that epoch 1 had too", value=100 * kept, unit="%"),
        Figure(name="real tokens in a batch, mean", value=fmean(tokens), unit="", low=min(tokens), high=max(tokens)),
    )
    facts = {
        "data": f"{prepared.corpus.name} {prepared.corpus.source_name} to {prepared.corpus.target_name}, "
        f"{len(prepared.train):,} training pairs, fingerprint {prepared.fingerprints['train'][:12]}",
        "how": f"recipe {recipe}: its codec, its budget of {budget:,} positions a side, its seed {config.seed}; "
        f"both sides counted, {EPOCHS} epochs, {len(plans[0]):,} batches each",
    }
    return Result(name="padding", title="Padding waste", figures=figures, facts=facts)


def random_waste(lengths: Int[np.ndarray, "pairs sides"], max_tokens: int) -> float:
    """Padding waste of batches cut from a random order, as full as the budget allows: what bucketing saves."""
    order = np.random.default_rng(0).permutation(len(lengths))
    padded, start = 0, 0
    while start < len(order):
        widths = lengths[order[start]].astype(np.int64)
        end = start + 1
        while end < len(order):
            wider = np.maximum(widths, lengths[order[end]])
            if int(wider.max()) * (end + 1 - start) > max_tokens:
                break
            widths, end = wider, end + 1
        padded += int(widths.sum()) * (end - start)
        start = end
    return padded / int(lengths.sum()) - 1


def _share(waste: float) -> float:
    """Percent over the real positions as percent of all."""
    return 100 * waste / (100 + waste)
