"""Examples and answers of any task as texts for a person: what was asked, what is known, what came back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.data.labelled.records import LabelledText
from seqlens.data.language.records import Document
from seqlens.data.tagged.records import TaggedText
from seqlens.tasks.classify.answer import Classification
from seqlens.tasks.mark.answer import Marking
from seqlens.tasks.tag.answer import Tagging

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """`good` says whether the answer is all that was expected; None where that is no yes or no."""

    asked: str
    expected: str
    answered: str
    good: bool | None


def show_answer(example: Any, answer: Any) -> ShownAnswer:
    """The texts of an example and of the answer to it."""
    return ShownAnswer(asked_text(example), expected_text(example), *_answered(example, answer))


def asked_text(example: Any) -> str:
    """What is put to a model, long ones cut."""
    match example:
        case DnaRecord():
            return f"{example.name}, {len(example.sequence):,} bases"
        case LabelledText() | TaggedText() | Document():
            return _cut(example.text)
        case _:
            return _cut(str(example))


def expected_text(example: Any) -> str:
    """What is known of an example; nothing where the text itself is all there is."""
    match example:
        case LabelledText():
            return example.label
        case TaggedText():
            return _entities([(example.text[one.start : one.stop], one.label) for one in example.entities])
        case DnaRecord():
            return _genes(example.genes)
        case _:
            return ""


def _answered(example: Any, answer: Any) -> tuple[str, bool | None]:
    match example, answer:
        case LabelledText(), Classification():
            return f"{answer.label} {answer.probability:.2f}", answer.label == example.label
        case TaggedText(), Tagging():
            found = {(one.start, one.end, one.label) for one in answer.entities}
            right = {(one.start, one.stop, one.label) for one in example.entities}
            return _entities([(one.text, one.label) for one in answer.entities]), found == right
        case DnaRecord(), Marking():
            exons = [(one.strand, one.exons) for one in answer.genes]
            return _genes(answer.genes), exons == [(one.strand, one.exons) for one in example.genes]
        case _:
            return str(answer), None


def _entities(entities: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{label} {text}" for text, label in entities) or "none"


def _genes(genes: Sequence[Gene]) -> str:
    """Bases counted from 1, as people do: `+ 1,001..1,300, 1,400..2,040`."""
    shown = [f"{one.strand} {', '.join(f'{start + 1:,}..{end:,}' for start, end in one.exons)}" for one in genes]
    return _cut("; ".join(shown)) or "none"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
