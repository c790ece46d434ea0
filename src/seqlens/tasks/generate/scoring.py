"""The log-probability that a model gives each token of a text."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from seqlens.data.sampler import length_batches
from seqlens.data.text import START_ID
from seqlens.models.language_model import LanguageModel, LanguageState
from seqlens.models.outputs import VocabularyOutput
from seqlens.tasks.generate.datasets import LineDataset

_ROWS_AT_ONCE = 512
_TOKENS_AT_ONCE = 8192
CHUNK = 1024
"""Tokens of a running text that are read at a time; the result does not depend on it."""


def target_log_probs(output: VocabularyOutput, targets: Int[Tensor, " places"]) -> Float[Tensor, " places"]:
    """The natural log-probability of each target of a selected output, in float64, a part of them at a time."""
    parts = []
    for features, wanted in zip(output.features.split(_ROWS_AT_ONCE), targets.split(_ROWS_AT_ONCE), strict=True):
        logits = output._replace(features=features).logits.double()
        parts.append(logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(1))
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64, device=targets.device)


@torch.no_grad()
def score_lines(model: LanguageModel, data: LineDataset, *, batch_size: int | None = None) -> list[list[float]]:
    """The log-probability of every token of each document, `<end>` last."""
    found: list[list[float]] = [[] for _ in range(len(data))]
    device = model.embedding.weight.device
    for indices in length_batches(data.lengths, _TOKENS_AT_ONCE, batch_size):
        batch = data.batch(indices).to(device)
        keep = batch.inputs.mask().flatten().nonzero()[:, 0]
        output = model(batch.inputs.ids, batch.inputs.lengths).vocabulary.select(keep)
        log_probs = target_log_probs(output, batch.targets.flatten().index_select(0, keep)).tolist()
        first = 0
        for number, length in zip(batch.indices, batch.inputs.lengths.tolist(), strict=True):
            found[number] = log_probs[first : first + length]
            first += length
    return found


@torch.no_grad()
def score_running(model: LanguageModel, tokens: Int64[np.ndarray, "tokens"]) -> list[float]:
    """The log-probability of every token of a running text, each given all before it that the model's state holds."""
    device = model.embedding.weight.device
    targets = torch.from_numpy(tokens).to(device)
    inputs = torch.cat((targets.new_full((1,), START_ID), targets[:-1])) if len(tokens) else targets
    state: LanguageState | None = None
    found: list[float] = []
    for chunk, wanted in zip(inputs.split(CHUNK), targets.split(CHUNK), strict=True):
        output = model(chunk[None], None, state)
        state = output.state
        found += target_log_probs(output.vocabulary.select(torch.arange(len(chunk), device=device)), wanted).tolist()
    return found


def split_by(values: Sequence[float], lengths: Sequence[int]) -> Iterator[list[float]]:
    """Parts of these lengths, one after the other."""
    first = 0
    for length in lengths:
        yield list(values[first : first + length])
        first += length
