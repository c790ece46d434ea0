"""Locations of GenBank's feature table: `complement(join(12..78,134..>202))`."""

import re
from typing import NamedTuple

from seqlens.data.dna.records import Interval, Strand

_SPAN = re.compile(r"[<>]?(\d+)(?:\.\.[<>]?(\d+))?")
_OTHER = re.compile(r"[\w.|-]+:[<>]?\d+(?:\.\.[<>]?\d+)?")


class Location(NamedTuple):
    """Where a feature lies: the strand, and stretches in reading direction."""

    strand: Strand
    stretches: tuple[Interval, ...]

    @property
    def parts(self) -> tuple[tuple[Interval, ...], ...]:
        """The stretches in parts that each go one way, as over the origin of a ring they begin again; each part in the
        order of the sequence.
        """
        parts: list[list[Interval]] = []
        for stretch in self.stretches:
            before = parts[-1][-1] if parts else None
            goes_on = before is not None and (stretch < before if self.strand == "-" else before < stretch)
            if goes_on:
                parts[-1].append(stretch)
            else:
                parts.append([stretch])
        return tuple(tuple(sorted(part)) for part in parts)


class OtherRecordError(ValueError):
    """A location that names another record."""


def parse_location(text: str) -> Location:
    """Reads a location of stretches on one strand; what is said of open ends (`<`, `>`) is dropped.

    Raises:
        OtherRecordError: it goes to another record, or to both strands, as of trans-spliced genes.
        ValueError: it is none; the message says what was found.
    """
    compact = "".join(text.split())
    strands, stretches = _parse(compact, reverse=False)
    if len(strands) != 1:
        raise OtherRecordError(f"the location {text!r} lies on both strands, expected one")
    return Location("-" if strands.pop() else "+", tuple(stretches))


def _parse(text: str, *, reverse: bool) -> tuple[set[bool], list[Interval]]:
    if text.startswith("complement(") and text.endswith(")"):
        inner, read = _parse(text[len("complement(") : -1], reverse=not reverse)
        return inner, read[::-1]
    for word in ("join(", "order("):
        if text.startswith(word) and text.endswith(")"):
            strands: set[bool] = set()
            stretches: list[Interval] = []
            for part in _split(text[len(word) : -1]):
                of, found = _parse(part, reverse=reverse)
                strands |= of
                stretches += found
            return strands, stretches
    if _OTHER.fullmatch(text):
        raise OtherRecordError(f"the location {text!r} is on another record")
    span = _SPAN.fullmatch(text)
    if span is None:
        raise ValueError(
            f"the location {text!r} cannot be read, expected such as 12..78 or complement(join(12..78,134..202))"
        )
    first, last = int(span[1]), int(span[2] or span[1])
    if first < 1 or last < first:
        raise ValueError(f"the location {text!r} runs from {first} to {last}, expected from 1 on and upwards")
    return {reverse}, [(first - 1, last)]


def _split(text: str) -> list[str]:
    """The parts between commas that stand outside brackets."""
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
    return [*parts, text[begin:]]
