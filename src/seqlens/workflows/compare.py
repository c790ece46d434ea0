"""Several models beside each other: scores with intervals, paired tests against the first, cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from seqlens.config import write_atomically
from seqlens.errors import RequestError
from seqlens.inference import Predictor, describe_machine, load
from seqlens.inference.run_folder import RUN_FILE
from seqlens.metrics import Bleu, Chrf, ExactMatch, PairedResult, Score, Statistics, paired_bootstrap
from seqlens.report import (
    BarChart,
    Bars,
    Examples,
    Interval,
    Report,
    Section,
    Table,
    markdown_table,
    write_report,
)
from seqlens.report.sections import TableCell
from seqlens.tasks.transduce.config import ScoreName
from seqlens.training.observer import Observer
from seqlens.workflows.evaluate import Evaluation, evaluate
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipes import find_recipe
from seqlens.workflows.train import RECIPE_FILE, train

_NUM_EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model in the comparison: answers, scores by the first one's measures, paired tests against the first.

    The first has no tests.
    """

    name: str
    evaluation: Evaluation
    scores: Mapping[str, Score]
    tests: Mapping[str, PairedResult]
    num_parameters: int
    training_seconds: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The contestants in the order asked for, the table of them, and a report."""

    contestants: tuple[Contestant, ...]
    table: Table
    report: Report


def compare(
    names: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    split: str = "test",
    data: str | Path | None = None,
    overrides: Mapping[str, object] | Sequence[str] = (),
    device: str = "auto",
    announce: Announce | None = None,
    observe: Callable[[str], Observer | None] | None = None,
) -> Comparison:
    """Evaluates runs, or trains recipes and evaluates them, on the same pairs.

    Args:
        names: two or more run folders, recipes' names or files.
        out: where recipes are trained, each in a folder of its name, `runs/compare` by default; a training found there
            is resumed, which for one that has ended changes nothing.
        split: the split of the runs' own data; `data`: other data, as for `evaluate`.
        overrides: settings for all recipes, as for `train`.
        announce: told, a sentence each, of what happens.
        observe: makes an observer of training for a recipe's name.

    Raises:
        RequestError: fewer than two names, one twice, or data that are not the same.
        WorkError: a file is damaged.
        KeyboardInterrupt: a training was interrupted; called again, it goes on.
    """
    announce = announce or (lambda text: None)
    _check_names(names)
    runs = [name for name in names if _is_run(name)]
    if overrides and runs:
        raise RequestError(f"{runs[0]} is trained already, so its settings cannot be changed; leave --set for recipes.")
    folder = Path(out) if out is not None else Path("runs") / "compare"
    predictors = {}
    for name in names:
        if name in runs:
            predictors[str(name)] = load(name, device=device)
        else:
            observer = observe(str(name)) if observe is not None else None
            predictors[str(name)] = _train(name, folder, overrides, device, announce, observer)
    evaluations: dict[str, Evaluation] = {}
    for name, predictor in predictors.items():
        announce(f"Evaluating {name}.")
        evaluations[name] = evaluate(predictor, split=split, data=data, announce=announce)
        _check_same_data(evaluations)
    contestants = _test(predictors, evaluations)
    table = comparison_table(contestants)
    return Comparison(contestants, table, _report(contestants, table))


def comparison_table(contestants: Sequence[Contestant]) -> Table:
    """One row a model: every score with its interval, the paired test of the first score, cost."""
    first = contestants[0]
    tested = next(iter(contestants[1].tests))
    names = [score.name for score in first.scores.values()]
    columns = ["model", *names, f"{first.scores[tested].name} against the first", "parameters", "training seconds"]
    rows: list[list[TableCell]] = []
    for contestant in contestants:
        seconds = contestant.training_seconds
        rows.append(
            [
                contestant.name,
                *(_interval(contestant.scores[name]) for name in first.scores),
                _difference(contestant.tests.get(tested)),
                contestant.num_parameters,
                None if seconds is None else round(seconds),
            ]
        )
    evaluation = first.evaluation
    note = (
        "95 % bootstrap intervals; the difference to the first model with its interval and p-value by the paired "
        "bootstrap on the same inputs (two-sided). Perplexities compare only between equal vocabularies."
    )
    title = f"{evaluation.data}, split {evaluation.split}, {len(evaluation.sources):,} pairs"
    return Table(title, columns, rows, note=note)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Writes the report as HTML, or the table as Markdown where the name ends in `.md`.

    Raises:
        WorkError: the file could not be written.
    """
    if path.suffix == ".md":
        table = comparison.table
        write_atomically(path, f"# Comparison\n\n{table.title}\n\n{markdown_table(table)}")
    else:
        write_report(comparison.report, path)


def _check_names(names: Sequence[str | Path]) -> None:
    if len(names) < 2:
        raise RequestError(f"{len(names)} model was named, expected two or more runs or recipes to compare.")
    for number, name in enumerate(names):
        if str(name) in map(str, names[:number]):
            raise RequestError(f"{name} was named twice, expected different runs or recipes.")


def _is_run(name: str | Path) -> bool:
    """Whether a name is meant as a run folder: a folder is, whatever it holds, and `load` says what is wrong in it."""
    return Path(name).is_dir() and not _is_recipe(name)


