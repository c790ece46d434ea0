"""Whether a run has learned from what is to be held out: what it is scored on, or what another training holds out."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from seqlens.data.corpus import Corpus
from seqlens.data.examples import Pair
from seqlens.data.held_out import count_seen
from seqlens.errors import SeqlensError
from seqlens.workflows.open_data import open_recipe_pairs
from seqlens.workflows.run_recipe import read_run_recipe

_FEW_IN = 100
"""One pair in so many may stand in both by chance: short sentences do."""


def told_seen(run: Path, seen: int, total: int, noun: str) -> str | None:
    """A sentence where so many of the inputs that a run is scored on are among those it was trained on."""
    if not seen or _FEW_IN * seen < total:
        return None
    return f"{run} was trained on {seen:,} of these {total:,} {noun}, so the scores are too high."


def seen_pairs(run: Path, pairs: Sequence[Pair], trained: Iterable[tuple[str, str]] | None) -> str | None:
    """The same of pairs; the sources and targets of the run's training are read where they are not given.

    None, too, where that is not there any more.
    """
    wanted = {_key(pair) for pair in pairs}
    try:
        known = (
            map(_key, _trained_on(run)) if trained is None else ((str(source), target) for source, target in trained)
        )
        met = {key for key in known if key in wanted}
    except SeqlensError:
        return None
    return told_seen(run, sum(_key(pair) in met for pair in pairs), len(pairs), "pairs")


def _trained_on(run: Path) -> Iterator[Pair]:
    return open_recipe_pairs(read_run_recipe(run), base=run).read("train")


def _key(pair: Pair) -> tuple[str, str]:
    return str(pair.source), pair.target or ""


def seen_before(run: Path, corpus: Corpus) -> str | None:
    """A sentence where a run that another starts from was trained on what that one holds out; None if it was not.

    Nor where its data are not there any more, so that nobody can tell.
    """
    try:
        found = count_seen(_trained_on(run), corpus)
    except SeqlensError:
        return None
    many = {split: counts for split, counts in found.items() if _FEW_IN * counts[0] >= counts[1]}
    told = " and ".join(f"{seen:,} of {total:,} pairs of {split}" for split, (seen, total) in many.items())
    return f"{run} was trained on {told}, so scores on them will be too high: hold out alike." if many else None
