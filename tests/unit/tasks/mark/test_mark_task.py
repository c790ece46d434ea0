"""The task `mark`: its chain against all paths, windows against the whole, answers other programs read, scores."""

import io
import math
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlens.data.dna.genes import GenesData, open_genes
from seqlens.data.dna.gff3 import read_annotation
from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.errors import RequestError
from seqlens.models.config import RecurrentEncoderConfig, TransformerEncoderConfig
from seqlens.models.marker_config import MarkerConfig
from seqlens.tasks.mark.answer import Marking, marking_of, marking_of_genes, to_bed, to_gff3
from seqlens.tasks.mark.baselines import best_stretch_length, placed_gene, stop_free_genes, usual_place
from seqlens.tasks.mark.chain import GeneChain
from seqlens.tasks.mark.config import MarkConfig
from seqlens.tasks.mark.counted import CrossCounted
from seqlens.tasks.mark.dataset import MarkDataset
from seqlens.tasks.mark.grammar import GeneGrammar
from seqlens.tasks.mark.measures import marking_measures
from seqlens.tasks.mark.states import EDGES, PREDECESSORS, genes_of, paint, turned
from seqlens.tasks.mark.task import MarkTask, _chain
from seqlens.tasks.mark.windows import plan_windows, score_windows
from seqlens.tasks.mark.words import count_words, word_log_odds

GENES = list(open_genes(GenesData(num_train=30, length=1500)).read("train"))
TEST = list(open_genes(GenesData(num_test=6, length=1500)).read("test"))
CONFIG = MarkConfig(model=MarkerConfig(kmer=3, channels=8, dilations=(1, 3)), window=1000, overlap=100)
TASK = MarkTask.fit(CONFIG, lambda: GENES)


def randomised(config: MarkConfig = CONFIG, std: float = 0.3) -> torch.nn.Module:
    torch.manual_seed(0)
    model = replace(TASK, config=config).build_model().eval()
    torch.nn.init.normal_(model.output.weight, std=std)
    return model


def test_learned_positions_that_do_not_reach_over_a_window_are_refused() -> None:
    encoder = TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=400)
    model = MarkerConfig(kmer=3, channels=8, dilations=(1,), encoder=encoder)
    config = MarkConfig(model=model, window=1200, overlap=100, crop_length=1200)
    assert replace(TASK, config=config).build_model().encoder is not None
    with pytest.raises(ValueError, match=r"reach 400 steps of 3 bases .* has 1,203 bases"):
        replace(TASK, config=replace(config, window=1203)).build_model()


def test_the_chain_sums_over_all_paths_that_the_grammar_allows() -> None:
    sequence = "ATGT"
    torch.manual_seed(1)
    scores = torch.randn(1, 4, 2, 8)
    signals = torch.from_numpy(GeneGrammar(("ATG",), ("GT",), ("AG",), True).signals(sequence))[None]
    total = 0.0
    for path in product(range(13), repeat=4):
        if all(last in PREDECESSORS[now] for last, now in pairwise(path)):
            total += math.exp(score_of(path, scores[0], signals[0]))
    chain = GeneChain()
    found = chain.chain.log_partition(chain.edges(scores, signals))
    assert float(found) == pytest.approx(math.log(total), rel=1e-5)


def score_of(path: tuple[int, ...], scores: torch.Tensor, signals: torch.Tensor) -> float:
    """By hand: scores of states, and of boundaries where the grammar allows them."""
    score = 0.0
    for step, state in enumerate(path):
        if state:
            strand, place = divmod(state - 1, 6)
            score += float(scores[step, strand, min(place, 3)])
        if step:
            kind = dict(EDGES[state])[path[step - 1]]
            if kind:
                strand, which = divmod(kind - 1, 5)
                if not signals[step, strand, which]:
                    return -math.inf
                if which < 4:
                    score += float(scores[step if strand == 0 else step - 1, strand, 4 + which])
    return score


def test_the_loss_of_a_path_that_breaks_the_grammar_is_finite() -> None:
    record = DnaRecord("x", "CCCAAACCC", (Gene("+", ((3, 6),)),))
    batch = MarkDataset([record], TASK.grammar).batch([0])
    loss = TASK.loss(randomised(), batch)
    assert loss.count == 9
    assert 0 < loss.total.item() < 100


