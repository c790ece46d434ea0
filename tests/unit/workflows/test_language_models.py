"""From one's own text file to a language model, its scores and its samples; a kill in the middle of a running text."""

import copy
import gzip
import json
import math
import random
import signal
from pathlib import Path
from typing import Any

import pytest

import seqlens
from seqlens.data.language.names import NamesData, open_names
from seqlens.data.language.prose import ProseData, open_prose
from seqlens.errors import RequestError
from seqlens.training.observer import Observers
from seqlens.workflows.compare import compare
from seqlens.workflows.train import TrainingInterrupted

SMALL: dict[str, Any] = {
    "task.model.embedding_dim": 8,
    "task.model.layers.hidden_dim": 12,
    "training.max_steps": 6,
    "training.validate_every": 3,
    "training.schedule.warmup_steps": 1,
    "batches.max_tokens": 256,
}
BOOK: dict[str, Any] = {
    "data.kind": "text",
    "data.unit": "document",
    "data.path": "book.txt",
    "data.block_size": 200,
    "task.window": 16,
}


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = open_names(NamesData(num_train=150, seed=5)).read("train")
    (tmp_path / "names.txt.gz").write_bytes(gzip.compress("".join(f"{one.text}\n" for one in names).encode()))
    stories = open_prose(ProseData(num_train=12, seed=5)).read("train")
    (tmp_path / "book.txt").write_text("".join(story.text for story in stories), encoding="utf-8")


def test_own_lines_become_a_model_with_scores_beside_n_grams() -> None:
    own = {"data.kind": "text", "data.path": "names.txt.gz", "data.test_fraction": 0.2}
    run = seqlens.train("language/names-lstm", out="run", overrides={**SMALL, **own})
    scores = seqlens.evaluate("run")
    ((baseline, below),) = scores.baseline_scores.items()
    assert baseline.startswith("Kneser-Ney")
    assert set(below) == set(scores) == {"bits_per_character", "perplexity"}
    assert scores.baseline_tests[baseline].difference == pytest.approx(
        scores["bits_per_character"].value - below["bits_per_character"].value
    )
    lines = (run.path / "evaluation/test/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == len(scores.examples) > 10
    nats = sum(record["unknown_nats"] - sum(record["log_probs"]) for record in records)
    assert scores["bits_per_character"].value == pytest.approx(
        nats / math.log(2) / sum(len(record["text"]) + 1 for record in records), rel=1e-9
    )
    model = seqlens.load("run")
    answer = model.predict("Ka", num_samples=3, max_tokens=5)
    assert [sample.text[:2] for sample in answer.samples] == ["Ka"] * 3
    assert answer == model.predict(["Bo", "Ka"], num_samples=3, max_tokens=5)[1]
    (Path("other.txt")).write_text("Kala\nBobo\n", encoding="utf-8")
    assert len(seqlens.evaluate("run", data="other.txt").examples) == 2


def test_an_own_running_text_is_scored_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    run = seqlens.train("language/prose-lstm", out="run", overrides={**SMALL, **BOOK})
    assert "one running text, in windows of 16 tokens" in (run.path / "README.md").read_text(encoding="utf-8")
    scores = seqlens.evaluate("run", split="validation")
    text = Path("book.txt").read_text(encoding="utf-8")
    assert "".join(example.text for example in scores.examples) in text
    assert scores.noun == ("block", "blocks")
    whole = seqlens.evaluate("run", split="train")
    monkeypatch.setattr("seqlens.workflows.evaluate_examples._AT_ONCE", 2)
    in_parts = seqlens.evaluate("run", split="train")
    assert in_parts["perplexity"].value == pytest.approx(whole["perplexity"].value, rel=1e-12), "no block is parted"
    answer = seqlens.load("run").predict("The ", max_tokens=30)
    assert len(answer.samples[0].text) == 34
    assert not answer.samples[0].finished


def test_a_training_on_a_running_text_goes_on_after_a_stop_as_if_it_had_not_been() -> None:
    settings = {**SMALL, **BOOK, "batches.max_tokens": 64}

    class Stop(Observers):
        """Stops a training at its fourth step."""

        def on_step(self, progress: Any) -> None:
            if progress.step == 4:
                signal.raise_signal(signal.SIGTERM)

    seqlens.train("language/prose-lstm", out="whole", overrides=settings)
    with pytest.raises(TrainingInterrupted, match="interrupted at step 4; `resume=True` goes on in stopped") as stopped:
        seqlens.train("language/prose-lstm", out="stopped", overrides=settings, observer=Stop())
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert stopped.value.run.result.stop_reason == "interrupted"
    assert stopped.value.run.predictor.predict(["The"]), "the run so far can be used"
    assert "Validation of these weights, which were chosen by it" in Path("stopped/README.md").read_text("utf-8")
    early = {**settings, "training.validate_every": 100}
    with pytest.raises(TrainingInterrupted):
        seqlens.train("language/prose-lstm", out="early", overrides=early, observer=Stop())
    assert "No validation has seen these weights: the training was inter" in Path("early/README.md").read_text("utf-8")
    seqlens.train("language/prose-lstm", out="stopped", overrides=settings, resume=True)
    for name in ("model.safetensors", "checkpoints/step-00000006/carried.safetensors", "log.jsonl"):
        assert Path("stopped", name).read_bytes() == Path("whole", name).read_bytes(), name


def test_a_stop_while_a_training_ends_ends_a_loop_over_trainings_too() -> None:
    settings = {**SMALL, **BOOK, "batches.max_tokens": 64}

    class Late(Observers):
        """Stops a training when its last validation is over."""

        def on_validation(self, validation: Any) -> None:
            if validation.step == SMALL["training.max_steps"]:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match="interrupted when the training in late had ended, at step 6") as late:
        seqlens.train("language/prose-lstm", out="late", overrides=settings, observer=Late())
    assert late.value.run.result.stop_reason == "max_steps"
    assert copy.copy(late.value).run is late.value.run
    with pytest.raises(RequestError, match="late holds a finished run already"):
        seqlens.train("language/prose-lstm", out="late", overrides=settings)


