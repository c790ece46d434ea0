"""Generated sentences about people for the task `tag`: `Yesterday, Harry Potter met Hermione Granger.`

Entities are persons, places, organisations and dates. Surnames and places are put together from syllables, and each
belongs to one split for good, by a hash: no surname, place or organisation of validation or test stands in training.
Both are made alike (`Ashford` may be either), and some first names are months or places, so that what stands around a
word has to tell. Validation and test have forms of sentence that training has not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from random import Random
from string import Formatter
from typing import Annotated, Literal, final

from pydantic import Field

from seqlens.data.split_corpus import SplitCorpus
from seqlens.data.tagged.people_words import (
    DATES,
    FIRST_NAMES,
    HELD_OUT_TEMPLATES,
    MONTHS,
    NAME_STARTS,
    NUMBERS,
    ORGANISATIONS,
    PLACE_ENDS,
    SURNAME_ENDS,
    TEMPLATES,
    WEEKDAYS,
)
from seqlens.data.tagged.records import Entity, TaggedText, fingerprint_tagged
from seqlens.data.tagged.words import tokenise

PEOPLE_SPLITS = ("train", "validation", "test")
_LABELS = {"person": "person", "surname": "person", "place": "place", "organisation": "organisation", "date": "date"}
_PARTS = Formatter().parse


@dataclass(frozen=True, slots=True)
class PeopleData:
    """How many sentences each split holds; see `seqlens.data.tagged.people`."""

    kind: Literal["people"] = "people"
    num_train: Annotated[int, Field(ge=10)] = 3000
    num_validation: Annotated[int, Field(ge=10)] = 500
    num_test: Annotated[int, Field(ge=10)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0


def open_people(config: PeopleData) -> SplitCorpus[TaggedText]:
    """The generated corpus, which needs no file."""
    readers = {split: partial(generate_people, config, split) for split in PEOPLE_SPLITS}
    return SplitCorpus("people", readers, fingerprint_tagged, ("sentence", "sentences"))


def generate_people(config: PeopleData, split: str) -> Iterator[TaggedText]:
    """Yields the sentences of a split, the same for the same config; a larger split begins with a smaller one."""
    sizes = {"train": config.num_train, "validation": config.num_validation, "test": config.num_test}
    # Of random's methods only random() is promised to stay the same in later versions of Python.
    writer = _Writer(Random(f"seqlens.people {config.seed} {split}").random, split)
    templates = TEMPLATES if split == "train" else (*TEMPLATES, *HELD_OUT_TEMPLATES)
    left = sizes[split]
    while left:
        made = writer.names_made
        sentence = writer.sentence(writer.one_of(templates))
        # Without a name of its split a sentence could be one of another split, too.
        if writer.names_made > made:
            yield sentence
            left -= 1


def split_of_name(name: str) -> str:
    """Returns the split that a surname or a place belongs to, whatever the seed."""
    bucket = sha256(name.encode()).digest()[0]
    return "train" if bucket < 180 else "validation" if bucket < 215 else "test"


@final
@dataclass(slots=True)
class _Writer:
    draw: Callable[[], float]
    split: str
    names_made: int = 0

    def one_of(self, choices: Sequence[str]) -> str:
        return choices[int(self.draw() * len(choices))]

    def sentence(self, template: str) -> TaggedText:
        text = ""
        entities = []
        for before, slot, _, _ in _PARTS(template):
            text += before
            if slot is None:
                continue
            kind = slot.rstrip("2").lower()
            words = self.fill(kind)
            if slot[0].isupper() or not text:
                words = words[0].upper() + words[1:]
            entities.append(Entity(len(text), len(text) + len(words), _LABELS[kind]))
            text += words
        return TaggedText(text, tuple(tokenise(text)), tuple(entities))

    def fill(self, kind: str) -> str:
        match kind:
            case "person":
                first = self.one_of(FIRST_NAMES)
                share = self.draw()
                return first if share < 0.15 else f"{first} {self.name(SURNAME_ENDS)}"
            case "surname":
                return self.name(SURNAME_ENDS)
            case "place":
                return self.name(PLACE_ENDS)
            case "organisation":
                names = {"name": self.name(SURNAME_ENDS), "other": self.name(SURNAME_ENDS)}
                return self.one_of(ORGANISATIONS).format(**names, place=self.name(PLACE_ENDS))
            case _:
                return self.date()

    def name(self, ends: Sequence[str]) -> str:
        """A surname or a place of this split."""
        self.names_made += 1
        while True:
            name = self.one_of(NAME_STARTS) + self.one_of(ends)
            if split_of_name(name) == self.split:
                return name

    def date(self) -> str:
        year, day = 1900 + int(self.draw() * 150), 1 + int(self.draw() * 28)
        names = {"month": self.one_of(MONTHS), "weekday": self.one_of(WEEKDAYS), "number": self.one_of(NUMBERS)}
        return self.one_of(DATES).format(**names, year=year, day=day)