def test_both_strands_have_the_same_loss() -> None:
    model = randomised()
    one = GENES[0]
    states = turned(paint(one))
    other = DnaRecord("r", reverse_complement(one.sequence), tuple(genes_of(states)))
    losses = [TASK.loss(model, MarkDataset([record], TASK.grammar).batch([0])).total.item() for record in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize(("length", "stride"), [(1000, 1), (1001, 1), (2345, 1), (5000, 6), (4321, 6), (10_007, 7)])
def test_windows_cover_everything_once(length: int, stride: int) -> None:
    plan = plan_windows(length, window=1000, overlap=100, stride=stride)
    assert plan[0].first == 0
    assert plan[-1].last == length
    assert all(left.last == right.first for left, right in pairwise(plan))
    for one in plan:
        assert one.start % stride == 0
        assert (length - one.end) % stride == 0
        assert one.start == 0 or one.first - one.start >= 100 - stride
        assert one.end == length or one.end - one.last >= 100


def test_a_hundred_thousand_bases_in_windows_are_answered_as_the_whole() -> None:
    sequence = "".join(record.sequence for record in GENES)
    sequence = (sequence * (1 + 100_000 // len(sequence)))[:100_000]
    model = randomised(std=0.05)  # little enough that the counted words still find genes
    windows = replace(TASK, config=replace(CONFIG, window=10_000))
    whole = replace(TASK, config=replace(CONFIG, window=200_000))
    (scores,), (expected,) = (
        score_windows(model, [sequence], window=task.config.window, overlap=100) for task in (windows, whole)
    )
    np.testing.assert_allclose(scores, expected, atol=1e-4, rtol=1e-4)
    (answer,), (reference,) = (
        task.predict(model, [sequence], settings={"decoding": "path", "confidence": False}) for task in (windows, whole)
    )
    assert answer.regions == reference.regions
    assert len(answer.regions) > 20


def test_a_recurrent_encoder_forgets_little_beyond_the_overlap() -> None:
    config = replace(
        CONFIG, model=replace(CONFIG.model, encoder=RecurrentEncoderConfig(cell="lstm", hidden_dim=4), stride=6)
    )
    model = randomised(config)
    sequence = "".join(record.sequence for record in GENES)[:3001]
    (scores,), (expected,) = (score_windows(model, [sequence], window=window, overlap=300) for window in (1500, 5000))
    assert np.abs(scores - expected).max() < 0.02 * np.abs(expected).max()


def test_crops_are_a_function_of_seed_epoch_and_index() -> None:
    data = TASK.encode(GENES, training=True, seed=3)
    assert len(data) >= len(GENES)
    first, again, later = (data.batch([0, 5], epoch) for epoch in (1, 1, 2))
    assert torch.equal(first.bases.ids, again.bases.ids)
    assert torch.equal(first.states, again.states)
    assert not torch.equal(first.bases.ids, later.bases.ids)
    other = TASK.encode(GENES, training=True, seed=4).batch([0, 5], 1)
    assert not torch.equal(first.bases.ids, other.bases.ids)


def test_training_sees_both_strands() -> None:
    data = MarkDataset([GENES[0]], TASK.grammar, crop_length=200, seed=1)
    seen = {tuple(np.unique(data.batch([0], epoch).states.numpy()).tolist()) for epoch in range(40)}
    strands = {max(states) >= 7 for states in seen if max(states)}
    assert strands == {True, False}


def test_counted_words_tell_coding_from_other_bases() -> None:
    log_odds = word_log_odds(count_words(GENES, 3), 3)
    assert log_odds.shape == (64, 6)
    # Codons of generated genes end in C or G five times as often.
    assert log_odds[:, 2].reshape(16, 4)[:, 1:3].mean() > 0.3 > log_odds[:, 2].reshape(16, 4)[:, [0, 3]].mean()


def test_words_of_a_training_record_are_counted_on_others() -> None:
    records = GENES[:20]
    counted = CrossCounted(records, 3)
    own = counted.of(3, records[3].sequence)
    others = [record for number, record in enumerate(records) if number % 10 != 3]
    expected = word_log_odds(count_words(others, 3), 3)
    first = "ACGT".index(records[3].sequence[0]) * 16 + "ACGT".index(records[3].sequence[1]) * 4
    np.testing.assert_allclose(own[2], expected[first + "ACGT".index(records[3].sequence[2])], rtol=1e-6)
    assert np.all(own[:2] == 0)
    assert np.all(counted.of(0, "ACNGT") == [[0] * 6] * 5)


def test_log_odds_that_are_given_take_the_place_of_the_models_own() -> None:
    model = randomised()
    batch = TASK.encode(GENES, training=True, seed=1).batch([0, 1], 0)
    assert batch.log_odds is not None
    table = torch.cat((torch.from_numpy(word_log_odds(count_words(GENES, 3), 3)), torch.zeros(1, 6)))
    own = torch.stack([table[model._words_of(batch.bases.ids)]] * 2)  # type: ignore[operator]
    with torch.no_grad():
        model.eval()
        plain = model(batch.bases.ids, batch.bases.lengths).scores[:, :, 0]
        given = model(batch.bases.ids, batch.bases.lengths, own).scores[:, :, 0]
    mask = batch.bases.mask()
    torch.testing.assert_close(plain[mask], given[mask])


def test_answers_go_to_gff3_and_bed_and_back(tmp_path: Path) -> None:
    pytest.importorskip("Bio")
    found = [marking_of_genes(record.name, record.genes, len(record.sequence)) for record in TEST]
    path = tmp_path / "found.gff3"
    path.write_text(to_gff3(found))
    for record in read_annotation(path).add_to(TEST, "memory"):
        expected = next(one for one in TEST if one.name == record.name).genes
        assert [(gene.strand, gene.exons, gene.phase) for gene in record.genes] == [
            (gene.strand, gene.exons, gene.phase) for gene in expected
        ]
    lines = [line.split("\t") for line in io.StringIO(to_bed(found)).read().splitlines()]
    assert all(len(line) == 6 for line in lines)
    first = TEST[0].genes[0]
    assert [int(lines[0][1]), int(lines[0][2]), lines[0][5]] == [*first.exons[0], first.strand]


def test_an_answer_in_words_and_in_json() -> None:
    states = np.array([0, 0, 9, 8, 7, 9, 8, 7, 0])
    answer = marking_of("chr 1", states, np.linspace(0, 1, 9))
    assert str(answer) == "chr 1\t1 gene\t3..8(-)"
    assert answer.to_plain()["regions"] == [
        {"start": 2, "end": 8, "strand": "-", "phase": 0, "confidence": 0.5625, "gene": "chr 1.1"}
    ]
    assert "chr%201\tseqlens\tCDS\t3\t8\t0.5625\t-\t0" in to_gff3([answer])


def test_measures_by_hand() -> None:
    record = DnaRecord("x", "A" * 20, (Gene("+", ((2, 6), (10, 12))),))
    found = marking_measures([record], [[Gene("+", ((2, 6),)), Gene("-", ((10, 14),))]])
    assert found["sensitivity"].value() == pytest.approx(4 / 6)
    assert found["precision"].value() == pytest.approx(4 / 8)
    assert found["either_strand_f1"].value() == pytest.approx(2 * 6 / (2 * 6 + 2))
    assert found["exon_sensitivity"].value() == pytest.approx(1 / 2)
    assert found["gene_precision"].value() == 0
    nothing = marking_measures([record], [[]])
    assert nothing["precision"].value() == 0
    assert nothing["correlation"].value() == 0


def test_correlation_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    found = [stop_free_genes(record, 90) for record in TEST]
    truth = np.concatenate([coding(record, list(record.genes)) for record in TEST])
    answer = np.concatenate([coding(record, genes) for record, genes in zip(TEST, found, strict=True)])
    measures = marking_measures(TEST, found)
    assert measures["correlation"].value() == pytest.approx(metrics.matthews_corrcoef(truth, answer))
    assert measures["either_strand_f1"].value() == pytest.approx(metrics.f1_score(truth, answer))


def coding(record: DnaRecord, genes: list[Gene]) -> np.ndarray:
    found = np.zeros(len(record.sequence), dtype=bool)
    for gene in genes:
        for start, end in gene.exons:
            found[start:end] = True
    return found


def test_baselines() -> None:
    record = DnaRecord("x", "TAA" + "C" * 90 + "TAA" + "C" * 30, (Gene("+", ((3, 93),)),))
    assert stop_free_genes(record, 91) != stop_free_genes(record, 200) == []
    longest = max(stop_free_genes(record, 60), key=lambda gene: gene.num_coding)
    assert longest.num_coding >= 90
    assert best_stretch_length(GENES[:5]) in (30, 60, 90, 120, 150, 180, 240, 300, 400, 500, 700, 1000)
    assert usual_place([record, replace(record, name="y")]) == (3, 33, "+")
    assert placed_gene(record, 3, 33, "+") == [Gene("+", ((3, 93),))]
    assert placed_gene(record, 100, 90, "+") == []
    found = TASK.baselines(GENES, TEST)
    assert len(found) == 3
    assert all("coding_f1" in measures for measures in found.values())


def test_requests_that_cannot_be_met() -> None:
    with pytest.raises(RequestError, match="not one gene"):
        MarkTask.fit(CONFIG, lambda: [DnaRecord("x", "ACGT")])
    with pytest.raises(RequestError, match="no sequence"):
        MarkTask.fit(CONFIG, list)
    with pytest.raises(RequestError, match="Did you mean 'confidence'"):
        TASK.read_settings({"confidense": True})
    with pytest.raises(RequestError, match="'X' as its letter 3"):
        TASK.predict(randomised(), ["ACXT"])


@pytest.mark.parametrize("sequence", ["", "A", "ACG", "NNNNNNNN"])
def test_short_sequences_have_an_answer(sequence: str) -> None:
    (answer,) = TASK.predict(randomised(), [sequence])
    assert isinstance(answer, Marking)
    assert answer.num_bases == len(sequence)


def test_a_fitted_task_is_saved(tmp_path: Path) -> None:
    TASK.save(tmp_path)
    assert MarkTask.load(CONFIG, tmp_path) == MarkTask(CONFIG, TASK.grammar)


def test_each_device_has_a_chain_of_its_own() -> None:
    elsewhere = torch.device("meta")
    assert _chain(elsewhere).kinds.device == elsewhere
    here = torch.device("cpu")
    assert _chain(here).kinds.device == here
    assert _chain(here) is _chain(here)
