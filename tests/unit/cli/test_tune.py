"""`seqlens tune`: trials in a folder, killed ones go on, the best settings as a recipe."""

import sys
from pathlib import Path

import pytest

from seqlens.config import load_config, read_json, write_json
from seqlens.errors import RequestError
from seqlens.training.observer import FitResult, Progress, Validation
from seqlens.training.run_config import RunConfig
from seqlens.workflows.search_space import Choices, Range, combinations, read_parameters
from seqlens.workflows.tune import Search, tune
from tests.unit.cli.conftest import Invoke

PARAMS = ("training.optimizer.learning_rate=log:1e-4:1e-1", "task.model.encoder.cell=lstm|gru")
ARGUMENTS = ("tune", "sentiment/smoke", "--set", "training.max_steps=3", "--out", "found")


class Killed(BaseException):
    """As a kill would end the process: nothing may be tidied up."""


class Killing:
    """An observer in whose second step the process ends."""

    def on_step(self, progress: Progress) -> None:
        if progress.step == 2:
            raise Killed

    def on_validation(self, validation: Validation) -> None: ...

    def on_warning(self, text: str) -> None: ...

    def on_end(self, result: FitResult) -> None: ...


def settings_of(search: Search) -> list[tuple[int, float | None, dict[str, object]]]:
    return sorted((trial.number, trial.value, trial.settings) for trial in search.trials)


