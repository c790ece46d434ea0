import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

from seqlens.errors import RequestError
from seqlens.metrics import Bleu, Chrf, ExactMatch, Perplexity, against_baselines, mean_statistics, paired_bootstrap
from seqlens.metrics.bootstrap import resample_totals

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "rug", "big", "old", "tree"]


def corpus(seed: int, noises: list[float], num_sentences: int = 150) -> tuple[list[str], list[list[str]]]:
    """References, and for each noise the hypotheses of a system that gets so large a share of the words wrong."""
    choice = random.Random(seed)
    references = [" ".join(choice.choices(WORDS, k=choice.randint(4, 12))) for _ in range(num_sentences)]
    systems = [
        [" ".join(choice.choice(WORDS) if choice.random() < noise else w for w in text.split()) for text in references]
        for noise in noises
    ]
    return references, systems


def statistics(metric, hypotheses, references):
    metric.add(hypotheses, references)
    return metric.statistics()


@pytest.mark.parametrize(("ours", "theirs"), [(Bleu, BLEU), (Chrf, CHRF)])
@pytest.mark.parametrize("noise", [0.22, 0.26, 0.3])
def test_it_agrees_with_sacrebleus_paired_tests(ours, theirs, noise):
    references, (baseline, system) = corpus(5, [0.22, noise])
    named = [("baseline", baseline), ("system", system)]
    left = statistics(ours(), system, references)
    right = statistics(ours(), baseline, references)
    result = paired_bootstrap(left, right)

    _, by_bootstrap = PairedTest(named, {"metric": theirs()}, [references], test_type="bs", n_samples=1000)()
    theirs_baseline, theirs_system = by_bootstrap[result.name]
    assert result.system == pytest.approx(theirs_system.score, abs=1e-9)
    assert result.baseline == pytest.approx(theirs_baseline.score, abs=1e-9)
    # sacrebleu's p-value is another one (see the docstring), but computed from the same resamples.
    totals = [resample_totals(side.per_example, 1000, 12345) for side in (left, right)]
    differences = np.abs(left.score_totals(totals[0]) - right.score_totals(totals[1]))
    count = (differences - differences.mean() > abs(result.difference)).sum()
    assert theirs_system.p_value == pytest.approx((count + 1) / 1001, abs=2 / 1001)  # they sum in float32

    _, by_randomisation = PairedTest(named, {"metric": theirs()}, [references], test_type="ar", n_samples=1000)()
    assert result.p_value == pytest.approx(by_randomisation[result.name][1].p_value, abs=0.06)


def test_a_better_system_is_found_better():
    references, (system, baseline) = corpus(6, [0.1, 0.3])
    result = paired_bootstrap(statistics(Bleu(), system, references), statistics(Bleu(), baseline, references))
    assert result.low > 0
    assert result.low < result.difference == result.system - result.baseline < result.high
    assert result.p_value == 1 / 1001
    assert result.share_higher == 1.0
    assert str(result).startswith(f"BLEU +{result.difference:.1f} [+")
    assert str(result).endswith("], p = 0.001")
    back = paired_bootstrap(statistics(Bleu(), baseline, references), statistics(Bleu(), system, references))
    assert (back.difference, back.low, back.high) == (-result.difference, -result.high, -result.low)
    assert back.p_value == result.p_value


def test_a_system_is_no_better_than_itself():
    references, (system,) = corpus(7, [0.2])
    same = statistics(ExactMatch(), system, references)
    result = paired_bootstrap(same, same)
    assert (result.difference, result.low, result.high, result.share_higher) == (0.0, 0.0, 0.0, 0.0)
    assert result.p_value == 1.0


def test_equally_good_systems_are_rarely_found_different():
    generator = np.random.default_rng(3)
    p_values = []
    for seed in range(200):
        scores = generator.normal(size=(2, 60)) + generator.normal(size=60)
        left, right = (mean_statistics("judgement", row.tolist()) for row in scores)
        p_values.append(paired_bootstrap(left, right, num_resamples=300, seed=seed).p_value)
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(np.array(p_values) <= 0.5) == pytest.approx(0.5, abs=0.1)


def test_pairing_sees_a_small_difference_that_intervals_do_not():
    generator = np.random.default_rng(4)
    hard = generator.normal(scale=10.0, size=100)
    left = mean_statistics("judgement", (hard + 1 + generator.normal(size=100)).tolist())
    right = mean_statistics("judgement", hard.tolist())
    assert left.score().low < right.score().high
    assert paired_bootstrap(left, right).p_value < 0.01


def test_a_seed_fixes_the_result():
    references, (system, baseline) = corpus(8, [0.2, 0.25])
    sides = statistics(Chrf(), system, references), statistics(Chrf(), baseline, references)
    assert paired_bootstrap(*sides) == paired_bootstrap(*sides)
    assert paired_bootstrap(*sides).low != paired_bootstrap(*sides, seed=1).low


def perplexity(nats, counts):
    metric = Perplexity()
    metric.add(nats, counts)
    return metric.statistics()


@pytest.mark.parametrize(
    ("left", "right", "sentence"),
    [
        (
            statistics(Bleu(), ["a"], ["a"]),
            statistics(Chrf(), ["a"], ["a"]),
            r"BLEU \(.*\) cannot be compared with chrF2",
        ),
        (statistics(Bleu(lowercase=True), ["a"], ["a"]), statistics(Bleu(), ["a"], ["a"]), "measured in the same way"),
        (statistics(Bleu(), ["a"], ["a"]), statistics(Bleu(), ["a", "b"], ["a", "b"]), "on 1 examples and .* on 2"),
        (statistics(ExactMatch(), ["a"], ["a"]), statistics(ExactMatch(), ["a"], ["b"]), "different references"),
        (perplexity([1.0], [4]), perplexity([1.0], [5]), "different references"),
        (mean_statistics("accuracy", []), mean_statistics("accuracy", []), "accuracy of no examples"),
    ],
)
def test_what_cannot_be_compared_gets_a_sentence(left, right, sentence):
    with pytest.raises(RequestError, match=sentence):
        paired_bootstrap(left, right)


def test_each_baseline_is_compared_by_the_first_measure_if_it_has_it():
    values = np.random.default_rng(0).random(50)
    own = {"accuracy": mean_statistics("accuracy", values), "recall": mean_statistics("recall", values)}
    other = mean_statistics("accuracy", values - 0.1)
    elsewhere = mean_statistics("accuracy", values, references_id="others")
    baselines = {"worse": {"accuracy": other}, "another measure": {"recall": other}, "apart": {"accuracy": elsewhere}}
    tests = against_baselines(own, baselines)
    assert tests == {"worse": paired_bootstrap(own["accuracy"], other)}
    assert tests["worse"].difference == pytest.approx(0.1)
    assert (
        against_baselines({"accuracy": own["accuracy"].select([0])}, {"worse": {"accuracy": other.select([0])}}) == {}
    )


@pytest.mark.parametrize("num_examples", [1, 2, 3, 8])
def test_few_examples_prove_little(num_examples):
    right = [f"a {number}" for number in range(num_examples)]
    result = paired_bootstrap(
        statistics(ExactMatch(), right, right), statistics(ExactMatch(), ["b"] * num_examples, right)
    )
    assert result.difference == 1.0
    assert result.p_value == 2.0 ** (1 - num_examples)
