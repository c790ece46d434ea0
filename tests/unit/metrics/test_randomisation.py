import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from seqlens.errors import RequestError
from seqlens.metrics import Bleu, ExactMatch, approximate_randomisation, mean_statistics, paired_bootstrap

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


@pytest.mark.parametrize("noise", [0.22, 0.26, 0.3])
def test_it_agrees_with_sacrebleus(noise):
    references, (baseline, system) = corpus(5, [0.22, noise])
    p_value = approximate_randomisation(
        statistics(Bleu(), system, references), statistics(Bleu(), baseline, references), num_trials=4000
    )
    named = [("baseline", baseline), ("system", system)]
    _, found = PairedTest(named, {"BLEU": BLEU()}, [references], test_type="ar", n_samples=4000)()
    assert p_value == pytest.approx(found["BLEU"][1].p_value, abs=0.03)


def test_a_system_against_itself_has_p_one_in_both_tests():
    references, (system,) = corpus(7, [0.2])
    for metric in (Bleu, ExactMatch):
        same = statistics(metric(), system, references)
        assert approximate_randomisation(same, same) == 1.0
        assert paired_bootstrap(same, same).p_value == 1.0
        part = same.select(range(0, 150, 3))
        assert approximate_randomisation(part, part) == 1.0


def test_the_order_of_the_two_does_not_matter():
    references, (left, right) = corpus(8, [0.2, 0.25])
    sides = statistics(Bleu(), left, references), statistics(Bleu(), right, references)
    assert approximate_randomisation(*sides) == approximate_randomisation(*reversed(sides))


def test_equally_good_systems_are_rarely_found_different():
    generator = np.random.default_rng(3)
    p_values = []
    for seed in range(200):
        scores = generator.normal(size=(2, 60)) + generator.normal(size=60)
        left, right = (mean_statistics("judgement", row.tolist()) for row in scores)
        p_values.append(approximate_randomisation(left, right, num_trials=300, seed=seed))
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(np.array(p_values) <= 0.5) == pytest.approx(0.5, abs=0.1)


def test_what_cannot_be_compared_gets_a_sentence():
    left = statistics(ExactMatch(), ["a", "b"], ["a", "b"])
    with pytest.raises(RequestError, match="different references"):
        approximate_randomisation(left.select([0]), left.select([1]))
    with pytest.raises(RequestError, match="'num_trials' is 0"):
        approximate_randomisation(left, left, num_trials=0)
    with pytest.raises(RequestError, match="no examples"):
        approximate_randomisation(left.select([]), left.select([]))


def test_a_part_scores_as_if_measured_alone():
    references, (system,) = corpus(9, [0.2])
    rows = [3, 1, 70, 149]
    part = statistics(Bleu(), system, references).select(rows)
    alone = statistics(Bleu(), [system[row] for row in rows], [references[row] for row in rows])
    assert part.score() == alone.score()
