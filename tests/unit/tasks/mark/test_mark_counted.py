"""What is counted around boundaries: by hand, by the model as by the counts, on others than the record's own part."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlens.data.dna.genes import GenesData
from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.data.open_examples import open_examples
from seqlens.models.marker import AFTER, BEFORE
from seqlens.models.marker_config import MarkerConfig
from seqlens.tasks.mark.boundaries import boundary_log_odds, count_boundaries, score_boundaries
from seqlens.tasks.mark.config import MarkConfig
from seqlens.tasks.mark.counted import Counted, CrossCounted
from seqlens.tasks.mark.dataset import MarkDataset
from seqlens.tasks.mark.grammar import GeneGrammar, ids_of
from seqlens.tasks.mark.states import DONOR, genes_of, paint, turned
from seqlens.tasks.mark.task import MarkTask


def genes(split: str) -> list[DnaRecord]:
    return list(open_examples(GenesData(num_train=30, num_test=4, length=1500), base=Path()).read(split))


GENES, TEST = genes("train"), genes("test")
CONFIG = MarkConfig(model=MarkerConfig(kmer=3, channels=8, dilations=(1,), boundaries="counted"), crop_length=500)
TASK = MarkTask.fit(CONFIG, lambda: GENES)
GRAMMAR = GeneGrammar(("ATG",), ("GT",), ("AG",), stop_is_coding=False)
# A gene of two exons, ATGCAG and CAACCC. Its donor stands after CAG, another GT after CCC.
SPLICED = DnaRecord("x", "CCCGTCCATGCAGGTCCCCCCAGCAACCCTAACCC", (Gene("+", ((7, 13), (23, 29))),))


def mirrored(record: DnaRecord) -> DnaRecord:
    return DnaRecord("mirrored", reverse_complement(record.sequence), tuple(genes_of(turned(paint(record)))))


@pytest.mark.parametrize("record", [SPLICED, mirrored(SPLICED)], ids=["+", "-"])
def test_pairs_around_a_boundary_are_counted(record: DnaRecord) -> None:
    true, other = count_boundaries([record], GRAMMAR)[:, DONOR - 1]
    pairs = {"AG": 2, "GG": 10, "GT": 11, "CG": 6}
    for place, pair in ((BEFORE - 1, "AG"), (BEFORE, "GG"), (BEFORE + 1, "GT")):
        assert true[place].sum() == 1
        assert true[place, pairs[pair]] == 1
    # Of this strand one, of the other two: AC stands twice.
    assert other[BEFORE + 1].sum() == other[BEFORE + 1, pairs["GT"]] == 3
    assert other[BEFORE, pairs["CG"]] == 1


def test_scores_are_sums_over_the_window_and_unknown_letters_count_nothing() -> None:
    log_odds = boundary_log_odds(count_boundaries([SPLICED] * 20, GRAMMAR))
    scores = score_boundaries(SPLICED.sequence, log_odds)[:, DONOR - 1]
    assert scores[13] > 1 > scores[3]
    by_hand = 0.0
    for place in range(BEFORE + AFTER):
        last = 13 + place - BEFORE
        if last >= 1:
            first, second = ("ACGT".index(letter) for letter in SPLICED.sequence[last - 1 : last + 1])
            by_hand += float(log_odds[DONOR - 1, place, 4 * first + second])
    assert scores[13] == pytest.approx(by_hand, rel=1e-5)
    assert not score_boundaries("N" * 50, log_odds).any()


def test_the_model_counts_as_the_task_does() -> None:
    model = TASK.build_model().eval()
    sequence = TEST[0].sequence[:300] + "NRY" + TEST[0].sequence[300:]
    expected = TASK.counted.of(sequence) if TASK.counted else np.zeros(0)
    found = model._counted(torch.from_numpy(ids_of(sequence))[None])[0].numpy()
    assert found.shape == (len(sequence), 10)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_boundaries_of_a_training_record_are_counted_on_others() -> None:
    crossed = CrossCounted(GENES, 3, TASK.grammar)
    others = [record for number, record in enumerate(GENES) if number % 10 != 3]
    expected = Counted.fit(others, 3, TASK.grammar).of(GENES[3].sequence)
    np.testing.assert_allclose(crossed.of(3, GENES[3].sequence), expected, atol=1e-6)
    batch = TASK.encode(GENES, training=True, seed=1).batch([0, 1], 0)
    assert batch.log_odds is not None
    assert batch.log_odds.shape == (2, *batch.bases.ids.shape, 10)


def test_counted_boundaries_are_as_likely_on_either_strand() -> None:
    model = TASK.build_model().eval()
    torch.nn.init.normal_(model.output.weight, std=0.3)
    losses = [
        TASK.loss(model, MarkDataset([record], TASK.grammar).batch([0])).total.item()
        for record in (GENES[0], mirrored(GENES[0]))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_they_reach_to_the_window_and_no_further() -> None:
    model = TASK.build_model().eval()
    torch.nn.init.zeros_(model.output.weight)
    ids = torch.from_numpy(ids_of(TEST[0].sequence))[None]
    changed = ids.clone()
    changed[0, 500] = ids_of("N")[0]
    lengths = torch.tensor([ids.shape[1]])
    with torch.no_grad():
        differs = (model(ids, lengths).scores != model(changed, lengths).scores).any(3).any(2)[0]
    places = torch.where(differs)[0]
    assert 500 - AFTER - BEFORE <= int(places.min()) < 500 - AFTER
    assert model.reach is not None
    assert model.reach >= BEFORE + 1
    assert 500 + 1 < int(places.max()) <= 500 + BEFORE + 1


def test_baselines_are_the_words_alone_and_with_boundaries() -> None:
    found = TASK.baselines(GENES, TEST)
    assert [name for name in found if "no training" in name] == [
        "counted words of 3 in the chain, no training",
        "counted words of 3 and boundaries in the chain, weighed as for flies, no training",
    ]
    assert len(found) == 4


def test_a_record_has_no_more_crops_than_it_may() -> None:
    records = [DnaRecord(str(times), "ACGT" * 100 * times) for times in (1, 2, 9)]
    free, bound = (MarkDataset(records, GRAMMAR, crop_length=400, max_crops=most) for most in (None, 4))
    assert [len(free), len(bound)] == [1 + 2 + 9, 1 + 2 + 4]
    assert set(bound.lengths.tolist()) == {400}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="'boundaries' is 'counted'"):
        MarkerConfig(boundaries="counted", strands="separate")
    with pytest.raises(ValueError, match="'boundaries' is 'counted'"):
        replace(CONFIG.model, kmer=0)
    plain = MarkTask.fit(replace(CONFIG, model=replace(CONFIG.model, boundaries="learned")), lambda: GENES)
    assert not any("boundary" in name for name in plain.build_model().state_dict())
    assert TASK.counted is not None
    assert TASK.counted.boundaries is not None
    with pytest.raises(ValueError, match="a model that counts them"):
        plain.build_model().start_from(torch.from_numpy(TASK.counted.words), torch.from_numpy(TASK.counted.boundaries))
