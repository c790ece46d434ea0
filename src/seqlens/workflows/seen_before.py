"""Whether a run that another training starts from has read what that one holds out."""

from pathlib import Path

from seqlens.data.corpus import Corpus
from seqlens.data.held_out import count_seen
from seqlens.errors import SeqlensError
from seqlens.workflows.open_data import open_recipe_pairs
from seqlens.workflows.run_recipe import read_run_recipe

_FEW_IN = 100
"""One pair in so many may stand in both by chance: short sentences do."""


def seen_before(run: Path, corpus: Corpus) -> str | None:
    """A sentence where a run that another starts from was trained on what that one holds out; None if it was not.

    Nor where its data are not there any more, so that nobody can tell.
    """
    try:
        trained = open_recipe_pairs(read_run_recipe(run), base=run).read("train")
        found = count_seen(trained, corpus)
    except SeqlensError:
        return None
    many = {split: counts for split, counts in found.items() if _FEW_IN * counts[0] >= counts[1]}
    told = " and ".join(f"{seen:,} of {total:,} pairs of {split}" for split, (seen, total) in many.items())
    return f"{run} was trained on {told}, so scores on them will be too high: hold out alike." if many else None
