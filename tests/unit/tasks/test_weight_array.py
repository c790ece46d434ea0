"""Counts of neighbours at their places, against the formula written out, and beside a net."""

import json
from math import exp, log
from pathlib import Path

import pytest

from seqlens.data.labelled.records import LabelledText
from seqlens.data.text import NucleotidesConfig
from seqlens.models.classifier_config import ClassifierConfig
from seqlens.models.config import ConvolutionalEncoderConfig
from seqlens.tasks.classify.config import ClassifyConfig
from seqlens.tasks.classify.task import ClassifyTask
from seqlens.tasks.classify.vote import CountedVote
from seqlens.tasks.classify.weight_array import WeightArray

ROWS = [[1, 2, 3], [1, 2, 2], [2, 2, 3], [3, 1]]
LABELS = ["a", "a", "b", "b"]


def test_scores_are_those_of_the_formula() -> None:
    scores = WeightArray.fit(ROWS, LABELS).scores([1, 2, 1])
    symbols, quarter = 3, 0.25
    # a: two texts begin with 1, both go on with 2 there, and neither with 1 at the third place.
    a = log(2 / 4) + log((2 + quarter) / (2 + symbols * quarter)) * 2 + log(quarter / (2 + symbols * quarter))
    # b: none begins with 1, so that its second place says nothing; after 2 at the second place comes 3.
    b = log(2 / 4) + log(quarter / (2 + symbols * quarter)) + log(1 / symbols) + log(quarter / (1 + symbols * quarter))
    assert scores == pytest.approx([a - max(a, b), b - max(a, b)])


def test_what_training_has_nowhere_says_nothing() -> None:
    array = WeightArray.fit(ROWS, LABELS)
    assert array.scores([1, 2, 3, 1, 1]) == array.scores([1, 2, 3])
    assert array.scores([9]) == array.scores([]) == [0, 0]
    assert array.scores([3, 9, 9]) == array.scores([3])


def test_the_order_of_places_counts() -> None:
    rows = [[1, 2, 1, 2], [2, 1, 2, 1]] * 5
    array = WeightArray.fit(rows, ["odd", "even"] * 5)
    odd, even = array.classes.index("odd"), array.classes.index("even")
    assert array.scores([1, 2, 1, 2])[odd] == 0
    assert array.scores([1, 2, 1, 2])[even] < log(1e-2)


def test_a_vote_by_position_is_saved_and_loaded(tmp_path: Path) -> None:
    array = WeightArray.fit(ROWS, LABELS)
    again = WeightArray.from_plain(json.loads(json.dumps(array.to_plain())))
    assert [again.scores(row) for row in ROWS] == [array.scores(row) for row in ROWS]
    CountedVote(array, 0.25).save(tmp_path)
    loaded = CountedVote.load(tmp_path)
    assert isinstance(loaded.bayes, WeightArray)
    assert loaded.weight == 0.25
    assert loaded.bayes.scores([1, 2]) == array.scores([1, 2])


def test_a_task_counts_by_position_where_it_is_asked_to(tmp_path: Path) -> None:
    model = ClassifierConfig(
        embedding_dim=4, encoder=ConvolutionalEncoderConfig(channels=4), pooling="positions", num_positions=4
    )
    config = ClassifyConfig(codec=NucleotidesConfig(), model=model, bayes="positions")
    texts = [LabelledText("GTAA", "site"), LabelledText("AAGT", "none")] * 3
    task = ClassifyTask.fit(config, lambda: texts)
    assert task.vote is not None
    shares = [exp(score) for score in task.vote.bayes.scores(task.codec.encode("GTAA"))]
    assert shares[list(task.labels).index("none")] < 0.01
    task.save(tmp_path)
    again = ClassifyTask.load(config, tmp_path)
    assert again.vote is not None
    assert again.vote.bayes.to_plain() == task.vote.bayes.to_plain()
