"""Several models beside each other: scores with intervals, paired tests against the first, cost."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seqlens.data.catalogue import catalogue_names
from seqlens.data.codecs.marks import chosen_tags, unknown_tag, without_brackets
from seqlens.data.example_cards import example_card_names
from seqlens.errors import RequestError, did_you_mean_data
from seqlens.inference import ExamplePredictor, Predictor, load
from seqlens.inference.run_folder import RUN_FILE
from seqlens.metrics import Score, Statistics
from seqlens.tasks.transduce.analysis import By
from seqlens.tasks.transduce.analysis.statistics import bleu_tokenizer, text_statistics
from seqlens.tasks.transduce.config import ScoreName
from seqlens.training.observer import Observer
from seqlens.workflows.backgrounds import find_backgrounds, read_training
from seqlens.workflows.compare_by import PairedTest, compare_by, paired_test
from seqlens.workflows.compare_examples import compare_examples
from seqlens.workflows.contest import Comparison, Contestant, comparison_command, comparison_report, comparison_table
from seqlens.workflows.evaluate import evaluate_pairs
from seqlens.workflows.evaluation_data import open_evaluated, run_corpus
from seqlens.workflows.evaluation_files import Evaluation
from seqlens.workflows.open_data import check_split
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipe_config import resolve_recipe
from seqlens.workflows.recipes import find_recipe
from seqlens.workflows.series import check_data_now, check_settings, has_ended
from seqlens.workflows.train import RECIPE_FILE, train


def compare(
    names: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    split: str = "test",
    data: str | Path | None = None,
    tag: str | None = None,
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
            is resumed, which for one that has ended changes nothing, and refused where its settings were others.
        split: the split of the runs' own data; `data`: other data, as for `evaluate`.
        tag: put before each input of other data, for those runs that were trained with this tag.
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
    _check_folders([name for name in names if not _is_run(name)])
    runs = [name for name in names if _is_run(name)]
    if overrides and runs:
        raise RequestError(f"{runs[0]} is trained already, so its settings cannot be changed; leave --set for recipes.")
    folder = Path(out) if out is not None else Path("runs") / "compare"
    configs = {name: resolve_recipe(name, overrides)[1] for name in names if name not in runs}
    if data is None:
        for config in configs.values():
            check_split(config, split)
    loaded = {name: load(name, device=device) for name in runs}
    # What cannot be compared is told before anything is trained.
    kinds = {str(name): loaded[name].record["kind"] if name in loaded else configs[name].task.kind for name in names}
    _check_comparable(kinds, by=by, tag=tag, data=data)
    predictors: dict[str, Predictor | ExamplePredictor] = {}
    for name in names:
        observer = observe(str(name)) if observe is not None and name not in loaded else None
        predictors[str(name)] = loaded.get(name) or _train(name, folder, overrides, device, announce, observer)
    command = comparison_command(names, out=out, split=split, data=data, tag=tag, by=by, overrides=overrides)
    pairs = {name: one for name, one in predictors.items() if isinstance(one, Predictor)}
    others = {name: one for name, one in predictors.items() if isinstance(one, ExamplePredictor)}
    if others:
        return compare_examples(others, command, split=split, data=data, announce=announce)
    tags = _own_tags(pairs, tag)
    # What is lacking is told before the long work.
    first = next(iter(pairs))
    training = read_training(run_corpus(pairs[first])) if by in ("rarest", "unknown") else None
    evaluations: dict[str, Evaluation] = {}
    for name, predictor in pairs.items():
        announce(f"Evaluating {name}.")
        evaluations[name] = evaluate_pairs(predictor, split=split, data=data, tag=tags[name], announce=announce)
        _check_same_data(evaluations)
    statistics = _statistics(pairs, evaluations)
    contestants = _test(pairs, evaluations, statistics)
    table = comparison_table(contestants)
    by_buckets = None
    if by is not None:
        by_buckets = compare_by(
            by,
            statistics,
            evaluations[first].sources,
            find_backgrounds(
                *open_evaluated(pairs[first], split, data, tags[first]),
                training,
                own_data=data is None,
                with_targets=False,
            ),
        )
    return Comparison(contestants, table, comparison_report(contestants, table, command, by_buckets), by_buckets)


def _check_comparable(kinds: Mapping[str, str], *, by: By | None, tag: str | None, data: str | Path | None) -> None:
    """Refuses tasks that do not go together, options that are not theirs, and data that are not there."""
    first, *rest = kinds.items()
    for name, kind in rest:
        if kind != first[1]:
            raise RequestError(f"{first[0]} is of the task '{first[1]}' and {name} of '{kind}', expected one task.")
    is_pairs = first[1] == "transduce"
    if not is_pairs and (by is not None or tag is not None):
        what = "Buckets of sentences (--by) are" if tag is None else "A tag is"
        raise RequestError(f"{what} for runs of the task 'transduce'.")
    names = catalogue_names() if is_pairs else example_card_names()
    if data is not None and str(data) not in names and not Path(data).exists():
        raise RequestError(
            f"There is no data set, folder or file '{data}', the data sets are {', '.join(names)}."
            f"{did_you_mean_data(str(data), names, Path(data))}"
        )


def _check_names(names: Sequence[str | Path]) -> None:
    if len(names) < 2:
        raise RequestError(f"{len(names)} model was named, expected two or more runs or recipes to compare.")
    for number, name in enumerate(names):
        if _place(name) in map(_place, names[:number]):
            raise RequestError(f"{name} was named twice, expected different runs or recipes.")


def _place(name: str | Path) -> str:
    """A run folder, however it is written; a recipe's name."""
    return str(Path(name).resolve()) if (Path(name) / RUN_FILE).is_file() else str(name)


