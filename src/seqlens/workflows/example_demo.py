"""A demo of a task that learns from examples: its recipes side by side, baselines, answers, one page."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, final

from seqlens._version import __version__
from seqlens.config import load_config, write_json
from seqlens.inference import ExamplePredictor, describe_machine
from seqlens.metrics import Score
from seqlens.report import (
    Cell,
    Examples,
    Interval,
    LineChart,
    Report,
    Section,
    Series,
    Table,
    markdown_table,
    write_report,
)
from seqlens.report.sections import TableCell
from seqlens.training.observer import FitResult, Observer, Observers, Progress, Validation
from seqlens.training.run_config import RunConfig
from seqlens.workflows.demo_contest import clear_run
from seqlens.workflows.demo_processes import Observe, Train, hold_contest
from seqlens.workflows.demos import Demo
from seqlens.workflows.evaluate_examples import evaluate_examples
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipes import find_recipe
from seqlens.workflows.shown_answers import ShownAnswer, show_answer
from seqlens.workflows.train import train

NUM_ANSWERS = 8
_NUM_PRINTED = 4


@final
@dataclass(frozen=True, slots=True)
class Learner:
    """One model's part: how it learned, its scores, some answers, what it cost. `baselines` are of the first only."""

    name: str
    description: str
    curve: tuple[tuple[int, dict[str, float]], ...]
    scores: dict[str, Score]
    answers: tuple[ShownAnswer, ...]
    num_parameters: int
    seconds: float
    size: str
    baselines: dict[str, dict[str, Score]]


@final
@dataclass(frozen=True, slots=True)
class ExampleDemoResult:
    """All learners in the order of the demo, the table of them, some answers, the report, and what the whole took."""

    learners: tuple[Learner, ...]
    table: Table
    answers: Table
    report: Path
    seconds: float


