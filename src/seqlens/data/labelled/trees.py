"""Phrase trees in brackets, `(3 (2 a) (4 film))`, every phrase with its label (Socher et al. 2013)."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from seqlens.data.examples import Place
from seqlens.data.labelled.records import LabelledText
from seqlens.data.readers import read_lines
from seqlens.errors import RequestError

_PART = re.compile(r"\(\s*([^\s()]+)|(\))|([^\s()]+)")
# As treebanks write what would be read as a bracket or ends a file name.
_ESCAPES = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}", "\\/": "/", "\\*": "*"}


def read_trees(path: Path, *, phrases: bool = False, left_out: Collection[str] = ()) -> Iterator[LabelledText]:
    """Yields the sentence of each tree with the label of its root; with `phrases` every phrase of it, the whole first.

    Words are joined by spaces, treebank escapes such as `-LRB-` undone. Trees of sentences in `left_out` are passed
    over with all their phrases.

    Raises:
        RequestError: as `read_lines`; a line whose brackets do not match, or that is no tree; an empty file.
    """
    number = 0
    for number, line in read_lines(path):
        found = _phrases_of(line, Place(str(path), number), inner=phrases)
        if found[-1].text not in left_out:
            yield from reversed(found)
    if not number:
        raise RequestError(f"{path} is empty, expected a tree on each line.")


def _phrases_of(line: str, place: Place, *, inner: bool) -> list[LabelledText]:
    """The phrases of a tree, the whole last; with `inner` all, those inside before those that hold them."""
    words: list[str] = []
    opened: list[tuple[str, int]] = []
    found: list[LabelledText] = []
    for part in _PART.finditer(line):
        label, closing, word = part.groups()
        if label is not None:
            if found and not opened:
                raise RequestError(f"{place} has a second tree at column {part.start() + 1}, expected one a line.")
            opened.append((label, len(words)))
        elif word is not None:
            words.append(_ESCAPES.get(word, word))
        elif not opened:
            raise RequestError(f"{place} has a closing bracket too many, at column {part.start() + 1}.")
        else:
            name, first = opened.pop()
            if inner or not opened:
                found.append(LabelledText(" ".join(words[first:]), name, place))
        if closing is None and not opened:
            raise RequestError(f"{place} is no tree, expected brackets such as (3 (2 a) (4 film)).")
    if opened or not found:
        what = "ends inside a bracket" if opened else "is blank"
        raise RequestError(f"{place} {what}, expected a tree such as (3 (2 a) (4 film)).")
    return found
