"""A search for better settings of a recipe by Optuna (Akiba et al. 2019), on validation data only.

Each trial is a training of its own in the folder of the search. What a trial tries is a function of the seed, its
number and the trials before it, so that a search that was killed goes on as if it had not been.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from seqlens.config import dump_config, parse_config, read_json, to_plain, write_atomically, write_json
from seqlens.config.locking import locked
from seqlens.errors import DivergedError, RequestError, WorkError
from seqlens.inference import describe_machine, read_record
from seqlens.report import LineChart, Report, Series, Table, write_report
from seqlens.report.sections import TableCell
from seqlens.training.observer import Observer
from seqlens.training.run_config import RunConfig
from seqlens.workflows import series as trainings
from seqlens.workflows.initial import first_difference
from seqlens.workflows.open_data import open_recipe_data
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipe_config import Changes, join_changes, resolve_recipe
from seqlens.workflows.search_space import Parameter, combinations, read_parameters
from seqlens.workflows.trial_checks import check_metric, incomparable

STUDY_FILE = "study.log"
SETTINGS_FILE = "search.json"
BEST_FILE = "best.yaml"
_STUDY = "seqlens"


@final
@dataclass(frozen=True, slots=True)
class Trial:
    """One training of the search: what it tried, and the validation metric that came out; None where it failed."""

    number: int
    settings: dict[str, Any]
    value: float | None
    seconds: float | None


@final
@dataclass(frozen=True, slots=True)
class Search:
    """All trials, the best first; the recipe with the best settings is in the file `best`."""

    trials: tuple[Trial, ...]
    metric: str
    table: Table
    best: Path
    report: Path


def tune(
    recipe: str | Path,
    params: Sequence[str],
    *,
    trials: int,
    out: str | Path | None = None,
    overrides: Changes = (),
    seed: int = 0,
    device: str = "auto",
    announce: Announce | None = None,
    observe: Callable[[str], Observer | None] | None = None,
) -> Search:
    """Searches over settings of a recipe for the best validation metric, `training.metric` by `training.mode`.

    Args:
        recipe: a recipe's name or file, of any task.
        params: what to choose from, such as `training.optimizer.learning_rate=log:1e-4:1e-2`.
        trials: how many in all, fewer where there are not so many combinations; those that are in `out` count.
        out: where trials and results go, `runs/tune/<recipe>` by default.
        overrides: settings of all trials that differ from the recipe's.
        seed: decides what is tried; that of the trainings is the recipe's.
        announce: told, a sentence each, of what happens; `observe` makes an observer of training for a trial's name.

    Raises:
        RequestError: Optuna is not installed, a parameter or the folder is not as it must be.
        WorkError: every trial failed.
        KeyboardInterrupt: a training was interrupted; called again, the search goes on with it.
    """
    announce = announce or (lambda text: None)
    runs = trainings.Series(recipe, overrides, device, announce, observe or (lambda label: None))
    config = runs.config()
    space = read_parameters(params, to_plain(config))
    check_metric(config, space)
    _check_ends(runs, space)
    optuna = _import_optuna()
    name = Path(recipe).stem if str(recipe).endswith((".yaml", ".yml")) else str(recipe)
    folder = Path(out) if out is not None else Path("runs") / "tune" / name
    _claim(folder, config, params, seed)
    with locked(folder, "searching"), _quiet(optuna):
        study = _open_study(optuna, folder, config)
        while (trial := _next_trial(optuna, study, space, seed, trials)) is not None:
            number, settings = trial
            state = optuna.trial.TrialState
            ended = study.get_trials(deepcopy=False, states=(state.COMPLETE, state.FAIL))
            if (same := next((one for one in ended if one.params == settings), None)) is not None:
                announce(f"trial {number}: the settings of trial {same.number}, which are not trained again.")
                value = same.value
            else:
                value = _train_trial(runs, folder, number, settings, config.training.metric)
            study.tell(number, value, state=state.FAIL if value is None else state.COMPLETE)
        found = [_trial(one, folder) for one in study.get_trials(deepcopy=False)]
    return _result(runs, folder, config, found, f"seqlens tune {recipe} {' '.join(f'--param {one}' for one in params)}")


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise RequestError(
            "Optuna is not installed, which searches for tune: from a clone: pip install -c constraints.txt '.[tune]'."
        ) from error
    return optuna


def _check_ends(runs: trainings.Series, space: Sequence[Parameter]) -> None:
    """Refuses what no training could use, before the first one."""
    for parameter in space:
        for value in parameter.ends:
            try:
                resolve_recipe(runs.recipe, join_changes(runs.overrides, {parameter.path: value}))
            except RequestError as error:
                raise RequestError(str(error).replace("--set ", "--param ")) from error


def _claim(folder: Path, config: RunConfig, params: Sequence[str], seed: int) -> None:
    """Refuses a folder that holds another search or something else."""
    stored = folder / SETTINGS_FILE
    settings = {"recipe": to_plain(replace(config, description="")), "params": sorted(params), "seed": seed}
    if stored.is_file():
        earlier = read_json(stored)
        # Of an earlier version it lacks settings that have come since.
        recipe = to_plain(parse_config(RunConfig, earlier["recipe"], where=str(stored)))
        if (path := first_difference("", {**earlier, "recipe": recipe}, settings)) is not None:
            raise RequestError(f"{folder} holds a search with another '{path.lstrip('.')}'; give another --out.")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{folder} holds other files than a search; give another --out.")
    write_json(stored, settings)


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Optuna's own lines are left out: ours say the same."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _open_study(optuna: Any, folder: Path, config: RunConfig) -> Any:
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

    path = str(folder / STUDY_FILE)
    # What a killed process left; ours is the only one in this folder.
    with suppress(FileNotFoundError):
        Path(f"{path}.lock").unlink()
    storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    direction = "minimize" if config.training.mode == "min" else "maximize"
    return optuna.create_study(storage=storage, study_name=_STUDY, direction=direction, load_if_exists=True)


def _next_trial(
    optuna: Any, study: Any, space: Sequence[Parameter], seed: int, trials: int
) -> tuple[int, dict[str, Any]] | None:
    """The number of the trial to train now, and its settings: one that was killed first; None where all are there.

    Where there are no more combinations than trials, each is tried once.
    """
    state = optuna.trial.TrialState
    for begun in study.get_trials(deepcopy=False, states=(state.RUNNING,)):
        if len(begun.params) == len(space):
            return begun.number, dict(begun.params)
        study.tell(begun.number, state=state.FAIL)  # killed before it was known what it tries
    ended = study.get_trials(deepcopy=False, states=(state.COMPLETE, state.FAIL))
    count = sum(len(one.params) == len(space) for one in ended)
    if count >= trials:
        return None
    every = combinations(space, most=trials)
    if every is not None:  # so few that all are tried, each once
        tried = [one.params for one in study.get_trials(deepcopy=False)]
        untried = [one for one in every if one not in tried]
        if not untried:
            return None
        study.enqueue_trial(random.Random(seed * 1_000_003 + count).choice(untried))
    # A sampler of its own for each trial: its draws depend on nothing that a killed process took with it.
    study.sampler = optuna.samplers.TPESampler(seed=(seed * 1_000_003 + count) % 2**32)
    asked = study.ask({parameter.path: parameter.distribution() for parameter in space})
    return asked.number, dict(asked.params)


def _train_trial(
    runs: trainings.Series, folder: Path, number: int, settings: dict[str, Any], metric: str
) -> float | None:
    """Trains with these settings; the validation metric, or None where that failed, which is told."""
    written = ", ".join(f"{path}={_short(value)}" for path, value in settings.items())
    label = f"trial {number}"
    runs.announce(f"{label}: {written}.")
    try:
        run = runs.run(trial_folder(folder, number), join_changes(runs.overrides, settings), label)
    except (RequestError, DivergedError) as error:
        if isinstance(error, RequestError):
            _check_data(runs.config())  # which no setting of the search is to blame for
        runs.announce(f"{label} failed: {error}")
        return None
    if (why := _incomparable(folder, number, run.record, metric)) is not None:
        runs.announce(f"{label} failed: {why}")
        return None
    value = run.record["weights"]["validation"].get(metric)
    runs.announce(f"{label}: {metric} {'is not a number' if value is None else _short(value)}.")
    return None if value is None else float(value)


def _check_data(config: RunConfig) -> None:
    """RequestError or WorkError where the recipe's data are not to be had, now."""
    open_recipe_data(config, base=Path()).fingerprint("train")


