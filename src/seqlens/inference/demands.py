"""From what a caller writes of answers' prefixes and constraints to one demand an input."""

from collections.abc import Collection, Sequence

from seqlens.errors import RequestError
from seqlens.tasks.transduce.demands import Demand

Prefix = str | Sequence[str] | None
"""One for all inputs, or one for each."""

Constraints = str | Sequence[str] | Sequence[Sequence[str]] | None
"""Phrases for all inputs, or a list of phrases for each."""


def read_demands(prefix: Prefix, constraints: Constraints, count: int) -> list[Demand] | None:
    """The demands on the answers to `count` inputs; None where nothing is asked.

    Raises:
        RequestError: a list of another length than the inputs', or something that is no text.
    """
    if not prefix and not constraints:
        return None
    prefixes = _prefixes(prefix, count)
    phrases = _phrases(constraints, count)
    return [Demand(own, own_phrases) for own, own_phrases in zip(prefixes, phrases, strict=True)]


def _prefixes(prefix: Prefix, count: int) -> list[str]:
    if prefix is None or isinstance(prefix, str):
        return [prefix or ""] * count
    _check_list("'prefix'", prefix)
    _check_count("prefix", len(prefix), count)
    for number, one in enumerate(prefix, start=1):
        if not isinstance(one, str):
            raise RequestError(f"'prefix' {number} is {type(one).__name__}, expected text.")
    return list(prefix)


def _phrases(constraints: Constraints, count: int) -> list[tuple[str, ...]]:
    if constraints is None:
        return [()] * count
    if isinstance(constraints, str):
        return [(constraints,)] * count
    _check_list("'constraints'", constraints)
    shared = [phrase for phrase in constraints if isinstance(phrase, str)]
    if len(shared) == len(constraints):
        return [tuple(shared)] * count
    if shared:
        raise RequestError("'constraints' has texts and lists, expected phrases for all inputs or a list for each.")
    _check_count("constraints", len(constraints), count)
    for number, phrases in enumerate(constraints, start=1):
        _check_list(f"'constraints' of input {number}", phrases)
        for phrase in phrases:
            if not isinstance(phrase, str):
                raise RequestError(f"'constraints' of input {number} has {type(phrase).__name__}, expected texts.")
    return [tuple(phrases) for phrases in constraints]


def _check_list(name: str, found: object) -> None:
    if not isinstance(found, Collection):
        raise RequestError(f"{name} is {type(found).__name__}, expected a text or a list of texts.")


def _check_count(name: str, found: int, count: int) -> None:
    if found != count:
        raise RequestError(f"'{name}' has {found} entries, expected one for each of the {count} inputs.")
