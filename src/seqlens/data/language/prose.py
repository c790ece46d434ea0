"""Generated prose for the task `generate`: one running text of short stories, nothing to download.

The grammar is in `seqlens.data.language.story_grammar`. A hero's name with a trade belongs to one split for good: about
80 % of all such pairs are for training, 10 % each for validation and test.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.language.records import Document, fingerprint_documents
from seqlens.data.language.story_grammar import MEN, TRADES, WOMEN, Person, draw_story, pick, tell
from seqlens.data.split_corpus import SplitCorpus
from seqlens.data.splitting import TEST, TRAIN, VALIDATION

PROSE_SPLITS = (TRAIN, VALIDATION, TEST)


@dataclass(frozen=True, slots=True)
class ProseData:
    """How many stories, of about 700 characters each, a split holds; a story is a block."""

    kind: Literal["prose"] = "prose"
    num_train: Annotated[int, Field(ge=1)] = 1_200
    num_validation: Annotated[int, Field(ge=1)] = 60
    num_test: Annotated[int, Field(ge=1)] = 120
    seed: Annotated[int, Field(ge=0)] = 0


def open_prose(config: ProseData) -> SplitCorpus[Document]:
    """The generated corpus, which needs no file."""
    readers = {split: partial(generate_prose, config, split) for split in PROSE_SPLITS}
    return SplitCorpus("prose", readers, fingerprint_documents, ("story", "stories"))


def generate_prose(config: ProseData, split: str) -> Iterator[Document]:
    """Yields the stories of a split, one running text, the same for the same config."""
    sizes = {TRAIN: config.num_train, VALIDATION: config.num_validation, TEST: config.num_test}
    # Of random's methods only random() is promised to stay the same in later versions of Python.
    draw = Random(f"seqlens.prose {config.seed} {split}").random
    heroes = [
        Person(name, gender, trade)
        for gender, names in enumerate((MEN, WOMEN))
        for name in names
        for trade in TRADES
        if split_of_hero(name, trade) == split
    ]
    for number in range(sizes[split]):
        yield Document(tell(draw, draw_story(draw, pick(draw, heroes))), continues=number > 0, ends=False)


def split_of_hero(name: str, trade: str) -> str:
    """Returns the split that a name with a trade belongs to, whatever the seed."""
    # Diagonals of the table of all pairs: so each name and each trade is in every split.
    bucket = ((*MEN, *WOMEN).index(name) * 3 + TRADES.index(trade) * 7) % 10
    return VALIDATION if bucket == 0 else TEST if bucket == 1 else TRAIN
