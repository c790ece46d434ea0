"""The pages of the demo's report: results, learning curves, the bottleneck, answers, attention."""

import unicodedata
from collections.abc import Sequence
from typing import Protocol

from seqlens.metrics import Score
from seqlens.report import (
    AttentionMaps,
    BarChart,
    Bars,
    Cell,
    Examples,
    Heatmap,
    Interval,
    LineChart,
    Section,
    Series,
    Table,
)
from seqlens.tasks.transduce.answer import Translation

NUM_EXAMPLES = 12
SCRIPTS = ("HANGUL", "ARABIC", "CJK", "LATIN")


class Learner(Protocol):
    """What the pages need to know of one model."""

    @property
    def name(self) -> str: ...
    @property
    def curve(self) -> tuple[tuple[int, float, float], ...]: ...
    @property
    def answers(self) -> tuple[Translation, ...]: ...
    @property
    def exact_by_count(self) -> dict[int, Score]: ...


def demo_sections(learners: Sequence[Learner], pairs: Sequence[tuple[str, str]], table: Table) -> list[Section]:
    """All sections, the table of results first."""
    sections: list[Section] = [table, _bottleneck(learners), *_curves(learners), _examples(learners, pairs)]
    for learner in learners:
        maps = _attention(learner, pairs)
        if maps is not None:
            sections.append(maps)
    return sections


def _curves(learners: Sequence[Learner]) -> list[Section]:
    exact = [
        Series(learner.name, [point[0] for point in learner.curve], [point[2] for point in learner.curve])
        for learner in learners
    ]
    loss = [
        Series(learner.name, [point[0] for point in learner.curve], [point[1] for point in learner.curve])
        for learner in learners
    ]
    return [
        LineChart("Learning: single dates right", "step", "exact match", exact, y_range=(0, 1)),
        LineChart("Learning: loss", "step", "nats a token, validation", loss, log_y=True),
    ]


def _bottleneck(learners: Sequence[Learner]) -> Section:
    counts = sorted(learners[0].exact_by_count)
    bars = [
        Bars(
            learner.name,
            [Interval(score.value, score.low, score.high) for score in map(learner.exact_by_count.__getitem__, counts)],
        )
        for learner in learners
    ]
    return BarChart(
        "The bottleneck: exact match by number of dates in the sentence",
        "dates in the sentence",
        "exact match",
        [str(count) for count in counts],
        bars,
        note="Without attention one vector must carry every date; with it the decoder looks at each in its turn.",
        y_range=(0, 1),
    )


def _examples(learners: Sequence[Learner], pairs: Sequence[tuple[str, str]]) -> Section:
    rows: list[list[str | Cell]] = []
    for index in _spread(len(pairs)):
        source, target = pairs[index]
        texts = [learner.answers[index].text for learner in learners]
        rows.append([source, target, *(Cell(text, text == target) for text in texts)])
    columns = ["input", "expected", *(learner.name for learner in learners)]
    return Examples("Answers on held-out inputs", columns, rows, note="Taken evenly from the held-out split, unchosen.")


def _spread(total: int) -> list[int]:
    count = min(NUM_EXAMPLES, total)
    return [index * total // count for index in range(count)]


def _attention(learner: Learner, pairs: Sequence[tuple[str, str]]) -> Section | None:
    """One map for each of some scripts, of the model's own answer."""
    maps = []
    for script in SCRIPTS:
        index = next((number for number, (source, _) in enumerate(pairs) if _is_in(script, source)), None)
        if index is None:
            continue
        answer = learner.answers[index]
        if answer.alignment is None or not answer.text:
            return None
        alignment = answer.alignment
        maps.append(
            Heatmap(
                pairs[index][0],
                list(alignment.target_tokens),
                list(alignment.source_tokens),
                alignment.weights.tolist(),
            )
        )
    return AttentionMaps(
        f"Where {learner.name} looks",
        maps,
        note="Each row is a piece of the answer, each column a piece of the input in the order it is read.",
    )


def _is_in(script: str, text: str) -> bool:
    letters = [unicodedata.name(character, "") for character in text if character.isalpha()]
    return len(text) <= 30 and bool(letters) and all(name.startswith(script) for name in letters)
