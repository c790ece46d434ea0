import copy
import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from seqlens.errors import RequestError, WorkError
from seqlens.tasks.loss_sum import LossSum
from seqlens.training import (
    AdamWConfig,
    ConstantSchedule,
    FitResult,
    LinearSchedule,
    PlateauSchedule,
    TrainingConfig,
)
from seqlens.training.checkpoint import CheckpointStore
from seqlens.training.journal import Journal

Train = Callable[..., FitResult]
FAST = AdamWConfig(learning_rate=0.1, weight_decay=0.0)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def scripted(values: list[float]) -> Callable[[nn.Module], dict[str, float]]:
    """A validation whose losses are given."""
    rest = iter(values)
    return lambda model: {"loss": next(rest)}


def test_it_learns(train: Train, linear: nn.Linear, tmp_path: Path, recorder: Any) -> None:
    exact = TrainingConfig(
        max_epochs=40, validate_every=50, optimizer=FAST, schedule=LinearSchedule(), precision="float32"
    )
    result = train(exact)
    torch.testing.assert_close(linear.weight.data, torch.tensor([[1.0, -2.0, 0.5]]), atol=1e-3, rtol=0)
    assert (result.steps, result.epochs, result.stop_reason, result.weights) == (320, 40.0, "max_epochs", "best")
    assert result.best_metrics["loss"] is not None
    assert result.best_metrics["loss"] < 1e-5
    assert recorder.results == [result]
    assert not linear.training
    assert all(parameter.grad is None for parameter in linear.parameters())


def test_the_weights_it_starts_from_may_be_the_best(train: Train, linear: nn.Linear, tmp_path: Path) -> None:
    start = linear.weight.detach().clone()
    config = TrainingConfig(max_steps=4, validate_every=2, validate_start=True, ema_decay=0.5, optimizer=FAST)
    result = train(config, validate=scripted([1.0, 3.0, 2.0]))
    assert [line["step"] for line in log_of(tmp_path / "run") if "validation" in line] == [0, 2, 4]
    assert result.best_step == 0
    torch.testing.assert_close(linear.weight.data, start)


def test_the_log_holds_what_the_seed_decides(train: Train, tmp_path: Path, points: list[Any]) -> None:
    train(TrainingConfig(max_steps=9, validate_every=4, log_every=3, schedule=ConstantSchedule(warmup_steps=2)))
    lines = log_of(tmp_path / "run")
    assert [(line["step"], "validation" in line) for line in lines] == [
        *((3, False), (4, True), (6, False), (8, True), (9, False), (9, True))
    ]
    first = lines[0]
    assert set(first) == {
        *("step", "epoch", "loss", "learning_rate", "gradient_norm", "largest_gradient_norm", "tokens", "skipped"),
        "parts",
    }
    assert first["tokens"] == sum(len(batch.x) for batch in points[:3])
    assert [line["epoch"] for line in lines] == [0, 0, 0, 1, 1, 1]  # the ninth batch is the second epoch's first
    assert set(lines[1]) == {"step", "epoch", "tokens", "validation", "is_best"}
    times = [json.loads(line) for line in (tmp_path / "run/times.jsonl").read_text().splitlines()]
    assert [line["step"] for line in times] == [line["step"] for line in lines]


def test_the_observer_hears_of_each_step(train: Train, recorder: Any) -> None:
    train(TrainingConfig(max_steps=5, max_seconds=1e6, validate_every=2, log_every=2))
    assert [progress.step for progress in recorder.steps] == [1, 2, 3, 4, 5]
    last = recorder.steps[-1]
    assert (last.max_steps, last.epoch, last.learning_rate, last.seconds_left) == (5, 5 / 8, 1e-3, 0.0)
    assert last.pace > 0
    assert recorder.steps[1].seconds_left > 0
    assert [validation.step for validation in recorder.validations] == [2, 4, 5]


