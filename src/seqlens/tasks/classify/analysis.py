"""What a classifier's answers are worth beside their score: calibration, abstention, classes, mistakes."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float64

from seqlens.data.labelled.records import LabelledText
from seqlens.errors import did_you_mean
from seqlens.metrics import Statistics, share_of
from seqlens.report import Cell, Examples, Interval, LineChart, Section, Series, Table
from seqlens.report.sections import TableCell
from seqlens.tasks.classify.answer import Classification
from seqlens.tasks.classify.calibration import abstention_curve, reliability, without_temperature
from seqlens.tasks.classify.measures import expected_calibration_error, log_loss
from seqlens.tasks.example_analysis import ExampleAnalysis

NUM_MISTAKES = 20
_MOST_CLASSES = 30
_COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5, 0.3)
_CALIBRATION_NOTE = (
    "Calibration error: how far probability and share of right answers lie apart, over 15 bins by probability, each "
    "weighed by its answers (Guo et al. 2017). The temperature was fitted on the validation split."
)
_ABSTENTION_NOTE = "Only the most probable answers are given; all others are left to a person."


@final
class _Answers(NamedTuple):
    """Labels, answers, and the probability of each answer and whether it is right, in one order."""

    truth: list[str]
    found: list[str]
    chances: Float64[np.ndarray, "examples"]
    correct: Float64[np.ndarray, "examples"]


def analyse_answers(
    examples: Sequence[LabelledText], answers: Sequence[Classification], labels: Sequence[str], temperature: float
) -> ExampleAnalysis:
    """The analysis of answers whose logits were divided by `temperature`; `labels` are those of training."""
    truth, found = [example.label for example in examples], [answer.label for answer in answers]
    chances = np.array([answer.probability for answer in answers], dtype=np.float64)
    correct = np.array([label == answer for label, answer in zip(truth, found, strict=True)], dtype=np.float64)
    given = _Answers(truth, found, chances, correct)
    probabilities = [answer.probabilities for answer in answers]
    before = [without_temperature(of, temperature) for of in probabilities]
    calibration = _calibration_table(truth, before, probabilities, temperature)
    abstention = _abstention_table(given)
    sections: list[Section] = [
        calibration,
        *_reliability(given, np.array([max(of.values()) for of in before], dtype=np.float64), temperature),
        _abstention_chart(given),
        abstention,
    ]
    if len(labels) <= _MOST_CLASSES:
        sections += [_class_table(given, labels), _confusion_table(given, labels)]
    sections.append(_mistakes(examples, answers))
    return ExampleAnalysis((calibration, abstention), tuple(sections), _unknown_labels(examples, labels))


def _calibration_table(
    truth: Sequence[str],
    before: Sequence[dict[str, float]],
    after: Sequence[dict[str, float]],
    temperature: float,
) -> Table:
    rows: list[tuple[TableCell, ...]] = []
    for name, of in (("as trained", before), (f"divided by the temperature {temperature:.3f}", after)):
        measures = (expected_calibration_error(truth, of), log_loss(truth, of))
        mean = float(np.mean([max(one.values()) for one in of]))
        rows.append((name, *(_interval(measure) for measure in measures), mean))
    columns = ("logits", "calibration error", "log-loss", "mean probability of the answer")
    return Table("Calibration", columns, rows, note=_CALIBRATION_NOTE)


def _reliability(given: _Answers, before: Float64[np.ndarray, "examples"], temperature: float) -> list[Section]:
    lines = [Series("as it should be", [0.0, 1.0], [0.0, 1.0])]
    for name, chances in (("as trained", before), (f"temperature {temperature:.3f}", given.chances)):
        bins = reliability(chances, given.correct)
        shares = [share_of(one.num_right, one.num_answers) for one in bins]
        values, lows, highs = zip(*((share.value, share.low, share.high) for share in shares), strict=True)
        lines.append(Series(name, [one.confidence for one in bins], values, low=lows, high=highs))
    rows = []
    for one in reliability(given.chances, given.correct):
        share = share_of(one.num_right, one.num_answers)
        bounds = f"{one.low:.2f} to {one.high:.2f}"
        rows.append((bounds, one.num_answers, one.confidence, Interval(share.value, share.low, share.high)))
    chart = LineChart(
        "Reliability",
        "probability of the answer",
        "share of right answers",
        lines,
        note="A point is a bin of answers, with Wilson's 95 % interval.",
        y_range=(0, 1),
    )
    columns = ("probability", "answers", "mean probability", "share right")
    return [chart, Table("Reliability, bin by bin", columns, rows)]


def _abstention_chart(given: _Answers) -> LineChart:
    points = abstention_curve(given.chances, given.correct)
    curve = Series("answers", [point.coverage for point in points], [point.accuracy for point in points])
    return LineChart("Abstention", "share of inputs answered", "accuracy", [curve], note=_ABSTENTION_NOTE)


def _abstention_table(given: _Answers) -> Table:
    order = np.argsort(-given.chances, kind="stable")
    rows = []
    for coverage in _COVERAGES:
        chosen = order[: max(1, round(len(order) * coverage))]
        share = share_of(int(given.correct[chosen].sum()), len(chosen))
        least = float(given.chances[chosen[-1]])
        rows.append((f"{coverage:.0%}", len(chosen), least, Interval(share.value, share.low, share.high)))
    columns = ("answered", "answers", "least probability", "accuracy")
    return Table("Abstention", columns, rows, note=_ABSTENTION_NOTE)


def _class_table(given: _Answers, labels: Sequence[str]) -> Table:
    truth, found = Counter(given.truth), Counter(given.found)
    right = Counter(label for label, answer in zip(given.truth, given.found, strict=True) if label == answer)
    rows = []
    for label in sorted({*labels, *truth}):
        precision = right[label] / found[label] if found[label] else None
        recall = right[label] / truth[label] if truth[label] else None
        f1 = 2 * right[label] / (truth[label] + found[label]) if truth[label] + found[label] else None
        rows.append((label, truth[label], found[label], precision, recall, f1))
    return Table("By class", ("label", "examples", "answers", "precision", "recall", "F1"), rows)


def _confusion_table(given: _Answers, labels: Sequence[str]) -> Table:
    pairs = Counter(zip(given.truth, given.found, strict=True))
    rows: list[tuple[TableCell, ...]] = [
        (label, *(pairs[label, answer] for answer in labels)) for label in sorted({*labels, *given.truth})
    ]
    return Table("Labels (rows) and answers (columns)", ("label", *labels), rows)


def _mistakes(examples: Sequence[LabelledText], answers: Sequence[Classification]) -> Examples:
    wrong = [pair for pair in zip(examples, answers, strict=True) if pair[0].label != pair[1].label]
    wrong.sort(key=lambda pair: (-pair[1].probability, pair[0].text))
    rows = [
        (example.text, example.label, Cell(answer.label, good=False), f"{answer.probability:.3f}")
        for example, answer in wrong[:NUM_MISTAKES]
    ]
    note = f"{len(wrong):,} of {len(answers):,} answers are wrong; these are the most probable of them."
    return Examples("The most confident mistakes", ("text", "label", "answer", "probability"), rows, note=note)


def _unknown_labels(examples: Sequence[LabelledText], labels: Sequence[str]) -> tuple[str, ...]:
    unknown = [example for example in examples if example.label not in labels]
    if not unknown:
        return ()
    first = unknown[0]
    count = "1 example has a label" if len(unknown) == 1 else f"{len(unknown):,} examples have labels"
    place = "" if first.place is None else f"{first.place}: "
    return (
        f"{count} that training has not, the first is {place}'{first.label}', expected one of {', '.join(labels)}."
        f"{did_you_mean(first.label, labels)} No answer can be right there.",
    )


def _interval(statistics: Statistics) -> Interval:
    score = statistics.score()
    return Interval(score.value, score.low, score.high)
