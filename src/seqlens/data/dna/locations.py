"""Locations of GenBank's feature table: `complement(join(12..78,134..>202))`."""

import re
from typing import NamedTuple

from seqlens.data.dna.records import Interval, Strand

_SPAN = re.compile(r"[<>]?(\d+)(?:\.\.[<>]?(\d+))?")


class Location(NamedTuple):
    """Where a feature lies: the strand and the stretches, in the order of the sequence."""

    strand: Strand
    stretches: tuple[Interval, ...]


def parse_location(text: str) -> Location:
    """Reads a location of stretches on one strand; what is said of open ends (`<`, `>`) is dropped.

    Raises:
        ValueError: it is none, goes to another record, or to both strands; the message says what was found.
    """
    compact = "".join(text.split())
    strands, stretches = _parse(compact, reverse=False)
    if len(strands) != 1:
        raise ValueError(f"the location {text!r} lies on both strands, expected one")
    ordered = tuple(sorted(stretches))
    return Location("-" if strands.pop() else "+", ordered)


def _parse(text: str, *, reverse: bool) -> tuple[set[bool], list[Interval]]:
    if text.startswith("complement(") and text.endswith(")"):
        return _parse(text[len("complement(") : -1], reverse=not reverse)
    for word in ("join(", "order("):
        if text.startswith(word) and text.endswith(")"):
            strands: set[bool] = set()
            stretches: list[Interval] = []
            for part in _split(text[len(word) : -1]):
                of, found = _parse(part, reverse=reverse)
                strands |= of
                stretches += found
            return strands, stretches
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
