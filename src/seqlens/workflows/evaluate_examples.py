"""Score a run of a task that learns from examples, with intervals and the strongest cheap systems beside it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seqlens.config import Overrides, write_atomically, write_json
from seqlens.data.example_cards import example_card_names
from seqlens.data.example_corpus import ExampleCorpus
from seqlens.data.language.records import Document
from seqlens.data.open_examples import open_examples
from seqlens.errors import RequestError, WorkError, did_you_mean_data
from seqlens.inference import ExamplePredictor, describe_machine
from seqlens.metrics import PairedResult, Score, Statistics, against_baselines
from seqlens.report import Prose, Report, Section, isolate, write_report
from seqlens.report.numbers import told_cut
from seqlens.tasks.example_analysis import AnalysingTask, ExampleAnalysis
from seqlens.tasks.transduce.analysis.results import score_fields
from seqlens.training.run_config import RunConfig
from seqlens.workflows.evaluation_data import changed_data, check_split_of_file, evaluation_command, refuse_settings
from seqlens.workflows.evaluation_files import SCORES_FILE, data_origin, folder_of_its_own
from seqlens.workflows.example_preparation import Announce
from seqlens.workflows.open_data import open_recipe_examples
from seqlens.workflows.run_recipe import read_run_recipe
from seqlens.workflows.score_table import scores_table
from seqlens.workflows.seen_before import told_seen

REPORT_FILE = "report.html"
_AT_ONCE = 1024
_LONGEST_SAMPLE = 80


@dataclass(frozen=True, slots=True)
class ExampleEvaluation(Mapping[str, Score]):
    """Scores by name, such as `evaluation["accuracy"].value`; those of the baselines; examples and their answers.

    `statistics` is what the scores are made of, for paired tests, `baseline_statistics` those of the baselines, and
    `baseline_tests` the paired test of the run's first score against that of each.
    `folder` is where answers and scores were written.
    """

    run: Path
    data: str
    split: str
    noun: tuple[str, str]
    scores: dict[str, Score]
    statistics: dict[str, Statistics]
    baseline_scores: dict[str, dict[str, Score]]
    baseline_statistics: dict[str, dict[str, Statistics]]
    baseline_tests: dict[str, PairedResult]
    examples: tuple[Any, ...]
    answers: tuple[Any, ...]
    fingerprint: str
    folder: Path | None
    analysis: ExampleAnalysis | None = None

    def __getitem__(self, name: str) -> Score:
        return self.scores[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def size(self) -> str:
        """How much was answered, in words."""
        return f"{len(self.examples):,} {self.noun[0] if len(self.examples) == 1 else self.noun[1]}"


def evaluate_examples(
    predictor: ExamplePredictor,
    *,
    split: str = "test",
    data: str | Path | None = None,
    data_settings: Overrides = (),
    batch_size: int = 64,
    write: bool = True,
    with_baselines: bool = True,
    analyse: bool = True,
    announce: Announce | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ExampleEvaluation:
    """Scores a run.

    Args:
        predictor: the run.
        split: a split of the run's own data, or of `data`.
        data: other data instead: a file, a folder, or a name of the catalogue.
        data_settings: what differs from the run's own data in how these are read, such as `{"text_column": 1}`.
        batch_size: inputs answered at a time.
        write: write predictions and scores to `evaluation/` in the run folder.
        with_baselines: fit the baselines on the run's own training data, where these are there.
        analyse: look beside the scores where the task does, and write `report.html` besides.
        announce: told, a sentence each, of what happens; `progress` of how many inputs are answered, and of how many.

    Raises:
        RequestError: no such split or data.
    """
    announce = announce or (lambda text: None)
    if data is None:
        refuse_settings(data_settings)
        corpus = _own(predictor)
    else:
        corpus, split = _open_other(predictor, data, split, data_settings)
    examples = list(corpus.read(split))
    if not examples:
        raise RequestError(f"{corpus.name} has no {corpus.noun[1]} in its split '{split}'.")
    task = predictor.task
    name = corpus.name if data is None else str(data)
    announce(f"Answering {len(examples):,} {corpus.noun[1]} of {name}, split {split}.")
    answers: list[Any] = []
    for part in _parts(examples):
        inputs = [task.input_of(example) for example in part]
        answers += task.predict(predictor.model, inputs, batch_size=batch_size)
        if progress is not None:
            progress(len(answers), len(examples))
    if num_cut := sum(getattr(answer, "truncated", False) for answer in answers):
        announce(told_cut(num_cut, len(answers), "inputs"))
    statistics = task.statistics(examples, answers)
    own = corpus if data is None else None
    train = _training_examples(predictor, own, announce) if with_baselines else None
    if data is not None and train is not None:
        known = {_text_of(task.input_of(example)) for example in train}
        seen = sum(_text_of(task.input_of(example)) in known for example in examples)
        if doubt := told_seen(predictor.path, seen, len(examples), corpus.noun[1]):
            announce(doubt)
    baselines = {} if train is None else task.baselines(train, examples)
    result = ExampleEvaluation(
        run=predictor.path,
        data=name,
        split=split,
        noun=corpus.noun,
        scores={key: value.score() for key, value in statistics.items()},
        statistics=statistics,
        baseline_scores={
            baseline: {key: value.score() for key, value in measures.items()}
            for baseline, measures in baselines.items()
        },
        baseline_statistics=baselines,
        baseline_tests=against_baselines(statistics, baselines),
        examples=tuple(examples),
        answers=tuple(answers),
        fingerprint=corpus.fingerprint(split),
        folder=None,
        analysis=task.analyse(examples, answers) if analyse and isinstance(task, AnalysingTask) else None,
    )
    if not write:
        return result
    folder = predictor.path / "evaluation" / split
    origin = data_origin(result.data, data, result.fingerprint, data_settings)
    if data is not None:
        folder = folder_of_its_own(folder.with_name(f"{Path(data).resolve().name}-{split}"), origin)
    _write(result, folder, task.prediction_files(examples, answers), predictor, origin)
    if result.analysis is not None:
        command = evaluation_command(predictor.path, split, data, data_settings=data_settings)
        write_report(_report(result, result.analysis, predictor, command), folder / REPORT_FILE)
    return replace(result, folder=folder)


def _own(predictor: ExamplePredictor) -> ExampleCorpus[Any]:
    return open_recipe_examples(_run_config(predictor), base=predictor.path)


def _training_examples(
    predictor: ExamplePredictor, opened: ExampleCorpus[Any] | None, announce: Announce
) -> list[Any] | None:
    """The run's training examples, which baselines need; `opened` are its data where it is scored on these.

    Other data are scored without the training examples where these are not there any more, and that is said.
    """
    try:
        own = opened or _own(predictor)
        train = list(own.read("train"))
    except (RequestError, WorkError) as error:
        if opened is not None:
            raise
        announce(f"The baselines are left out, as the training data are not there: {error}")
        return None
    announce(f"Fitting the baselines on the training {own.noun[1]} of {own.name}.")
    return train


def _parts(examples: list[Any]) -> Iterator[list[Any]]:
    """The examples, some at a time; none is parted from those before it that it continues."""
    first = 0
    while first < len(examples):
        end = first + _AT_ONCE
        while end < len(examples) and getattr(examples[end], "continues", False):
            end += 1
        yield examples[first:end]
        first = end


def sample_input(predictor: ExamplePredictor) -> str:
    """The beginning of an input of the run's own data that it was not trained on: a text, or bases."""
    found = predictor.task.input_of(next(iter(_own(predictor).read("validation"))))
    text = _text_of(found)
    if not isinstance(text, str):
        return "an input"
    words = _beginning(text).split()
    if isinstance(found, Document):
        words = [word for word in words if word != "-"][:1]  # which the model goes on with; a dash would be stdin
    return " ".join(words) or "an input"


