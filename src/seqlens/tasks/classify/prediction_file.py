"""The answers of a classifier as a table that any other program can score."""

import csv
import io
from collections.abc import Sequence

from seqlens.data.labelled.records import LabelledText
from seqlens.tasks.classify.answer import Classification


def prediction_table(examples: Sequence[LabelledText], answers: Sequence[Classification], labels: Sequence[str]) -> str:
    """Tab-separated, quoted where need be, with a header: label, answer, the probability of each label, text."""
    written = io.StringIO()
    table = csv.writer(written, delimiter="\t", lineterminator="\n")
    table.writerow(["label", "answer", *(f"p({label})" for label in labels), "text"])
    for example, answer in zip(examples, answers, strict=True):
        shares = [f"{answer.probabilities[label]:.12g}" for label in labels]
        table.writerow([example.label, answer.label, *shares, example.text])
    return written.getvalue()
