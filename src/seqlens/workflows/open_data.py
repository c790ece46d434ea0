"""The data of a recipe, opened: all of them, or the part of train that it asks for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqlens.data.corpus import Corpus, open_corpus
from seqlens.data.download import Announce
from seqlens.data.example_corpus import ExampleCorpus
from seqlens.data.fractions import PartOfExamples, PartOfPairs
from seqlens.data.open_examples import open_examples
from seqlens.training.run_config import RunConfig


def open_recipe_pairs(config: RunConfig, *, base: Path, announce: Announce | None = None) -> Corpus:
    """Opens the pairs of a recipe; errors are those of `open_corpus`."""
    corpus = open_corpus(config.pair_data, base=base, announce=announce)
    return corpus if config.train_fraction == 1 else PartOfPairs(corpus, config.train_fraction, config.seed)


def open_recipe_examples(config: RunConfig, *, base: Path, announce: Announce | None = None) -> ExampleCorpus[Any]:
    """Opens the examples of a recipe; errors are those of `open_examples`."""
    corpus = open_examples(config.example_data, base=base, announce=announce)
    return corpus if config.train_fraction == 1 else PartOfExamples(corpus, config.train_fraction, config.seed)


def open_recipe_data(config: RunConfig, *, base: Path) -> Corpus | ExampleCorpus[Any]:
    """Opens the data of a recipe, whatever it learns from."""
    return open_recipe_pairs(config, base=base) if config.learns_from_pairs else open_recipe_examples(config, base=base)


def check_split(config: RunConfig, split: str) -> None:
    """Refuses a split that a recipe's data do not have, before anything is trained for it.

    Raises:
        RequestError: it is none of them; or as for opening the data.
    """
    corpus = open_recipe_data(config, base=Path())
    if split not in corpus.splits:
        next(iter(corpus.read(split)), None)  # which refuses it, and names the nearest


def without_test(splits: Sequence[str], noun: str) -> str:
    """What somebody should know before an hour of training, not after it: that there is no test split."""
    if any(split.startswith("test") for split in splits):
        return ""
    return f" There is no test split: score it with `seqlens evaluate --data` on {noun} that it was not trained on."
