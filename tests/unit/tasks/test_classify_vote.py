"""Naive Bayes beside the net of a classifier: counted, weighed on validation, saved, and part of every answer."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlens.data.labelled.records import LabelledText
from seqlens.data.text import WordsConfig
from seqlens.errors import WorkError
from seqlens.models.classifier_config import ClassifierConfig, LetterGramsConfig
from seqlens.models.config import RecurrentEncoderConfig
from seqlens.tasks.classify.baselines import NaiveBayes
from seqlens.tasks.classify.calibration import fit_temperature
from seqlens.tasks.classify.config import ClassifyConfig
from seqlens.tasks.classify.task import ClassifyTask
from seqlens.tasks.classify.vote import CountedVote

MODEL = ClassifierConfig(
    embedding_dim=8,
    encoder=RecurrentEncoderConfig(cell="gru", hidden_dim=4),
    letter_grams=LetterGramsConfig(num_buckets=64),
)
CONFIG = ClassifyConfig(codec=WordsConfig(lowercase=True), model=MODEL, bayes=True)
ROWS = [[5, 6], [5], [7, 6], [7], [5, 7, 6]]
LABELS = ["a", "a", "b", "b", "a"]


def texts(count: int, seed: int) -> list[LabelledText]:
    """Each label has words of its own, which stand in the other's texts now and then."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        label = int(rng.integers(2))
        sides = np.where(rng.random(4) < 0.25, 1 - label, label)
        found.append(LabelledText(" ".join(f"word{side}{rng.integers(6)}" for side in sides), ("bad", "good")[label]))
    return found


def logits_of(labels: torch.Tensor, scale: float) -> torch.Tensor:
    noise = torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return noise + scale * torch.nn.functional.one_hot(labels.clamp(min=0), 2)


def test_counts_are_kept_as_they_were(tmp_path: Path) -> None:
    bayes = NaiveBayes.fit(ROWS, LABELS, orders=(1, 2))
    again = NaiveBayes.from_plain(json.loads(json.dumps(bayes.to_plain())))
    for row in [*ROWS, [], [9], [6, 7]]:
        assert again.scores(row) == bayes.scores(row)
        shares = np.exp(bayes.scores(row))
        assert list(bayes.probabilities(row).values()) == pytest.approx(list(shares / shares.sum()))
    CountedVote(bayes, 0.25).save(tmp_path)
    assert CountedVote.load(tmp_path).weight == 0.25
    (tmp_path / "bayes.json").write_text('{"weight": 1}', encoding="utf-8")
    with pytest.raises(WorkError, match=r"bayes\.json is damaged: expected 'weight', and the counts"):
        CountedVote.load(tmp_path)


def test_the_weight_is_that_of_a_search_over_many() -> None:
    train, held_out = texts(100, 1), texts(80, 2)
    task = ClassifyTask.fit(CONFIG, lambda: train)
    assert task.vote is not None
    rows = task.codec.encode_batch(one.text for one in held_out)
    labels = torch.tensor([task.labels.index(one.label) for one in held_out])
    logits = logits_of(labels, 1.0)

    def loss(weight: float) -> float:
        both = CountedVote(task.vote.bayes, weight).add(logits, rows)  # type: ignore[union-attr]
        return float(torch.nn.functional.cross_entropy(both / fit_temperature(both, labels), labels))

    found = task.vote.fitted(logits, rows, labels).weight
    best = min(np.linspace(0, 1, 101).tolist(), key=loss)
    assert 0.02 < best < 0.98
    assert found == pytest.approx(best, abs=0.02)
    unknown = torch.where(torch.arange(80) % 5 == 0, -1, labels)
    kept = (unknown >= 0).nonzero()[:, 0].tolist()
    without = task.vote.fitted(logits[kept], [rows[place] for place in kept], labels[kept])
    assert task.vote.fitted(logits, rows, unknown).weight == pytest.approx(without.weight, abs=1e-6)
    assert task.vote.fitted(logits_of(labels, 50.0), rows, labels).weight == 0
    turned = task.vote.fitted(logits, rows, 1 - labels)
    assert turned.weight == 0


def test_the_vote_is_part_of_answers_and_of_what_words_count_for(tmp_path: Path) -> None:
    train, held_out = texts(100, 1), texts(60, 2)
    task = ClassifyTask.fit(CONFIG, lambda: train)
    torch.manual_seed(0)
    model = task.build_model().eval()
    data = task.encode(held_out, training=False, seed=0)
    assert data.ids() == task.codec.encode_batch(one.text for one in held_out)
    asked = [one.text for one in held_out]
    alone = task.predict(model, asked)
    assert task.vote is not None
    assert task.vote.weight == 0
    fitted = task.finished(model, data, "cpu")
    assert fitted.vote is not None
    assert fitted.vote.weight > 0.05
    both = fitted.predict(model, asked)
    for one, other, text in zip(alone, both, asked, strict=True):
        scores = fitted.vote.bayes.scores(task.codec.encode(text))
        logits = [
            (np.log(one.probabilities[label]) + fitted.vote.weight * score) / fitted.temperature
            for label, score in zip(task.labels, scores, strict=True)
        ]
        shares = np.exp(logits) / np.exp(logits).sum()
        assert list(other.probabilities.values()) == pytest.approx(shares.tolist(), rel=1e-4)
    right = [sum(a.label == one.label for a, one in zip(of, held_out, strict=True)) for of in (alone, both)]
    assert right[1] > right[0] + 5
    (answer,) = fitted.predict(model, ["word00 word13 word14"], settings={"explain": True})
    (without,) = fitted.predict(model, ["word13 word14"])
    odds = [np.log(of.probabilities[answer.label] / (1 - of.probabilities[answer.label])) for of in (answer, without)]
    assert answer.tokens[0].weight == pytest.approx(float(odds[0] - odds[1]), abs=1e-4)
    fitted.save(tmp_path)
    assert ClassifyTask.load(fitted.config, tmp_path).predict(model, asked) == both
    assert "naive Bayes" in fitted.describe()


def test_naive_bayes_counts_the_labels_that_are_answered() -> None:
    grades = [LabelledText("fine", "good"), LabelledText("superb", "very good"), LabelledText("dull", "bad")]
    config = dataclasses.replace(CONFIG, answers={"very good": "good", "long": None})
    task = ClassifyTask.fit(config, lambda: [*grades, LabelledText("long", "long")])
    assert task.vote is not None
    assert task.vote.bayes.classes == list(task.labels) == ["bad", "good"]
    assert task.vote.bayes.probabilities(task.codec.encode("superb"))["good"] > 0.6
    assert task.vote.bayes.to_plain()["seen"] == [1, 2]
    with pytest.raises(ValueError, match="'bayes' is weighed as answers are calibrated, but 'calibrate' is false"):
        ClassifyConfig(bayes=True, calibrate=False)