def noisy_loss(model: nn.Module, batch: Any) -> LossSum:
    assert model.training
    return LossSum((model(nn.functional.dropout(batch.x)) - batch.y).square().sum(), len(batch.x), {})


def draw_from_all() -> float:
    return torch.rand(()).item() + random.random() + numpy.random.rand()


def test_the_seed_decides_all_and_what_draws_in_between_changes_nothing(
    train: Train, tmp_path: Path, linear: nn.Module, recorder: Any
) -> None:
    start = copy.deepcopy(linear.state_dict())

    def validate(model: nn.Module) -> dict[str, float]:
        assert not model.training
        assert not torch.is_grad_enabled()
        return {"loss": draw_from_all()}

    def drawing_validate(model: nn.Module) -> dict[str, float]:
        found = validate(model)
        draw_from_all()
        return found

    def drawing_watch(model: nn.Module, batch: Any) -> None:
        draw_from_all()

    def end(seed: int, **changes: Any) -> tuple[bytes, bytes]:
        linear.load_state_dict(start)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        config = TrainingConfig(max_steps=6, validate_every=2, watch_every=1)
        train(config, compute_loss=noisy_loss, folder=folder, seed=seed, **changes)
        return (folder / "log.jsonl").read_bytes(), linear.weight.detach().numpy().tobytes()

    expected = end(1, validate=validate)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    recorder.on_step = lambda progress: draw_from_all()
    assert end(1, validate=drawing_validate, watch=drawing_watch) == expected
    assert torch.equal(torch.get_rng_state(), before)  # the caller's generator is left alone
    other = end(2, validate=validate)
    assert other[0] != expected[0]
    assert other[1] != expected[1]


def test_early_stopping_and_the_best_weights(train: Train, linear: nn.Linear) -> None:
    seen: list[Tensor] = []
    losses = scripted([3.0, 2.0, 2.5, 1.0, 1.5, 1.5, 0.0])

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append(linear.weight.detach().clone())
        return losses(model)

    result = train(TrainingConfig(patience=2, validate_every=3, optimizer=FAST), validate=validate)
    assert (result.steps, result.stop_reason, result.best_step) == (18, "early_stopping", 12)
    assert result.best_metrics == {"loss": 1.0}
    torch.testing.assert_close(linear.weight.data, seen[3], rtol=0, atol=0)
    assert not torch.equal(seen[3], seen[5])


def test_the_plateau_rule_follows_the_validations(train: Train, recorder: Any) -> None:
    schedule = PlateauSchedule(factor=0.1, patience=1)
    config = TrainingConfig(max_steps=8, validate_every=2, mode="max", schedule=schedule, optimizer=FAST)
    train(config, validate=scripted([1.0, 0.5, 2.0, 2.0]))
    assert [progress.learning_rate for progress in recorder.steps] == pytest.approx([0.1] * 4 + [0.01] * 4)


def test_the_mean_of_the_last_checkpoints(train: Train, linear: nn.Linear, tmp_path: Path) -> None:
    weights: dict[int, Tensor] = {}

    def watch(model: nn.Module, batch: Any) -> None:
        weights[len(weights) + 1] = linear.weight.detach().clone()

    config = TrainingConfig(
        max_steps=11, validate_every=100, checkpoint_every=2, average_last=3, keep_checkpoints=1, watch_every=1
    )
    result = train(config, watch=watch)
    assert result.weights == "average"
    mean = torch.stack([weights[8], weights[10], weights[11]]).double().mean(0).float()
    torch.testing.assert_close(linear.weight.data, mean, rtol=0, atol=0)
    assert result.final_metrics["loss"] is not None
    assert result.final_metrics != result.best_metrics, "it is the mean that is validated last"
    best = train(replace(config, average_last=0), folder=tmp_path / "best")
    assert best.final_metrics == best.best_metrics


