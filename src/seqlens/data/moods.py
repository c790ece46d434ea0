"""Generated opinions in English for the task `classify`: nothing to download, and harder than a bag of words.

An opinion praises or blames one or two things, by words that mean so by themselves, negated (`not at all dull`),
wished for (`if only it were funny`), or taken back (`the plot is dull , but the ending is superb`). The label is what
is meant in the end. Two in five opinions open with a sentence that says whether all of it is meant as it is said or the
other way round; sentences on the evening, which say nothing, stand between that one and the opinion, so that it must be
remembered over up to thirty words. Words hardly tell the label: each adjective stands in praise nearly as often as in
blame. Validation and test have things, people and openings that training has not.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from seqlens.data.labelled.corpus import fingerprint_labelled
from seqlens.data.labelled.records import LabelledText
from seqlens.data.split_corpus import SplitCorpus

MOOD_SPLITS = ("train", "validation", "test")
GOOD, BAD = "positive", "negative"
_GOOD = [
    "funny",
    "superb",
    "moving",
    "clever",
    "fresh",
    "gripping",
    "charming",
    "honest",
    "bright",
    "warm",
    "witty",
    "lively",
]
_BAD = ["dull", "clumsy", "boring", "shallow", "stale", "silly", "noisy", "cold", "lazy", "tedious", "empty", "grim"]
_THINGS = ["plot", "ending", "cast", "music", "dialogue", "hero", "story", "camera", "pace", "film", "scene", "script"]
_HELD_OUT_THINGS = ["finale", "acting", "soundtrack", "humour", "drama"]
_OPENINGS = ("i must say ,", "to be honest ,", "well ,", "frankly ,", "as for me ,", "believe me ,")
_HELD_OUT_OPENINGS = ("all in all ,", "looking back ,")
_PLAIN = ("the {thing} is {word}", "what a {word} {thing}", "i found the {thing} {word}", "the {thing} was so {word}")
_TURNED = (
    "the {thing} is not at all {word}",
    "i would not call the {thing} {word}",
    "there is nothing {word} about the {thing}",
    "if only the {thing} were {word}",
    "the {thing} is anything but {word}",
    "nobody could find the {thing} {word}",
)
_AS_SAID = ("take every word as it stands .", "all of this is meant as i say it .", "no jokes from here on .")
_THE_OTHER_WAY = (
    "take every word the other way round .",
    "all of this is meant as the opposite .",
    "only jokes from here on .",
)
_EVENING = (
    "we saw it on {day} with {friend} .",
    "{friend} brought {food} and we sat near the door .",
    "it had rained since {day} and the bus came late .",
    "{friend} bought the tickets at the counter .",
    "there was {food} to eat in the break .",
    "on {day} the hall was full of people .",
)
_FILLINGS = {
    "day": ("monday", "tuesday", "wednesday", "friday", "saturday"),
    "friend": ("anna", "my aunt", "peter", "a neighbour", "two friends", "the children"),
    "food": ("bread", "pears", "some cake", "a bag of nuts"),
}
_HELD_OUT_FILLINGS = {
    "day": ("sunday", "thursday"),
    "friend": ("maria", "our teacher"),
    "food": ("plums", "a pie"),
}
_NUM_EVENING = (0, 0, 1, 2)  # short opinions are learnt first


@dataclass(frozen=True, slots=True)
class MoodsData:
    """Generated opinions: see `seqlens.data.moods`. `num_train` of them in train; the other splits have 1,000 each."""

    kind: Literal["moods"] = "moods"
    num_train: Annotated[int, Field(ge=10)] = 4000
    num_test: Annotated[int, Field(ge=10)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0


def open_moods(config: MoodsData) -> SplitCorpus[LabelledText]:
    """The generated corpus, which needs no file."""
    readers = {split: partial(generate_moods, config, split) for split in MOOD_SPLITS}
    return SplitCorpus("moods", readers, fingerprint_labelled, ("opinion", "opinions"))


def generate_moods(config: MoodsData, split: str) -> Iterator[LabelledText]:
    """Yields the opinions of a split, the same for the same settings; none of train stands in another split."""
    held_out = split != "train"
    count = config.num_test if held_out else config.num_train
    draw = random.Random(f"moods {config.seed} {split}")
    for _ in range(count):
        good = draw.random() < 0.5
        text = _opinion(draw, good, held_out=held_out)
        yield LabelledText(text, GOOD if good else BAD)


def _opinion(draw: random.Random, good: bool, *, held_out: bool) -> str:
    sentences = []
    if draw.random() < 0.4:
        turned = draw.random() < 0.5
        sentences.append(draw.choice(_THE_OTHER_WAY if turned else _AS_SAID))
        good = good != turned
    for template in draw.sample(_EVENING, draw.choice(_NUM_EVENING)):
        fillings = _HELD_OUT_FILLINGS if held_out else _FILLINGS
        sentences.append(template.format_map({name: draw.choice(words) for name, words in fillings.items()}))
    things = draw.sample(_HELD_OUT_THINGS if held_out else _THINGS, 2)
    parts = [_clause(draw, things[0], good)]
    if draw.random() < 0.5:
        # What comes after "but" is what is meant.
        parts = [_clause(draw, things[1], not good), "but", *parts]
        parts[1:1] = [","]
    if draw.random() < 0.5:
        parts.insert(0, draw.choice(_HELD_OUT_OPENINGS if held_out else _OPENINGS))
    return f"{' '.join([*sentences, *parts])} {draw.choice(['.', '!', '...'])}"


def _clause(draw: random.Random, thing: str, good: bool) -> str:
    turned = draw.random() < 0.3
    word = draw.choice(_GOOD if good != turned else _BAD)
    return draw.choice(_TURNED if turned else _PLAIN).format(thing=thing, word=word)
