"""How probable given targets are under a run's model: forced decoding, no search."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from seqlens.data.codecs.marks import readable_marks
from seqlens.data.download import cache_folder
from seqlens.data.encoded import EncodedPairs, cache_key, encode_pairs
from seqlens.data.examples import Pair
from seqlens.data.fingerprints import fingerprint_pairs
from seqlens.data.sampler import length_batches
from seqlens.inference.predictor import Predictor
from seqlens.workflows.preparation import Announce

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
        return _encoded_log_probs(predictor, encoded)


def reference_log_probs(predictor: Predictor, pairs: Sequence[Pair], announce: Announce) -> list[list[float]]:
    """The log-probability of every token of every reference under the runs together."""
    runs = (predictor, *predictor.others)
    found = [_log_probs_of_run(one, pairs, announce, others=len(runs) > 1) for one in runs]
    copied = next((references for one, (references, _) in zip(runs, found, strict=True) if one.task.copies), None)
    by_run = [log_probs for _, log_probs in found]
    if copied is not None:
        size = predictor.task.target_codec.size
        by_run = [
            # Where a run copies a word that another has no symbol for, that one gives it no probability.
            log_probs if one.task.copies else _without_copied(log_probs, copied, size)
            for one, log_probs in zip(runs, by_run, strict=True)
        ]
    return _mean_log_probs(by_run)


def _log_probs_of_run(
    predictor: Predictor, pairs: Sequence[Pair], announce: Announce, *, others: bool
) -> tuple[EncodedPairs, list[list[float]]]:
    """The pairs as ids, and the log-probability of every token of every reference, `<end>` included, where it reaches.

    With `others` a model without tags or context reads the sentences alone, as it does when it answers with them.
    """
    task = predictor.task
    if others:
        sources = readable_marks([pair.source for pair in pairs], task.source_codec.tags)
        pairs = [replace(pair, source=source) for pair, source in zip(pairs, sources, strict=True)]
    keys = (fingerprint_pairs(pairs), task.source_codec.fingerprint, task.target_codec.fingerprint)
    encoded = encode_pairs(
        pairs,
        task.source_codec,
        task.target_codec,
        folder=cache_folder() / "encoded",
        key=cache_key(*keys, copying=task.copies),
        copying=task.copies,
    )
    if num_cut := _cut_targets(predictor, encoded):
        announce(
            f"{num_cut:,} of the references are longer than the model's positions reach; perplexity is of the tokens "
            "up to there."
        )
    return encoded, _encoded_log_probs(predictor, encoded)


def _encoded_log_probs(predictor: Predictor, encoded: EncodedPairs) -> list[list[float]]:
    """That of every token of the targets, for pairs that are ids already; batches of like length, one pass."""
    task, model = predictor.task, predictor.model
    device = model.output.weight.device
    rows: list[list[float]] = [[] for _ in range(len(encoded))]
    for indices in length_batches(encoded.lengths, _MAX_TOKENS):
        batch = task.fit_positions(model, encoded.batch(indices)).to(device)
        for index, row in zip(indices.tolist(), task.token_log_probs(model, batch), strict=True):
            rows[index] = row
    return rows


def _cut_targets(predictor: Predictor, encoded: EncodedPairs) -> int:
    """How many targets are longer than learned positions reach: of those only the first tokens are scored."""
    limit = predictor.model.max_target_length
    return 0 if limit is None else int((encoded.lengths[:, 1] > limit).sum())


def _without_copied(
    log_probs: Sequence[list[float]], references: EncodedPairs, vocabulary_size: int
) -> list[list[float]]:
    """The same, but for -inf where a reference has a word that is copied: its id is none of the vocabulary's."""
    found = []
    for index, row in enumerate(log_probs):
        ids = references.target(index)[: len(row)].tolist()
        found.append([-math.inf if id >= vocabulary_size else one for id, one in zip(ids, row, strict=True)])
    return found


def _mean_log_probs(by_run: Sequence[list[list[float]]]) -> list[list[float]]:
    """`log(1/n Σ p_i)` of every token, from its log-probabilities under several runs with the same target codec."""
    if len(by_run) == 1:
        return by_run[0]
    return [
        [float(np.logaddexp.reduce(of_token) - math.log(len(of_token))) for of_token in zip(*of_pair, strict=False)]
        for of_pair in zip(*by_run, strict=True)
    ]
