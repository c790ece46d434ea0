"""Several runs that answer as one."""

import math
from dataclasses import replace

import pytest
import torch

from seqlens.data.examples import Pair
from seqlens.data.text import END_ID, START_ID, MarkedText
from seqlens.decoding.ensemble import mean_log_probs
from seqlens.errors import RequestError
from seqlens.inference import Predictor, load
from seqlens.models.config import TransducerConfig, TransformerEncoderConfig
from seqlens.tasks.transduce.answer import Translation
from seqlens.workflows.forced import reference_log_probs

from .conftest import PAIRS, MakeRun, transformer

TEXTS = ["zwei katzen", "ein mann rennt im schnee", "", "hund", "die katze (alt)"]


def assert_same(ours: list[Translation], theirs: list[Translation]) -> None:
    assert [one.text for one in ours] == [one.text for one in theirs]
    assert [one.log_prob for one in ours] == pytest.approx([one.log_prob for one in theirs], abs=1e-4)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.alignment is None) == (other.alignment is None)
        if one.alignment is not None and other.alignment is not None:
            assert one.alignment.source_tokens == other.alignment.source_tokens
            assert torch.allclose(one.alignment.weights, other.alignment.weights, atol=1e-5)


def test_the_mean_is_that_of_probabilities() -> None:
    first, second = torch.randn(3, 4), torch.randn(3, 6)
    second[:, 5] = float("-inf")
    mean = mean_log_probs([first, second]).exp()
    expected = (torch.nn.functional.pad(first.softmax(1), (0, 2)) + second.softmax(1)) / 2
    assert torch.allclose(mean, expected, atol=1e-6)
    assert torch.allclose(mean_log_probs([first]), first.log_softmax(1), atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"method": "greedy"}, {"beam_width": 4, "diversity_groups": 2}])
def test_two_equal_runs_answer_as_one_of_them(settings: dict[str, object], make_run: MakeRun) -> None:
    path = make_run(5)
    alone, twice = load(path, device="cpu"), load([path, path], device="cpu")
    assert_same(twice.predict(TEXTS, **settings), alone.predict(TEXTS, **settings))


def test_the_order_of_runs_does_not_matter_and_batches_neither(make_run: MakeRun) -> None:
    paths = [make_run(6), make_run(7, model=transformer()), make_run(8)]
    model = load(paths, device="cpu")
    answers = model.predict(TEXTS, num_best=2)
    assert_same(load(paths[::-1], device="cpu").predict(TEXTS, num_best=2), answers)
    assert_same([model.predict(text, num_best=2) for text in TEXTS], answers)
    assert_same(model.predict(TEXTS, num_best=2, batch_size=2), answers)
    for text, answer in zip(TEXTS, answers, strict=True):
        if text:
            assert answer.log_prob == pytest.approx(joint_log_prob(model, text, answer), abs=1e-3)


def joint_log_prob(model: Predictor, text: str, answer: Translation) -> float:
    """Of an answer's tokens, from each run's own forward pass."""
    target = model.task.target_codec.encode(answer.text)
    chosen = [*target, END_ID] if answer.finished else target
    rows = []
    for one in (model, *model.others):
        encoded, _ = one.task.encode_sources(one.model, [text])
        source = torch.tensor(encoded)
        read = torch.tensor([[START_ID, *chosen[:-1]]])
        with torch.no_grad():
            output = one.model(source, torch.tensor([source.shape[1]]), read, torch.tensor([read.shape[1]]))
            rows.append(output.logits[0].softmax(1)[range(len(chosen)), chosen])
    return sum(math.log(float(mean)) for mean in torch.stack(rows).mean(0))


def test_runs_may_read_in_different_ways(make_run: MakeRun) -> None:
    words, characters = make_run(9), make_run(10, source_codec="characters")
    model = load([words, characters], device="cpu")
    alone = load(words, device="cpu")
    answers = model.predict(TEXTS, prefix="the dog", constraints=["a cat"])
    for text, answer in zip(TEXTS, answers, strict=True):
        assert answer.text.startswith("the dog") == bool(text)
        assert ("a cat" in answer.text) == bool(text)
    aligned = model.predict(TEXTS[1]).alignment
    assert aligned is not None
    assert aligned.source_tokens == alone.predict(TEXTS[1]).alignment.source_tokens  # type: ignore[union-attr]
    assert torch.allclose(aligned.weights.sum(1), torch.ones(len(aligned.weights)), atol=1e-4)


