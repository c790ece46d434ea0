"""Learning curves: nested parts of train, everything else as it was, for examples and for pairs."""

from itertools import pairwise
from pathlib import Path

import pytest

from seqlens.config import load_config, read_json
from seqlens.data.fractions import PartOfExamples, PartOfPairs, choose_part
from seqlens.data.language.records import Document
from seqlens.errors import RequestError
from seqlens.training.run_config import RunConfig
from seqlens.workflows.learning_curve import learning_curve
from seqlens.workflows.open_data import open_recipe_examples, open_recipe_pairs
from seqlens.workflows.recipe_config import resolve_recipe
from seqlens.workflows.recipes import find_recipe


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))


def test_parts_are_nested_and_of_the_size_asked_for() -> None:
    parts = [choose_part(1000, fraction, 3, "pairs") for fraction in (0.05, 0.3, 1.0)]
    assert [int(part.sum()) for part in parts] == [50, 300, 1000]
    for small, large in pairwise(parts):
        assert not (small & ~large).any()
    assert (choose_part(1000, 0.3, 4, "pairs") != parts[1]).any()
    with pytest.raises(RequestError, match=r"A fraction of 0\.0001 of 1,000 training pairs is none at all"):
        choose_part(1000, 0.0001, 3, "pairs")


@pytest.mark.parametrize("recipe", ["sentiment/smoke", "dates/smoke"])
def test_a_recipe_reads_a_part_of_train_and_all_of_the_rest(recipe: str) -> None:
    def read(fraction: float, split: str) -> list[object]:
        _, config = resolve_recipe(recipe, {"train_fraction": fraction})
        if config.learns_from_pairs:
            return list(open_recipe_pairs(config, base=Path()).read(split))
        return list(open_recipe_examples(config, base=Path()).read(split))

    whole, part, smaller = (read(fraction, "train") for fraction in (1.0, 0.5, 0.1))
    assert len(part) == len(whole) // 2
    assert len(smaller) == len(whole) // 10
    rest = iter(whole)
    assert all(any(one == other for other in rest) for one in part), "not in the order of the whole"
    assert all(one in part for one in smaller)
    for split in ("validation", "test"):
        assert read(0.1, split) == read(1.0, split)


def test_fingerprints_tell_parts_apart() -> None:
    for recipe, wrapped in (("sentiment/smoke", PartOfExamples), ("dates/smoke", PartOfPairs)):
        found = set()
        for fraction in (0.1, 0.5, 1.0):
            config = load_config(RunConfig, find_recipe(recipe).path, {"train_fraction": fraction})
            opened = open_recipe_pairs if config.learns_from_pairs else open_recipe_examples
            corpus = opened(config, base=Path())
            assert isinstance(corpus, wrapped) == (fraction < 1)
            assert len(corpus.fingerprint("train")) == 64
            found.add((corpus.fingerprint("train"), corpus.fingerprint("test")))
        assert len(found) == 3
        assert len({test for _, test in found}) == 1


def test_a_block_whose_text_before_it_is_left_out_begins_anew() -> None:
    blocks = [Document(f"block {number} ", None, continues=number > 0) for number in range(40)]

    class Blocks:
        name, noun, splits = "blocks", ("block", "blocks"), ("train",)

        def read(self, split: str) -> object:
            return iter(blocks)

        def fingerprint(self, split: str) -> str:
            return "0"

    part = list(PartOfExamples(Blocks(), 0.5, 1).read("train"))  # type: ignore[arg-type]
    assert len(part) == 20
    numbers = [int(one.text.split()[1]) for one in part]
    for one, number in zip(part, numbers, strict=True):
        assert one.continues == (number - 1 in numbers)


@pytest.mark.parametrize(("recipe", "steps"), [("sentiment/smoke", 4), ("dates/smoke", 2)])
def test_a_curve_has_a_point_a_part_and_trains_nothing_twice(recipe: str, steps: int, tmp_path: Path) -> None:
    told: list[str] = []
    overrides = {"training.max_steps": steps}
    arguments = {"out": tmp_path / "curve", "overrides": overrides, "announce": told.append}
    curve = learning_curve(recipe, [1.0, 0.2], **arguments)  # type: ignore[arg-type]
    assert [point.fraction for point in curve.points] == [0.2, 1.0]
    small, large = (point.num_train for point in curve.points)
    assert small == large // 5
    first = next(iter(curve.points[0].scores))
    line = curve.chart.series[0]
    assert list(line.x) == [small, large]
    assert list(line.y) == [point.scores[first].value for point in curve.points]
    assert line.low is not None
    assert len(curve.chart.series) > 1, "no baseline"
    assert "<svg" in curve.report.read_text(encoding="utf-8")
    assert len(read_json(tmp_path / "curve" / "learning-curve.json")) == 2
    told.clear()
    again = learning_curve(recipe, [0.2, 1.0], **arguments)  # type: ignore[arg-type]
    assert again.points == curve.points
    assert sum("is trained already" in text for text in told) == 2
    with pytest.raises(RequestError, match=r"The fractions are 0, 1, expected different numbers above 0"):
        learning_curve(recipe, [0, 1.0])
