import logging
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from seqlens.errors import RequestError
from seqlens.metrics import Bleu, corpus_bleu
from seqlens.metrics.bleu import bleu_of_totals

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat,", "rug.", "big", "Big", "old", "é", "e\u0301", "그"]
sentences = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)


def by_rank(references: list[list[str]]) -> list[list[str | None]]:
    """References as sacrebleu takes them: first references, second references, ..., None where there is none."""
    return [[r[k] if k < len(r) else None for r in references] for k in range(max(map(len, references)))]


@settings(max_examples=80, deadline=None)
@given(
    pairs=st.lists(st.tuples(sentences, st.lists(sentences, min_size=1, max_size=3)), min_size=1, max_size=6),
    lowercase=st.booleans(),
    tokenize=st.sampled_from(["13a", "char", "none"]),
)
def test_value_and_signature_are_those_of_sacrebleu(pairs, lowercase, tokenize):
    hypotheses, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    reference = BLEU(lowercase=lowercase, tokenize=tokenize)
    expected = reference.corpus_score(hypotheses, by_rank(references))
    score = corpus_bleu(hypotheses, references, lowercase=lowercase, tokenize=tokenize, num_resamples=10)
    assert score.value == pytest.approx(expected.score, abs=1e-9)
    assert score.signature == f"{reference.get_signature()}|bs:10|seed:12345"
    assert score.num_examples == len(pairs)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 9), *[st.integers(0, 3)] * 4, *[st.integers(0, 5)] * 4),
        min_size=1,
        max_size=5,
    )
)
def test_the_formula_for_many_sets_is_sacrebleus_for_one(rows):
    rows = [(*row[:6], *(max(match, count) for match, count in zip(row[2:6], row[6:], strict=True))) for row in rows]
    ours = bleu_of_totals(np.array(rows, dtype=np.float64))
    for value, row in zip(ours, rows, strict=True):
        theirs = BLEU.compute_bleu(list(row[2:6]), list(row[6:]), row[0], row[1], smooth_method="exp")
        assert value == pytest.approx(theirs.score, abs=1e-9)


def corpus(seed: int, num_sentences: int = 60) -> tuple[list[str], list[str]]:
    """References, and hypotheses in which every third word or so is another."""
    choice = random.Random(seed)
    references = [" ".join(choice.choices(WORDS, k=choice.randint(4, 12))) for _ in range(num_sentences)]
    hypotheses = [
        " ".join(choice.choice(WORDS) if choice.random() < 0.3 else word for word in reference.split())
        for reference in references
    ]
    return hypotheses, references


def test_the_interval_is_that_of_sacrebleus_own_bootstrap():
    hypotheses, references = corpus(1)
    expected = BLEU().corpus_score(hypotheses, [references], n_bootstrap=400)
    score = corpus_bleu(hypotheses, references, num_resamples=400)
    assert f"± {(score.high - score.low) / 2:.3f}" in expected.format(width=3)
    assert score.low < score.value < score.high


def test_a_seed_fixes_the_interval():
    hypotheses, references = corpus(2)
    assert corpus_bleu(hypotheses, references) == corpus_bleu(hypotheses, references)
    assert corpus_bleu(hypotheses, references).low != corpus_bleu(hypotheses, references, seed=7).low


def test_adding_in_batches_is_adding_at_once():
    hypotheses, references = corpus(3)
    metric = Bleu()
    metric.add(hypotheses[:7], references[:7])
    metric.compute()
    metric.add([], [])
    metric.add(hypotheses[7:], references[7:])
    assert metric.compute() == corpus_bleu(hypotheses, references)


def test_a_value_without_an_interval():
    score = corpus_bleu(["the cat sat on the mat"], ["the cat sat on the mat"], num_resamples=0)
    assert score.value == pytest.approx(100.0)
    assert math.isnan(score.low)
    assert math.isnan(score.high)
    assert "bs:" not in score.signature


def test_case_and_unicode_are_compared_as_they_are():
    composed, decomposed = "un café très bon marché", "un cafe\u0301 tre\u0300s bon marche\u0301"
    assert corpus_bleu([composed], [composed]).value == pytest.approx(100.0)
    assert corpus_bleu([decomposed], [composed]).value < 50
    assert corpus_bleu([composed.upper()], [composed]).value == 0
    assert corpus_bleu([composed.upper()], [composed], lowercase=True).value == pytest.approx(100.0)


def test_nothing_is_logged_a_sentence(caplog):
    with caplog.at_level(logging.WARNING):
        corpus_bleu(*corpus(4))
    assert caplog.records == []


@pytest.mark.parametrize(
    ("hypotheses", "references", "settings", "sentence"),
    [
        ([], [], {}, "BLEU of no examples was asked for"),
        (["a"], ["a", "b"], {}, "There are 1 hypotheses but references for 2"),
        (["a", "b"], ["a", []], {}, "Example 1 of the batch has no reference"),
        (["a"], ["a"], {"tokenize": "13b"}, "'tokenize' is '13b', expected one of none, zh, 13a.* Did you mean '13a'?"),
        ("a b", ["a b"], {}, "a single text was given, expected a list of texts"),
        (["a", "b"], "ab", {}, "a single text was given, expected a list of texts"),
        (["a"], ["a"], {"num_resamples": -1}, "'num_resamples' is -1"),
    ],
)
def test_a_wrong_request_gets_a_sentence(hypotheses, references, settings, sentence):
    with pytest.raises(RequestError, match=sentence):
        corpus_bleu(hypotheses, references, **settings)
