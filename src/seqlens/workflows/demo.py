"""Models learn side by side, in about two minutes on two cores, with nothing to download."""

import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import final

from seqlens._version import __version__
from seqlens.config import dump_config, load_config, write_atomically
from seqlens.data.dates import count_dates
from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError, did_you_mean
from seqlens.inference import describe_machine
from seqlens.metrics import Score, exact_match
from seqlens.models.transducer import Transducer
from seqlens.report import Interval, Report, Table, write_report
from seqlens.report.sections import TableCell
from seqlens.tasks.transduce.answer import Translation
from seqlens.tasks.transduce.task import TransduceTask
from seqlens.training.observer import FitResult, Observer, Observers, Progress, Validation
from seqlens.training.run_config import RunConfig
from seqlens.workflows.demo_report import demo_sections
from seqlens.workflows.preparation import Announce, Prepared, prepare
from seqlens.workflows.recipes import find_recipe
from seqlens.workflows.train import RECIPE_FILE, finish_run, fresh_model, run_fit

GOAL = 0.97
VALIDATION_EXAMPLES = 300
DEMOS = {"dates": ("rnn", "lstm", "gru", "gru-attention", "transformer")}


@dataclass(frozen=True, slots=True)
class Contender:
    """One model's part of the demo: how it learned, what it answers on held-out inputs, and what it cost."""

    name: str
    description: str
    task: TransduceTask
    model: Transducer
    curve: tuple[tuple[int, float, float], ...]
    """`(step, loss, exact match on single dates)` of each validation."""
    answers: tuple[Translation, ...]
    exact: Score
    exact_by_count: dict[int, Score]
    num_parameters: int
    seconds: float

    @property
    def steps_to_goal(self) -> int | None:
        """The first validation whose exact match on single dates reached the goal."""
        return next((step for step, _, exact in self.curve if exact >= GOAL), None)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """All contenders, the held-out pairs, the summary table, the report's path, and what the whole took."""

    contenders: tuple[Contender, ...]
    pairs: tuple[tuple[str, str], ...]
    table: Table
    report: Path
    seconds: float
    peak_memory_gib: float


def run_demo(
    name: str = "dates",
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    announce: Announce | None = None,
    observe: Callable[[str], Observer | None] | None = None,
) -> DemoResult:
    """Trains the models of a demo one after the other, with equal budgets, and writes `report.html` and run folders.

    Args:
        name: `dates`.
        out: where the report and the runs go, `runs/demo-<name>` by default; earlier results there are replaced.
        seed: decides weights, order and dropout; that of the recipes if None.
        announce: told, a sentence each, of what happens.
        observe: makes an observer of training for a model's name.

    Raises:
        RequestError: there is no such demo.
    """
    if name not in DEMOS:
        raise RequestError(f"There is no demo '{name}', expected one of {', '.join(DEMOS)}.{did_you_mean(name, DEMOS)}")
    announce = announce or (lambda text: None)
    started = time.perf_counter()
    folder = Path(out) if out is not None else Path("runs") / f"demo-{name}"
    configs = {model: _config(f"{name}/{model}", seed) for model in DEMOS[name]}
    prepared = prepare(next(iter(configs.values())), codec_folder=None, announce=announce)
    pairs = [(pair.source, pair.target or "") for pair in prepared.corpus.read("test")]
    contenders = []
    for model_name, config in configs.items():
        announce(f"Training {model_name}: {config.description}.")
        contender = _contend(model_name, config, prepared, pairs, folder, observe(model_name) if observe else None)
        announce(f"{model_name}: exact match {contender.exact}, {contender.seconds:.0f} s.")
        contenders.append(contender)
    table = summary_table(contenders)
    seconds = time.perf_counter() - started
    memory = peak_memory_gib()
    report = Report(
        title="Dates as people write them, to ISO 8601",
        summary=_SUMMARY,
        sections=demo_sections(contenders, pairs, table),
        facts=_facts(name, configs, seconds, memory),
    )
    path = folder / "report.html"
    write_report(report, path)
    return DemoResult(tuple(contenders), tuple(pairs), table, path, seconds, memory)


_SUMMARY = (
    "Five models read dates in 28 locales, one to four in a sentence, and write them as year-month-day. All see the "
    "same sentences in the same order for the same number of steps. Without attention the whole sentence must pass "
    "through one vector; the chart by number of dates shows what that costs."
)


