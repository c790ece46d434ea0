import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from seqlens.errors import RequestError, WorkError
from seqlens.metrics import Chrf, corpus_chrf

texts = st.text(alphabet="ab cdé그A.,", max_size=15)
pair_lists = st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=6)


@settings(max_examples=80, deadline=None)
@given(pairs=pair_lists, lowercase=st.booleans(), word_order=st.sampled_from([0, 2]))
def test_value_name_and_signature_are_those_of_sacrebleu(pairs, lowercase, word_order):
    hypotheses, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    reference = CHRF(lowercase=lowercase, word_order=word_order)
    by_rank = [[r[k] if k < len(r) else None for r in references] for k in range(max(map(len, references)))]
    expected = reference.corpus_score(hypotheses, by_rank)
    score = corpus_chrf(hypotheses, references, lowercase=lowercase, word_order=word_order, num_resamples=10)
    assert score.value == pytest.approx(expected.score, abs=1e-9)
    assert score.name == expected.name
    assert score.signature == f"{reference.get_signature()}|bs:10|seed:12345"


def test_the_interval_is_that_of_sacrebleus_own_bootstrap():
    references = [f"the {animal} sat on the mat {place}" for animal in ("cat", "dog", "cow") for place in "abcdefgh"]
    hypotheses = [text.replace("cat", "car").replace("mat d", "met e") for text in references]
    expected = CHRF().corpus_score(hypotheses, [references], n_bootstrap=400)
    score = corpus_chrf(hypotheses, references, num_resamples=400)
    assert f"± {(score.high - score.low) / 2:.3f}" in expected.format(width=3)


def test_adding_in_batches_is_adding_at_once():
    hypotheses, references = ["abc", "a b", "", "xyz"], [["abd"], ["ab", "b a"], ["q"], ["xyz"]]
    metric = Chrf()
    for hypothesis, several in zip(hypotheses, references, strict=True):
        metric.add([hypothesis], [several])
    metric.add([], [])
    assert metric.compute() == corpus_chrf(hypotheses, references)


def test_no_examples_get_a_sentence():
    with pytest.raises(RequestError, match="chrF2 of no examples"):
        corpus_chrf([], [])


def test_a_sacrebleu_that_counts_otherwise_is_noticed(monkeypatch):
    original = CHRF._extract_corpus_statistics
    monkeypatch.setattr(
        CHRF, "_extract_corpus_statistics", lambda *args: [row[::-1] for row in original(*args)], raising=True
    )
    monkeypatch.setattr(
        CHRF, "sentence_score", lambda self, hypothesis, references: CHRF().corpus_score(["a"], [["a"]])
    )
    with pytest.raises(WorkError, match="counts chrF in another way"):
        corpus_chrf(["abc def"], ["abd dxf gg"])
