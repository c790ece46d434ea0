"""The rows of one entry, by settings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from benchmarks.quality.entry import Entry
from benchmarks.quality.markdown import day, join, machine_text
from benchmarks.rows import Row
from seqlens.training.best import LOWER_IS_BETTER


@final
@dataclass(frozen=True, slots=True)
class Group:
    """All seeds run with one entry's settings; of a seed run twice the last row counts."""

    rows: tuple[Row, ...]

    @property
    def seeds(self) -> str:
        return ", ".join(str(row["seed"]) for row in self.rows)

    @property
    def newest(self) -> Row:
        return max(self.rows, key=lambda row: row["time"])

    @property
    def machines(self) -> str:
        return join([machine_text(row) for row in self.rows])

    @property
    def days(self) -> str:
        return join(sorted(day(row) for row in self.rows))

    @property
    def minutes(self) -> list[float]:
        """Of training, each row's, with that of the run it started from and of making data by it."""
        return [(row["training"]["seconds"] + seconds_before(row)) / 60 for row in self.rows]

    def scores(self, split: str, name: str) -> list[dict[str, Any]]:
        """That score of every row that has it."""
        found = [row["splits"].get(split, {}).get("scores", {}).get(name) for row in self.rows]
        return [score for score in found if score is not None]


def seconds_before(row: Row) -> float:
    """How long the run was trained that a training started from, and how long it then made data."""
    start = row.get("starts_from")
    return 0.0 if start is None else float(start["training"]["seconds"]) + row.get("made_seconds", 0.0)


def groups_of(rows: Sequence[Row], entry: str) -> list[Group]:
    """The rows of an entry by settings, the settings run last first."""
    by_settings: dict[str, dict[int, Row]] = {}
    for row in rows:
        if row["entry"] == entry:
            by_settings.setdefault(row["settings"], {})[row["seed"]] = row
    groups = [Group(tuple(seeds[seed] for seed in sorted(seeds))) for seeds in by_settings.values()]
    return sorted(groups, key=lambda group: str(group.newest["time"]), reverse=True)


@final
@dataclass(frozen=True, slots=True)
class EntryGroups:
    """An entry's rows: those with the settings that the plan has now, if any, and all others."""

    current: Group | None
    earlier: Sequence[Group]


def groups_for(rows: Sequence[Row], entry: Entry) -> EntryGroups:
    """The rows of an entry of the plan; under its title stands no figure of other settings than it has now."""
    overrides = json.loads(json.dumps(dict(entry.overrides)))  # as a row has them: lists for tuples
    groups = groups_of(rows, entry.name)
    planned = (
        group for group in groups if (group.newest["recipe"], group.newest["overrides"]) == (entry.recipe, overrides)
    )
    current = next(planned, None)
    return EntryGroups(current, [group for group in groups if group is not current])


def strongest_baseline(group: Group, split: str, name: str) -> tuple[str, dict[str, Any]] | None:
    """The best of the cheap systems by a score, with it; None if there is none."""
    found = {
        baseline: scores[name]
        for baseline, scores in group.newest["splits"][split]["baselines"].items()
        if name in scores
    }
    sign = -1 if name in LOWER_IS_BETTER else 1
    return max(found.items(), key=lambda item: sign * item[1]["value"], default=None)
