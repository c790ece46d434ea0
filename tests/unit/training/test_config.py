import pytest

from seqlens.config.load import parse_config
from seqlens.errors import RequestError
from seqlens.training import AdamWConfig, CosineSchedule, LinearSchedule, TrainingConfig


def test_a_recipe_is_read_with_its_schedule() -> None:
    value = {"max_steps": 5, "schedule": {"kind": "cosine", "warmup_steps": 2}, "optimizer": {"learning_rate": 1}}
    config = parse_config(TrainingConfig, value, where="my.yaml")
    assert config == TrainingConfig(
        max_steps=5, schedule=CosineSchedule(warmup_steps=2), optimizer=AdamWConfig(learning_rate=1.0)
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "nothing ends this training"),
        ({"max_seconds": 9, "schedule": {"kind": "linear"}}, "'linear' runs to the last step"),
        (
            {"max_steps": 9, "schedule": {"kind": "cosine", "follow_time": True}},
            "'follow_time' ends with 'max_seconds'",
        ),
        ({"max_steps": 9, "average_last": 2, "ema_decay": 0.9}, "'average_last' and 'ema_decay'"),
        ({"max_steps": 0}, "'max_steps' is 0"),
        ({"max_steps": 9, "gradient_clip": 0}, "'gradient_clip' is 0"),
        ({"max_steps": 9, "ema_decay": 1.0}, "'ema_decay' is 1.0"),
        ({"max_steps": 9, "optimizer": {"learning_rate": float("inf")}}, "'optimizer.learning_rate'"),
        ({"max_steps": 9, "optimizer": {"betas": [0.9, 1.0]}}, "betas"),
        ({"max_steps": 9, "schedule": {"kind": "plateau", "factor": 1.0}}, "factor"),
        ({"max_steps": 9, "metricc": "bleu"}, "Did you mean 'metric'"),
    ],
)
def test_what_is_out_of_range_or_contradicts_itself_is_refused(value: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=f"^my.yaml: .*{said}"):
        parse_config(TrainingConfig, value, where="my.yaml")


def test_the_last_step_is_the_first_limit_met() -> None:
    assert TrainingConfig(max_epochs=3, accumulate_batches=2).last_step(5) == 8  # 15 batches, two a step
    assert TrainingConfig(max_epochs=3, max_steps=7).last_step(5) == 7
    assert TrainingConfig(max_epochs=1, max_steps=7).last_step(5) == 5
    assert TrainingConfig(patience=1).last_step(5) is None


def test_checkpoints_come_with_validations_unless_said_otherwise() -> None:
    assert TrainingConfig(max_steps=1, validate_every=7).steps_between_checkpoints == 7
    assert TrainingConfig(max_steps=1, validate_every=7, checkpoint_every=3).steps_between_checkpoints == 3


def test_schedules_to_the_last_step_take_it_from_epochs_too() -> None:
    assert TrainingConfig(max_epochs=2, schedule=LinearSchedule()).last_step(10) == 20


def test_a_schedule_that_follows_the_time_needs_no_last_step() -> None:
    assert TrainingConfig(max_seconds=9, schedule=CosineSchedule(follow_time=True)).last_step(10) is None
