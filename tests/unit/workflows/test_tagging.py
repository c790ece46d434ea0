"""From own CoNLL files to a tagger and its score, as the recipes' page says."""

import warnings
from pathlib import Path

import pytest
from seqeval.metrics import f1_score

import seqlens
from seqlens.data.tagged.people import PeopleData, generate_people
from seqlens.data.tagged.schemes import write_tags
from seqlens.errors import RequestError
from seqlens.tasks.tag.answer import Tagging
from seqlens.workflows.evaluate_examples import sample_input

SIZES = PeopleData(num_train=120, num_validation=30, num_test=30)
FEW = {"training.max_steps": 30, "training.validate_every": 10, "training.log_every": 10}


def write_columns(folder: Path) -> None:
    for split, name in (("train", "train.conll"), ("validation", "dev.conll"), ("test", "test.conll")):
        lines = ["-DOCSTART- O", ""]
        for example in generate_people(SIZES, split):
            tags = write_tags(len(example.tokens), example.token_spans(), "iob1")
            lines += [f"{word} _ {tag}" for word, tag in zip(example.words(), tags, strict=True)] + [""]
        (folder / name).write_text("\n".join(lines), encoding="utf-8")


def test_own_columns_to_a_tagger_and_the_score_that_seqeval_gives(tmp_path: Path) -> None:
    write_columns(tmp_path)
    data = {"data": {"kind": "spans", "path": str(tmp_path), "scheme": "iob1", "tag_column": 2}}
    run = seqlens.train("ner/smoke", out=tmp_path / "run", overrides={**data, **FEW})
    scores = seqlens.evaluate(run.path, split="test")
    written = (run.path / "evaluation" / "test" / "predictions.conll").read_text(encoding="utf-8")
    rows = [[line.split("\t") for line in block.splitlines()] for block in written.strip().split("\n\n")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth, found = ([[line[column] for line in block] for block in rows] for column in (1, 2))
        assert scores["f1"].value == pytest.approx(float(f1_score(truth, found)), abs=1e-12)
    assert scores["f1"].value > 0
    assert scores["f1"].low <= scores["f1"].value <= scores["f1"].high
    model = seqlens.load(run.path)
    texts = ["Yesterday, Harry Potter met Hermione Granger.", ""]
    answers = model.predict(texts)
    assert all(isinstance(answer, Tagging) for answer in answers)
    assert [answer.text for answer in answers] == texts
    assert answers == run.predictor.predict(texts)
    other = seqlens.evaluate(run.path, data=tmp_path / "dev.conll")
    assert other["f1"].num_examples == 30


@pytest.mark.parametrize("join", [1, 100])
def test_what_is_shown_of_the_data_fits_a_command(tmp_path: Path, join: int) -> None:
    """`predict` is told with an input of validation: a line of it, and no more than can be read."""
    write_columns(tmp_path)
    data = {"data": {"kind": "spans", "path": str(tmp_path), "scheme": "iob1", "tag_column": 2, "join": join}}
    shorter = {**data, **FEW, "training.max_steps": 1, "training.schedule.warmup_steps": 0, "batches.max_tokens": 9999}
    run = seqlens.train("ner/smoke", out=tmp_path / "run", overrides=shorter)
    shown = sample_input(run.predictor)
    assert "\n" not in shown
    assert 0 < len(shown) <= 80
    assert next(generate_people(SIZES, "validation")).text.startswith(shown[:5])


def test_a_broken_file_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    write_columns(tmp_path)
    data = {"data": {"kind": "spans", "path": str(tmp_path), "tag_column": 2}}
    with pytest.raises(RequestError, match=r"train\.conll line \d+ has 'I-person' .*set 'scheme: iob1'"):
        seqlens.train("ner/smoke", out=tmp_path / "run", overrides={**data, **FEW})
    assert not (tmp_path / "run" / "model.safetensors").exists()