def test_a_mode_that_keeps_the_worst_weights_is_doubted(train: Train, recorder: Any) -> None:
    train(TrainingConfig(max_steps=1, mode="max"))
    assert recorder.warnings == [
        "'training.mode' is 'max', but of the metric 'loss' the smallest is the best: the weights that are kept would "
        "be the worst. Set 'training.mode' to 'min'."
    ]


def test_the_moving_average_is_what_is_validated_and_kept(train: Train, linear: nn.Linear) -> None:
    weights: list[Tensor] = []
    validated: list[Tensor] = []
    losses = scripted([2.0, 1.0, 3.0])

    def watch(model: nn.Module, batch: Any) -> None:
        weights.append(linear.weight.detach().clone())

    def validate(model: nn.Module) -> dict[str, float]:
        validated.append(linear.weight.detach().clone())
        return losses(model)

    expected = linear.weight.detach().double()
    config = TrainingConfig(max_steps=6, validate_every=2, ema_decay=0.2, watch_every=1, optimizer=FAST)
    assert train(config, watch=watch, validate=validate).weights == "ema"
    averages = []
    for update, weight in enumerate(weights, start=1):
        decay = min(0.2, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * weight.double()
        averages.append(expected.float())
    for found, update in zip(validated, (2, 4, 6), strict=True):
        torch.testing.assert_close(found, averages[update - 1])
    torch.testing.assert_close(linear.weight.data, validated[1], rtol=0, atol=0)  # the second was best


def test_a_time_budget_ends_it_with_a_validation(train: Train, recorder: Any) -> None:
    result = train(TrainingConfig(max_seconds=1e-9, validate_every=100))
    assert (result.steps, result.stop_reason) == (0, "max_seconds")
    result = train(TrainingConfig(max_seconds=0.05), resume=True)
    assert (result.stop_reason, result.best_step) == ("max_seconds", result.steps)
    assert result.seconds >= 0.05


def test_the_time_budget_counts_what_was_before_a_resume(train: Train, tmp_path: Path) -> None:
    train(TrainingConfig(max_steps=3))
    # Of the last validation: what came after it, the checkpoint may not know of.
    spent = json.loads((tmp_path / "run/times.jsonl").read_text(encoding="utf-8").splitlines()[-1])["seconds"]
    again = train(TrainingConfig(max_steps=1000, max_seconds=spent * 0.9), resume=True)
    assert (again.steps, again.stop_reason) == (3, "max_seconds")


def test_the_learning_rate_may_end_with_the_time(train: Train, recorder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "seconds", property(lambda journal: len(recorder.steps)))
    schedule = LinearSchedule(follow_time=True)
    result = train(TrainingConfig(max_steps=1000, max_seconds=5, schedule=schedule, optimizer=FAST))
    assert (result.steps, result.stop_reason) == (5, "max_seconds")
    assert [progress.learning_rate for progress in recorder.steps] == pytest.approx([0.0999, 0.08, 0.06, 0.04, 0.02])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_it_with_a_sentence(
    value: float, train: Train, loss_of_points: Any, tmp_path: Path
) -> None:
    calls = 0

    def compute_loss(model: nn.Module, batch: Any) -> LossSum:
        nonlocal calls
        calls += 1
        loss = loss_of_points(model, batch)
        return loss._replace(total=loss.total * value) if calls == 6 else loss

    config = TrainingConfig(max_steps=9, validate_every=2, gradient_clip=None)
    said = (
        rf"The loss became {value} at step 6\. Lower .*gradient_clip.* The weights of step 4 are kept in .*-00000004\."
    )
    with pytest.raises(WorkError, match=said):
        train(config, compute_loss=compute_loss)
    store = CheckpointStore(tmp_path / "run/checkpoints", every=2, keep=2)
    assert all(tensor.isfinite().all() for tensor in store.load_tensors(4, "model").values())


class _Explodes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:
        return input.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * math.inf


def exploding(loss_of_points: Any, at: range) -> Callable[[nn.Module, Any], LossSum]:
    calls = iter(range(1, 1000))

    def compute_loss(model: nn.Module, batch: Any) -> LossSum:
        loss: LossSum = loss_of_points(model, batch)
        return loss._replace(total=_Explodes.apply(loss.total)) if next(calls) in at else loss

    return compute_loss


def test_nine_bad_gradients_in_a_row_are_skipped_and_counted(train: Train, loss_of_points: Any, tmp_path: Path) -> None:
    result = train(
        TrainingConfig(max_steps=14, log_every=1, validate_every=20),
        compute_loss=exploding(loss_of_points, range(3, 12)),
    )
    assert result.stop_reason == "max_steps"
    lines = [line for line in log_of(tmp_path / "run") if "loss" in line]
    assert [line["skipped"] for line in lines] == [0, 0, *range(1, 10), 9, 9, 9]
    assert lines[3]["gradient_norm"] is None
    assert lines[11]["gradient_norm"] is not None


def test_ten_bad_gradients_in_a_row_end_it(train: Train, loss_of_points: Any) -> None:
    with pytest.raises(WorkError, match=r"not finite in 10 steps in a row, up to step 12\..* step 10 are kept"):
        train(
            TrainingConfig(max_steps=14, validate_every=5),
            compute_loss=exploding(loss_of_points, range(3, 13)),
        )


def test_a_folder_with_a_training_is_not_written_over(train: Train, tmp_path: Path) -> None:
    train(TrainingConfig(max_steps=3))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match=r"run holds a training at step 3 already\. Resume it"):
        train(TrainingConfig(max_steps=3))
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_training_of_another_model_is_not_resumed(train: Train) -> None:
    train(TrainingConfig(max_steps=3))
    with pytest.raises(
        RequestError, match=r"step-00000003 does not fit .*'weight' has shape \(1, 3\), expected \(2, 3\)"
    ):
        train(TrainingConfig(max_steps=5), model=nn.Linear(3, 2), resume=True)
    with pytest.raises(RequestError, match="no moving average"):
        train(TrainingConfig(max_steps=5, ema_decay=0.9), resume=True)


