"""What each word counted for as lines of text: bars to the right for the answer, to the left against it."""

from collections.abc import Iterator

from seqlens.cli.printing import print_lines
from seqlens.cli.views import bar, padded, shown
from seqlens.inference import ExamplePredictor
from seqlens.report import Report
from seqlens.report.text import clean_text, display_width
from seqlens.workflows.inspect_words import WordsView, inspect_words

_SIDE = 24


def show_words(predictor: ExamplePredictor, text: str | None) -> Report:
    """Prints what each word of a text counted for; returns the report of it."""
    view = inspect_words(predictor, text)
    print_lines(word_lines(view))
    return view.report


def word_lines(view: WordsView) -> Iterator[str]:
    """A line for each word: its weight, and a bar on the side it pulls to."""
    answer = view.answer
    yield f"input   {clean_text(view.text)}"
    yield f"answer  {answer.label} ({answer.probability:.3f})"
    yield ""
    words = [shown(token.text) for token in answer.tokens]
    width = max(map(display_width, words), default=0)
    largest = max((abs(token.weight) for token in answer.tokens), default=0.0) or 1.0
    for word, token in zip(words, answer.tokens, strict=True):
        length = bar(abs(token.weight) / largest, _SIDE)
        against, towards = (length, "") if token.weight < 0 else ("", length)
        # A bar grows from the middle; one to the left has no eighths, as there are no signs for these.
        yield f"{padded(word, width)}  {token.weight:+7.2f}  {'█' * len(against):>{_SIDE}}│{towards}"
    yield ""
    yield f"The weight is how far the log-odds of '{clean_text(answer.label)}' fall when the word is left out."
