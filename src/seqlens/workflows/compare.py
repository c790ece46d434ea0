"""Several models beside each other: scores with intervals, paired tests against the first, cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqlens.config import write_atomically
from seqlens.errors import RequestError
from seqlens.inference import Predictor, describe_machine, load
from seqlens.inference.run_folder import RUN_FILE
from seqlens.metrics import PairedResult, Score, Statistics
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
    write_svg,
)
from seqlens.report.sections import TableCell
from seqlens.tasks.transduce.analysis import By
from seqlens.tasks.transduce.analysis.statistics import text_statistics
from seqlens.tasks.transduce.config import ScoreName
from seqlens.training.observer import Observer
from seqlens.workflows.compare_by import BucketComparison, PairedTest, compare_by, difference, paired_test
from seqlens.workflows.evaluate import Evaluation, evaluate, run_corpus
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipes import find_recipe
from seqlens.workflows.train import RECIPE_FILE, train

_NUM_EXAMPLES = 12


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model in the comparison: answers, scores by the first one's measures, paired tests against the first.

    The first has no tests. `randomisation` holds the p-values of another paired test of the same differences.
    """

    name: str
    evaluation: Evaluation
    scores: Mapping[str, Score]
    tests: Mapping[str, PairedResult]
    randomisation: Mapping[str, float]
    num_parameters: int
    training_seconds: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The contestants in the order asked for, the table of them, and a report; `by` the same bucket by bucket."""

    contestants: tuple[Contestant, ...]
    table: Table
    report: Report
    by: BucketComparison | None = None


def compare(
    names: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    split: str = "test",
    data: str | Path | None = None,
    by: By | None = None,
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
        by: sort the sentences into buckets and compare in each: by source `length`, by the training count of the
            `rarest` word, by `unknown` words, by `clauses`. Counts are those of the first one's training data.
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
    statistics = _statistics(predictors, evaluations)
    contestants = _test(predictors, evaluations, statistics)
    table = comparison_table(contestants)
    by_buckets = None if by is None else _compare_by(by, statistics, predictors, contestants)
    return Comparison(contestants, table, _report(contestants, table, by_buckets), by_buckets)


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
                None if contestant is first else difference(contestant.tests[tested]),
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
    """Writes the report as HTML, the tables as Markdown where the name ends in `.md`, the picture where in `.svg`.

    Raises:
        RequestError: there is no picture. WorkError: the file could not be written.
    """
    if path.suffix == ".md":
        tables = [comparison.table, *([] if comparison.by is None else [comparison.by.table])]
        parts = [f"{table.title}\n\n{markdown_table(table)}" for table in tables]
        write_atomically(path, "# Comparison\n\n" + "\n".join(parts))
    elif path.suffix == ".svg":
        if comparison.by is None:
            raise RequestError(f"{path} would be a picture of scores by kinds of sentences; say which with --by.")
        write_svg(comparison.by.chart, path)
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
    # Texts, not fingerprints: with a tag or with context the same pairs are another model's input.
    if (first.sources, first.references) != (latest.sources, latest.references):
        raise RequestError(
            f"{name} was evaluated on other pairs ({latest.data}, split {latest.split}, {len(latest.sources):,}) than "
            f"{first_name} ({first.data}, split {first.split}, {len(first.sources):,}); with --data all have the same."
        )


def _statistics(
    predictors: Mapping[str, Predictor], evaluations: Mapping[str, Evaluation]
) -> dict[str, dict[ScoreName, Statistics]]:
    # All are measured as the first one's recipe says: numbers beside each other need equal settings.
    config = next(iter(predictors.values())).task.config
    measures: tuple[ScoreName, ...] = config.scores or ("exact_match",)
    return {
        name: {
            score: text_statistics(
                score,
                [answer.text for answer in evaluation.answers],
                evaluation.references,
                lowercase=config.lowercase_scores,
            )
            for score in measures
        }
        for name, evaluation in evaluations.items()
    }


def _test(
    predictors: Mapping[str, Predictor],
    evaluations: Mapping[str, Evaluation],
    statistics: Mapping[str, Mapping[ScoreName, Statistics]],
) -> tuple[Contestant, ...]:
    first_name = next(iter(predictors))
    contestants = []
    for name, predictor in predictors.items():
        tests = {} if name == first_name else _tests(statistics[name], statistics[first_name])
        scores: dict[str, Score] = {score: measured.score() for score, measured in statistics[name].items()}
        contestants.append(
            Contestant(
                name=name,
                evaluation=evaluations[name],
                scores={**scores, "perplexity": evaluations[name].scores["perplexity"]},
                tests={score: test.bootstrap for score, test in tests.items()},
                randomisation={score: test.randomisation for score, test in tests.items()},
                num_parameters=sum(parameter.numel() for parameter in predictor.model.parameters()),
                training_seconds=predictor.record.get("training", {}).get("seconds"),
            )
        )
    return tuple(contestants)


def _tests(
    system: Mapping[ScoreName, Statistics], first: Mapping[ScoreName, Statistics]
) -> dict[ScoreName, PairedTest]:
    return {score: paired_test(system[score], first[score]) for score in first}


def _compare_by(
    by: By,
    statistics: Mapping[str, Mapping[ScoreName, Statistics]],
    predictors: Mapping[str, Predictor],
    contestants: Sequence[Contestant],
) -> BucketComparison:
    corpus = run_corpus(next(iter(predictors.values())))
    needed = by in ("rarest", "unknown")
    return compare_by(
        by,
        statistics,
        contestants[0].evaluation.sources,
        training_sources=[pair.source for pair in corpus.read("train")] if needed else None,
        language=corpus.source_name,
    )


def _report(contestants: Sequence[Contestant], table: Table, by: BucketComparison | None) -> Report:
    first = contestants[0]
    sections: list[Section] = [table]
    if by is not None:
        sections += [by.chart, by.table]
    rows = [
        (
            contestant.name,
            test.name,
            Interval(test.difference, test.low, test.high),
            test.p_value,
            contestant.randomisation[score],
            test.share_higher,
        )
        for contestant in contestants[1:]
        for score, test in contestant.tests.items()
    ]
    columns = ("model", "measure", "difference", "p", "p (randomisation)", "share of resamples where it is higher")
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
