"""One training of the plan: an entry with a seed, and what tells it from every other one."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from benchmarks.quality.entry import Entry
from benchmarks.rows import Row
from seqlens.config import apply_overrides, load_config
from seqlens.config.tree import read_tree
from seqlens.errors import RequestError

LONGEST_SECONDS = 7200
RUN_FOLDER = "run"


@final
@dataclass(frozen=True, slots=True)
class Job:
    """An entry with one of its seeds.

    `training_id` stands for all settings of the training but the seed, `settings_id` for those of the search too: a
    recipe that was changed since is another training, and its rows are told apart from the earlier ones.
    """

    entry: Entry
    seed: int
    training_id: str
    settings_id: str
    needs: "Job | None" = None
    """The training whose run is needed before this one can begin."""

    def __str__(self) -> str:
        return f"{self.entry.name} seed {self.seed}"

    @property
    def overrides(self) -> dict[str, object]:
        """The settings that differ from the recipe's, the seed among them."""
        return {**self.entry.overrides, "seed": self.seed}

    def folder(self, root: Path) -> Path:
        """Where this training keeps its files."""
        return root / self.entry.name / self.training_id / f"seed-{self.seed}"

    def needed_run(self, root: Path) -> Path | None:
        """Where the run of `needs` is, or will be."""
        return None if self.needs is None else self.needs.folder(root) / RUN_FOLDER

    def is_row_of(self, row: Row) -> bool:
        """Whether a row is of this entry, seed and settings."""
        return (row["entry"], row["seed"], row["settings"]) == (self.entry.name, self.seed, self.settings_id)

    def is_finished(self, rows: Sequence[Row]) -> bool:
        """Whether some row has all splits of this job."""
        return any(self.is_row_of(row) and set(self.entry.splits) <= set(row["splits"]) for row in rows)


def plan_jobs(entries: Sequence[Entry], plan: Sequence[Entry] = ()) -> list[Job]:
    """All seeds of all entries, in order; nothing is trained yet. `plan` has the entries that they may need besides.

    Raises:
        RequestError: a recipe or an override is wrong, or a training could take more than two hours.
    """
    known = {entry.name: entry for entry in (*plan, *entries)}
    return [_make_job(entry, seed, known) for entry in entries for seed in entry.seeds]


def _make_job(entry: Entry, seed: int, known: Mapping[str, Entry]) -> Job:
    needs = next((_make_job(known[needed], seed, known) for needed in entry.needed), None)
    training_id, settings_id = _identify(entry, needs)
    return Job(entry, seed, training_id, settings_id, needs)


def _identify(entry: Entry, needs: Job | None) -> tuple[str, str]:
    from seqlens.training.run_config import RunConfig
    from seqlens.workflows.recipes import find_recipe

    path = find_recipe(entry.recipe).path
    limit = load_config(RunConfig, path, dict(entry.overrides)).training.max_seconds
    if limit is None or limit > LONGEST_SECONDS:
        found = "is not set" if limit is None else f"is {limit:g}"
        raise RequestError(
            f"{entry.name}: 'training.max_seconds' {found}, expected at most {LONGEST_SECONDS}: "
            "no training of the plan takes more than 120 minutes."
        )
    # As written, not as resolved: a setting that a later version adds, with a default, makes no new training.
    tree: dict[str, Any] = apply_overrides(read_tree(path).value, dict(entry.overrides))
    training = {name: value for name, value in tree.items() if name not in ("description", "seed")}
    if entry.made is not None:
        training["made"] = {**asdict(entry.made), "by": None if needs is None else needs.training_id}
    if entry.starts_from is not None:
        training["starts_from"] = None if needs is None else needs.training_id
    if entry.folds is not None:
        training["folds"] = [entry.folds, entry.repeats]
    return _digest(training), _digest([training, dict(entry.decoding)])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
