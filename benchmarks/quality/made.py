"""Training data made before a training, from a corpus by another entry's run: translated back, or both ways."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from seqlens.config import read_json, write_json
from seqlens.data.examples import Pair
from seqlens.errors import WorkError

MADE_FOLDER = "made"
_SECONDS_FILE = "seconds.json"
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

    @property
    def made_by(self) -> str | None:
        """The entry whose run is needed."""
        return self.back_translated_by

    def __str__(self) -> str:
        part = f"every {self.one_in}th training pair of {self.corpus}"
        if self.back_translated_by is None:
            return part
        return (
            f"{part}, seen {self.true_weight:g} times as often as the target sides of the others, translated back by "
            f"{self.back_translated_by}{_search_text(self.search)}"
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DiversifiedData:
    """All training pairs of a corpus, with its sources and its targets translated (data diversification, Nguyen et al.
    2020): true pairs, true sources with made targets, made sources with true targets, a third each.

    Both translations are made by one run of both directions, of the same seed, that was trained without tags.
    """

    corpus: str
    source: str
    target: str
    made_by: str
    """The entry of that run."""
    search: Mapping[str, object] = field(default_factory=dict)
    """How translations are made."""

    def __str__(self) -> str:
        return f"the training pairs, and either side with the other translated by {self.made_by}" + _search_text(
            self.search
        )


def _search_text(search: Mapping[str, object]) -> str:
    return f" ({', '.join(f'{name} {value}' for name, value in search.items())})" if search else ""


def make_data(
    made: MadeData | DiversifiedData,
    folder: Path,
    *,
    run: Path | None,
    seed: int,
    announce: Callable[[str], None],
) -> dict[str, object]:
    """Writes the files into `folder` and returns the settings of a recipe that name them.

    Files that are there are kept; an interrupted translation goes on.

    Args:
        run: a finished run of the entry `made_by`.
        seed: of the search, where that draws.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    before = seconds_of_making(folder)
    try:
        if isinstance(made, DiversifiedData):
            return _diversify(made, folder, _needed(made.made_by, run), seed, announce)
        return _make_part(made, folder, run, seed, announce)
    finally:
        write_json(folder / _SECONDS_FILE, round(before + time.perf_counter() - started, 1))


def seconds_of_making(folder: Path) -> float:
    """How long the data in a folder took to be made, all sessions together; 0 if there are none."""
    record = folder / _SECONDS_FILE
    return float(read_json(record)) if record.is_file() else 0.0


def _needed(entry: str, run: Path | None) -> Path:
    if run is None:
        raise ValueError(f"a run of {entry} is needed")
    return run


def _make_part(
    made: MadeData, folder: Path, run: Path | None, seed: int, announce: Callable[[str], None]
) -> dict[str, object]:
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
    run = _needed(made.back_translated_by, run)
    texts = folder / f"rest.{made.target}"
    _write_lines(texts, [pair.target or "" for pair in rest])
    synthetic = _translate(made, texts, folder / "synthetic.tsv", run, seed, announce)
    back = {"kind": "pairs", "source": made.source, "target": made.target, "train": str(synthetic)}
    parts = [
        {"data": part, "weight": made.true_weight, "name": "true"},
        {"data": back, "tag": TAG, "train_only": True},
    ]
    return {"data": {"kind": "mixture", "parts": parts}}


def _divide(made: MadeData) -> tuple[list[Pair], list[Pair]]:
    pairs = _training_pairs(made)
    kept = pairs[:: made.one_in]
    return kept, [pair for number, pair in enumerate(pairs) if number % made.one_in]


def _diversify(
    made: DiversifiedData, folder: Path, run: Path, seed: int, announce: Callable[[str], None]
) -> dict[str, object]:
    languages = {"source": made.source, "target": made.target}
    parts: list[dict[str, object]] = [
        {"data": {"kind": "pairs", "path": made.corpus, **languages}, "name": "true"},
    ]
    pairs = _training_pairs(made)
    for name, texts, columns in (
        ("made-targets", [pair.source for pair in pairs], {"source_column": 1, "target_column": 0}),
        ("made-sources", [pair.target or "" for pair in pairs], {}),
    ):
        file = folder / f"{name}.txt"
        _write_lines(file, texts)
        found = _translate(made, file, folder / f"{name}.tsv", run, seed, announce)
        data = {"kind": "pairs", **languages, "train": str(found), **columns}
        parts.append({"data": data, "name": name, "train_only": True})
    return {"data": {"kind": "mixture", "parts": parts}}


def _training_pairs(made: MadeData | DiversifiedData) -> list[Pair]:
    from seqlens.data.corpus import PairsData, open_corpus

    config = PairsData(path=made.corpus, source=made.source, target=made.target)
    return list(open_corpus(config, base=Path.cwd()).read("train"))


def _translate(
    made: MadeData | DiversifiedData,
    texts: Path,
    output: Path,
    run: Path,
    seed: int,
    announce: Callable[[str], None],
) -> Path:
    from seqlens.workflows.backtranslate import backtranslate

    if output.is_file():
        return output
    announce(f"translating {texts.name} by {made.made_by}.")
    search = {**made.search, "seed": seed} if made.search.get("method") == "sample" else made.search
    found = backtranslate(run, input=texts, output=output, decoding=search, announce=announce)
    if not found.num_pairs:
        raise WorkError(f"The run of {made.made_by} answered none of {found.num_lines:,} lines.")
    announce(f"{found.num_pairs:,} pairs were made of {found.num_lines:,} lines.")
    return output


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    os.replace(partial, path)
