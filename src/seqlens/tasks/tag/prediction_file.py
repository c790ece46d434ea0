"""The answers of a tagger as CoNLL columns, which the CoNLL script and seqeval score."""

from collections.abc import Sequence

from seqlens.data.tagged.records import TaggedText
from seqlens.data.tagged.schemes import TokenSpan, write_tags


def prediction_columns(examples: Sequence[TaggedText], found: Sequence[Sequence[TokenSpan]]) -> str:
    """A token a line with its true tag and the answered one, tabs between, a blank line after each line of a text."""
    lines = []
    for example, spans in zip(examples, found, strict=True):
        words = example.words()
        truth, answers = (write_tags(len(words), of) for of in (example.token_spans(), spans))
        firsts = {first for first, _ in example.sentences()}
        for number, word in enumerate(words):
            # An entity is not parted, whatever stands inside of it.
            if number and number in firsts and answers[number][0] != "I":
                lines.append("")
            lines.append(f"{word}\t{truth[number]}\t{answers[number]}")
        lines.append("")
    return "\n".join(lines) + "\n" if lines else ""
