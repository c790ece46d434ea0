import math

import numpy as np
import pytest

from seqlens.errors import RequestError, WorkError
from seqlens.metrics import Perplexity, approximate_randomisation, paired_bootstrap


def test_it_weighs_symbols_not_sentences():
    metric = Perplexity()
    metric.add([math.log(2) * 9], [9])
    metric.add([math.log(8)], [1])
    score = metric.compute()
    assert score.value == pytest.approx(math.exp((9 * math.log(2) + math.log(8)) / 10))
    assert score.num_examples == 2
    assert score.low == pytest.approx(2.0)
    assert score.high == pytest.approx(8.0)


def test_a_model_that_is_equally_unsure_everywhere_has_no_interval_to_speak_of():
    metric = Perplexity()
    metric.add([length * math.log(50) for length in range(1, 40)], list(range(1, 40)))
    score = metric.compute()
    assert str(score) == "perplexity 50.00 [50.00, 50.00]"


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for repetition in range(200):
        metric = Perplexity(num_resamples=200, seed=repetition)
        counts = generator.integers(5, 15, size=80)
        metric.add([float(generator.exponential(2.0, size=count).sum()) for count in counts], counts.tolist())
        score = metric.compute()
        covered += score.low <= math.exp(2.0) <= score.high
    assert 0.88 <= covered / 200 <= 0.99


@pytest.mark.parametrize(
    ("nats", "counts", "error", "sentence"),
    [
        ([1.0], [1, 2], RequestError, "There are 1 log-likelihoods but 2 counts"),
        ([1.0, 1.0], [3, 0], RequestError, "Sentence 1 of the batch has 0 symbols"),
        ([1.0, math.nan], [3, 3], WorkError, "sentence 1 of the batch is nan"),
        ([math.inf], [3], WorkError, "sentence 0 of the batch is inf"),
    ],
)
def test_wrong_numbers_get_a_sentence_and_change_nothing(nats, counts, error, sentence):
    metric = Perplexity()
    metric.add([2.0], [2])
    before = metric.compute()
    with pytest.raises(error, match=sentence):
        metric.add(nats, counts)
    assert metric.compute() == before


def test_no_sentences_get_a_sentence():
    with pytest.raises(RequestError, match="perplexity of no examples"):
        Perplexity().compute()


def test_two_infinite_ones_are_not_told_apart() -> None:
    systems = [Perplexity(), Perplexity()]
    for scale, system in enumerate(systems, start=1):
        system.add([scale * 1e4] * 5, [1] * 5)
    statistics = [system.statistics() for system in systems]
    with np.errstate(invalid="ignore"):
        assert paired_bootstrap(*statistics).p_value == 1
        assert approximate_randomisation(*statistics) == 1