@final
@dataclass(frozen=True, slots=True)
class DemoRequest:
    """What both processes know: the demo, where it goes, the changes to its recipes."""

    demo: Demo
    folder: Path
    seed: int | None
    steps: int | None

    def changes(self, recipe: str) -> dict[str, object]:
        """What this demo trains otherwise than the recipe says."""
        config = load_config(RunConfig, find_recipe(recipe).path)
        steps = self.steps or max(1, round((config.training.max_steps or 1) * self.demo.share))
        every = max(1, min(config.training.validate_every, steps // 6))
        seed = config.seed if self.seed is None else self.seed
        return {"training.max_steps": steps, "training.validate_every": every, "seed": seed}

    def config(self, recipe: str) -> RunConfig:
        """A recipe as this demo trains it."""
        return load_config(RunConfig, find_recipe(recipe).path, self.changes(recipe))


def run_example_demo(
    demo: Demo,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    steps: int | None = None,
    num_processes: int = 1,
    announce: Announce | None = None,
    observe: Callable[[str], Observer | None] | None = None,
) -> ExampleDemoResult:
    """Trains the recipes of a demo, and writes `report.html`, `demo.json` and run folders; the arguments are those of
    `run_demo`.
    """
    announce = announce or (lambda text: None)
    started = time.perf_counter()
    folder = Path(out) if out is not None else Path("runs") / f"demo-{demo.name}"
    request = DemoRequest(demo, folder, seed, steps)
    order = [short_name(recipe) for recipe in demo.recipes]
    found = hold_contest(
        [short_name(recipe) for recipe in demo.longest_first],
        trainer(request),
        partial(trainer, request),
        num_processes=num_processes,
        announce=announce,
        observe=observe or (lambda name: None),
    )
    learners = sorted(found, key=lambda learner: order.index(learner.name))
    table = _table(demo, learners)
    seconds = time.perf_counter() - started
    sections = [table, *_curves(demo, learners), _answers(demo, learners)]
    report = folder / "report.html"
    write_report(Report(demo.title, demo.summary, sections, _facts(request, seconds)), report)
    write_json(folder / "demo.json", {"seconds": seconds, "table": markdown_table(table)})
    return ExampleDemoResult(tuple(learners), table, _spoken(demo, learners), report, seconds)


def short_name(recipe: str) -> str:
    """`moods-gru` of `sentiment/moods-gru`: the name of its run folder and of its row."""
    return recipe.rpartition("/")[2]


def trainer(request: DemoRequest) -> Train[Learner]:
    """What trains a model of the demo, by its short name."""
    recipes = {short_name(recipe): recipe for recipe in request.demo.recipes}

    def learn(name: str, announce: Announce, observe: Observe) -> Learner:
        config = request.config(recipes[name])
        announce(f"Training {name}. {config.description}.")
        folder = request.folder / name
        clear_run(folder)
        curve = _Curve(observe(name))
        changes = request.changes(recipes[name])
        run = train(recipes[name], out=folder, overrides=changes, observer=curve, device="cpu")
        assert isinstance(run.predictor, ExamplePredictor)
        # Baselines learn from the data alone, so one of the models' evaluations has them for all.
        speaks = recipes[name] == request.demo.recipes[0]
        found = evaluate_examples(run.predictor, with_baselines=speaks)
        first = found.scores[request.demo.measures[0]]
        announce(f"{name}: {first} on {found.size}, {run.result.seconds:.0f} s.")
        return Learner(
            name=name,
            description=config.description,
            curve=tuple(curve.points),
            scores={measure: found.scores[measure] for measure in request.demo.measures},
            answers=_some_answers(request.demo, run.predictor, found.examples, found.answers),
            num_parameters=sum(parameter.numel() for parameter in run.predictor.model.parameters()),
            seconds=run.result.seconds,
            size=found.size,
            baselines=found.baseline_scores,
        )

    return learn


@final
class _Curve:
    """Keeps the validations of one training, and passes everything on."""

    def __init__(self, observer: Observer | None) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []
        self._observer = observer or Observers()

    def on_step(self, progress: Progress) -> None:
        self._observer.on_step(progress)

    def on_validation(self, validation: Validation) -> None:
        self.points.append((validation.step, dict(validation.metrics)))
        self._observer.on_validation(validation)

    def on_warning(self, text: str) -> None:
        self._observer.on_warning(text)

    def on_end(self, result: FitResult) -> None:
        self._observer.on_end(result)


def _some_answers(
    demo: Demo, predictor: ExamplePredictor, examples: Sequence[Any], answers: Sequence[Any]
) -> tuple[ShownAnswer, ...]:
    if demo.prompts:
        made = predictor.predict(list(demo.prompts), **demo.settings)
        return tuple(
            ShownAnswer(prompt or "(nothing)", "", str(answer).replace("\t", ", "), None)
            for prompt, answer in zip(demo.prompts, made, strict=True)
        )
    count = min(NUM_ANSWERS, len(examples))
    places = [number * len(examples) // count for number in range(count)]
    return tuple(show_answer(examples[place], answers[place]) for place in places)


def _table(demo: Demo, learners: Sequence[Learner]) -> Table:
    rows: list[list[TableCell]] = []
    for learner in learners:
        cells = [_interval(learner.scores[measure]) for measure in demo.measures]
        rows.append([learner.name, *cells, learner.num_parameters, round(learner.seconds, 1)])
    for baseline, scores in learners[0].baselines.items():
        found = [_interval(scores[measure]) if measure in scores else None for measure in demo.measures]
        rows.append([f"baseline: {baseline}", *found, None, None])
    names = [learners[0].scores[measure].name for measure in demo.measures]
    note = f"On {learners[0].size} that were held out, with 95 % bootstrap intervals."
    return Table("Results", ("model", *names, "parameters", "seconds"), rows, note=note)


def _curves(demo: Demo, learners: Sequence[Learner]) -> list[Section]:
    charts: list[Section] = []
    for metric, title in ((demo.watched, demo.watched.replace("_", " ")), ("loss", "loss")):
        lines = []
        for learner in learners:
            steps = [step for step, _ in learner.curve]
            lines.append(Series(learner.name, steps, [metrics[metric] for _, metrics in learner.curve]))
        charts.append(LineChart(f"Learning: {title}", "step", f"{title}, validation", lines))
    return charts


def _answers(demo: Demo, learners: Sequence[Learner]) -> Section:
    first = learners[0]
    rows: list[list[str | Cell]] = []
    for place, shown in enumerate(first.answers):
        cells = [Cell(learner.answers[place].answered, learner.answers[place].good) for learner in learners]
        rows.append([shown.asked, *([] if demo.prompts else [shown.expected]), *cells])
    known = [] if demo.prompts else ["expected"]
    note = "Made up by each model." if demo.prompts else "Taken evenly from the held-out split, unchosen."
    return Examples("Answers", ["input", *known, *(learner.name for learner in learners)], rows, note=note)


def _spoken(demo: Demo, learners: Sequence[Learner]) -> Table:
    """Some answers of one model, for a terminal."""
    (speaker,) = (learner for learner in learners if learner.name == short_name(demo.speaker))
    shown = speaker.answers[:_NUM_PRINTED]
    title = f"Some answers of {speaker.name}"
    if demo.prompts:
        return Table(title, ("begins with", "made up"), [(one.asked, one.answered) for one in shown])
    rows = [(one.asked, one.expected, one.answered) for one in shown]
    return Table(title, ("input", "expected", "answered"), rows)


def _facts(request: DemoRequest, seconds: float) -> dict[str, str]:
    machine = describe_machine()
    configs = {short_name(recipe): request.config(recipe) for recipe in request.demo.recipes}
    steps = ", ".join(f"{name} {config.training.max_steps}" for name, config in configs.items())
    return {
        "command": f"seqlens demo {request.demo.name}",
        "seeds": ", ".join(sorted({str(config.seed) for config in configs.values()})),
        "steps": steps,
        "time": f"{seconds:.0f} s in all",
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"seqlens {__version__}, torch {machine['torch']}, Python {machine['python']}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.low, score.high)