def test_a_broken_file_is_named_before_anything_is_written() -> None:
    Path("names.txt").write_text("Kala\n\nBobo\n", encoding="utf-8")
    own = {"data.kind": "text", "data.path": "names.txt"}
    with pytest.raises(RequestError, match=r"names\.txt line 2 is blank"):
        seqlens.train("language/names-lstm", out="run", overrides={**SMALL, **own})
    assert not Path("run/recipe.yaml").exists()


def test_a_task_that_does_not_fit_its_data_is_refused() -> None:
    with pytest.raises(RequestError, match=r"'data\.kind' is 'names', from which the task 'classify' cannot learn"):
        seqlens.train("sentiment/smoke", out="run", overrides={"data": {"kind": "names"}})


def test_a_model_of_bases_has_a_baseline_too() -> None:
    draw = random.Random(0)
    Path("bases.txt").write_text("".join("".join(draw.choices("ACGT", k=30)) + "\n" for _ in range(60)))
    own = {"data": {"kind": "text", "path": "bases.txt"}, "task.codec": {"kind": "nucleotides"}}
    seqlens.train("language/smoke", out="run", overrides={"training.max_steps": 2, **own})
    found = seqlens.evaluate("run")
    assert len(found.baseline_scores) == 1
    assert next(iter(found.baseline_scores.values()))["bits_per_character"].value < 3


def test_models_over_other_symbols_are_compared_by_the_character() -> None:
    tiny = {**SMALL, "training.max_steps": 2, "data.num_train": 60, "data.num_test": 20}
    seqlens.train("language/names-lstm", out="characters", overrides=tiny)
    seqlens.train("language/names-lstm", out="words", overrides={**tiny, "task.codec.kind": "words"})
    _, words = compare(["characters", "words"], out="both").contestants
    assert set(words.tests) == {"bits_per_character"}, "perplexities of other tokens do not compare"
