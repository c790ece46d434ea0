"""What is kept of answers, and which entry is said to beat which."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.provenance import QUALITY_ANSWERS, QUALITY_ROWS
from benchmarks.quality.answers import file_stem, keep_answers, read_kept, read_kept_of, stem_of
from benchmarks.quality.comparison_page import (
    comparison_pictures,
    comparison_section,
    find_pairing,
    mean_over_seeds,
    picture_name,
)
from benchmarks.quality.comparison_plan import COMPARISONS
from benchmarks.quality.entry import Comparison, Entry, check_plan
from benchmarks.quality.groups import groups_for, groups_of
from benchmarks.quality.length_page import by_length
from benchmarks.quality.plan import PLAN
from benchmarks.quality.results import results_page
from benchmarks.rows import read_rows
from seqlens.errors import WorkError
from seqlens.metrics import corpus_bleu, corpus_chrf, paired_bootstrap
from seqlens.report import chart_svg
from seqlens.tasks.transduce.analysis.buckets import make_buckets

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "rug", "big", "old", "tree"]
ENTRIES = tuple(
    Entry(name=name, title=name.title(), section="S", recipe="dates/smoke", seeds=(1, 2), splits=("test",))
    for name in ("attention", "bottleneck")
)
COMPARISON = Comparison(
    name="attention-helps", question="Does attention help?", system="attention", baseline="bottleneck", by_length=True
)


def made_up(seed: int, noise: float, count: int = 200) -> tuple[list[str], list[str], list[str]]:
    """Sources, references, and answers with so large a share of wrong words; sources and references do not change."""
    fixed, choice = random.Random(0), random.Random(seed)
    references = [" ".join(fixed.choices(WORDS, k=fixed.randint(3, 25))) for _ in range(count)]
    sources = [text.upper() + (" zebra" if row % 4 == 0 else "") for row, text in enumerate(references)]
    answers = [
        " ".join(choice.choice(WORDS) if choice.random() < noise else word for word in text.split()).capitalize()
        for text in references
    ]
    return sources, references, answers


def keep(folder: Path, entry: str, seed: int, noise: float, **options: Any) -> tuple[list[str], list[str], list[str]]:
    texts = made_up(10 * seed + len(entry), noise, **options)
    sources, references, answers = texts
    keep_answers(
        folder,
        file_stem(entry, "s1", seed, "test"),
        sources=sources,
        references=references,
        answers=answers,
        training_sources=WORDS,
        fingerprint="f",
        language="en",
    )
    return texts


def row(entry: str, seed: int) -> dict[str, Any]:
    made = {"recipe": "dates/smoke", "overrides": {}, "settings": "s1", "time": "2026-01-01"}
    return {"entry": entry, "seed": seed, **made, "splits": {"test": {"scores": {}}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two systems, one clearly better, two seeds each."""
    for seed in (1, 2):
        keep(tmp_path, "attention", seed, 0.1)
        keep(tmp_path, "bottleneck", seed, 0.3)
    return tmp_path


ROWS = [row(entry, seed) for entry in ("attention", "bottleneck") for seed in (1, 2)]


def test_what_is_kept_scores_as_the_answers_do(tmp_path: Path) -> None:
    _, references, answers = keep(tmp_path, "attention", 1, 0.2)
    kept = read_kept(tmp_path, file_stem("attention", "s1", 1, "test"))
    assert kept is not None
    assert (kept.num_sentences, kept.num_in_split) == (200, 200)
    assert kept.scores["bleu_lowercase"].score() == corpus_bleu(answers, references, lowercase=True)
    assert kept.scores["bleu_cased"].score() == corpus_bleu(answers, references)
    assert kept.scores["chrf_lowercase"].score() == corpus_chrf(answers, references, lowercase=True)
    assert kept.scores["chrf_cased"].score() == corpus_chrf(answers, references)
    assert len({statistics.value() for statistics in kept.scores.values()}) == len(kept.scores), "each another number"
    assert kept.numbers["unknown"][:5] == [1, 0, 0, 0, 1]
    assert kept.numbers["length"][1] == len(references[1].split())
    assert read_kept(tmp_path, "attention/s1-seed-2-test") is None