def test_a_training_that_kept_an_average_goes_on_with_one(train: Train) -> None:
    train(TrainingConfig(max_steps=3, ema_decay=0.9))
    with pytest.raises(RequestError, match=r"holds a moving average .* but 'training\.ema_decay' is not set"):
        train(TrainingConfig(max_steps=5), resume=True)
    assert train(TrainingConfig(max_steps=5, ema_decay=0.5), resume=True).weights == "ema"


def test_a_longer_training_goes_on_where_a_shorter_one_ended(train: Train, tmp_path: Path) -> None:
    train(TrainingConfig(max_steps=4, validate_every=2, log_every=1))
    result = train(TrainingConfig(max_steps=6, validate_every=2, log_every=1), resume=True)
    assert result.steps == 6
    assert [line["step"] for line in log_of(tmp_path / "run") if "loss" in line] == [1, 2, 3, 4, 5, 6]


def test_a_metric_that_validation_does_not_give_is_refused(train: Train) -> None:
    with pytest.raises(RequestError, match=r"'training.metric' is 'los'.*Did you mean 'loss'"):
        train(TrainingConfig(max_steps=3, metric="los"))


def test_without_a_number_from_validation_the_last_weights_stay(train: Train, recorder: Any, tmp_path: Path) -> None:
    result = train(TrainingConfig(max_steps=3), validate=lambda model: {"loss": math.nan})
    assert (result.weights, result.best_step, result.best_metrics) == ("last", None, {})
    assert log_of(tmp_path / "run")[-1]["validation"] == {"loss": None}


def test_damaged_best_weights_are_told_and_the_last_ones_stay(
    train: Train, recorder: Any, tmp_path: Path, linear: nn.Linear
) -> None:
    config = TrainingConfig(max_steps=6, validate_every=2, optimizer=FAST)
    train(config, validate=scripted([1.0, 2.0, 3.0]))
    path = tmp_path / "run/checkpoints/step-00000002/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    result = train(config, resume=True, validate=lambda model: {"loss": 7.0})
    assert (result.weights, result.best_step, result.weights_step) == ("last", 2, 6)
    assert (result.best_metrics, result.final_metrics) == ({"loss": 1.0}, {"loss": 7.0})
    assert "The weights of step 2 are left out" in recorder.warnings[-1]