def _is_recipe(name: str | Path) -> bool:
    if (Path(name) / RUN_FILE).is_file():
        return False
    try:
        find_recipe(name)
    except RequestError:
        return False
    return True


def _train(
    name: str | Path,
    out: Path,
    overrides: Mapping[str, object] | Sequence[str],
    device: str,
    announce: Announce,
    observer: Observer | None,
) -> Predictor:
    recipe = find_recipe(name)
    folder = out / recipe.name
    there = (folder / RECIPE_FILE).is_file()
    announce(f"{'Going on with' if there else 'Training'} {recipe.name} in {folder}.")
    run = train(
        name, out=folder, overrides=overrides, resume=there, observer=observer, announce=announce, device=device
    )
    if run.result.stop_reason == "interrupted":
        raise KeyboardInterrupt  # half a comparison is none; the same call goes on with this training
    return run.predictor


def _check_same_data(evaluations: Mapping[str, Evaluation]) -> None:
    """Refuses data that differ, as soon as they do."""
    (first_name, first), (name, latest) = next(iter(evaluations.items())), list(evaluations.items())[-1]
    if first.fingerprint != latest.fingerprint:
        raise RequestError(
            f"{name} was evaluated on other pairs ({latest.data}, split {latest.split}, {len(latest.sources):,}) than "
            f"{first_name} ({first.data}, split {first.split}, {len(first.sources):,}); with --data all have the same."
        )


def _test(predictors: Mapping[str, Predictor], evaluations: Mapping[str, Evaluation]) -> tuple[Contestant, ...]:
    first_name = next(iter(predictors))
    config = predictors[first_name].task.config
    measures = config.scores or ("exact_match",)
    # All are measured as the first one's recipe says: numbers beside each other need equal settings.
    statistics: dict[str, dict[str, Statistics]] = {
        name: {score: text_statistics(score, evaluation, lowercase=config.lowercase_scores) for score in measures}
        for name, evaluation in evaluations.items()
    }
    contestants = []
    for name, predictor in predictors.items():
        tests = {} if name == first_name else _tests(statistics[name], statistics[first_name])
        scores = {score: measured.score() for score, measured in statistics[name].items()}
        contestants.append(
            Contestant(
                name=name,
                evaluation=evaluations[name],
                scores={**scores, "perplexity": evaluations[name].scores["perplexity"]},
                tests=tests,
                num_parameters=sum(parameter.numel() for parameter in predictor.model.parameters()),
                training_seconds=predictor.record.get("training", {}).get("seconds"),
            )
        )
    return tuple(contestants)


def _tests(system: Mapping[str, Statistics], first: Mapping[str, Statistics]) -> dict[str, PairedResult]:
    return {score: paired_bootstrap(system[score], first[score]) for score in first}


def text_statistics(name: ScoreName, evaluation: Evaluation, *, lowercase: bool) -> Statistics:
    """What a paired test needs to know of every answer."""
    match name:
        case "exact_match":
            metric: Bleu | Chrf | ExactMatch = ExactMatch(lowercase=lowercase)
        case "bleu":
            metric = Bleu(lowercase=lowercase)
        case "chrf":
            metric = Chrf(lowercase=lowercase)
        case _:
            assert_never(name)
    metric.add([answer.text for answer in evaluation.answers], list(evaluation.references))
    return metric.statistics()


def _report(contestants: Sequence[Contestant], table: Table) -> Report:
    first = contestants[0]
    sections: list[Section] = [table]
    rows = [
        (contestant.name, test.name, Interval(test.difference, test.low, test.high), test.p_value, test.share_higher)
        for contestant in contestants[1:]
        for test in contestant.tests.values()
    ]
    columns = ("model", "measure", "difference", "p", "share of resamples where it is higher")
    sections.append(Table(f"Paired tests against {first.name}", columns, rows))
    names = [contestant.name for contestant in contestants]
    for name, score in first.scores.items():
        bars = [_interval(contestant.scores[name]) for contestant in contestants]
        sections.append(BarChart(score.name, "", score.name, names, [Bars(score.name, bars)], note=score.signature))
    answers = [
        (source, reference, *(contestant.evaluation.answers[number].text for contestant in contestants))
        for number, (source, reference) in enumerate(
            zip(first.evaluation.sources[:_NUM_EXAMPLES], first.evaluation.references, strict=False)
        )
    ]
    sections.append(Examples("Answers", ("input", "expected", *names), answers))
    machine = describe_machine()
    facts = {
        "data": f"{first.evaluation.data}, split {first.evaluation.split}, fingerprint {first.evaluation.fingerprint}",
        "command": f"seqlens compare {' '.join(names)}",
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"torch {machine['torch']}, Python {machine['python']}",
    }
    summary = f"{len(contestants)} models on the same {len(first.evaluation.sources):,} pairs."
    return Report("Comparison", summary, sections, facts)


def _interval(score: Score) -> Interval:
    return Interval(score.value, score.low, score.high)


def _difference(test: PairedResult | None) -> str | None:
    if test is None:
        return None
    difference, low, high = (f"{value:+.{test.decimals}f}" for value in (test.difference, test.low, test.high))
    return f"{difference} [{low}, {high}], p = {test.p_value:.3f}"
