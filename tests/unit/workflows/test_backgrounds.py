"""What a sentence is judged by in an analysis: the training pairs and the language of its own direction."""

from dataclasses import replace
from pathlib import Path

import pytest

import seqlens
from seqlens.data.corpus import MixtureData, MixturePart, PairsData, open_corpus
from seqlens.data.fractions import PartOfPairs
from seqlens.workflows.backgrounds import find_backgrounds, read_training
from seqlens.workflows.compare import compare

RECIPE = """
description: both directions
data:
  kind: mixture
  parts:
    - {data: {kind: pairs, path: own.tsv, source: de, target: en}, tag: 2en}
    - {data: {kind: pairs, path: own.tsv, source: en, target: de, source_column: 1, target_column: 0,
              split_by: target}, tag: 2de}
task:
  codec: {kind: shared, text: {kind: words}}
  model:
    embedding_dim: 8
    encoder: {kind: recurrent, cell: gru, hidden_dim: 8}
    decoder: {kind: recurrent, cell: gru, hidden_dim: 8}
  decoding: {method: greedy}
  scores: [exact_match]
batches: {max_tokens: 120}
training: {max_steps: 1, precision: float32}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    lines = [f"der Hund sieht Haus {n}\tthe dog sees house {n}\n" for n in range(200)]
    (tmp_path / "own.tsv").write_text("".join(lines))
    (tmp_path / "both.yaml").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize("languages", [("de", "en"), (None, None)], ids=["named", "by columns"])
@pytest.mark.parametrize("tags", [("2en", "2de"), (None, None)], ids=["tags", "no tags"])
def test_each_direction_has_its_own(
    languages: tuple[str | None, str | None], tags: tuple[str | None, str | None], folder: Path
) -> None:
    there = PairsData(path="own.tsv", source=languages[0], target=languages[1])
    back = PairsData(
        path="own.tsv", source=languages[1], target=languages[0], source_column=1, target_column=0, split_by="target"
    )
    more = replace(there, path=None, train="own.tsv")
    parts = (
        MixturePart(there, tag=tags[0], name="there"),
        MixturePart(back, tag=tags[1], name="back"),
        MixturePart(more, name="more", train_only=True),
    )
    corpus = open_corpus(MixtureData(parts), base=Path())
    training = read_training(corpus)
    found = find_backgrounds(corpus, "test", training, own_data=True)
    pairs = list(corpus.read("test"))
    assert len(found) == len(pairs)
    for pair, background in zip(pairs, found, strict=True):
        german = pair.source.startswith("der")
        assert background.language == ((languages[0] if german else languages[1]) or "source")
        text = background.training
        assert text is not None
        assert text.is_copy("hund" if german else "dog")
        assert not text.is_copy("dog" if german else "hund")
        # The pairs without a tag are of this direction too.
        num_pairs = sum(
            len(part.pairs) for part in training if part.direction == training[0 if german else 1].direction
        )
        assert text.source_counts["hund" if german else "dog"] == num_pairs
    only = find_backgrounds(corpus, "test-back", training, own_data=True)
    assert {id(one) for one in only} == {id(only[0])}
    assert only[0].training is not None
    assert found[-1].training is not None
    assert only[0].training.source_counts == found[-1].training.source_counts


def test_a_part_of_the_training_data_is_counted_as_that_part(folder: Path) -> None:
    there = PairsData(path="own.tsv", source="de", target="en")
    back = PairsData(path="own.tsv", source="en", target="de", source_column=1, target_column=0, split_by="target")
    whole = open_corpus(MixtureData((MixturePart(there, tag="x"), MixturePart(back, tag="y"))), base=Path())
    corpus = PartOfPairs(whole, 0.25, 3)
    parts = read_training(corpus)
    assert [pair for part in parts for pair in part.pairs] == [
        (pair.source, pair.target) for pair in corpus.read("train")
    ]
    assert len(find_backgrounds(corpus, "test", parts, own_data=True)) == sum(1 for _ in corpus.read("test"))


def test_an_analysis_of_a_run_of_both_directions(folder: Path) -> None:
    seqlens.train("both.yaml", out="run")
    analysis = seqlens.evaluate("run", analyse=True).analysis
    assert analysis is not None
    assert analysis.language == "de+en"
    clauses = "".join("der Hund sieht das Haus weil die Katze das Haus sieht\tthe dog\n" for _ in range(20))
    simple = "".join(f"der Hund sieht Haus {n}\tthe dog sees house {n}\n" for n in range(15))
    (folder / "new.tsv").write_text(clauses + simple)
    seqlens.train("both.yaml", out="other", overrides={"seed": 2})
    found = compare(["run", "other"], data="new.tsv", tag="2en", by="clauses")
    assert found.by is not None
    buckets = next(iter(found.by.groupings.values())).buckets
    assert [(scored.bucket.label, len(scored.bucket.rows)) for scored in buckets] == [("1", 15), ("2+", 20)]
    told = seqlens.evaluate("run", data="new.tsv", tag="2de", analyse=True, write=False).analysis
    assert told is not None
    assert told.language == "en"
