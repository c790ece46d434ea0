"""Training data made before a training: a part of a corpus, and the rest's targets translated back by another run."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from seqlens.data.examples import Pair
from seqlens.errors import WorkError

MADE_FOLDER = "made"
TAG = "bt"
"""Stands before sources that were made (Caswell et al. 2019)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MadeData:
    """Every `one_in`-th training pair of a corpus of the catalogue; validation and test are the corpus's own.

    With `back_translated_by`, an entry of the other direction, the target sides of the other pairs are text without
    translations, whose sources are made by that entry's run of the same seed (Sennrich et al. 2016).
    """

    corpus: str
    source: str
    target: str
    one_in: int = 10
    back_translated_by: str | None = None
    search: Mapping[str, object] = field(default_factory=dict)
    """How sources are made."""
    true_weight: float = 1.0
    """How often a true pair is seen for each time a made one is."""

    def __post_init__(self) -> None:
        """Refuses a part that would be everything or nothing, with a ValueError."""
        if self.one_in < 2:
            raise ValueError(f"'one_in' is {self.one_in}, expected 2 or more, so that there is a rest")

    def __str__(self) -> str:
        part = f"every {self.one_in}th training pair of {self.corpus}"
        if self.back_translated_by is None:
            return part
        search = ", ".join(f"{name} {value}" for name, value in self.search.items())
        how = f" ({search})" if search else ""
        return (
            f"{part}, seen {self.true_weight:g} times as often as the target sides of the others, translated back by "
            f"{self.back_translated_by}{how}"
        )


def make_data(
    made: MadeData, folder: Path, *, reversed_run: Path | None, seed: int, announce: Callable[[str], None]
) -> dict[str, object]:
    """Writes the files into `folder` and returns the settings of a recipe that name them.

    Files that are there are kept; an interrupted back-translation goes on.

    Args:
        reversed_run: a finished run of the entry `back_translated_by`.
        seed: of the search, where that draws.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept, rest = _divide(made)
    files = {side: folder / f"part.{side}" for side in (made.source, made.target)}
    _write_lines(files[made.source], [pair.source for pair in kept])
    _write_lines(files[made.target], [pair.target or "" for pair in kept])
    part = {
        "kind": "pairs",
        "path": made.corpus,
        "source": made.source,
        "target": made.target,
        "train": {"source": str(files[made.source]), "target": str(files[made.target])},
    }
    if made.back_translated_by is None:
        return {"data": part}
    if reversed_run is None:
        raise ValueError(f"a run of {made.back_translated_by} is needed")
    texts = folder / f"rest.{made.target}"
    _write_lines(texts, [pair.target or "" for pair in rest])
    synthetic = _translate_back(made, texts, folder / "synthetic.tsv", reversed_run, seed, announce)
    back = {"kind": "pairs", "source": made.source, "target": made.target, "train": str(synthetic)}
    parts = [
        {"data": part, "weight": made.true_weight, "name": "true"},
        {"data": back, "tag": TAG, "train_only": True},
    ]
    return {"data": {"kind": "mixture", "parts": parts}}


def _divide(made: MadeData) -> tuple[list[Pair], list[Pair]]:
    from seqlens.data.corpus import PairsData, open_corpus

    config = PairsData(path=made.corpus, source=made.source, target=made.target)
    pairs = list(open_corpus(config, base=Path.cwd()).read("train"))
    kept = pairs[:: made.one_in]
    return kept, [pair for number, pair in enumerate(pairs) if number % made.one_in]


def _translate_back(
    made: MadeData, texts: Path, output: Path, run: Path, seed: int, announce: Callable[[str], None]
) -> Path:
    from seqlens.workflows.backtranslate import backtranslate

    if output.is_file():
        return output
    announce(f"translating {texts.name} back by {made.back_translated_by}.")
    search = {**made.search, "seed": seed} if made.search.get("method") == "sample" else made.search
    found = backtranslate(run, input=texts, output=output, decoding=search, announce=announce)
    if not found.num_pairs:
        raise WorkError(f"The run of {made.back_translated_by} answered none of {found.num_lines:,} lines.")
    announce(f"{found.num_pairs:,} pairs were made of {found.num_lines:,} lines.")
    return output


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    os.replace(partial, path)
