"""What is wrong with a corpus of examples, before a model is trained on it: counts, places and advice.

Every split is read once; of an example its length, its labels, its place and two hashes are kept. Texts are compared
after `normalise_sentence` (case, width and spacing do not count), DNA on either strand but for windows, which have one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, final

import numpy as np

from seqlens.data.audit import SEVERITIES, Finding, Severity
from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord
from seqlens.data.example_corpus import ExampleCorpus
from seqlens.data.examples import Place
from seqlens.data.labelled.records import LabelledText
from seqlens.data.language.records import Document
from seqlens.data.split_record import Hits, LengthSummary
from seqlens.data.splitting import TRAIN, VALIDATION, hash_sentence
from seqlens.data.tagged.records import TaggedText
from seqlens.data.text_faults import find_text_faults
from seqlens.errors import RequestError

RARE = 10
"""Examples of a label below which it can hardly be learned."""
_MANY_LABELS = 20
"""From so many on labels are told of together; where most examples have one of their own, these are taken for ids."""
_LOPSIDED = 10
"""How many times as common the commonest label may be as the rarest before that is told."""

_ADVICE: dict[str, tuple[Severity, str]] = {
    "unreadable": ("error", "Mend what the sentence names: training stops there. What comes after it was not read."),
    "empty-split": ("error", "Give this split some examples, or remove it."),
    "nothing-labelled": ("error", "Mark something: there is nothing to learn from."),
    "labels-like-ids": (
        "error",
        "Look which column (or key) holds the label: a label with one example can neither be learned nor be tested.",
    ),
    "one-label": ("error", "Add examples of another label: all have the same, so there is nothing to tell apart."),
    "leak": (
        "error",
        "Remove these from train (of labelled texts: `drop_held_out: true`): a score on what was seen means nothing.",
    ),
    "leak-other-label": ("warning", "Remove these from train; one of the two labels is wrong besides."),
    "leak-from-validation": ("warning", "Remove these from validation, by which the weights of a model are chosen."),
    "leak-unmarked": ("note", "Nothing is marked in these, so little is given away; many of them still lift a score."),
    "label-not-in-train": ("warning", "Add training examples of this label, or rename it: no model can answer it."),
    "conflicting-labels": ("warning", "Read these: the same text has several answers, and a model cannot know which."),
    "empty": ("warning", "Remove these: there is nothing in them to learn from."),
    "duplicate": ("warning", "Keep one of each, unless the repetition is meant as a weight."),
    "replacement-character": ("warning", "Make the text again from its origin: these characters are lost."),
    "control-character": ("warning", "Remove these characters: nobody sees them, but a codec does."),
    "line-separator": ("warning", "Replace these characters by spaces: other tools end a line at them."),
    "mojibake": ("warning", "Make the text again: it was UTF-8 that something read as Windows-1252."),
    "rare-label": ("note", f"Fewer than {RARE} training examples: expect little of this label."),
    "lopsided-labels": ("note", "Look at macro F1, not accuracy; 'class_weights' or 'sample_classes' may help."),
}


@dataclass(frozen=True, slots=True)
class Examined:
    """What an audit looks at: the text, what is to be answered for it as one text, and the labels in that."""

    text: str
    answer: str
    labels: tuple[str, ...]
    place: Place | None


@dataclass(frozen=True, slots=True)
class ExampleSplitAudit:
    """The size of a split, the lengths of its texts in characters (bases), and how often it has each label."""

    name: str
    num_examples: int
    lengths: LengthSummary
    labels: dict[str, int]


@dataclass(frozen=True, slots=True)
class ExampleAudit:
    """The splits of a corpus and what was found in them, the worst first."""

    name: str
    noun: tuple[str, str]
    unit: str
    splits: tuple[ExampleSplitAudit, ...]
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity | None:
        """The worst of the findings' severities, or None without findings."""
        return min((finding.severity for finding in self.findings), key=SEVERITIES.index, default=None)


@final
@dataclass(slots=True)
class _Split:
    """What is kept of a split."""

    texts: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    unmarked: list[bool] = field(default_factory=list)
    """Where something is to be marked: whether nothing is."""
    labels: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Hits] = field(default_factory=dict)
    failure: str = ""