def test_runs_that_write_differently_are_refused(make_run: MakeRun) -> None:
    other = make_run(11, pairs=[*PAIRS, ("wolf", "wolf")])
    with pytest.raises(RequestError, match=r"run-11 writes with another vocabulary than .*run-12 \(fingerprints"):
        load([make_run(12), other], device="cpu")
    with pytest.raises(RequestError, match="no runs to load"):
        load([])
    twice = load([other, other], device="cpu")
    with pytest.raises(RequestError, match="'workers' is 2"):
        twice.predict(TEXTS, workers=2)


def test_a_run_that_copies_and_one_that_cannot(make_run: MakeRun) -> None:
    copying, plain = make_run(13, copy=True), make_run(14, copy=False, shared=True)
    text = "ein wolf und ein hund"
    with pytest.raises(RequestError, match="has 'wolf', which the target vocabulary does not have"):
        load(plain, device="cpu").predict(text, prefix="a wolf")
    answers = [
        load(paths, device="cpu").predict(text, prefix="a wolf", constraints=["und"])
        for paths in ([copying], [copying, plain], [plain, copying])
    ]
    for answer in answers:
        assert answer.text.startswith("a wolf")
        assert "und" in answer.text
    assert answers[1].text == answers[2].text
    assert answers[1].log_prob == pytest.approx(answers[2].log_prob, abs=1e-4)


def test_references_are_scored_as_answers_are_by_a_run_that_copies_and_one_that_cannot(make_run: MakeRun) -> None:
    copying, plain = make_run(13, copy=True), make_run(14, copy=False, shared=True)
    text = "ein wolf und ein hund"
    for paths in ([copying], [copying, plain], [plain, copying]):
        model = load(paths, device="cpu")
        answer = model.predict(text, prefix="a wolf", max_length=12)
        pairs = [Pair(text, answer.text)]
        (found,) = reference_log_probs(model, pairs, print)
        assert sum(found[: len(found) - (not answer.finished)]) == pytest.approx(answer.log_prob, abs=1e-4)


def test_an_alignment_does_not_depend_on_other_texts_of_the_call(make_run: MakeRun) -> None:
    def reaching(length: int) -> TransducerConfig:
        encoder = TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=length)
        return replace(transformer(), encoder=encoder)

    model = load([make_run(1, model=reaching(6)), make_run(2, model=reaching(30))], device="cpu")
    long = "ein hund rennt im schnee und der mann rennt"
    alone, beside, cut = model.predict("ein hund"), *model.predict(["ein hund", long])
    assert_same([beside], [alone])
    assert_same([cut], [model.predict(long)])


def test_a_run_without_tags_or_context_reads_the_text_alone(make_run: MakeRun) -> None:
    plain = make_run(3)
    tagged = make_run(4, pairs=[(MarkedText(source, tag="2en", context=["hund"]), target) for source, target in PAIRS])
    model = load([tagged, plain], device="cpu")
    turned = load([plain, tagged], device="cpu")
    answer = model.predict("ein hund", tag="2en")
    assert answer.log_prob == pytest.approx(turned.predict("ein hund", tag="2en").log_prob, abs=1e-4)
    marked = MarkedText("ein hund", tag="2en", context=["hund"])
    assert model.predict(marked).log_prob == pytest.approx(turned.predict(marked).log_prob, abs=1e-4)
    with pytest.raises(RequestError, match="There is no tag '2fr', expected one of 2en"):
        turned.predict("ein hund", tag="2fr")
    with pytest.raises(RequestError, match="this vocabulary has no tags"):
        load(plain, device="cpu").predict("ein hund", tag="2en")


def test_runs_that_read_other_numbers_of_sentences_do_not_answer_together(make_run: MakeRun) -> None:
    def reading(count: int | None) -> Predictor:
        one = load(make_run(3), device="cpu")
        one.record = {**one.record, "data": {"context_sentences": count}}
        return one

    with pytest.raises(RequestError, match=r"reads 1 sentences of context and .* 3, so they cannot answer together"):
        reading(3).joined_by([reading(1)])
    for first, second in ((2, 2), (2, 0), (0, 2), (None, 2)):
        assert reading(first).joined_by([reading(second)]).context_sentences() == 2
    with pytest.raises(RequestError, match="trained on single sentences"):
        reading(0).joined_by([reading(None)]).context_sentences()
