"""Baselines of several evaluations beside each other: what a name says may depend on what they learned from."""

from collections.abc import Sequence


def common_name(names: Sequence[str]) -> str:
    """One name for a baseline that is called differently: `commonest label (good)`, `(bad)` as `commonest label …`.

    Words in which the names differ become `…`; where they have not equally many words it is the first name.
    """
    rows = [name.split() for name in names]
    if len({len(row) for row in rows}) > 1:
        return names[0]
    return " ".join(words[0] if len(set(words)) == 1 else "…" for words in zip(*rows, strict=True))


def common_names(evaluations: Sequence[Sequence[str]]) -> list[str]:
    """A name for each place in the lists of baselines, which all evaluations of one task have in one order.

    Lists that are not equally long have no such order: then the names of the first are taken.
    """
    if len({len(names) for names in evaluations}) > 1:
        return list(evaluations[0])
    return [common_name(names) for names in zip(*evaluations, strict=True)]
