"""What is trained and what each training is for. An entry is added here; nothing else has to change."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from seqlens.errors import RequestError

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A number to reach: the mean of one score over all seeds, on one split."""

    split: str
    score: str
    """A name in a row's scores, such as `bleu_lowercase`, `bleu_cased`, `perplexity`."""
    to_reach: float
    source: str
    """Who asks for it."""
    better: Literal["higher", "lower"] = "higher"
    published: float | None = None
    published_by: str = ""
    max_training_minutes: float | None = None
    """The time within which each seed's training must end for the number to count."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A recipe, trained once for each seed and scored on each split.

    `overrides` are settings that differ from the recipe's; `decoding` are those of the search that answers the
    splits. All seeds are reported, whatever comes out.
    """

    name: str
    title: str
    section: str
    recipe: str
    seeds: tuple[int, ...]
    splits: tuple[str, ...]
    decoding: Mapping[str, object] = field(default_factory=dict)
    overrides: Mapping[str, object] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what could not be run or shown, with a ValueError."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the name '{self.name}' must be words of a-z and 0-9 joined by '-'")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"{self.name}: 'seeds' must be at least one, each once, but are {self.seeds}")
        if not self.splits or len(set(self.splits)) < len(self.splits):
            raise ValueError(f"{self.name}: 'splits' must be at least one, each once, but are {self.splits}")
        if "seed" in self.overrides:
            raise ValueError(f"{self.name}: the seed is one of 'seeds', not an override")
        for goal in self.goals:
            if goal.split not in self.splits:
                raise ValueError(f"{self.name}: a goal names the split '{goal.split}', which is not in 'splits'")

    @property
    def command(self) -> str:
        """What a person types to get these numbers."""
        return f"python -m benchmarks.quality.queue --only {self.name}"


BEAM_5: Mapping[str, object] = {"method": "beam", "beam_width": 5, "length_penalty": 1.0}
MULTI30K_TESTS = ("test", "test_2017", "test_2017_mscoco")

PLAN: tuple[Entry, ...] = (
    Entry(
        name="multi30k-de-en-gru-attention",
        title="Multi30k, German to English, GRU with attention",
        section="Translation",
        recipe="translation/gru-attention",
        seeds=(1, 2, 3),
        splits=MULTI30K_TESTS,
        decoding=BEAM_5,
        goals=(
            Goal(
                split="test",
                score="bleu_lowercase",
                to_reach=32.0,
                source="the first whole path: within 30 minutes of training on two cores",
                published=28.1,
                published_by="GRU with attention of bentrevett/pytorch-seq2seq, lower-cased, tokens of its own",
                max_training_minutes=30,
            ),
        ),
    ),
)


def check_plan(plan: Sequence[Entry]) -> None:
    """Raises ValueError if two entries have one name: their rows could not be told apart."""
    names = [entry.name for entry in plan]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two entries of the plan have the name '{twice[0]}'")


def select_entries(plan: Sequence[Entry], patterns: Sequence[str]) -> list[Entry]:
    """The entries whose name, recipe or section matches one of the patterns (`*` stands for anything).

    Raises:
        RequestError: a pattern matches nothing.
    """
    from fnmatch import fnmatchcase

    def matches(entry: Entry, pattern: str) -> bool:
        return any(fnmatchcase(text, pattern) for text in (entry.name, entry.recipe, entry.section.lower()))

    for pattern in patterns:
        if not any(matches(entry, pattern) for entry in plan):
            names = ", ".join(entry.name for entry in plan)
            raise RequestError(f"No entry of the plan matches '{pattern}', expected one of {names}, or a pattern.")
    return [entry for entry in plan if not patterns or any(matches(entry, pattern) for pattern in patterns)]
