"""Several directions in one model, back-translated text and documents, by the real command."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import seqlens
from seqlens.cli.main import build_app
from seqlens.config import load_config
from seqlens.data.catalogue import catalogue_names
from seqlens.errors import RequestError, WorkError
from seqlens.training.run_config import RunConfig
from seqlens.workflows import backtranslate as module
from seqlens.workflows.backtranslate import backtranslate
from seqlens.workflows.evaluation_data import open_evaluated
from seqlens.workflows.recipes import find_recipe

MODEL = """
task:
  codec: {kind: shared, text: {kind: subwords, vocab_size: 330}}
  model:
    embedding_dim: 8
    dropout_p: 0.0
    share_embeddings: true
    encoder: {kind: recurrent, cell: gru, hidden_dim: 8}
    decoder: {kind: recurrent, cell: gru, hidden_dim: 8}
  decoding: {method: greedy, max_length: 12}
  scores: [exact_match]
  validation_scores: [exact_match]
batches: {max_tokens: 120}
training: {max_steps: 4, validate_every: 2, precision: float32, log_every: 2}
"""
MIXTURE = """
description: two directions and made pairs
data:
  kind: mixture
  parts:
    - {data: {kind: pairs, path: fr.tsv}, tag: 2fr}
    - {data: {kind: pairs, path: de.tsv}, tag: <2de>, weight: 0.5}
    - {data: {kind: pairs, train: synthetic.tsv}, tag: bt, weight: 2, train_only: true}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    nouns = ("car", "house", "tree", "dog")
    for language, the in (("fr", "le"), ("de", "das")):
        lines = [f"the {noun} {n}\t{the} {noun[::-1]} {n}\n" for noun in nouns for n in range(20)]
        (tmp_path / "recipes" / f"{language}.tsv").write_text("".join(lines))
    (tmp_path / "recipes" / "synthetic.tsv").write_text("teh car 3\tle rac 3\n" * 5)
    (tmp_path / "recipes" / "mixed.yaml").write_text(MIXTURE + MODEL)
    (tmp_path / "recipes" / "reverse.yaml").write_text(
        "description: the other way\ndata: {kind: pairs, path: fr.tsv, source_column: 1, target_column: 0}\n" + MODEL
    )
    return tmp_path


