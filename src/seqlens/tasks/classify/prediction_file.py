"""The answers of a classifier as a table that any other program can score."""

import csv
import io
from collections.abc import Sequence

from seqlens.data.labelled.records import LabelledText
from seqlens.tasks.classify.answer import Classification


def prediction_table(examples: Sequence[LabelledText], answers: Sequence[Classification], labels: Sequence[str]) -> str:
    """Tab-separated, quoted where need be, with a header: label, answer, the probability of each label, text."""
    written = io.StringIO()
    plain, quoted = (
        csv.writer(written, delimiter="\t", lineterminator="\n", quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    rows = [["label", "answer", *(f"p({label})" for label in labels), "text"]]
    for example, answer in zip(examples, answers, strict=True):
        shares = [f"{answer.probabilities[label]:.12g}" for label in labels]
        rows.append([example.label, answer.label, *shares, example.text])
    for row in rows:
        # A carriage return alone ends a line for most readers, but seems none to the library.
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
    return written.getvalue()
