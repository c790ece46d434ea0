"""What every reader yields: a source, its target where there is one, and the place it was read from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from one; `str()` gives `file line N`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file} line {self.line}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A source text and its target text; `target` is None where only answers are wanted.

    `document` is what tells the document of one pair from that of the next, where the data say it.
    """

    source: str
    target: str | None = None
    place: Place | None = None
    document: str | None = None