def test_the_best_settings_become_a_recipe_that_trains(invoke: Invoke, tmp_path: Path) -> None:
    options = [part for param in PARAMS for part in ("--param", param)]
    result = invoke(*ARGUMENTS, *options, "--trials", "3")
    assert result.exit_code == 0, result.output
    best = load_config(RunConfig, tmp_path / "found" / "best.yaml")
    rows = [line.split() for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert len(rows) == 3
    assert best.task.model.encoder.cell == rows[0][3]  # type: ignore[union-attr]
    assert f"{best.training.optimizer.learning_rate:.4g}" == rows[0][2]
    losses = [float(row[1]) for row in rows]
    assert losses == sorted(losses)
    number = int(rows[0][0])
    stored = read_json(tmp_path / "found" / f"trial-{number:03d}" / "run.json")
    assert stored["weights"]["validation"]["loss"] == pytest.approx(losses[0], abs=1e-3)
    assert "The search" in (tmp_path / "found" / "report.html").read_text(encoding="utf-8")
    other = invoke(*ARGUMENTS, *options[:2], "--trials", "4")
    assert other.exit_code == 2
    assert "found holds a search with another 'params'" in other.stderr


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    overrides = {"training.max_steps": 3}
    whole = tune("sentiment/smoke", PARAMS, trials=3, out=tmp_path / "whole", overrides=overrides)
    arguments = {"trials": 3, "out": tmp_path / "killed", "overrides": overrides}
    with pytest.raises(Killed):
        tune(
            "sentiment/smoke",
            PARAMS,
            observe=lambda label: Killing() if label == "trial 1" else None,
            **arguments,  # type: ignore[arg-type]
        )
    told: list[str] = []
    again = tune("sentiment/smoke", PARAMS, announce=told.append, **arguments)  # type: ignore[arg-type]
    assert settings_of(again) == settings_of(whole)
    assert not any("trial 0:" in text for text in told)
    assert any(text.startswith("trial 1: going on") or "trial 1: training" in text for text in told)
    more = tune("sentiment/smoke", PARAMS, **{**arguments, "trials": 4})  # type: ignore[arg-type]
    assert settings_of(more)[:3] == settings_of(whole)


def test_a_trial_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    told: list[str] = []
    # Four heads do not divide a width of 18.
    search = tune(
        "sentiment/smoke",
        ["task.model.embedding_dim=16|18"],
        trials=4,
        out=tmp_path / "found",
        overrides={
            "training.max_steps": 2,
            "task.model.pooling": "mean",
            "task.model.encoder": {"kind": "transformer", "num_layers": 1, "num_heads": 4},
        },
        announce=told.append,
    )
    failed = [trial for trial in search.trials if trial.value is None]
    assert failed
    assert all(trial.settings == {"task.model.embedding_dim": 18} for trial in failed)
    assert any("failed" in text and "18" in text for text in told)
    assert search.trials[0].settings == {"task.model.embedding_dim": 16}


def test_data_that_are_away_use_up_no_trial(opinions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(opinions.parent)
    arguments = (str(opinions), ["task.model.embedding_dim=8|12|16"])
    settings = {"trials": 2, "out": opinions.parent / "found", "overrides": {"training.max_steps": 2}}
    table = opinions.with_suffix(".tsv")
    table.rename("away.tsv")
    with pytest.raises(RequestError, match=r"opinions\.tsv"):
        tune(*arguments, **settings)
    Path("away.tsv").rename(table)
    search = tune(*arguments, **settings)
    assert [trial.value is None for trial in search.trials] == [False, False]


def test_settings_of_data_may_be_searched_over_but_validation_stays_the_same(tmp_path: Path) -> None:
    overrides = {"training.max_steps": 2}
    sizes = tune("sentiment/smoke", ["data.num_train=60|120"], trials=3, out=tmp_path / "sizes", overrides=overrides)
    assert {trial.settings["data.num_train"] for trial in sizes.trials} == {60, 120}
    assert all(trial.value is not None for trial in sizes.trials)
    told: list[str] = []
    seeds = tune(
        "sentiment/smoke",
        ["data.seed=0|1"],
        trials=4,
        out=tmp_path / "seeds",
        overrides=overrides,
        announce=told.append,
    )
    assert len({trial.settings["data.seed"] for trial in seeds.trials if trial.value is not None}) == 1
    assert any("its validation data are not those of trial 0" in text for text in told)


def test_without_optuna_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, invoke: Invoke, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = invoke(*ARGUMENTS, "--param", PARAMS[0])
    assert result.exit_code == 2
    assert "Optuna is not installed" in result.stderr
    assert "pip install -c constraints.txt '.[tune]'" in " ".join(result.stderr.split())
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(
    ("param", "sentence"),
    [
        ("task.model.droput_p=0:0.5", "Did you mean 'dropout_p'?"),
        ("task.model.dropout_p=0:2", "--param task.model.dropout_p"),
        ("task.model.dropout_p", "expected path=low:high"),
        ("task.model.dropout_p=0.5:0.1", "expected low below high"),
        ("training.optimizer.learning_rate=log:0:1", "both above 0"),
        ("seed=1:10", "'seed' is not for a search"),
        ("task.model.pooling=last|last", "a value stands there twice"),
    ],
)
def test_a_wrong_parameter_is_told_before_anything_trains(
    param: str, sentence: str, invoke: Invoke, tmp_path: Path
) -> None:
    result = invoke(*ARGUMENTS, "--param", param)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not (tmp_path / "found").exists()


def test_a_range_is_of_whole_numbers_where_the_recipe_has_one() -> None:
    settings = {"model": {"dropout_p": 0.1, "size": 16, "limit": None}}
    texts = ["model.dropout_p=0:1", "model.size=log:16:64", "model.limit=1:2:0.5", "model.kind=a|3|null|0.5"]
    assert read_parameters(texts, settings) == [
        Range("model.dropout_p", 0.0, 1.0),
        Range("model.size", 16, 64, log=True),
        Range("model.limit", 1.0, 2.0, step=0.5),
        Choices("model.kind", ("a", 3, None, 0.5)),
    ]
    assert isinstance(read_parameters(texts, settings)[1].ends[0], int)
    with pytest.raises(RequestError, match="twice"):
        read_parameters(["a=1:2", "a=1:3"], {})


TRANSLATION = ("tune", "translation/smoke", "--set", "training.max_steps=2", "--set", "training.validate_every=2")


def test_means_over_tokens_are_not_compared_across_vocabularies(invoke: Invoke, tmp_path: Path) -> None:
    vocabulary = "task.codec.target={kind: subwords, vocab_size: 300}"
    param = ("--param", "task.codec.target.vocab_size=270|300")
    refused = invoke(*TRANSLATION, "--set", vocabulary, *param, "--trials", "2", "--out", "found")
    assert refused.exit_code == 2
    told = " ".join(refused.stderr.split())
    assert "'task.codec.target.vocab_size' changes what a token is, and 'training.metric' is 'loss'" in told
    assert not (tmp_path / "found").exists()


def test_a_trial_with_other_tokens_than_the_first_fails(tmp_path: Path) -> None:
    told: list[str] = []
    found = tune(
        "translation/smoke",
        ["data.num_train=4|300"],
        trials=4,
        out=tmp_path / "found",
        overrides={"training.max_steps": 2, "training.validate_every": 2},
        announce=told.append,
    )
    values = {trial.settings["data.num_train"]: trial.value is None for trial in found.trials}
    assert sorted(values.values()) == [False, True], "one of the two vocabularies is compared"
    assert any("its 'loss' is a mean over other tokens than that of trial 0" in text for text in told)


def test_a_search_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    arguments = {"out": tmp_path / "found", "overrides": {"training.max_steps": 3}}
    tune("sentiment/smoke", PARAMS, trials=1, **arguments)  # type: ignore[arg-type]
    stored = read_json(tmp_path / "found" / "search.json")
    assert stored["recipe"]["task"]["codec"].pop("lowercase") is False, "as if it had come since"
    write_json(tmp_path / "found" / "search.json", stored)
    assert len(tune("sentiment/smoke", PARAMS, trials=2, **arguments).trials) == 2  # type: ignore[arg-type]


def test_no_settings_are_trained_twice(tmp_path: Path) -> None:
    told: list[str] = []
    params = ["task.model.encoder.cell=lstm|gru", "task.model.dropout_p=0:0.2:0.2"]
    search = {"out": tmp_path / "found", "overrides": {"training.max_steps": 2}, "announce": told.append}
    few = tune("sentiment/smoke", params, trials=3, **search)  # type: ignore[arg-type]
    assert len(few.trials) == 3
    found = tune("sentiment/smoke", params, trials=20, **search)  # type: ignore[arg-type]
    settings = [tuple(sorted(trial.settings.items())) for trial in found.trials]
    assert len(set(settings)) == 4, "all combinations, and then no more"
    trained = [text for text in told if "not trained again" not in text and ": task.model" in text]
    assert len(trained) == 4
    values = {}
    for trial in found.trials:
        assert values.setdefault(tuple(sorted(trial.settings.items())), trial.value) == trial.value


def test_steps_that_do_not_reach_the_end_are_told(invoke: Invoke) -> None:
    result = invoke("tune", "sentiment/smoke", "--trials", "2", "--param", "task.model.dropout_p=0:0.5:0.2")
    assert result.exit_code == 2
    assert "steps of 0.2 from 0 do not reach 0.5, expected such as 0:0.4:0.2" in " ".join(result.stderr.split())


def test_all_combinations_of_a_space() -> None:
    space = read_parameters(["a=1|2", "b=0:0.4:0.2", "c=3:5"], {})
    found = combinations(space, most=18)
    assert found is not None
    assert len(found) == 18
    assert found[0] == {"a": 1, "b": 0.0, "c": 3}
    assert found[-1] == {"a": 2, "b": 0.4, "c": 5}
    assert combinations(space, most=17) is None
    assert combinations(read_parameters(["a=0.0:1.0"], {}), most=1000) is None