def examine(record: Any) -> Examined:
    """The parts of a record of any kind."""
    match record:
        case LabelledText():
            return Examined(record.text, record.label, (record.label,), record.place)
        case TaggedText():
            spans = " ".join(f"{one.start}-{one.stop} {one.label}" for one in record.entities)
            return Examined(record.text, spans, tuple(one.label for one in record.entities), record.place)
        case DnaRecord():
            # A sequence and its reverse complement are one molecule.
            both = sorted((record.sequence, reverse_complement(record.sequence)))
            return Examined(both[0], "", tuple(f"strand {gene.strand}" for gene in record.genes), record.place)
        case Document():
            return Examined(record.text, "", (), record.place)
        case _:
            return Examined(str(record), "", (), getattr(record, "place", None))


def audit_examples(
    corpus: ExampleCorpus[Any], *, task: str, max_places: int = 10, own_train_labels: bool = False
) -> ExampleAudit:
    """Reads every split once and returns what is wrong, with the first `max_places` places of each finding.

    Faults that would stop training are findings here. `task` is what the data are for: what is not labelled is a
    fault where labels are to be learned. With `own_train_labels` those of train are others than are asked for, and are
    not compared with them.
    """
    splits = {split: _read(corpus, split, task, max_places) for split in corpus.splits}
    found: list[Finding] = []
    for name, split in splits.items():
        found += _check_split(name, split, max_places)
    if task != "generate" and splits.get(TRAIN) is not None:
        found += _check_labels(splits, task, own_train_labels=own_train_labels)
    for earlier in (TRAIN, VALIDATION):
        for name in splits:
            if earlier in splits and name not in (earlier, TRAIN):
                found += _check_leaks(
                    earlier, splits[earlier], name, splits[name], max_places, any_answer=own_train_labels
                )
    audits = tuple(
        ExampleSplitAudit(name, len(split.texts), _summarise(split.lengths), dict(split.labels.most_common()))
        for name, split in splits.items()
    )
    ordered = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return ExampleAudit(corpus.name, corpus.noun, "bases" if task == "mark" else "characters", audits, tuple(ordered))


def _read(corpus: ExampleCorpus[Any], split: str, task: str, max_places: int) -> _Split:
    kept = _Split()
    number = 0
    try:
        for number, record in enumerate(corpus.read(split), start=1):
            one = examine(record)
            place = one.place or Place(f"{corpus.name}/{split}", number)
            kept.texts.append(hash_sentence(one.text))
            kept.answers.append(int.from_bytes(blake2b(one.answer.encode(), digest_size=8).digest(), "big"))
            kept.lengths.append(len(one.text))
            kept.places.append(place)
            kept.unmarked.append(task in ("tag", "mark") and not one.labels)
            kept.labels.update(one.labels)
            faults = [] if task == "mark" else find_text_faults(one.text)
            if task == "generate":  # a running text has lines
                faults = [fault for fault in faults if fault != "line-separator"]
            for fault in [*faults, *([] if one.text.strip() else ["empty"])]:
                kept.faults.setdefault(fault, Hits()).add(place, max_places)
    except RequestError as error:
        kept.failure = str(error)
    return kept


def _check_split(name: str, split: _Split, max_places: int) -> Iterator[Finding]:
    if split.failure:
        yield _finding("unreadable", name, 1, (), split.failure)
    elif not split.texts:
        yield _finding("empty-split", name, 1, (), "There is no example in it.")
    for kind, hits in split.faults.items():
        yield _finding(kind, name, hits.count, hits.places, "")
    first_answers: dict[int, int] = {}
    repeated: list[int] = []
    conflicting: list[int] = []
    for number, (text, answer) in enumerate(zip(split.texts, split.answers, strict=True)):
        if not split.lengths[number]:
            continue
        if text not in first_answers:
            first_answers[text] = answer
        elif first_answers[text] == answer:
            repeated.append(number)
        else:
            conflicting.append(number)
    yield from _pick("duplicate", name, split, repeated, "Equal to an earlier one.", max_places)
    detail = "The text is that of an earlier one, which has another answer."
    yield from _pick("conflicting-labels", name, split, conflicting, detail, max_places)


