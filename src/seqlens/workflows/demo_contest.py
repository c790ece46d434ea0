"""One model's part of the demo: trained on the shared data, asked the held-out inputs."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import final

from seqlens.config import dump_config, load_config, write_atomically
from seqlens.data.dates import count_dates
from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError
from seqlens.metrics import Score, exact_match
from seqlens.tasks.transduce.answer import Translation
from seqlens.training.observer import FitResult, Observer, Observers, Progress, Validation
from seqlens.training.run_config import RunConfig
from seqlens.workflows.claim import RECIPE_FILE
from seqlens.workflows.demo_processes import Observe, Train
from seqlens.workflows.finishing import finish_run
from seqlens.workflows.fitting import fresh_model, run_fit
from seqlens.workflows.preparation import Announce, Prepared, prepare
from seqlens.workflows.recipes import find_recipe

GOAL = 0.97
VALIDATION_EXAMPLES = 300


@dataclass(frozen=True, slots=True)
class Contender:
    """One model's part of the demo: how it learned, what it answers on held-out inputs, and what it cost."""

    name: str
    description: str
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


def demo_config(recipe: str, *, seed: int | None, steps: int | None) -> RunConfig:
    """A demo's recipe, with another seed or number of steps where one is given."""
    overrides = {} if steps is None else {"training.max_steps": steps}
    config = load_config(RunConfig, find_recipe(recipe).path, overrides)
    return config if seed is None else replace(config, seed=seed)


def contend(
    name: str,
    config: RunConfig,
    prepared: Prepared,
    folder: Path,
    observer: Observer | None,
) -> Contender:
    """Trains one model on the shared data, writes its run folder, and answers the held-out inputs."""
    pairs = [(pair.source, pair.target or "") for pair in prepared.corpus.read("test")]
    run_folder = folder / name
    clear_run(run_folder)
    prepared = replace(prepared, task=replace(prepared.task, config=config.transduce))
    task = prepared.task
    write_atomically(run_folder / RECIPE_FILE, dump_config(config))
    model = fresh_model(task, config.seed)
    curve = _Curve(observer)
    result = run_fit(model, prepared, config, run_folder, observer=curve, score_pairs=_singles(prepared))
    if result.asked_to_stop:
        raise KeyboardInterrupt
    finish_run(f"dates/{name}", prepared, config, model, result, run_folder)
    answers = task.predict(model, [source for source, _ in pairs], DecodingConfig(method="greedy"), batch_size=250)
    return Contender(
        name=name,
        description=config.description,
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


@dataclass(frozen=True, slots=True)
class Contest:
    """What both processes know: the demo's name, where it goes, the changes to its recipes."""

    name: str
    folder: Path
    seed: int | None
    steps: int | None

    @property
    def codec_folder(self) -> Path:
        """Where the first process leaves the codec for the second."""
        return self.folder / "codec"


def train_on(contest: Contest, prepared: Prepared) -> Train[Contender]:
    """What trains a model of the contest on data that are ready."""

    def train(model: str, announce: Announce, observe: Observe) -> Contender:
        config = demo_config(f"{contest.name}/{model}", seed=contest.seed, steps=contest.steps)
        announce(f"Training {model}. {config.description}.")
        contender = contend(model, config, prepared, contest.folder, observe(model))
        announce(f"{model}: {contender.exact} over all held-out sentences, {contender.seconds:.0f} s.")
        return contender

    return train


def train_in_helper(contest: Contest, first: str) -> Train[Contender]:
    """The same in the second process, with the codec that the first one fitted; `first` is any of the models."""
    config = demo_config(f"{contest.name}/{first}", seed=contest.seed, steps=contest.steps)
    return train_on(contest, prepare(config, codec_folder=contest.codec_folder, announce=lambda text: None))


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


def clear_run(run_folder: Path) -> None:
    """Removes what an earlier demo left here, and nothing else."""
    if not run_folder.exists():
        return
    if not (run_folder / RECIPE_FILE).is_file() and any(run_folder.iterdir()):
        raise RequestError(f"{run_folder} holds other files than a run; give another --out.")
    shutil.rmtree(run_folder)