def _is_run(name: str | Path) -> bool:
    """Whether a name is meant as a run folder, as a folder is, and a path beside runs; `load` says what is wrong."""
    path = Path(name)
    if _is_recipe(name):
        return False
    return path.is_dir() or (len(path.parts) > 1 and any(path.parent.glob(f"*/{RUN_FILE}")))


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
) -> Predictor | ExamplePredictor:
    recipe = find_recipe(name)
    folder = out / recipe.name
    there = (folder / RECIPE_FILE).is_file()
    if there:
        config = resolve_recipe(name, overrides)[1]
        check_settings(folder, config)
        if has_ended(folder):
            check_data_now(folder, config)
            return load(folder, device=device)
    announce(f"{'Going on with' if there else 'Training'} {recipe.name} in {folder}.")
    run = train(
        name, out=folder, overrides=overrides, resume=there, observer=observer, announce=announce, device=device
    )
    return run.predictor


def _check_folders(recipes: Sequence[str | Path]) -> None:
    """Refuses recipes that would be trained in one folder."""
    places: dict[str, str | Path] = {}
    for recipe in recipes:
        own = find_recipe(recipe).name
        if own in places:
            raise RequestError(
                f"{places[own]} and {recipe} would both be trained in a folder '{own}', expected recipes of different "
                "names."
            )
        places[own] = recipe


def _check_same_data(evaluations: Mapping[str, Evaluation]) -> None:
    """Refuses data that differ, as soon as they do."""
    (first_name, first), (name, latest) = next(iter(evaluations.items())), list(evaluations.items())[-1]
    # Texts, not fingerprints: with a tag or with context the same pairs are another model's input.
    if (first.sources, first.references) != (latest.sources, latest.references):
        ours, theirs = (list(zip(one.sources, one.references, strict=True)) for one in (first, latest))
        differs = next((place for place, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), None)
        where = "" if differs is None else f": pair {differs + 1} is {theirs[differs]}, not {ours[differs]}"
        raise RequestError(
            f"{name} was evaluated on other pairs ({latest.data}, split {latest.split}, {len(latest.sources):,}) than "
            f"{first_name} ({first.data}, split {first.split}, {len(first.sources):,}){where}. Expected runs of one "
            "direction; with --data all have the same."
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
                tokenize=bleu_tokenizer(evaluation.references, config.bleu_tokens),
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


def _own_tags(predictors: Mapping[str, Predictor], tag: str | None) -> dict[str, str | None]:
    """The tag for those runs that know it.

    Raises:
        RequestError: none does.
    """
    if tag is None:
        return dict.fromkeys(predictors)
    name = without_brackets(tag)
    known = {run: chosen_tags(each.task.source_codec.tags) for run, each in predictors.items()}
    if not any(name in tags for tags in known.values()):
        raise RequestError(unknown_tag(name, list(dict.fromkeys(one for tags in known.values() for one in tags))))
    return {run: name if name in tags else None for run, tags in known.items()}