def summary_table(contenders: Sequence[Contender]) -> Table:
    """What each model reached and what it cost."""
    counts = sorted(contenders[0].exact_by_count)
    names = {1: "1 date", **{count: f"{count} dates" for count in counts if count > 1}}
    rows: list[list[TableCell]] = []
    for contender in contenders:
        exact = [_interval(contender.exact_by_count[count]) for count in counts]
        steps = contender.steps_to_goal
        reached = "not reached" if steps is None else str(steps)
        rows.append([contender.name, *exact, reached, contender.num_parameters, round(contender.seconds, 1)])
    columns = ("model", *(names[count] for count in counts), f"steps to {GOAL}", "parameters", "seconds")
    note = (
        "Exact match on held-out sentences by number of dates in them, with 95 % bootstrap intervals; held-out days "
        f"are never seen in training. Steps until {GOAL} of single dates of the validation split were right."
    )
    return Table("Results", columns, rows, note=note)


def peak_memory_gib() -> float:
    """The largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def _config(recipe: str, seed: int | None) -> RunConfig:
    config = load_config(RunConfig, find_recipe(recipe).path)
    return config if seed is None else replace(config, seed=seed)


def _contend(
    name: str,
    config: RunConfig,
    prepared: Prepared,
    pairs: Sequence[tuple[str, str]],
    folder: Path,
    observer: Observer | None,
) -> Contender:
    """Trains one model on the shared data, writes its run folder, and answers the held-out inputs."""
    run_folder = folder / name
    _clear(run_folder)
    prepared = replace(prepared, task=replace(prepared.task, config=config.task))
    task = prepared.task
    write_atomically(run_folder / RECIPE_FILE, dump_config(config))
    model = fresh_model(task, config.seed)
    curve = _Curve(observer)
    result = run_fit(model, prepared, config, run_folder, observer=curve, score_pairs=_singles(prepared))
    finish_run(f"dates/{name}", prepared, config, model, result, run_folder)
    answers = task.predict(model, [source for source, _ in pairs], DecodingConfig(method="greedy"), batch_size=250)
    return Contender(
        name=name,
        description=config.description,
        task=task,
        model=model,
        curve=tuple(curve.points),
        answers=tuple(answers),
        exact=_exact(answers, pairs, lambda target: True),
        exact_by_count={
            count: _exact(answers, pairs, lambda target, count=count: count_dates(target) == count)  # type: ignore[misc]
            for count in sorted({count_dates(target) for _, target in pairs})
        },
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=result.seconds,
    )


@final
class _Curve:
    """Keeps the validations of one training, and passes everything on."""

    def __init__(self, observer: Observer | None) -> None:
        self.points: list[tuple[int, float, float]] = []
        self._observer = observer or Observers()

    def on_step(self, progress: Progress) -> None:
        self._observer.on_step(progress)

    def on_validation(self, validation: Validation) -> None:
        metrics = validation.metrics
        self.points.append((validation.step, metrics["loss"], metrics["exact_match"]))
        self._observer.on_validation(validation)

    def on_warning(self, text: str) -> None:
        self._observer.on_warning(text)

    def on_end(self, result: FitResult) -> None:
        self._observer.on_end(result)


def _singles(prepared: Prepared) -> list[tuple[str, str]]:
    """Validation sentences with one date, on which learning is followed."""
    pairs = ((pair.source, pair.target or "") for pair in prepared.corpus.read("validation"))
    return list(islice((pair for pair in pairs if count_dates(pair[1]) == 1), VALIDATION_EXAMPLES))


def _exact(answers: Sequence[Translation], pairs: Sequence[tuple[str, str]], chosen: Callable[[str], bool]) -> Score:
    both = [(answer.text, target) for answer, (_, target) in zip(answers, pairs, strict=True) if chosen(target)]
    return exact_match([answer for answer, _ in both], [target for _, target in both])


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.low, score.high)


def _clear(run_folder: Path) -> None:
    """Removes what an earlier demo left here, and nothing else."""
    if not run_folder.exists():
        return
    if not (run_folder / RECIPE_FILE).is_file() and any(run_folder.iterdir()):
        raise RequestError(f"{run_folder} holds other files than a run; give another --out.")
    shutil.rmtree(run_folder)


def _facts(name: str, configs: dict[str, RunConfig], seconds: float, memory: float) -> dict[str, str]:
    machine = describe_machine()
    config = next(iter(configs.values()))
    return {
        "command": f"seqlens demo {name}",
        "seed": str(config.seed),
        "training": f"{config.training.max_steps} steps for each model, batches of {config.batches.max_tokens} tokens",
        "time": f"{seconds:.0f} s in all, peak memory {memory:.2f} GiB",
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"seqlens {__version__}, torch {machine['torch']}, Python {machine['python']}",
        "date": datetime.now(UTC).date().isoformat(),
    }
