"""One batch of examples as a person needs to see it: tokens, ids, unknown ones, padding, what is to be answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from seqlens.data.codecs.nucleotides import NucleotidesConfig
from seqlens.data.dna.records import DnaRecord
from seqlens.data.open_examples import open_examples
from seqlens.data.text import END_ID, PADDING_ID, START_ID, UNKNOWN_ID, CharactersConfig, TextCodec, WordsConfig
from seqlens.errors import RequestError
from seqlens.tasks.build import ExampleTaskConfig, fit_example_task
from seqlens.tasks.classify.config import ClassifyConfig
from seqlens.tasks.classify.task import ClassifyTask
from seqlens.tasks.generate.config import GenerateConfig
from seqlens.tasks.generate.task import GenerateTask
from seqlens.tasks.mark.config import MarkConfig
from seqlens.tasks.mark.states import paint
from seqlens.tasks.mark.task import MarkTask
from seqlens.tasks.tag.config import TagConfig
from seqlens.tasks.tag.task import TagTask
from seqlens.workflows.example_data import NamedData
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipe_config import resolve_recipe
from seqlens.workflows.shown_answers import asked_text, expected_text

FITTED_ON = 3000
"""Examples of a data set that the codec of a quick look is fitted on."""
MOST_SHOWN = 200
"""Positions of an example; DNA goes on for much longer."""
PADDING = "<padding>"


@dataclass(frozen=True, slots=True)
class ShownExample:
    """An example in its batch: lines about the whole, and rows with a cell a position, padding included."""

    place: str
    facts: dict[str, str]
    rows: dict[str, tuple[str, ...]]
    num_real: int
    num_unknown: int


@dataclass(frozen=True, slots=True)
class ShownExamples:
    """The first examples of a split as one batch; `note` is how their tokens were made."""

    corpus: str
    split: str
    note: str
    examples: tuple[ShownExample, ...]


def show_examples(
    data: NamedData,
    *,
    recipe: str | None = None,
    split: str = "train",
    count: int = 4,
    announce: Announce | None = None,
) -> ShownExamples:
    """Makes a batch of the first `count` examples of a split.

    Args:
        data: what `find_example_data` found; a recipe's data have that recipe's codec.
        recipe: another recipe, whose codec is fitted on these data.
        split: whose examples.
        count: how many.
        announce: told of downloads, and of what takes its time.

    Raises:
        RequestError: there is no such split or recipe, or the recipe is for another task.
    """
    announce = announce or (lambda text: None)
    corpus = open_examples(data.config, base=Path(), announce=announce)
    records = list(islice(corpus.read(split), count))
    if not records:
        raise RequestError(f"{corpus.name} has no {corpus.noun[1]} in its split '{split}'.")
    settings, note = _settings(data, recipe)
    limit = None if data.recipe is not None or recipe is not None else FITTED_ON
    announce(f"Fitting what the task learns before training on {corpus.name}.")
    task = fit_example_task(settings, lambda: islice(corpus.read("train"), limit))
    shown = [_show(task, record) for record in records]
    longest = max(len(next(iter(one.rows.values()))) for one in shown)
    return ShownExamples(corpus.name, split, note, tuple(_padded(one, longest) for one in shown))


def _settings(data: NamedData, recipe: str | None) -> tuple[ExampleTaskConfig, str]:
    if recipe is not None:
        config = resolve_recipe(recipe)[1]
        if config.task.kind != data.task:
            raise RequestError(f"{recipe} is for the task '{config.task.kind}', but these data are for '{data.task}'.")
        return config.example_task, f"as the recipe {recipe} has it"
    if data.recipe is not None:
        return data.recipe.example_task, "as the recipe has it"
    quick: dict[str, tuple[ExampleTaskConfig, str]] = {
        "classify": (ClassifyConfig(codec=WordsConfig(min_count=2)), "words seen at least twice"),
        "tag": (TagConfig(), "words"),
        "mark": (MarkConfig(), "bases"),
        "generate": (GenerateConfig(codec=CharactersConfig()), "characters"),
    }
    settings, unit = quick[data.task]
    if data.config.kind == "dna_windows":
        settings, unit = ClassifyConfig(codec=NucleotidesConfig()), "bases"
    return settings, f"{unit}, from the first {FITTED_ON:,} of train; --recipe shows those of a recipe"


def _show(task: Any, record: Any) -> ShownExample:
    facts = {"text": asked_text(record), "answer": expected_text(record)}
    match task:
        case ClassifyTask():
            known = record.label in task.classes
            number = str(task.classes.index(record.label)) if known else "none: training has not this label"
            facts["answer"] = f"{record.label} (number {number})"
            return _tokens(task.codec, record, facts, task.codec.encode(record.text))
        case GenerateTask():
            ids = task.codec.encode(record.text)
            targets = ids if task.running else [*ids, END_ID]
            read = [START_ID, *ids][: len(targets)]
            del facts["answer"]
            rows = {"read": _names(task.codec, read), "ids": _numbers(read), "next": _names(task.codec, targets)}
            return _example(record, facts, rows, ids.count(UNKNOWN_ID))
        case TagTask():
            words = record.words()
            ids = [task.codec.word_id(word) for word in words]
            tags = task.tags.ids(len(words), record.token_spans())
            rows = {"tokens": tuple(words), "ids": _numbers(ids), "tags": tuple(task.tags.names[tag] for tag in tags)}
            return _example(record, facts, rows, ids.count(UNKNOWN_ID))
        case MarkTask():
            return _bases(record, facts)
        case _:
            return _example(record, facts, {}, 0)


def _tokens(codec: TextCodec, record: Any, facts: dict[str, str], ids: Sequence[int]) -> ShownExample:
    rows = {"tokens": _names(codec, ids), "ids": _numbers(ids)}
    return _example(record, facts, rows, list(ids).count(UNKNOWN_ID))


def _bases(record: DnaRecord, facts: dict[str, str]) -> ShownExample:
    """The bases around the first place that is coding, each with its state."""
    states = paint(record)
    coding = states.nonzero()[0]
    first = max(0, int(coding[0]) - MOST_SHOWN // 4) if len(coding) else 0
    part = slice(first, first + MOST_SHOWN)
    facts["shown"] = f"bases {first + 1:,} to {min(first + MOST_SHOWN, len(record.sequence)):,}"
    facts["states"] = "0 between genes, 1-3 codon positions and 4-6 introns of this strand, 7-12 those of the other"
    rows = {"bases": tuple(record.sequence[part]), "state": tuple(map(str, states[part].tolist()))}
    return _example(record, facts, rows, record.sequence.count("N"))


def _example(record: Any, facts: Mapping[str, str], rows: dict[str, tuple[str, ...]], num_unknown: int) -> ShownExample:
    size = len(next(iter(rows.values()), ()))
    place = getattr(record, "place", None)
    return ShownExample("" if place is None else str(place), dict(facts), rows, size, num_unknown)


def _padded(shown: ShownExample, longest: int) -> ShownExample:
    missing = longest - shown.num_real
    filler = {"ids": str(PADDING_ID)}
    rows = {name: (*cells, *[filler.get(name, PADDING)] * missing) for name, cells in shown.rows.items()}
    rows["mask"] = ("1",) * shown.num_real + ("0",) * missing
    return ShownExample(shown.place, shown.facts, rows, shown.num_real, shown.num_unknown)


def _names(codec: TextCodec, ids: Sequence[int]) -> tuple[str, ...]:
    return tuple(codec.token(id) for id in ids)


def _numbers(ids: Sequence[int]) -> tuple[str, ...]:
    return tuple(map(str, ids))
