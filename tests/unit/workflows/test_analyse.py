"""The analysis of a run: texts, attention and log-probabilities together."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import seqlens
from seqlens.data.codecs.marks import MarkedText
from seqlens.errors import RequestError
from seqlens.inference.predictor import Predictor
from seqlens.tasks.transduce.analysis.training_text import Background, TrainingText
from seqlens.workflows.analyse import analyse_answers, by_word, other_sources
from seqlens.workflows.compare import compare
from seqlens.workflows.contest import write_comparison
from seqlens.workflows.forced import forced_log_probs

COMPAT = Path(__file__).parents[2] / "compat" / "run-format-1"


@pytest.fixture
def predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predictor:
    """An old run, loaded; it answers dates."""
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEQLENS_MIRROR", raising=False)
    return seqlens.load(shutil.copytree(COMPAT, tmp_path / "run"), device="cpu")


def test_forced_log_probabilities_are_those_of_the_search_in_any_batch(predictor: Predictor) -> None:
    sources = ["June 25, 2009", "2009년 6월 25일", "1 mai 2001; 2 mai 2001", "25 juin 2009"]
    answers = predictor.predict(sources)
    forced = forced_log_probs(predictor, sources, [answer.text for answer in answers])
    for source, answer, row in zip(sources, answers, forced, strict=True):
        assert sum(row) == pytest.approx(answer.log_prob, abs=1e-4)
        (alone,) = forced_log_probs(predictor, [source], [answer.text])
        assert alone == pytest.approx(row, abs=1e-5)
    assert forced_log_probs(predictor, [], []) == []


def test_evaluate_writes_the_analysis_and_says_the_same_as_the_files(predictor: Predictor) -> None:
    found = seqlens.evaluate(predictor, analyse=True)
    analysis = found.analysis
    assert analysis is not None
    assert analysis.overall["chrf"] == found["chrf"]
    assert {"exact_match", "chrf", "bleu"} == analysis.overall.keys()
    for grouping in analysis.groupings:
        assert sum(len(scored.bucket.rows) for scored in grouping.buckets) == 40
    assert [attribution.num_compared for attribution in analysis.attribution] == [40, 40]
    assert all(row.share is not None for row in analysis.errors)
    assert analysis.error("omitted").method.startswith("training pairs")
    folder = found.folder
    assert folder is not None
    assert json.loads((folder / "analysis.json").read_text()) == json.loads(json.dumps(analysis.to_plain()))
    page = (folder / "analysis.html").read_text()
    for heading in ("Score by source length", "Errors", "Search or model", "What counts as what"):
        assert heading in page
    assert page.count("<svg") > 4
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert [line["answer"] for line in lines] == [answer.text for answer in found.answers]
    tokens = sum(len(predictor.task.target_codec.encode(line["reference"])) + 1 for line in lines)
    nats = -sum(line["reference_log_prob"] for line in lines)
    assert torch.tensor(nats / tokens).exp().item() == pytest.approx(found["perplexity"].value, rel=1e-5)


def test_the_same_scores_without_an_analysis(predictor: Predictor) -> None:
    plain, analysed = seqlens.evaluate(predictor, write=False), seqlens.evaluate(predictor, write=False, analyse=True)
    assert plain.analysis is None
    assert plain.scores == analysed.scores
    assert not (predictor.path / "evaluation").exists()


def test_a_model_that_ignores_its_source_is_found_out(predictor: Predictor) -> None:
    sees = seqlens.evaluate(predictor, write=False, analyse=True).analysis
    with torch.no_grad():
        # Blind: whatever the source, the decoder starts alike and attends to nothing.
        predictor.model.source_embedding.weight.zero_()
        for name, parameter in predictor.model.encoder.named_parameters():
            parameter.zero_()
            assert name
    blind = seqlens.evaluate(predictor, write=False, analyse=True).analysis
    assert sees is not None
    assert blind is not None
    assert blind.error("hallucinated").count == 40
    # The fixture is hardly trained, but it does look at its source.
    of_blind, of_sees = ([abs(one.severity) for one in found.error("hallucinated").worst] for found in (blind, sees))
    assert max(of_blind) < 1e-5 < max(of_sees)


@pytest.mark.parametrize(("sharp", "asked"), [(True, "attention on the word below 0.5"), (False, "spread out")])
def test_only_sharp_attention_is_asked(predictor: Predictor, sharp: bool, asked: str) -> None:
    sources = ["25 juin 2009", "June 25, 2009"]
    answers = []
    for answer in predictor.predict(sources):
        assert answer.alignment is not None
        flat = torch.full_like(answer.alignment.weights, 1 / answer.alignment.weights.shape[1])
        weights = torch.eye(*flat.shape) if sharp else flat
        answers.append(replace(answer, alignment=replace(answer.alignment, weights=weights)))
    analysis = analyse_answers(
        predictor,
        sources,
        ["2009-06-25"] * 2,
        answers,
        [[-1.0]] * 2,
        search=predictor.task.config.decoding,
        backgrounds=[Background("", TrainingText.read(["25 juin 2009"], ["2009-06-25"]))] * 2,
    )
    assert asked in analysis.error("omitted").method


def test_search_errors_are_those_that_a_worse_search_makes(predictor: Predictor) -> None:
    """Answers that no search would give: the model thinks less of them than of the references."""
    found = seqlens.evaluate(predictor, write=False)
    rows = [[log_prob] for log_prob in found.reference_log_probs]
    bad = [replace(answer, log_prob=-1e4, score=-1e4) for answer in found.answers]
    search = predictor.task.config.decoding
    nothing = [Background()] * 40
    analysis = analyse_answers(
        predictor, found.sources, found.references, bad, rows, search=search, backgrounds=nothing
    )
    assert [len(one.search) for one in analysis.attribution] == [40, 40]
    assert analysis.error("omitted").share is None
    # What a search found by rounded numbers is compared with the references by exact ones.
    rounded = replace(search, precision="bfloat16")
    analysis = analyse_answers(
        predictor, found.sources, found.references, bad, rows, search=rounded, backgrounds=nothing
    )
    forced = [sum(row) for row in forced_log_probs(predictor, found.sources, [answer.text for answer in bad])]
    worse = [one < other - 1e-9 for one, other in zip(forced, found.reference_log_probs, strict=True)]
    assert len(analysis.attribution[0].search) == sum(worse) < 40


def test_an_analysis_stays_whoever_watches(predictor: Predictor) -> None:
    found = seqlens.evaluate(predictor, analyse=True, batch_size=2, progress=lambda done, total: None)
    assert found.folder is not None
    before = (found.folder / "predictions.jsonl").read_bytes()
    seqlens.evaluate(predictor, batch_size=2)
    assert (found.folder / "predictions.jsonl").read_bytes() == before
    assert (found.folder / "analysis.html").is_file()
    seqlens.evaluate(predictor, batch_size=40)  # other last bits, the same answers
    assert (found.folder / "analysis.html").is_file()
    with torch.no_grad():  # another model, though it may answer alike
        predictor.model.output.bias[5] += 0.01
    seqlens.evaluate(predictor)
    assert not (found.folder / "analysis.html").exists()
    seqlens.evaluate(predictor, analyse=True)
    seqlens.evaluate(predictor, decoding={"beam_width": 3})
    assert not (found.folder / "analysis.html").exists()
    (found.folder / "scores.json").write_text("[")
    (found.folder / "predictions.jsonl").write_text("[")
    assert seqlens.evaluate(predictor).folder == found.folder


def test_an_analysis_stays_whatever_separators_a_text_holds(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text("1 mai\u2028 2001\t2001-05-01\n2\u0085 mai 2001\t2001-05-02\n", encoding="utf-8")
    found = seqlens.evaluate(predictor, data=tmp_path / "own.tsv", analyse=True)
    assert found.folder is not None
    again = seqlens.evaluate(predictor, data=tmp_path / "own.tsv")
    assert again.folder == found.folder
    assert (found.folder / "analysis.json").is_file()


def test_where_there_is_no_other_source_nothing_is_called_hallucinated(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("1 mai 2001\t2001-05-01\n" * 3)
    analysis = seqlens.evaluate(predictor, data=tmp_path / "one.tsv", analyse=True, write=False).analysis
    assert analysis is not None
    assert analysis.error("hallucinated").share is None
    assert analysis.error("hallucinated").method.startswith("not measured: it needs an answer, and another source")
    (tmp_path / "two.tsv").write_text("1 mai 2001\t2001-05-01\n" * 3 + "2 mai 2001\t2001-05-02\n\t2001\n")
    analysis = seqlens.evaluate(predictor, data=tmp_path / "two.tsv", analyse=True, write=False).analysis
    assert analysis is not None
    row = analysis.error("hallucinated")
    assert row.share is not None
    known = row.share.num_examples
    assert 3 <= known <= 4  # an answer may be empty
    assert row.share.value == pytest.approx(row.count / known)
    assert row.method == f"the model; {5 - known} without an answer or another source are left out"


def test_the_ends_of_documents_are_no_sentences(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text("1 mai 2001\t2001-05-01\n\t\n2 mai 2001\t2001-05-02\n \t2001-05-02\n")
    told: list[str] = []
    found = seqlens.evaluate(predictor, data=tmp_path / "own.tsv", write=False, announce=told.append)
    assert found.references == ("2001-05-01", "2001-05-02", "2001-05-02")
    assert "Pairs that are empty on both sides, as between documents, are left out: 1." in told


def test_progress_is_told_of_every_input(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text("1 mai 2001\t2001-05-01\n \t2001-05-02\n2 mai 2001\t2001-05-02\n")
    told: list[tuple[int, int]] = []
    seqlens.evaluate(
        predictor, data=tmp_path / "own.tsv", batch_size=1, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_attention_is_that_of_the_words_that_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    learned = {f"task.model.encoder.{name}": value for name, value in (("positions", "learned"), ("max_length", 9))}
    overrides = {"training.max_steps": 1, "training.validate_every": 1, "data.num_train": 50, **learned}
    model = seqlens.train("translation/smoke", out=tmp_path / "run", overrides=overrides).predictor
    sentence = "It is big."
    near = MarkedText(sentence, context=["We sleep."])
    far = MarkedText(sentence, context=["The old car stands in front of the house."])
    long = MarkedText(f"{sentence} {sentence} {sentence}", context=["It sleeps."])
    for text, before in ((sentence, 0), (near, 4), (far, 0), (long, 0)):
        (answer,) = model.predict([text])
        assert answer.alignment is not None
        weights = answer.alignment.weights.sum(dim=0).tolist()
        read = list(answer.alignment.source_tokens)
        first = read.index("It")
        assert first == before
        assert (first + 4 == len(read) - 1) is not answer.truncated
        found = by_word(model, text, answer.alignment, truncated=answer.truncated)
        kept = len(read) - 1 - first
        assert found[:kept] == pytest.approx(weights[first : first + kept])
        assert not any(found[kept:])


def test_the_other_source_does_not_depend_on_the_order() -> None:
    sources = ["aa", "b", "ccc", "b", "dd"]
    others = other_sources(sources)
    assert all(other is not None and other != source for source, other in zip(sources, others, strict=True))
    turned = dict(zip(sources[::-1], other_sources(sources[::-1]), strict=True))
    assert turned == dict(zip(sources, others, strict=True))
    assert other_sources(["a", "a"]) == [None, None]
    tagged = [MarkedText("a", tag="fr"), MarkedText("b", tag="de"), MarkedText("c", tag="fr")]
    assert other_sources(tagged) == ["c", None, "a"]


@pytest.mark.parametrize("lines", [["1 mai 2001\t2001-05-01"], ["x\t😀", "猫 " * 300 + "\t2001-05-01", "...\t."]])
def test_any_texts_can_be_analysed(predictor: Predictor, tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "own.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = seqlens.evaluate(predictor, data=tmp_path / "own.tsv", analyse=True)
    assert found.analysis is not None
    assert found.analysis.num_sentences == len(lines)
    assert found.folder is not None
    assert "<svg" in (found.folder / "analysis.html").read_text(encoding="utf-8")
    if len(lines) == 1:
        # There is no other source to compare with, and the reference is in the vocabulary.
        assert found.analysis.error("hallucinated").count == 0
    else:
        assert found.analysis.attribution[0].left_out[0] == 0


def test_compare_by_length_tests_each_bucket(predictor: Predictor, tmp_path: Path) -> None:
    same = shutil.copytree(predictor.path, tmp_path / "same")
    comparison = compare([predictor.path, same], by="length", device="cpu")
    assert comparison.by is not None
    (tests,) = comparison.by.tests.values()
    buckets = next(iter(comparison.by.groupings.values())).buckets
    assert len(tests) == len(buckets) >= 2
    assert {(test.bootstrap.p_value, test.randomisation, test.bootstrap.difference) for test in tests} == {
        (1.0, 1.0, 0.0)
    }
    assert len(comparison.by.table.rows) == 2 * len(buckets)
    write_comparison(comparison, tmp_path / "picture.svg")
    assert str(same) in (tmp_path / "picture.svg").read_text()
    write_comparison(comparison, tmp_path / "report.html")
    assert "Score by source length, by system" in (tmp_path / "report.html").read_text()
    write_comparison(comparison, tmp_path / "tables.md")
    assert "against the first" in (tmp_path / "tables.md").read_text()
    with pytest.raises(RequestError, match="--by"):
        write_comparison(replace(comparison, by=None), tmp_path / "other.svg")


@pytest.mark.parametrize("by", ["rarest", "unknown", "clauses"])
def test_compare_by_other_kinds(predictor: Predictor, tmp_path: Path, by) -> None:
    comparison = compare([predictor.path, shutil.copytree(predictor.path, tmp_path / "same")], by=by, device="cpu")
    assert comparison.by is not None
    assert sum(len(one.bucket.rows) for one in next(iter(comparison.by.groupings.values())).buckets) == 40