def _incomparable(folder: Path, number: int, record: Mapping[str, Any], metric: str) -> str | None:
    """Why a run cannot be compared with the first trial that ended; None if it can."""
    for earlier in range(number):
        place = trial_folder(folder, earlier)
        if trainings.has_ended(place):
            return incomparable(record, read_record(place), f"trial {earlier}", metric)
    return None


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial's run is."""
    return folder / f"trial-{number:03d}"


def _trial(one: Any, folder: Path) -> Trial:
    place = trial_folder(folder, one.number)
    seconds = read_record(place)["training"]["seconds"] if trainings.has_ended(place) else None
    return Trial(one.number, dict(one.params), one.value, seconds)


def _result(runs: trainings.Series, folder: Path, config: RunConfig, found: Sequence[Trial], command: str) -> Search:
    done = [one for one in found if one.value is not None]
    if not done:
        raise WorkError(f"None of the {len(found)} trials in {folder} ended with a value; what failed is told above.")
    sign = 1 if config.training.mode == "min" else -1
    ordered = sorted(done, key=lambda one: (sign * (one.value or 0.0), one.number))
    failed = [one for one in found if one.value is None]
    best = ordered[0]
    _, settings = resolve_recipe(runs.recipe, join_changes(runs.overrides, best.settings))
    metric = config.training.metric
    comment = f"# {command}\n# trial {best.number} of {len(found)}, validation {metric} {best.value:.6g}\n"
    write_atomically(folder / BEST_FILE, comment + dump_config(settings))
    table = _table([*ordered, *failed], metric, config.training.mode)
    machine = describe_machine()
    facts = {
        "command": command,
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"torch {machine['torch']}, Python {machine['python']}",
    }
    summary = f"{len(found)} trainings, compared by {metric} on the validation split; the test split was not read."
    report = Report("Search over settings", summary, [_chart(done, metric, sign), table], facts)
    write_report(report, folder / "report.html")
    return Search((*ordered, *failed), metric, table, folder / BEST_FILE, folder / "report.html")


def _table(trials: Sequence[Trial], metric: str, mode: str) -> Table:
    paths = list(trials[0].settings)
    rows: list[list[TableCell]] = []
    for trial in trials:
        seconds = None if trial.seconds is None else round(trial.seconds)
        cells = [_short(trial.settings[path]) if path in trial.settings else None for path in paths]
        rows.append([str(trial.number), trial.value, *cells, seconds])
    note = f"The best first: {mode}imum {metric} on the validation split. A dash is a training that failed."
    return Table("Trials", ("trial", metric, *paths, "seconds"), rows, note=note)


def _chart(done: Sequence[Trial], metric: str, sign: int) -> LineChart:
    numbers = [one.number for one in done]
    values = [one.value or 0.0 for one in done]
    best = [sign * min(sign * value for value in values[: place + 1]) for place in range(len(values))]
    series = [Series("each trial", numbers, values), Series("the best so far", numbers, best)]
    return LineChart("The search", "trial", f"validation {metric}", series)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "null" if value is None else str(value)
