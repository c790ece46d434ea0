"""Folds: every example is held out once, equal texts together, other folds for another seed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seqlens.config import parse_config
from seqlens.data.data_config import DataConfig, ExampleDataConfig
from seqlens.data.folds import cut_folds, fold_of
from seqlens.data.labelled.corpus import LabelledData
from seqlens.data.open_examples import open_examples
from seqlens.errors import RequestError

LETTERS = "ACGT"


def labelled(folder: Path) -> str:
    rows = [f"text {number % 60}\t{'good' if number % 2 else 'bad'}\n" for number in range(90)]
    (folder / "all.tsv").write_text("".join(rows), encoding="utf-8")
    return "all.tsv"


def windows(folder: Path) -> str:
    sequences = ["".join(LETTERS[number // 4**place % 4] for place in range(6)) for number in range(80)]
    rows = [f"{sequence}\t{'a' if number % 2 else 'b'}\n" for number, sequence in enumerate(sequences)]
    (folder / "all.tsv").write_text("sequence\tlabel\n" + "".join(rows), encoding="utf-8")
    return "all.tsv"


def spans(folder: Path) -> str:
    sentences = [f"Ann\tB-person\nmet\tO\nnumber{number}\tO\n\n" for number in range(80)]
    (folder / "all.conll").write_text("".join(sentences), encoding="utf-8")
    return "all.conll"


KINDS = [("labelled", labelled), ("dna_windows", windows), ("spans", spans)]


@pytest.mark.parametrize(("kind", "write"), KINDS, ids=[kind for kind, _ in KINDS])
def test_every_example_is_held_out_once(kind: str, write: Callable[[Path], str], tmp_path: Path) -> None:
    path = write(tmp_path)

    def texts(fold: int | None, split: str, seed: int = 0) -> list[str]:
        settings = {"kind": kind, "path": path, "fold": fold, "num_folds": 5, "fold_seed": seed}
        config: ExampleDataConfig = parse_config(DataConfig, settings, where="data")
        return [example.text for example in open_examples(config, base=tmp_path).read(split)]

    everything = sorted(text for split in ("train", "validation", "test") for text in texts(None, split))
    held_out = sorted(text for fold in range(5) for text in texts(fold, "test"))
    assert held_out == everything
    for fold in range(5):
        train, validation, test = (set(texts(fold, split)) for split in ("train", "validation", "test"))
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert train | validation | test == set(everything)
        assert 0 < len(validation) < len(train) / 2
    assert set(texts(0, "validation")) != set(texts(1, "validation"))
    assert set(texts(0, "test")) != set(texts(0, "test", seed=1))


def test_a_fold_that_there_is_not_is_refused(tmp_path: Path) -> None:
    for kind in ("labelled", "dna_windows", "spans"):
        with pytest.raises(RequestError, match="'fold' is 5, expected 0 to 4"):
            parse_config(DataConfig, {"kind": kind, "path": "x", "fold": 5, "num_folds": 5}, where="data")


def test_the_fold_of_a_text_knows_no_case_or_spacing() -> None:
    assert fold_of("A  text", 7) == fold_of("a text", 7)
    assert fold_of("A  text", 7, 3) == fold_of("a text", 7, 3)
    counts = [sum(fold_of(f"text {number}", 4, 2) == fold for number in range(2000)) for fold in range(4)]
    assert min(counts) > 400


def test_of_few_texts_one_is_for_validation() -> None:
    texts = [f"text {number}" for number in range(5)]
    for fold in range(3):
        config = LabelledData(path="x", fold=fold, num_folds=3, fold_seed=1, validation_fraction=1e-9)
        parts = cut_folds(lambda: texts, str, config)
        assert len(list(parts["validation"]())) == 1
        assert sorted(text for part in parts.values() for text in part()) == texts
