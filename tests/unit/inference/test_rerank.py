"""The best of an n-best list by a second opinion."""

from collections.abc import Sequence

import pytest

from seqlens.data.codecs.marks import MarkedText
from seqlens.errors import RequestError, WorkError
from seqlens.inference import Predictor, Reranker, ReversedRun, Scorer, TextScore, load, tune_weight
from seqlens.metrics import corpus_bleu
from seqlens.workflows.forced import forced_log_probs

from .conftest import PAIRS, MakeRun

TEXTS = ["zwei katzen", "ein mann rennt im schnee", "", "hund"]


class Shortest:
    """Likes short answers; stands for a language model, which does not look at sources."""

    def __init__(self) -> None:
        self.num_calls = 0

    def score(self, sources: Sequence[str], answers: Sequence[str]) -> list[TextScore]:
        self.num_calls += 1
        return [TextScore(-100.0 * len(answer), 1) for answer in answers]


def test_weight_0_changes_nothing(predictor: Predictor) -> None:
    plain = predictor.predict(TEXTS, num_best=3)
    reranked = predictor.predict(TEXTS, num_best=3, reranker=Reranker(Shortest(), 0.0))
    assert [(one.text, one.score) for one in reranked] == [(one.text, one.score) for one in plain]
    assert [[other.text for other in one.alternatives] for one in reranked] == [
        [other.text for other in one.alternatives] for one in plain
    ]


def test_a_second_opinion_chooses_from_the_whole_beam(predictor: Predictor) -> None:
    beam = predictor.predict(TEXTS, beam_width=6, num_best=6, min_length=2)
    reranked = predictor.predict(TEXTS, beam_width=6, min_length=2, reranker=Reranker(Shortest(), 1.0))
    assert [one.text for one in reranked] != [one.text for one in beam]
    for one, listed in zip(reranked, beam, strict=True):
        finished = [other for other in (listed, *listed.alternatives) if other.finished]
        assert len(one.text) == min(len(other.text) for other in finished or (listed, *listed.alternatives))
        assert one.alternatives == ()


def test_a_score_is_that_of_the_search_and_the_weighted_opinion(make_run: MakeRun, predictor: Predictor) -> None:
    reversed_run = load(make_run(20, reverse=True), device="cpu")
    scorer = ReversedRun(reversed_run)
    assert isinstance(scorer, Scorer)
    for penalty in (0.0, 1.0):
        settings = {"beam_width": 4, "num_best": 4, "length_penalty": penalty}
        (plain,) = predictor.predict(TEXTS[1:2], **settings)
        (ours,) = predictor.predict(TEXTS[1:2], reranker=Reranker(scorer, 0.7), **settings)
        expected = {}
        for one in (plain, *plain.alternatives):
            (row,) = forced_log_probs(reversed_run, [one.text], TEXTS[1:2])
            expected[one.text] = one.score + 0.7 * sum(row) / len(row) ** penalty
        found = {one.text: one.score for one in (ours, *ours.alternatives)}
        assert found == pytest.approx(expected, rel=1e-4)
        finished = [one.score for one in (ours, *ours.alternatives) if one.finished]
        assert finished == sorted(finished, reverse=True)


def test_a_reversed_run_scores_pairs_as_alone_and_odd_ones_too(make_run: MakeRun) -> None:
    scorer = ReversedRun(load(make_run(21, reverse=True), device="cpu"))
    sources = ["ein hund", "x", "😀", "wort " * 300, ""]
    answers = ["a dog", "", "y", "word " * 300, "a"]
    together = scorer.score(sources, answers)
    for source, answer, score in zip(sources, answers, together, strict=True):
        (alone,) = scorer.score([source], [answer])
        assert score.num_tokens == alone.num_tokens
        assert score.log_prob == pytest.approx(alone.log_prob, rel=1e-4)
    assert scorer.score([], []) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_opinion_that_is_no_number_is_refused(predictor: Predictor, value: float) -> None:
    class Broken:
        def score(self, sources: Sequence[str], answers: Sequence[str]) -> list[TextScore]:
            return [TextScore(value, 1)] * len(answers)

    with pytest.raises(WorkError, match=f"Broken gave the log-probability {value} for the answer"):
        predictor.predict("hund", reranker=Reranker(Broken()))


def test_a_run_of_both_directions_is_its_own_second_opinion(make_run: MakeRun) -> None:
    there = [(MarkedText(source, tag="2en"), target) for source, target in PAIRS]
    back = [(MarkedText(target, tag="2de"), source) for source, target in PAIRS]
    run = load(make_run(33, pairs=there + back, shared=True), device="cpu")
    scorer = ReversedRun(run, tag="<2de>")
    (score,) = scorer.score(["ein hund"], ["a dog"])
    (row,) = forced_log_probs(run, [MarkedText("a dog", tag="2de")], ["ein hund"])
    assert score.log_prob == pytest.approx(sum(row), rel=1e-5)
    assert score != ReversedRun(run).score(["ein hund"], ["a dog"])[0]
    assert Reranker(scorer).describe()["tag"] == "2de"
    with pytest.raises(RequestError, match="There is no tag '2d', expected one of 2de, 2en"):
        ReversedRun(run, tag="2d")
    sources, references = [source for source, _ in PAIRS], [target for _, target in PAIRS]
    tuned = tune_weight(run, scorer, sources, references, weights=(0.0, 1.0), tag="2en", beam_width=3)
    plain = [answer.text for answer in run.predict(sources, tag="2en", beam_width=3)]
    assert tuned.scores[0.0] == pytest.approx(corpus_bleu(plain, references, num_resamples=0).value)


def test_a_weight_is_tuned_on_what_is_given(predictor: Predictor) -> None:
    sources, references = [source for source, _ in PAIRS], [target for _, target in PAIRS]
    scorer = Shortest()
    tuned = tune_weight(predictor, scorer, sources, references, weights=(0.0, 1.0), beam_width=4)
    assert scorer.num_calls == 1
    assert set(tuned.scores) == {0.0, 1.0}
    assert tuned.scores[tuned.weight] == max(tuned.scores.values())
    plain = tune_weight(predictor, scorer, sources, references, weights=(0.0,), beam_width=4)
    assert plain.weight == 0.0
    assert plain.scores[0.0] == tuned.scores[0.0]


def test_what_cannot_be_reranked_gets_a_sentence(predictor: Predictor) -> None:
    with pytest.raises(RequestError, match="Greedy search finds one answer"):
        predictor.predict("hund", method="greedy", reranker=Reranker(Shortest()))
    for settings in ({"beam_width": 1}, {"method": "sample"}):
        with pytest.raises(RequestError, match="is 1, so there is nothing to rerank"):
            predictor.predict("hund", reranker=Reranker(Shortest()), **settings)
        with pytest.raises(RequestError, match="is 1, so there is nothing to rerank"):
            tune_weight(predictor, Shortest(), ["a"], ["c"], **settings)
    with pytest.raises(RequestError, match="several were loaded together"):
        ReversedRun(load([predictor.path, predictor.path], device="cpu"))
    with pytest.raises(RequestError, match="weight of reranking is -1"):
        Reranker(Shortest(), -1.0)
    with pytest.raises(RequestError, match="2 sources and 1 references"):
        tune_weight(predictor, Shortest(), ["a", "b"], ["c"])
    with pytest.raises(RequestError, match="'weights' is empty"):
        tune_weight(predictor, Shortest(), ["a"], ["c"], weights=())
