"""Generated names of people for the task `generate`: five invented languages, nothing to download.

    Töstyveri Kvenlylinen, Grulialdo de Romoncalo, Kakola Kakakumula, Sharaq al-Mashriqur

The grammars are in `seqlens.data.language.tongues`. A name belongs to one split for good, by a hash of it that knows
neither the seed nor any setting: 80 % are for training, 10 % each for validation and test. No name comes twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.language.records import Document, fingerprint_documents
from seqlens.data.language.tongues import NUM_TONGUES, make_name
from seqlens.data.split_corpus import SplitCorpus
from seqlens.data.splitting import TEST, TRAIN, VALIDATION, HashRule

NAME_SPLITS = (TRAIN, VALIDATION, TEST)
_RULE = HashRule.of_fractions(0.1, 0.1)


@dataclass(frozen=True, slots=True)
class NamesData:
    """How many names each split holds."""

    kind: Literal["names"] = "names"
    num_train: Annotated[int, Field(ge=1, le=500_000)] = 20_000
    num_validation: Annotated[int, Field(ge=1, le=50_000)] = 1_000
    num_test: Annotated[int, Field(ge=1, le=50_000)] = 2_000
    seed: Annotated[int, Field(ge=0)] = 0


def open_names(config: NamesData) -> SplitCorpus[Document]:
    """The generated corpus, which needs no file."""
    readers = {split: partial(generate_names, config, split) for split in NAME_SPLITS}
    return SplitCorpus("names", readers, fingerprint_documents, ("name", "names"))


def generate_names(config: NamesData, split: str) -> Iterator[Document]:
    """Yields the names of a split, the same for the same config; a larger split begins with a smaller one."""
    sizes = {TRAIN: config.num_train, VALIDATION: config.num_validation, TEST: config.num_test}
    # Of random's methods only random() is promised to stay the same in later versions of Python.
    draw = Random(f"seqlens.names {config.seed} {split}").random
    seen: set[str] = set()
    while len(seen) < sizes[split]:
        name = make_name(draw, int(draw() * NUM_TONGUES))
        if name not in seen and split_of_name(name) == split:
            seen.add(name)
            yield Document(name)


def split_of_name(name: str) -> str:
    """Returns the split that a name belongs to, whatever the seed."""
    # Not the hash of the name alone, by which a file of names is split: one of training names could not be.
    return _RULE.split_of(f"the generated name {name}")