def test_watch_sees_gradients_and_each_kind_of_warning_is_passed_once(
    train: Train, recorder: Any, linear: nn.Linear, tmp_path: Path
) -> None:
    texts = iter(["gate 3 is closed at 0.5", None, "gate 17 is closed at 1e-3", "state explodes", "state explodes"])

    def watch(model: nn.Module, batch: Any) -> str | None:
        assert linear.weight.grad is not None
        torch.rand(5)
        model.eval()
        return next(texts)

    config = TrainingConfig(max_steps=11, watch_every=2, validate_every=100)
    train(config, watch=watch)
    assert recorder.warnings == ["gate 3 is closed at 0.5", "state explodes"]


def test_watching_changes_no_byte(train: Train, linear: nn.Module, tmp_path: Path) -> None:
    start, ends = copy.deepcopy(linear.state_dict()), []

    def watch(model: nn.Module, batch: Any) -> None:
        model.eval()
        noisy_loss(model.train(), batch).total.backward()
        model.eval()

    for looking in (watch, None):
        linear.load_state_dict(start)
        folder = tmp_path / str(looking is None)
        train(TrainingConfig(max_steps=6, watch_every=1), compute_loss=noisy_loss, watch=looking, folder=folder)
        ends.append(copy.deepcopy(linear.state_dict()))
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0)


def test_a_loss_may_depend_on_the_step(train: Train, loss_of_points: Callable[[nn.Module, Any], LossSum]) -> None:
    """The step's number is that of the training, resumed or not, and the same for all batches of a step."""
    asked: list[int] = []

    def loss_at(step: int) -> Callable[[nn.Module, Any], LossSum]:
        asked.append(step)
        return loss_of_points

    def refused(model: nn.Module, batch: Any) -> LossSum:
        pytest.fail("the loss that knows no step was computed")

    config = TrainingConfig(max_steps=3, accumulate_batches=2, validate_every=2, schedule=ConstantSchedule())
    train(config, compute_loss=refused, loss_at=loss_at)
    train(replace(config, max_steps=5), compute_loss=refused, loss_at=loss_at, resume=True)
    assert asked == [1, 2, 3, 4, 5]


def test_a_metric_that_is_no_number_is_told_and_stops_nothing_early(train: Train, recorder: Any) -> None:
    values = [math.inf, math.inf, math.inf, 3.0, 4.0, 5.0]
    result = train(TrainingConfig(max_steps=12, validate_every=1, patience=2), validate=scripted(values))
    assert (result.steps, result.stop_reason, result.best_step) == (6, "early_stopping", 4)
    (told,) = [text for text in recorder.warnings if "validation metric" in text]
    assert told == "The validation metric 'loss' was inf at step 1: no weights are chosen by that."


def test_a_plateau_begins_with_the_first_number(train: Train, tmp_path: Path) -> None:
    values = [math.nan] * 5 + [3.0, 2.0]
    schedule = PlateauSchedule(patience=1)
    config = TrainingConfig(max_steps=7, validate_every=1, log_every=1, schedule=schedule, optimizer=FAST)
    train(config, validate=scripted(values))
    rates = [line["learning_rate"] for line in log_of(tmp_path / "run") if "learning_rate" in line]
    assert rates == [0.1] * 7


def test_what_nothing_else_ends_ends_without_a_number_too(train: Train) -> None:
    config = TrainingConfig(validate_every=1, patience=2, schedule=ConstantSchedule())
    result = train(config, validate=lambda model: {"loss": math.nan})
    assert (result.steps, result.stop_reason, result.weights) == (2, "early_stopping", "last")