def invoke(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(build_app(), [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_one_model_for_two_directions(folder: Path) -> None:
    told = invoke("train", "recipes/mixed.yaml", "--out", "runs/mixed").stderr
    assert "seqlens predict runs/mixed --tag 2fr" in " ".join(told.split())
    record = json.loads(Path("runs/mixed/run.json").read_text())
    assert record["data"]["num_train"] > 100
    model = seqlens.load("runs/mixed", device="cpu")
    assert model.task.source_codec.tags == ("2de", "2fr", "bt")

    line = invoke("predict", "runs/mixed", "--tag", "2fr", "the car 3").stdout
    answer = model.predict("the car 3", tag="<2fr>")
    assert line.strip() == answer.text.strip()
    # The tag is the first symbol the model reads, also in the alignment that is shown.
    assert answer.alignment is not None
    assert answer.alignment.source_tokens[0] == "<2fr>"
    assert answer.log_prob != model.predict("the car 3", tag="2de").log_prob != model.predict("the car 3").log_prob
    batch = model.predict(["the car 3", "", "the dog 5 and the tree"], tag="2fr")
    assert batch[0].log_prob == pytest.approx(answer.log_prob, rel=1e-5)
    assert batch[1].text == ""

    # All data have a tag, so one is missed; where some data have none, none need be given.
    assert "give one by --tag: 2de, 2fr, bt" in " ".join(invoke("predict", "runs/mixed", "the car 3").stderr.split())
    recipe = Path("runs/mixed/recipe.yaml")
    assert recipe.read_text().count("tag: bt") == 1
    shutil.copytree("runs/mixed", "runs/some")
    Path("runs/some/recipe.yaml").write_text(recipe.read_text().replace("tag: bt", "tag: null"))
    assert "--tag" not in invoke("predict", "runs/some", "the car 3").stderr
    unknown = invoke("predict", "runs/mixed", "--tag", "2es", "the car", code=2)
    assert "There is no tag '2es', expected one of 2de, 2fr, bt. Did you mean '2de'?" in unknown.output
    for split in ("test", "test-2fr", "validation-2de"):
        invoke("evaluate", "runs/mixed", "--split", split)
    scores = seqlens.evaluate("runs/mixed", split="test-2fr", write=False)
    assert scores.answers[0].log_prob == pytest.approx(
        model.predict(str(scores.sources[0]), tag="2fr").log_prob, rel=1e-5
    )


def test_directions_of_one_file_hold_out_the_same_lines(folder: Path) -> None:
    recipe = Path("recipes/mixed.yaml")
    back = "{data: {kind: pairs, path: fr.tsv, source_column: 1, target_column: 0}, tag: 2en}"
    recipe.write_text(MIXTURE.replace("{data: {kind: pairs, path: de.tsv}, tag: <2de>, weight: 0.5}", back) + MODEL)
    refused = " ".join(invoke("train", recipe, "--out", "runs/both", code=2).output.split())
    assert "'2fr' and '2en' of the mixture both read" in refused
    assert not Path("runs/both/recipe.yaml").exists()
    recipe.write_text(recipe.read_text().replace("target_column: 0}", "target_column: 0, split_by: target}"))
    invoke("train", recipe, "--out", "runs/both")
    # A run of before is evaluated, and goes on.
    own = Path("runs/both/recipe.yaml")
    own.write_text(own.read_text().replace("split_by: target", "split_by: source"))
    invoke("evaluate", "runs/both", "--split", "test-2fr")


def test_a_mixture_resumes_as_if_nothing_had_happened(folder: Path) -> None:
    invoke("train", "recipes/mixed.yaml", "--out", "runs/whole")
    invoke("train", "recipes/mixed.yaml", "--out", "runs/parts", "--set", "training.max_steps=2")
    shutil.move("recipes/mixed.yaml", "elsewhere.yaml")  # the run folder knows its recipe and where its data are
    invoke("train", "--out", "runs/parts", "--resume", "--set", "training.max_steps=4")
    assert Path("runs/parts/model.safetensors").read_bytes() == Path("runs/whole/model.safetensors").read_bytes()


def test_a_tag_that_the_kept_vocabulary_lacks_is_refused(folder: Path) -> None:
    invoke("train", "recipes/reverse.yaml", "--out", "runs/plain")
    refused = invoke("train", "recipes/mixed.yaml", "--init", "runs/plain", "--out", "runs/mixed", code=2)
    assert "There is no tag '2fr': this vocabulary has no tags" in refused.output
    invoke(
        "train", "recipes/mixed.yaml", "--init", "runs/plain", "--out", "runs/mixed", "--init-vocabulary", "extended"
    )
    assert seqlens.load("runs/mixed").task.source_codec.tags == ("2de", "2fr", "bt")


@pytest.fixture
def reverse(folder: Path) -> Path:
    invoke("train", "recipes/reverse.yaml", "--out", "runs/fr-en")
    lines = [f"le rac {n}" for n in range(90)]
    lines[3], lines[7] = "", "le\ttab"
    (folder / "mono.fr").write_text("\n".join(lines) + "\n")
    return folder / "runs/fr-en"


@pytest.mark.parametrize("method", ["greedy", "sample"])
def test_back_translation_makes_a_part_of_a_mixture(reverse: Path, method: str) -> None:
    options = ("--input", "mono.fr", "--batch-size", 4, "--set", f"method={method}")

    result = invoke("backtranslate", reverse, *options, "--output", "made.tsv")

    assert result.stdout.strip().splitlines()[-1] == "made.tsv"
    rows = [line.split("\t") for line in Path("made.tsv").read_bytes().decode().removesuffix("\n").split("\n")]
    assert "Left out: 1 empty, " in result.output
    assert {len(row) for row in rows} == {2}
    originals = [row[1] for row in rows]
    assert "le tab" in originals
    assert len(rows) > 40
    if method == "greedy":
        assert rows[0][0] == seqlens.load(reverse).predict("le rac 0", max_length=12).text.strip()
        assert not list(Path().glob("made.tsv.*"))
    shutil.copy("made.tsv", "recipes/synthetic.tsv")
    invoke("train", "recipes/mixed.yaml", "--out", "runs/mixed", "--set", "training.max_steps=1")


@pytest.mark.parametrize("method", ["greedy", "sample"])
def test_interrupted_back_translation_goes_on_to_the_same_file(
    reverse: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_BATCHES", 2)
    settings: dict[str, object] = {"method": method, "seed": 3}
    whole = backtranslate(reverse, input="mono.fr", output="whole.tsv", decoding=settings, batch_size=8)
    done: list[int] = []

    def stop(lines: int, total: int | None) -> None:
        done.append(lines)
        assert total == 90
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtranslate(reverse, input="mono.fr", output="parts.tsv", decoding=settings, batch_size=8, progress=stop)
    assert not Path("parts.tsv").exists()
    with Path("parts.tsv.partial").open("a") as file:
        file.write("half a li")  # killed while the next chunk was written
    with pytest.raises(RequestError, match=r"was begun with another 'decoding'\. Remove it"):
        backtranslate(reverse, input="mono.fr", output="parts.tsv", batch_size=8, decoding={"method": "beam"})
    told: list[str] = []

    parts = backtranslate(
        reverse, input="mono.fr", output="parts.tsv", decoding=settings, batch_size=8, announce=told.append
    )

    assert told == ["Going on after line 48 of mono.fr, where parts.tsv.partial ends."]
    assert Path("parts.tsv").read_bytes() == Path("whole.tsv").read_bytes()
    assert (parts.num_lines, parts.num_pairs, parts.num_empty) == (90, whole.num_pairs, 1)
    assert not list(Path().glob("parts.tsv.*"))
    other = backtranslate(reverse, input="mono.fr", output="other.tsv", decoding={**settings, "seed": 4}, batch_size=8)
    same = Path("other.tsv").read_bytes() == Path("whole.tsv").read_bytes()
    assert same == (method == "greedy"), other


def test_a_damaged_partial_file_is_told(reverse: Path) -> None:
    def stop(lines: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtranslate(reverse, input="mono.fr", output="made.tsv", batch_size=4, progress=stop)
    record, partial = Path("made.tsv.partial.json"), Path("made.tsv.partial")
    whole = partial.read_bytes()
    partial.write_bytes(whole[:-5])
    with pytest.raises(WorkError, match=r"does not have what made\.tsv\.partial\.json says of it"):
        backtranslate(reverse, input="mono.fr", output="made.tsv", batch_size=4)
    partial.write_bytes(whole)
    record.write_text(json.dumps({"settings": json.loads(record.read_text())["settings"]}))
    with pytest.raises(WorkError, match="Remove both"):
        backtranslate(reverse, input="mono.fr", output="made.tsv", batch_size=4)
    record.write_text("[]")
    with pytest.raises(WorkError, match=r"made\.tsv\.partial\.json is damaged"):
        backtranslate(reverse, input="mono.fr", output="made.tsv", batch_size=4)


def test_back_translation_refuses_what_it_cannot_do(reverse: Path) -> None:
    there = invoke("backtranslate", reverse, "--input", "mono.fr", "--output", "recipes/fr.tsv", code=2)
    assert "recipes/fr.tsv is there already, expected a new file." in there.output
    name = invoke("backtranslate", reverse, "--input", "mono.fr", "--output", "made.txt", code=2)
    assert "expected a name that ends in .tsv" in name.output
    missing = invoke("backtranslate", reverse, "--input", "mono.de", "--output", "made.tsv", code=2)
    assert "There is no input file mono.de." in missing.output
    tag = invoke("backtranslate", reverse, "--input", "mono.fr", "--output", "made.tsv", "--tag", "2fr", code=2)
    assert "There is no tag '2fr'" in tag.output
    Path("latin.fr").write_bytes("".join(f"été {n}\n" for n in range(300)).encode() + b"\xe9t\xe9\n")
    bad = invoke("backtranslate", reverse, "--input", "latin.fr", "--output", "made.tsv", code=2)
    assert "latin.fr line 301" in " ".join(bad.output.split())
    assert not list(Path().glob("made.tsv*"))


def test_documents_are_answered_in_their_context(folder: Path) -> None:
    small = ("--set", "training.max_steps=3", "--set", "data.num_train=50", "--set", "task.model.encoder.hidden_dim=8")
    invoke("train", "translation/pronouns-context", "--out", "runs/context", *small)
    model = seqlens.load("runs/context", device="cpu")
    story = ["The car is old.", "It is red."]

    answers = model.predict_document(story)

    assert answers[0].log_prob == pytest.approx(model.predict(story[0]).log_prob, rel=1e-5)
    assert answers[1].log_prob != model.predict(story[1]).log_prob
    assert answers[1].alignment is not None
    assert "<break>" in answers[1].alignment.source_tokens
    for wrong, told in (
        ([b"It sleeps."], "Input 1 is bytes"),
        ([None], "Input 1 is NoneType"),
        (5, "is int, expected"),
    ):
        with pytest.raises(RequestError, match=told):
            model.predict_document(wrong)
    Path("story.en").write_text("\n".join([*story, "", story[1]]) + "\n")
    lines = invoke("predict", "runs/context", "--document", "--input", "story.en", "--json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [entry["input"] for entry in found] == [*story, "", story[1]]
    assert found[1]["log_prob"] == pytest.approx(answers[1].log_prob, rel=1e-5)
    assert found[2]["text"] == ""
    assert found[3]["log_prob"] == pytest.approx(model.predict(story[1]).log_prob, rel=1e-5)

    invoke("train", "translation/pronouns-single", "--out", "runs/single", *small)
    single = invoke("predict", "runs/single", "--document", "--input", "story.en", code=2)
    assert "runs/single was trained on single sentences, expected a run whose data have a 'context'" in single.output
    with pytest.raises(RequestError, match="trained on single sentences"):
        seqlens.load("runs/single").predict_document(story)


def test_together_with_a_run_of_contexts_one_of_single_sentences_is_scored_on_them_alone(folder: Path) -> None:
    small = ("--set", "training.max_steps=3")
    invoke("train", "translation/smoke", "--out", "runs/context", *small)
    invoke("train", "translation/smoke", "--out", "runs/single", *small, "--set", "data.context=null")
    both = seqlens.load(["runs/context", "runs/single"], device="cpu")
    split = {"split": "test", "write": False}
    found = seqlens.evaluate(both, **split).reference_log_probs
    context, single = (seqlens.evaluate(run, **split).reference_log_probs for run in ("runs/context", "runs/single"))
    assert context != single
    # A mean of probabilities is at least that of their logarithms.
    assert all(all_of >= (one + other) / 2 - 1e-4 for all_of, one, other in zip(found, context, single, strict=True))
    assert "perplexity" in invoke("evaluate", "runs/context", "--with", "runs/single").stdout


def test_other_data_of_a_mixture_have_the_languages_of_its_part(folder: Path) -> None:
    recipe = """
description: true and made pairs
data:
  kind: mixture
  parts:
    - {data: {kind: pairs, path: multi30k}, name: true}
    - {data: {kind: pairs, train: synthetic.tsv}, tag: bt, train_only: true}
"""
    (folder / "run").mkdir()
    (folder / "run" / "recipe.yaml").write_text(recipe.replace("name: true", "name: own") + MODEL)
    (folder / "own").mkdir()
    for language in ("de", "en"):
        (folder / "own" / f"test.{language}").write_text(f"in {language}\n")
    record = {"data": {"source": "de+source", "target": "en+target"}}
    predictor: Any = SimpleNamespace(path=folder / "run", record=record, tags=("bt",))
    corpus, _ = open_evaluated(predictor, "test", "own")
    assert [(pair.source, pair.target) for pair in corpus.read("test")] == [("in de", "in en")]


def test_the_multilingual_recipe_trains_on_a_small_corpus(folder: Path) -> None:
    assert "multi30k" in catalogue_names()
    config = load_config(RunConfig, find_recipe("translation/multilingual").path)
    assert config.data.kind == "mixture"
    assert [part.tag for part in config.data.parts] == ["2de", "2fr", "2cs"]
    overrides: dict[str, object] = {
        f"data.parts.{place}.data": {"kind": "pairs", "path": f"recipes/{name}.tsv"}
        for place, name in enumerate(("de", "fr", "fr"))
    }
    overrides |= {
        "training.max_steps": 2,
        "task.codec.text.vocab_size": 300,
        "task.model.embedding_dim": 16,
        "task.model.encoder.feed_forward_dim": 16,
        "task.model.decoder.feed_forward_dim": 16,
    }
    run = seqlens.train("translation/multilingual", out="runs/many", overrides=overrides)
    assert run.predictor.task.source_codec.tags == ("2cs", "2de", "2fr")
    assert run.predictor.predict("the car", tag="2cs").text is not None