def test_equal_answers_are_equal_small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.quality.answers.LARGEST_FILE", 5000)
    for name in ("one", "two"):
        keep(tmp_path / name, "attention", 1, 0.2, count=400)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.gz"))
    assert [path.name for path in files] == ["s1-seed-1-test.counts.gz", "s1-seed-1-test.txt.gz"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        assert 4000 < (tmp_path / "one" / file).stat().st_size <= 5000
    kept = read_kept(tmp_path / "one", "attention/s1-seed-1-test")
    assert kept is not None
    assert 0 < kept.num_sentences < kept.num_in_split == 400
    keep(tmp_path / "one", "bottleneck", 1, 0.2, count=400)
    compared = [row("attention", 1), row("bottleneck", 1)]
    other = read_kept(tmp_path / "one", "bottleneck/s1-seed-1-test")
    assert other is not None
    part = f"sentences of the first {min(kept.num_sentences, other.num_sentences)}"
    assert part in comparison_section([COMPARISON], compared, ENTRIES, tmp_path / "one")


@pytest.mark.parametrize("content", [b"x", b""])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "e/s1-seed-1-test.counts.gz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(WorkError, match=r"counts\.gz is damaged"):
        read_kept(tmp_path, "e/s1-seed-1-test")


def test_the_mean_over_seeds_is_the_mean_of_their_scores(folder: Path) -> None:
    pairing = find_pairing(COMPARISON, ROWS, ENTRIES, folder)
    assert pairing is not None
    statistics = [kept.scores["bleu_lowercase"] for kept in pairing.system]
    mean = mean_over_seeds(statistics)
    assert mean.value() == pytest.approx((statistics[0].value() + statistics[1].value()) / 2)
    alone = mean_over_seeds(statistics[:1])
    assert alone.score() == statistics[0].score()
    assert mean_over_seeds([statistics[0]] * 2).score().low == pytest.approx(statistics[0].score().low)


def test_a_clear_winner_wins_and_the_other_way_round_loses(folder: Path) -> None:
    section = comparison_section([COMPARISON], ROWS, ENTRIES, folder)
    assert "| Does attention help? | Attention | Bottleneck |" in section
    assert "| 1, 2 |" in section
    assert "**wins** by" in section
    assert f"![Score by source length](gallery/{picture_name(COMPARISON)})" in section
    turned = dataclasses.replace(COMPARISON, system="bottleneck", baseline="attention")
    assert "**loses** by" in comparison_section([turned], ROWS, ENTRIES, folder)
    pairing = find_pairing(COMPARISON, ROWS, ENTRIES, folder)
    assert pairing is not None
    system, baseline = pairing.statistics("bleu_lowercase", pairing.rows(unknown_only=False))
    result = paired_bootstrap(system, baseline)
    assert f"{result.difference:+.1f} [{result.low:+.1f}, {result.high:+.1f}]" in section


def test_equal_systems_do_not_win(tmp_path: Path) -> None:
    for seed in (1, 2):
        keep(tmp_path, "attention", seed, 0.2)
        keep(tmp_path, "bottleneck", seed, 0.2)
    assert "| does not win: the difference may be chance |" in comparison_section([COMPARISON], ROWS, ENTRIES, tmp_path)


def test_a_cure_for_unknown_words_is_judged_on_their_sentences(folder: Path) -> None:
    cure = dataclasses.replace(COMPARISON, unknown_only=True, by_length=False)
    section = comparison_section([cure], ROWS, ENTRIES, folder)
    assert "sentences with unknown words (50 sentences)" in section
    assert "by source length" not in section


def test_the_picture_has_both_systems(folder: Path) -> None:
    (chart,) = comparison_pictures([COMPARISON], ROWS, ENTRIES, folder).values()
    assert [series.name for series in chart.series] == ["Attention", "Bottleneck"]
    assert all(low < y < high for one in chart.series for low, y, high in zip(one.low, one.y, one.high))
    assert "Bottleneck" in chart_svg(chart)


def test_only_seeds_that_both_have_are_compared(folder: Path) -> None:
    pairing = find_pairing(COMPARISON, [one for one in ROWS if one != row("bottleneck", 1)], ENTRIES, folder)
    assert pairing is not None
    assert (pairing.seeds, pairing.left_out) == ((2,), ())
    section = comparison_section([COMPARISON], [row("attention", 1)], ENTRIES, folder)
    assert "| not run yet |" in section
    assert comparison_pictures([COMPARISON], [row("attention", 1)], ENTRIES, folder) == {}
    assert comparison_section([], ROWS, ENTRIES, folder) == ""


def test_a_seed_of_which_too_little_is_kept_is_named(folder: Path) -> None:
    (folder / "bottleneck/s1-seed-1-test.counts.gz").unlink()
    pairing = find_pairing(COMPARISON, ROWS, ENTRIES, folder)
    assert pairing is not None
    assert (pairing.seeds, pairing.left_out) == ((2,), (1,))
    assert "| 2 (of 1 too little is kept) |" in comparison_section([COMPARISON], ROWS, ENTRIES, folder)


def test_rows_of_other_settings_than_the_plans_are_not_compared(folder: Path) -> None:
    otherwise = [{**one, "overrides": {"training.max_steps": 3}} for one in ROWS]
    assert find_pairing(COMPARISON, otherwise, ENTRIES, folder) is None
    wanted = dataclasses.replace(ENTRIES[0], overrides={"training.max_steps": 3})
    assert groups_for(otherwise, wanted).current is not None
    assert groups_for(otherwise, ENTRIES[0]).current is None
    assert len(groups_for(otherwise, ENTRIES[0]).earlier) == 1


def test_counts_that_give_another_score_than_their_row_are_refused(folder: Path) -> None:
    (first, *_), kept = ROWS, read_kept(folder, file_stem("attention", "s1", 1, "test"))
    assert kept is not None
    value = kept.scores["chrf_cased"].value()
    for found, fits in ((value, True), (value + 0.1, False)):
        told = {**first, "splits": {"test": {"scores": {"chrf_cased": {"value": found}}}}}
        if fits:
            assert read_kept_of(folder, told, "test") is not None
            continue
        with pytest.raises(WorkError, match=r"gives chrf_cased .* expected .* as in the row"):
            read_kept_of(folder, told, "test")


def test_all_that_is_kept_scores_as_the_rows_say() -> None:
    checked = sum(
        (kept := read_kept_of(QUALITY_ANSWERS, row, split)) is not None and kept.num_sentences == kept.num_in_split
        for row in read_rows(QUALITY_ROWS)
        if "codec" in row
        for split in row["splits"]
    )
    assert checked > 50


def test_the_page_holds_the_section(folder: Path) -> None:
    page = results_page([], [], ENTRIES, [COMPARISON], folder)
    assert "## Comparisons" in page
    assert "## Comparisons" not in results_page([], [], ENTRIES)


def test_an_entrys_score_is_shown_by_the_length_of_its_sources(folder: Path) -> None:
    (group,) = groups_of([row("attention", 1), row("attention", 2)], "attention")
    shown = by_length(group, "test", "bleu_lowercase", folder)
    kept = [read_kept(folder, stem_of(each, "test")) for each in group.rows]
    lines = [line.split(" | ") for line in shown.splitlines() if line.startswith("| ")][2:]
    assert sum(int(line[1]) for line in lines) == 200
    for bucket, line in zip(make_buckets("length", kept[0].numbers["length"]), lines, strict=True):  # type: ignore[union-attr]
        scores = [one.scores["bleu_lowercase"].select(bucket.rows).score().value for one in kept if one is not None]
        assert float(line[2].split(" [")[0]) == pytest.approx(sum(scores) / 2, abs=0.06)
    assert by_length(group, "other", "bleu_lowercase", folder) == "", "what was not kept is not shown"


def test_a_comparison_without_its_entries_is_refused() -> None:
    check_plan(PLAN, COMPARISONS)
    check_plan(ENTRIES, [COMPARISON])
    for wrong, sentence in (
        (dataclasses.replace(COMPARISON, system="other"), "no entry 'other'"),
        (dataclasses.replace(COMPARISON, split="dev"), "has no split 'dev'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            check_plan(ENTRIES, [wrong])
    with pytest.raises(ValueError, match="compared with itself"):
        dataclasses.replace(COMPARISON, system="bottleneck")
    with pytest.raises(ValueError, match=r"'score' is 'chrf_case', expected one of .*mean 'chrf_cased'"):
        dataclasses.replace(COMPARISON, score="chrf_case")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="have the name"):
        check_plan(ENTRIES, [COMPARISON, COMPARISON])
