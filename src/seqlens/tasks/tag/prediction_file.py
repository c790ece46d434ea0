"""The answers of a tagger as CoNLL columns, which the CoNLL script and seqeval score."""

from collections.abc import Sequence

from seqlens.data.tagged.records import TaggedText
from seqlens.data.tagged.schemes import TokenSpan, write_tags


def prediction_columns(examples: Sequence[TaggedText], found: Sequence[Sequence[TokenSpan]]) -> str:
    """A token a line with its true tag and the answered one, tabs between, a blank line after each sentence."""
    lines = []
    for example, spans in zip(examples, found, strict=True):
        words = example.words()
        truth = write_tags(len(words), example.token_spans())
        lines += [f"{word}\t{tag}\t{answer}" for word, tag, answer in zip(words, truth, write_tags(len(words), spans))]
        lines.append("")
    return "\n".join(lines) + "\n" if lines else ""
