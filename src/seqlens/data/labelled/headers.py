"""Tells a header from an example, in a table whose columns are counted and which should have none."""

from collections.abc import Sequence

from seqlens.data.examples import Place
from seqlens.errors import RequestError

NUM_SHOWN = 200
"""How many rows a guess is made from."""
_LEAST_ROWS = 20
_FEW_SINGLE_WORDS = 0.05
"""Up to this part of the texts may be one word where a header of one word is told from them."""
# What a header calls the two columns; no example is made of one of each.
_TEXT_NAMES = frozenset({"text", "texts", "sentence", "review", "comment", "content", "message", "tweet", "sequence"})
_LABEL_NAMES = frozenset({"label", "labels", "class", "category", "sentiment", "target", "rating", "stars"})


def check_no_header(first: tuple[str, str], others: Sequence[tuple[str, str]], place: Place) -> None:
    """Refuses a first row, a text and a label, that names the columns, judged by itself and by the rows after it.

    By those it is a header if its text is one word, unlike theirs, and its label is none of theirs though labels recur.

    Raises:
        RequestError: it is a header.
    """
    text, label = (part.strip() for part in first)
    if text.lower() in _TEXT_NAMES and label.lower() in _LABEL_NAMES:
        raise RequestError(
            f"{place} is a header with '{text}' and '{label}', expected a text and its label; set 'text_column: {text}'"
            f" and 'label_column: {label}'."
        )
    if _is_unlike(text, label, others):
        raise RequestError(
            f"{place} seems to be a header: '{label}' is the label of none of the {len(others)} rows after it, and "
            f"'{text}' is one word where their texts are longer, expected a text and its label; set 'header: true' or, "
            "if it is an example, 'header: false'."
        )


def _is_unlike(text: str, label: str, others: Sequence[tuple[str, str]]) -> bool:
    labels = {other.strip() for _, other in others}
    if len(others) < _LEAST_ROWS or label in labels or 4 * len(labels) > len(others):
        return False
    single = sum(len(other.split()) == 1 for other, _ in others)
    return len(text.split()) == 1 and single <= _FEW_SINGLE_WORDS * len(others)
