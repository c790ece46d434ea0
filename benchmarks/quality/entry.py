"""What the plan is made of: a training for each of an entry's seeds, numbers to reach, comparisons of two entries."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from benchmarks.quality.made import DiversifiedData, MadeData
from benchmarks.quality.scores import KEPT_SCORES, KeptScore
from seqlens.errors import RequestError, did_you_mean

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
    made: MadeData | DiversifiedData | None = None
    """Data that are made before the training and take the place of the recipe's."""
    starts_from: str | None = None
    """An entry whose run, of the same seed, gives the first weights and the vocabulary.

    Its time counts as well, and that of making data by it.
    """
    folds: int | None = None
    """Cross-validate: so many trainings, scored together as the one split `folds`."""
    repeats: int = 1
    goals: tuple[Goal, ...] = ()
    shown_by_length: KeptScore | None = None
    """A score of translations that is also shown by the length of the source."""

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
        if self.made is not None and any(name.split(".")[0] == "data" for name in self.overrides):
            raise ValueError(f"{self.name}: the data are those of 'made', not of an override")
        if len(self.needed) > 1:
            raise ValueError(f"{self.name}: it starts from one run and has its data made by another, expected one")
        if self.folds is not None and self.splits != ("folds",):
            raise ValueError(f"{self.name}: an entry with 'folds' has the one split 'folds', not {self.splits}")
        _check_kept(self.name, "shown_by_length", self.shown_by_length)
        for goal in self.goals:
            if goal.split not in self.splits:
                raise ValueError(f"{self.name}: a goal names the split '{goal.split}', which is not in 'splits'")

    @property
    def needed(self) -> tuple[str, ...]:
        """The entries whose runs must be there before its own."""
        made_by = None if self.made is None else self.made.made_by
        return tuple(dict.fromkeys(name for name in (made_by, self.starts_from) if name is not None))

    @property
    def command(self) -> str:
        """What a person types to get these numbers."""
        return f"python -m benchmarks.quality.queue --only {self.name}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Whether one entry beats another: a paired test on the same sentences, over the seeds that both have.

    With `unknown_only` only sentences with words never seen in training count, which is what a cure for unknown words
    is for. `by_length` adds the score by source length, as a table and a picture.
    """

    name: str
    question: str
    system: str
    """An entry's name."""
    baseline: str
    split: str = "test"
    score: KeptScore = "bleu_lowercase"
    unknown_only: bool = False
    by_length: bool = False

    def __post_init__(self) -> None:
        """Refuses what could not be compared, with a ValueError."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the name '{self.name}' must be words of a-z and 0-9 joined by '-'")
        if self.system == self.baseline:
            raise ValueError(f"{self.name}: an entry is compared with itself")
        _check_kept(self.name, "score", self.score)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """Models side by side, trained for one task within the same time."""

    title: str
    section: str
    entries: tuple[str, ...]
    """Names of entries, a model each."""
    split: str
    scores: tuple[str, ...]
    """Names in a row's scores; the first chooses the strongest baseline."""


def _check_kept(name: str, field_name: str, score: str | None) -> None:
    if score is not None and score not in KEPT_SCORES:
        near = did_you_mean(score, KEPT_SCORES)
        raise ValueError(f"{name}: '{field_name}' is '{score}', expected one of {', '.join(KEPT_SCORES)}.{near}")


def check_plan(
    plan: Sequence[Entry], comparisons: Sequence[Comparison] = (), tables: Sequence[ModelTable] = ()
) -> None:
    """Raises ValueError if two have one name, so could not be told apart, or one lacks an entry or a split it needs."""
    for listed in (plan, comparisons):
        names = [one.name for one in listed]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two entries of the plan have the name '{twice[0]}'")
    entries = {entry.name: entry for entry in plan}
    for entry in plan:
        for needed in entry.needed:
            if needed not in entries or not set(entry.seeds) <= set(entries[needed].seeds):
                raise ValueError(f"{entry.name}: there is no entry '{needed}' with all its seeds")
    for comparison in comparisons:
        for name in (comparison.system, comparison.baseline):
            if name not in entries:
                raise ValueError(f"{comparison.name}: there is no entry '{name}'")
            if comparison.split not in entries[name].splits:
                raise ValueError(f"{comparison.name}: {name} has no split '{comparison.split}'")
    for shown in tables:
        for name in shown.entries:
            if name not in entries or shown.split not in entries[name].splits:
                raise ValueError(f"the table '{shown.title}': there is no entry '{name}' with '{shown.split}'")


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
            near = did_you_mean(pattern, (text for entry in plan for text in (entry.name, entry.recipe)))
            raise RequestError(
                f"No entry of the plan matches '{pattern}', expected the name, the recipe or the section of one "
                f"(`python -m benchmarks.quality.queue --list` lists them), or a pattern.{near}"
            )
    return [entry for entry in plan if not patterns or any(matches(entry, pattern) for pattern in patterns)]
