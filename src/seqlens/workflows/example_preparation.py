"""From a recipe that learns from examples to what the loop needs: a fitted task, encoded splits, batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from seqlens.data.example_corpus import ExampleCorpus
from seqlens.data.loader import Loader
from seqlens.errors import RequestError
from seqlens.tasks.build import fit_example_task, load_example_task
from seqlens.tasks.dataset import Dataset, ReadInParts, Sampler
from seqlens.tasks.example_task import ExampleTask
from seqlens.training.group import ALONE, Group
from seqlens.training.run_config import RunConfig
from seqlens.workflows.open_data import open_recipe_examples, without_test
from seqlens.workflows.training_batches import TrainingBatches

Announce = Callable[[str], None]
LEAST_SPLITS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class PreparedExamples:
    """A recipe made ready; `num_left_out` examples are longer than `max_length`.

    `train` may hold pieces of its `num_examples`: crops of sequences, windows of a running text.
    """

    corpus: ExampleCorpus[Any]
    task: ExampleTask[Any, Any]
    train: Dataset
    validation: Dataset
    sampler: Sampler
    batches_per_epoch: int
    max_length: int | None
    num_examples: int
    num_left_out: int
    fingerprints: dict[str, str]

    def num_longer_than(self, limit: int | None) -> int:
        """How many training examples are longer than so many positions; none are than no limit."""
        if limit is None:
            return 0
        lengths = self.train.longest_parts if isinstance(self.train, ReadInParts) else _longest(self.train)
        return int((lengths > limit).sum())

    def batches(self, *, prefetch: int, group: Group = ALONE) -> TrainingBatches:
        """The training batches, made in the background: the rows that this process of `group` reads."""
        data, sampler = self.train, self.sampler

        def make(indices: Int64[np.ndarray, "batch"]) -> Any:
            # The loader calls this right after it took the indices, in one thread: so the epoch is that of the indices.
            return data.batch(group.share(indices), sampler.epoch)

        return TrainingBatches(Loader(make, sampler, prefetch=prefetch))

    @property
    def summary(self) -> str:
        """A sentence on what is trained on."""
        one, several = self.corpus.noun
        left_out = ""
        if self.num_left_out:
            count = f"1 {one}" if self.num_left_out == 1 else f"{self.num_left_out:,} {several}"
            verb = "is" if self.num_left_out == 1 else "are"
            left_out = f" {count} longer than {self.max_length} positions {verb} left out of training."
        count = f"1 training {one}" if self.num_examples == 1 else f"{self.num_examples:,} training {several}"
        pieces = "" if len(self.train) == self.num_examples else f", read in {len(self.train):,} pieces,"
        return (
            f"{self.corpus.name}: {count}{pieces} in {self.batches_per_epoch:,} batches an epoch, padding waste "
            f"{self.sampler.padding_waste(0):.1%}.{left_out}{without_test(self.corpus.splits, several)}"
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What `run.json` says of the data."""
        return {
            "name": self.corpus.name,
            "examples": self.corpus.noun[1],
            "num_train": self.num_examples,
            "num_left_out": self.num_left_out,
            "fingerprints": self.fingerprints,
        }


def prepare_examples(
    config: RunConfig,
    *,
    codec_folder: Path | None,
    announce: Announce,
    check_data: Callable[[Mapping[str, str]], None] | None = None,
) -> PreparedExamples:
    """Opens the data, fits the task or loads it from `codec_folder`, encodes, plans batches.

    `check_data` is given the fingerprints of the splits before any work is done with them.

    Raises:
        RequestError: the data are not as they must be.
    """
    corpus = open_recipe_examples(config, base=Path(), announce=announce)
    missing = [split for split in LEAST_SPLITS if split not in corpus.splits]
    if missing:
        raise RequestError(f"{corpus.name} has no split '{missing[0]}', only {', '.join(corpus.splits)}.")
    fingerprints = {split: corpus.fingerprint(split) for split in LEAST_SPLITS}
    if check_data is not None:
        check_data(fingerprints)
    if codec_folder is not None:
        task = load_example_task(config.example_task, codec_folder)
    else:
        announce(f"Reading the training {corpus.noun[1]} of {corpus.name}.")
        task = fit_example_task(config.example_task, lambda: corpus.read("train"))
    examples = list(corpus.read("train"))
    train = task.encode(examples, training=True, seed=config.seed)
    limit = config.batches.max_length
    kept = examples
    if limit is not None and len(train) == len(examples):  # a task that cuts crops has its own length
        kept = [example for example, length in zip(examples, _longest(train), strict=True) if length <= limit]
    if len(kept) < len(examples):
        train = task.encode(kept, training=True, seed=config.seed)
    validation = task.encode(list(corpus.read("validation")), training=False, seed=config.seed)
    for split, data in (("train", train), ("validation", validation)):
        if not len(data):
            shorter = f" of at most {limit} positions" if examples and split == "train" else ""
            raise RequestError(f"{corpus.name} has no {corpus.noun[1]}{shorter} in its split '{split}'.")
    sampler = train.sampler(max_tokens=config.batches.max_tokens, seed=config.seed)
    return PreparedExamples(
        corpus=corpus,
        task=task,
        train=train,
        validation=validation,
        sampler=sampler,
        batches_per_epoch=len(sampler.epoch_batches(0)),
        max_length=limit,
        num_examples=len(kept),
        num_left_out=len(examples) - len(kept),
        fingerprints=fingerprints,
    )


def _longest(data: Dataset) -> Int64[np.ndarray, "examples"]:
    lengths = np.asarray(data.lengths)
    return lengths if lengths.ndim == 1 else lengths.max(axis=1)
