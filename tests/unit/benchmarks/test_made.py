"""Data made before a training: parts of a corpus translated back, or both of its sides translated by one run."""

import json
from pathlib import Path

import pytest

from benchmarks.quality.entry import Entry
from benchmarks.quality.groups import Group
from benchmarks.quality.jobs import plan_jobs
from benchmarks.quality.made import DiversifiedData, MadeData, make_data, seconds_of_making
from benchmarks.quality.queue import run_queue
from benchmarks.quality.results import results_page
from benchmarks.quality.work import SeqlensWorker
from benchmarks.rows import read_rows
from seqlens.config import load_config
from seqlens.data import corpus as corpora
from seqlens.training.run_config import RunConfig

WORDS = ("eins", "zwei", "drei", "vier")


@pytest.fixture(autouse=True)
def _small_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a folder in the place of the catalogue's data set."""
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "pairs"
    folder.mkdir()
    lines = [" ".join(WORDS[(number // 4**place) % 4] for place in range(4)) for number in range(60)]
    for split, chosen in (("train", lines[:40]), ("dev", lines[40:50]), ("test", lines[50:])):
        (folder / f"{split}.de").write_text("".join(f"{line}\n" for line in chosen), encoding="utf-8")
        (folder / f"{split}.en").write_text("".join(f"{line.upper()}\n" for line in chosen), encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def entry(name: str, source: str, target: str, **made: object) -> Entry:
    return Entry(
        name=name,
        title=name,
        section="S",
        recipe="dates/smoke",
        seeds=(1,),
        splits=("test",),
        overrides={"training.max_seconds": 60, "training.max_steps": 2, "training.validate_every": 2},
        made=MadeData(corpus="pairs", source=source, target=target, one_in=4, **made),  # type: ignore[arg-type]
    )


BACK = entry("back", "en", "de")
FORTH = entry("forth", "de", "en", back_translated_by="back", search={"method": "sample"}, true_weight=2.0)


def test_a_part_has_every_so_many_th_pair(tmp_path: Path) -> None:
    assert BACK.made is not None
    found = make_data(BACK.made, tmp_path / "made", run=None, seed=1, announce=print)
    sources = (tmp_path / "made" / "part.en").read_text(encoding="utf-8").splitlines()
    everything = (tmp_path / "pairs" / "train.en").read_text(encoding="utf-8").splitlines()
    assert sources == everything[::4]
    data = found["data"]
    assert isinstance(data, dict)
    opened = corpora.open_corpus(
        corpora.PairsData(**{**data, "train": corpora.FilePair(**data["train"])}), base=tmp_path
    )
    assert [pair.source for pair in opened.read("train")] == sources
    assert sum(1 for _ in opened.read("test")) == 10


def test_the_whole_path_from_a_reversed_run_to_a_row(tmp_path: Path) -> None:
    rows, work = tmp_path / "rows.jsonl", tmp_path / "work"
    origin = {"seqlens": "0", "commit": "c", "machine": {}, "time": "2026-01-02T03:04:05+00:00"}
    (job,) = plan_jobs([FORTH], [BACK])
    tally = run_queue([job], rows=rows, folder=work, worker=SeqlensWorker(), describe_origin=lambda: origin)
    assert tally.done == [job]
    (row,) = read_rows(rows)
    made = job.folder(work) / "made"
    rest = (tmp_path / "pairs" / "train.en").read_text(encoding="utf-8").splitlines()
    rest = [line for number, line in enumerate(rest) if number % 4]
    assert (made / "rest.en").read_text(encoding="utf-8").splitlines() == rest
    synthetic = [line.split("\t") for line in (made / "synthetic.tsv").read_text(encoding="utf-8").splitlines()]
    assert 0 < len(synthetic) <= len(rest)
    assert {target for _, target in synthetic} <= set(rest)
    assert row["data"]["num_train"] == 10 + len(synthetic)
    assert row["data"]["source"] == "de"
    assert row["splits"]["test"]["scores"]["perplexity"]["num_examples"] == 10
    assert "translated back by back (method sample)" in row["made"]
    assert row["data"].pop("name") == f"{tmp_path / 'pairs'} + files"  # a name of the catalogue stays as it is
    assert str(tmp_path) not in json.dumps(row)
    row["data"]["name"] = "pairs"
    row["machine"] = row["trained_on"]
    assert "every 4th training pair" in results_page([row], [], [FORTH])
    # What is made already is not made again.
    before = (made / "synthetic.tsv").stat().st_mtime_ns
    reversed_run = job.needs.folder(work) / "run" if job.needs else None
    assert FORTH.made is not None
    make_data(FORTH.made, made, run=reversed_run, seed=1, announce=print)
    assert (made / "synthetic.tsv").stat().st_mtime_ns == before


def test_both_sides_are_translated_by_the_run_that_a_training_starts_from(tmp_path: Path) -> None:
    short: dict[str, object] = {"training.max_seconds": 60, "training.max_steps": 2, "training.validate_every": 2}
    ways = [
        {"kind": "pairs", "path": "pairs", "source": source, "target": target}
        for source, target in (("de", "en"), ("en", "de"))
    ]
    parts = [{"data": data, "train_only": bool(number)} for number, data in enumerate(ways)]
    common = {"title": "T", "section": "S", "recipe": "dates/smoke", "seeds": (1,), "splits": ("test",)}
    first = Entry(name="first", overrides={**short, "data": {"kind": "mixture", "parts": parts}}, **common)  # type: ignore[arg-type]
    then = Entry(
        name="then",
        overrides=short,
        starts_from="first",
        made=DiversifiedData(corpus="pairs", source="de", target="en", made_by="first", search={"method": "greedy"}),
        **common,  # type: ignore[arg-type]
    )
    assert then.needed == ("first",)
    rows, work = tmp_path / "rows.jsonl", tmp_path / "work"
    origin = {"seqlens": "0", "commit": "c", "machine": {}, "time": "2026-01-02T03:04:05+00:00"}
    jobs = plan_jobs([then], [first])
    tally = run_queue(jobs, rows=rows, folder=work, worker=SeqlensWorker(), describe_origin=lambda: origin)
    assert tally.done == jobs
    (row,) = read_rows(rows)
    made = jobs[0].folder(work) / "made"
    made_targets, made_sources = (
        [line.split("\t") for line in (made / f"made-{side}.tsv").read_text(encoding="utf-8").splitlines()]
        for side in ("targets", "sources")
    )
    true = {
        language: (tmp_path / "pairs" / f"train.{language}").read_text(encoding="utf-8").splitlines()
        for language in ("de", "en")
    }
    assert made_targets
    assert {kept for _, kept in made_targets} <= set(true["de"])
    assert made_sources
    assert {kept for _, kept in made_sources} <= set(true["en"])
    assert row["data"]["num_train"] == 40 + len(made_targets) + len(made_sources)
    # What the training reads: sources in German and targets in English, whichever of them was made.
    config = load_config(RunConfig, jobs[0].folder(work) / "run" / "recipe.yaml")
    pairs = list(corpora.open_corpus(config.data, base=tmp_path).read("train"))
    assert {(pair.source, pair.target) for pair in pairs} == {
        *zip(true["de"], true["en"], strict=True),
        *((source, target) for target, source in made_targets),
        *((source, target) for source, target in made_sources),
    }
    assert row["made_seconds"] == seconds_of_making(made) > 0
    before, training = row["starts_from"]["training"]["seconds"], row["training"]["seconds"]
    assert Group((row,)).minutes == [pytest.approx((before + row["made_seconds"] + training) / 60)]
    row["machine"] = row["trained_on"]
    page = results_page([row], [], [then])
    assert "either side with the other translated by first (method greedy)" in page
    assert "minutes to make data" in page
