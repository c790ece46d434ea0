"""From a recipe to what the loop needs: a fitted task, encoded splits, batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from seqlens.data.batch import PairBatch
from seqlens.data.corpus import Corpus
from seqlens.data.download import cache_folder
from seqlens.data.encoded import EncodedPairs, cache_key, encode_pairs
from seqlens.data.held_out import check_held_out
from seqlens.data.loader import Loader
from seqlens.data.sampler import TokenBudgetSampler, within_length
from seqlens.data.subword_dropout import SubwordDropout, build_subword_dropout
from seqlens.data.text import UNKNOWN_ID, TextCodecConfig
from seqlens.errors import RequestError
from seqlens.tasks.build import Task, fit_task, load_task
from seqlens.tasks.transduce.config import SharedCodec
from seqlens.training.group import ALONE, Group
from seqlens.training.run_config import RunConfig
from seqlens.workflows.open_data import open_recipe_pairs
from seqlens.workflows.training_batches import TrainingBatches

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recipe made ready: `num_left_out` pairs have more than `max_length` tokens on a side.

    `doubt` is a sentence for who may not know what the data lack.
    """

    corpus: Corpus
    task: Task
    train: EncodedPairs
    validation: EncodedPairs
    sampler: TokenBudgetSampler
    batches_per_epoch: int
    max_length: int | None
    num_left_out: int
    fingerprints: dict[str, str]
    subword_dropout: SubwordDropout | None = None
    doubt: str | None = None


def prepare(
    config: RunConfig,
    *,
    codec_folder: Path | None,
    announce: Announce,
    fit: Callable[[Corpus], Task] | None = None,
    check_data: Callable[[Mapping[str, str]], None] | None = None,
) -> Prepared:
    """Opens the data, fits the task (by `fit`, where it is given; or loads it from `codec_folder`), encodes, plans
    batches.

    `check_data` is given the fingerprints of the splits before any work is done with them.
    """
    corpus = open_recipe_pairs(config, base=Path(), announce=announce)
    if codec_folder is None:  # what was trained otherwise already can go on
        check_held_out(corpus)
    fingerprints = {split: corpus.fingerprint(split) for split in ("train", "validation")}
    if check_data is not None:
        check_data(fingerprints)
    if codec_folder is not None:
        task = load_task(config.transduce, codec_folder)
    elif fit is not None:
        task = fit(corpus)
    else:
        announce(f"Fitting the codec on {corpus.name}.")
        task = fit_task(config.transduce, lambda: corpus.read("train"))
    max_length = _max_length(config)
    dropout = build_subword_dropout(
        task.source_codec,
        task.target_codec,
        dropout_p=config.batches.subword_dropout_p,
        seed=config.seed,
        max_length=max_length,
    )
    train = encode_split(corpus, "train", task, fingerprints["train"], announce)
    validation = encode_split(corpus, "validation", task, fingerprints["validation"], announce)
    if not len(train) or not len(validation):
        empty = "validation" if len(train) else "train"
        raise RequestError(f"{corpus.name} has no pairs in its split '{empty}'.")
    is_fitted_here = codec_folder is None and fit is None
    doubt = _untaught_unknown(train, validation, _source_config(config)) if is_fitted_here else None
    kept = within_length(train.lengths, max_length)
    if not len(kept.indices):
        raise RequestError(f"Every training pair of {corpus.name} is longer than the {max_length} tokens allowed.")
    train = train.subset(kept.indices)
    task = task.with_output_limit(train.lengths, (train.source(index).tolist() for index in range(len(train))))
    repeats = corpus.repeats()
    sampler = TokenBudgetSampler(
        train.lengths,
        max_tokens=config.batches.max_tokens,
        shuffle=True,
        seed=config.seed,
        repeats=None if repeats is None else repeats[kept.indices],
    )
    return Prepared(
        corpus=corpus,
        task=task,
        train=train,
        validation=validation,
        sampler=sampler,
        batches_per_epoch=len(sampler.epoch_batches(0)),
        max_length=max_length,
        num_left_out=kept.num_left_out,
        fingerprints=fingerprints,
        subword_dropout=dropout,
        doubt=doubt,
    )


def _untaught_unknown(train: EncodedPairs, validation: EncodedPairs, codec: TextCodecConfig) -> str | None:
    """A sentence where sources to come have unknown pieces, but none from which a model could learn what they mean."""
    met = sum(_count_unknown(validation, index) for index in range(len(validation)))
    if not met or any(_count_unknown(train, index) for index in range(len(train))):
        return None
    share = met / int((validation.lengths[:, 0] - 1).sum())
    noun, cure = "subwords", "set 'byte_fallback: true' in the codec, so that nothing is unknown"
    if codec.kind != "subwords":
        noun = codec.kind
        cure = "set 'min_count: 2' in the codec, so that rare ones teach it, or use subwords"
    return (
        f"Of the sources' {noun} {share:.1%} are unknown in the validation split, but none in training, so what stands "
        f"for them is not learned: {cure}."
    )


def _source_config(config: RunConfig) -> TextCodecConfig:
    codec = config.transduce.codec
    return codec.text if isinstance(codec, SharedCodec) else codec.source


def _count_unknown(pairs: EncodedPairs, index: int) -> int:
    return int((pairs.source(index) == UNKNOWN_ID).sum())


def _max_length(config: RunConfig) -> int | None:
    """The most tokens on a side of a training pair: `batches.max_length`, and what learned positions reach."""
    limits = [] if config.batches.max_length is None else [config.batches.max_length]
    for part in (config.transduce.model.encoder, config.transduce.model.decoder):
        if part.kind == "transformer" and part.positions == "learned":
            limits.append(part.max_length)
    return min(limits, default=None)


def encode_split(corpus: Corpus, split: str, task: Task, fingerprint: str, announce: Announce) -> EncodedPairs:
    """A split as ids: from the cache, or encoded now and cached."""
    source, target = task.source_codec, task.target_codec
    encoded = encode_pairs(
        corpus.read(split),
        source,
        target,
        folder=cache_folder() / "encoded",
        key=cache_key(fingerprint, source.fingerprint, target.fingerprint, copying=task.copies),
        copying=task.copies,
    )
    if encoded.note:
        announce(encoded.note)
    return encoded


def make_batches(prepared: Prepared, *, prefetch: int, group: Group = ALONE) -> TrainingBatches:
    """The training batches of a prepared recipe, made in the background: the rows that this process reads."""
    pairs, sampler, dropout = prepared.train, prepared.sampler, prepared.subword_dropout

    def make(indices: Int64[np.ndarray, "batch"]) -> PairBatch:
        mine = group.share(indices)
        # The loader calls this right after it took the indices, in one thread: so the epoch is that of the indices.
        return pairs.batch(mine) if dropout is None else dropout.batch(pairs, mine, sampler.epoch)

    return TrainingBatches(Loader(make, sampler, prefetch=prefetch))
