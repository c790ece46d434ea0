"""What can stand before a text in a model's input and is no text itself: a tag, and sentences of context."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import final

from seqlens.errors import RequestError, did_you_mean

BREAK = "break"
"""The tag that stands after each sentence of context (Tiedemann and Scherrer 2017, section 3)."""

_NAME = re.compile(r"[\w.-]{1,64}")


@final
class MarkedText(str):
    """A text with marks: everywhere the text itself, but a codec's ids begin with the tag and the context.

    `tag` is a name without brackets, such as `2fr`. `context` are the sentences before this one, the nearest last;
    each is followed by the symbol `<break>`.
    """

    tag: str | None
    context: tuple[str, ...]

    def __new__(cls, text: str, *, tag: str | None = None, context: Sequence[str] = ()) -> "MarkedText":
        """Marks a text; marks that it has already are dropped."""
        marked = super().__new__(cls, text)
        marked.tag = tag
        marked.context = tuple(context)
        return marked

    def tags(self) -> Iterator[str]:
        """Yields the tags that a codec needs for it."""
        if self.tag is not None:
            yield self.tag
        if self.context:
            yield BREAK


def noting_tags(texts: Iterable[str], tags: set[str]) -> Iterator[str]:
    """Yields the texts, and adds the tags that they need to `tags`."""
    for text in texts:
        if isinstance(text, MarkedText):
            tags.update(text.tags())
        yield text


def tag_name(written: str) -> str:
    """Returns the name of a tag that was written with brackets or without.

    Raises:
        ValueError: it is no name of 1 to 64 letters, digits, `_`, `.` and `-`.
    """
    name = without_brackets(written)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the tag is '{written}', expected 1 to 64 letters, digits, '_', '.' or '-', such as '2fr' or '<2fr>'"
        )
    if name == BREAK:
        raise ValueError(f"the tag '{BREAK}' is the one between sentences of context, expected another name")
    return name


def without_brackets(written: str) -> str:
    """Returns what stands between the brackets of `<2fr>`; what has none is a name already."""
    return written[1:-1] if written.startswith("<") and written.endswith(">") else written


def chosen_tags(known: Iterable[str]) -> list[str]:
    """Returns those tags of a vocabulary that somebody gives; the one between sentences of context is put by itself."""
    return [tag for tag in known if tag != BREAK]


def with_tag(texts: Iterable[str], tag: str, known: Sequence[str]) -> list[str]:
    """Puts a tag, written with brackets or without, before texts; context that they have stays.

    Raises:
        RequestError: the tag is none of `known`.
    """
    name, choices = without_brackets(tag), chosen_tags(known)
    if name not in choices:
        raise RequestError(unknown_tag(name, choices))
    return [MarkedText(text, tag=name, context=text.context if isinstance(text, MarkedText) else ()) for text in texts]


def readable_marks(texts: Sequence[str], known: Iterable[str]) -> list[str]:
    """Takes off texts what a vocabulary without tags, or one without context, has no symbols for."""
    names = list(known)
    with_tags, with_context = bool(chosen_tags(names)), BREAK in names
    return [
        MarkedText(text, tag=text.tag if with_tags else None, context=text.context if with_context else ())
        if isinstance(text, MarkedText)
        else text
        for text in texts
    ]


def unknown_tag(name: str, known: Sequence[str]) -> str:
    """The sentence for a tag that a vocabulary does not have."""
    if not known:
        return f"There is no tag '{name}': this vocabulary has no tags, since its training data had none."
    return f"There is no tag '{name}', expected one of {', '.join(known)}.{did_you_mean(name, known)}"
