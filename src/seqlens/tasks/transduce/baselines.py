"""What costs next to nothing: copying the input, and the answer of the most similar training sentence."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

from seqlens.data.codecs.marks import MarkedText

MAX_POSTINGS = 2000


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline's name and its answers, one an input."""

    name: str
    answers: tuple[str, ...]


def baselines(sources: Sequence[str], train: Sequence[tuple[str, str]] | None) -> list[Baseline]:
    """The cheap answers to `sources`; `train` holds the training pairs, where they are known."""
    found = [Baseline("copy the source", tuple(sources))]
    if train:
        found.append(Baseline("nearest training pair", _nearest_of_tag(sources, train)))
    return found


def _nearest_of_tag(sources: Sequence[str], train: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """`nearest_targets` among the training pairs with the tag of each source, which may tell the language to write."""
    by_tag: dict[str | None, list[tuple[str, str]]] = defaultdict(list)
    for pair in train:
        by_tag[_tag_of(pair[0])].append(pair)
    numbers: dict[str | None, list[int]] = defaultdict(list)
    for number, source in enumerate(sources):
        numbers[_tag_of(source)].append(number)
    answers: dict[int, str] = {}
    for tag, those in numbers.items():
        found = nearest_targets([sources[number] for number in those], by_tag.get(tag) or train)
        answers |= zip(those, found, strict=True)
    return tuple(answers[number] for number in range(len(sources)))


def _tag_of(source: str) -> str | None:
    return source.tag if isinstance(source, MarkedText) else None


def nearest_targets(sources: Sequence[str], train: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """For each source the target of the training source with the nearest bag of words (cosine of tf-idf).

    The words are those between spaces, in small letters; words of more than 2,000 training sentences are passed
    over while others are there, since they tell little and cost most.
    """
    bags = [Counter(source.lower().split()) for source, _ in train]
    document_counts: Counter[str] = Counter()
    for bag in bags:
        document_counts.update(bag.keys())
    weights = {word: log((1 + len(train)) / (1 + count)) for word, count in document_counts.items()}
    postings: dict[str, list[int]] = defaultdict(list)
    norms = []
    for number, bag in enumerate(bags):
        norms.append(sqrt(sum((count * weights[word]) ** 2 for word, count in bag.items())) or 1.0)
        for word in bag:
            postings[word].append(number)
    answers = []
    for source in sources:
        bag = Counter(word for word in source.lower().split() if word in weights)
        rare = [word for word in bag if document_counts[word] <= MAX_POSTINGS] or sorted(
            bag, key=lambda word: document_counts[word]
        )[:1]
        overlap: dict[int, float] = defaultdict(float)
        for word in rare:
            weight = bag[word] * weights[word] ** 2
            for number in postings[word]:
                overlap[number] += weight * bags[number][word]
        best = max(overlap, key=lambda number: (overlap[number] / norms[number], -number), default=None)
        answers.append("" if best is None else train[best][1])
    return tuple(answers)