def _text_of(found: Any) -> Any:
    """What an input says: a text, or bases."""
    return getattr(found, "sequence", getattr(found, "text", found))


def _beginning(text: str) -> str:
    """So much of the first line with something in it as can be read in a command."""
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    cut = line[:_LONGEST_SAMPLE]
    return line if cut == line else cut.rpartition(" ")[0] or cut


def _run_config(predictor: ExamplePredictor) -> RunConfig:
    return read_run_recipe(predictor.path)


def _open_other(
    predictor: ExamplePredictor, data: str | Path, split: str, settings: Overrides
) -> tuple[ExampleCorpus[Any], str]:
    """Other data, read as the run's own: a file is a test split, a folder or a data set has its own splits."""
    own: Any = _run_config(predictor).example_data
    if not hasattr(own, "path"):
        raise RequestError(f"{predictor.path} was trained on generated data ('{own.kind}'), so it reads no other.")
    own = changed_data(own, settings)
    others: dict[str, object] = dict.fromkeys(("train", "validation", "test"))
    if hasattr(own, "fold"):
        others["fold"] = None  # the run's own data were cut into folds, these are not
    if hasattr(own, "classes"):
        others["classes"] = {}  # which name files of the training data
    path = Path(data)
    if path.is_file():
        check_split_of_file(path, split)
        return open_examples(replace(own, path=None, **{**others, "test": str(path.resolve())}), base=Path()), "test"
    names = example_card_names()
    if not path.is_dir() and str(data) not in names:
        raise RequestError(
            f"There is no data set, folder or file '{data}', the data sets are {', '.join(names)}."
            f"{did_you_mean_data(str(data), names, path)}"
        )
    corpus = open_examples(replace(own, path=str(data), **others), base=Path())
    return corpus, split


def _report(
    evaluation: ExampleEvaluation, analysis: ExampleAnalysis, predictor: ExamplePredictor, command: str
) -> Report:
    """A page of the scores and of what the task has to say beside them."""
    table = scores_table(str(evaluation.run), evaluation.scores, evaluation.baseline_scores, evaluation.size)
    sections: list[Section] = [table]
    if analysis.remarks:
        sections.append(Prose("Mind", "\n\n".join(analysis.remarks)))
    machine = describe_machine()
    facts = {
        "command": command,
        "recipe": str(predictor.record.get("recipe")),
        "seed": str(predictor.record.get("seed")),
        "data": f"{evaluation.data}, split {evaluation.split}, fingerprint {evaluation.fingerprint}",
        "machine": f"{machine['processor']}, {machine['system']}",
        "versions": f"seqlens {predictor.record.get('seqlens')}, torch {machine['torch']}",
    }
    title = f"{isolate(evaluation.run.name)} on {isolate(evaluation.data)}, split {isolate(evaluation.split)}"
    summary = f"Scores of {evaluation.size}, and what the answers are worth beside them."
    return Report(title, summary, [*sections, *analysis.sections], facts)


def _write(
    result: ExampleEvaluation,
    folder: Path,
    files: Mapping[str, str],
    predictor: ExamplePredictor,
    origin: Mapping[str, object],
) -> None:
    for name, content in files.items():
        write_atomically(folder / name, content)
    write_json(
        folder / SCORES_FILE,
        {
            "scores": {name: score_fields(score) for name, score in result.scores.items()},
            "baselines": {
                baseline: {name: score_fields(score) for name, score in scores.items()}
                for baseline, scores in result.baseline_scores.items()
            },
            "tests_against_baselines": {name: asdict(test) for name, test in result.baseline_tests.items()},
            **origin,
            "split": result.split,
            "seed": predictor.record.get("seed"),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
        },
    )
