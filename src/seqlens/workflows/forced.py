"""How probable given targets are under a run's model: forced decoding, no search."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from seqlens.data.encoded import EncodedPairs, encode_pairs
from seqlens.data.examples import Pair
from seqlens.data.sampler import length_batches
from seqlens.inference.predictor import Predictor

_MAX_TOKENS = 4096


def forced_log_probs(predictor: Predictor, sources: Sequence[str], targets: Sequence[str]) -> list[list[float]]:
    """The natural log-probability of every token of each target given its source, `<end>` included, in order.

    Of a target that is longer than the model's learned positions reach, the tokens up to there have one.
    """
    task = predictor.task

    def pairs() -> Iterator[Pair]:
        return (Pair(source, target) for source, target in zip(sources, targets, strict=True))

    with TemporaryDirectory() as folder:
        encoded = encode_pairs(
            pairs(), task.source_codec, task.target_codec, folder=Path(folder), key="pairs", copying=task.copies
        )
        return encoded_log_probs(predictor, encoded)


def encoded_log_probs(predictor: Predictor, encoded: EncodedPairs) -> list[list[float]]:
    """The same for pairs that are ids already; batches of like length, one pass."""
    task, model = predictor.task, predictor.model
    device = model.output.weight.device
    rows: list[list[float]] = [[] for _ in range(len(encoded))]
    for indices in length_batches(encoded.lengths, _MAX_TOKENS):
        batch = task.fit_positions(model, encoded.batch(indices)).to(device)
        for index, row in zip(indices.tolist(), task.token_log_probs(model, batch), strict=True):
            rows[index] = row
    return rows


def cut_targets(predictor: Predictor, encoded: EncodedPairs) -> int:
    """How many targets are longer than learned positions reach: of those only the first tokens are scored."""
    limit = predictor.model.max_target_length
    return 0 if limit is None else int((encoded.lengths[:, 1] > limit).sum())


def mean_log_probs(by_run: Sequence[list[list[float]]]) -> list[list[float]]:
    """`log(1/n Σ p_i)` of every token, from its log-probabilities under several runs with the same target codec."""
    if len(by_run) == 1:
        return by_run[0]
    return [
        [float(np.logaddexp.reduce(of_token) - math.log(len(of_token))) for of_token in zip(*of_pair, strict=False)]
        for of_pair in zip(*by_run, strict=True)
    ]