def _check_labels(splits: dict[str, _Split], task: str, *, own_train_labels: bool) -> Iterator[Finding]:
    train = splits[TRAIN]
    if train.texts and not train.labels:
        yield _finding("nothing-labelled", TRAIN, 1, (), "No label, entity or gene is there.")
        return
    if task == "classify" and len(train.labels) == 1:
        yield _finding("one-label", TRAIN, len(train.texts), (), f"All are '{next(iter(train.labels))}'.")
    once = sum(count == 1 for count in train.labels.values())
    like_ids = task == "classify" and once >= _MANY_LABELS and 2 * once > len(train.texts) and not train.failure
    if like_ids:
        first = min(label for label, count in train.labels.items() if count == 1)
        detail = f"{once:,} of {len(train.texts):,} examples have a label of their own, as '{first}'."
        yield _finding("labels-like-ids", TRAIN, once, (), detail)
    for name, split in splits.items():
        if name != TRAIN and not train.failure and not own_train_labels:
            unknown = {label: count for label, count in split.labels.items() if label not in train.labels}
            yield from _tell_labels("label-not-in-train", name, unknown)
    if task == "mark" or not train.labels:
        return
    if not like_ids:
        yield from _tell_labels("rare-label", TRAIN, {label: n for label, n in train.labels.items() if n < RARE})
    (most, largest), *_, (least, smallest) = [*train.labels.most_common(), train.labels.most_common()[-1]]
    if task == "classify" and largest >= _LOPSIDED * smallest:
        detail = f"'{most}' is there {largest:,} times, '{least}' {smallest:,} times."
        yield _finding("lopsided-labels", TRAIN, 1, (), detail)


def _tell_labels(kind: str, split: str, labels: dict[str, int]) -> Iterator[Finding]:
    """A finding for each label, or one for all if they are many."""
    if len(labels) < _MANY_LABELS:
        for label, count in labels.items():
            yield _finding(kind, split, count, (), f"The label '{label}'.")
        return
    first = ", ".join(f"'{label}'" for label in sorted(labels)[:5])
    yield _finding(kind, split, sum(labels.values()), (), f"{len(labels):,} labels, as {first}.")


def _check_leaks(
    earlier: str, seen: _Split, name: str, split: _Split, max_places: int, *, any_answer: bool
) -> Iterator[Finding]:
    answers: dict[int, set[int]] = {}
    for text, answer in zip(seen.texts, seen.answers, strict=True):
        answers.setdefault(text, set()).add(answer)
    known = [number for number, text in enumerate(split.texts) if text in answers and split.lengths[number]]
    if earlier != TRAIN:
        yield from _pick("leak-from-validation", name, split, known, "The text is there too.", max_places)
        return
    same = [number for number in known if any_answer or split.answers[number] in answers[split.texts[number]]]
    other = sorted(set(known) - set(same))
    marked = [number for number in same if not split.unmarked[number]]
    unmarked = [number for number in same if split.unmarked[number]]
    yield from _pick("leak", name, split, marked, "The same is in train too.", max_places)
    yield from _pick("leak-unmarked", name, split, unmarked, "The same is in train too.", max_places)
    detail = "The text is in train too, with another answer."
    yield from _pick("leak-other-label", name, split, other, detail, max_places)


def _pick(kind: str, name: str, split: _Split, numbers: list[int], detail: str, max_places: int) -> Iterator[Finding]:
    if numbers:
        yield _finding(kind, name, len(numbers), [split.places[number] for number in numbers[:max_places]], detail)


def _finding(kind: str, split: str, count: int, places: Iterable[Place], detail: str) -> Finding:
    severity, advice = _ADVICE[kind]
    return Finding(kind, severity, split, None, count, tuple(places), detail, advice)


def _summarise(lengths: list[int]) -> LengthSummary:
    if not lengths:
        return LengthSummary(0, 0.0, 0, 0)
    values = np.asarray(lengths)
    high = int(np.quantile(values, 0.95, method="inverted_cdf"))
    return LengthSummary(int(values.min()), float(np.median(values)), high, int(values.max()))
