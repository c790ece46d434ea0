import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.training.config import (
    ConstantSchedule,
    CosineSchedule,
    InverseSqrtSchedule,
    LinearSchedule,
    PlateauSchedule,
    ScheduleConfig,
)
from seqlens.training.schedule import Schedule, doubt_end, doubt_warmup


def rates(config: ScheduleConfig, steps: int, *, peak: float = 1.0, last_step: int | None = None) -> list[float]:
    schedule = Schedule(config, learning_rate=peak, last_step=last_step)
    return [schedule.learning_rate(step) for step in range(1, steps + 1)]


def test_a_training_that_is_mostly_warm_up_is_told_of() -> None:
    config = LinearSchedule(warmup_steps=50)
    assert "has 30 steps, and 'training.schedule.warmup_steps' is 50: the" in (doubt_warmup(config, 30) or "")
    assert doubt_warmup(config, 100) is None
    assert doubt_warmup(config, None) is None
    assert doubt_warmup(ConstantSchedule(), 1) is None


def test_constant_rises_over_the_warm_up() -> None:
    assert rates(ConstantSchedule(), 3, peak=0.5) == [0.5, 0.5, 0.5]
    assert rates(ConstantSchedule(warmup_steps=4), 6, peak=0.8) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


@given(warmup=st.integers(1, 500), step=st.integers(1, 100_000), dim=st.integers(1, 1024))
def test_inverse_sqrt_is_the_one_of_the_transformer_paper(warmup: int, step: int, dim: int) -> None:
    noam = dim**-0.5 * min(step**-0.5, step * warmup**-1.5)  # Vaswani et al. 2017, equation 3
    peak = dim**-0.5 * warmup**-0.5
    rate = Schedule(InverseSqrtSchedule(warmup_steps=warmup), learning_rate=peak, last_step=None).learning_rate(step)
    assert rate == pytest.approx(noam, rel=1e-12)


@given(warmup=st.integers(0, 50), length=st.integers(1, 200), final=st.floats(0, 1), share=st.floats(0, 1))
def test_cosine_and_linear_against_their_closed_forms(warmup: int, length: int, final: float, share: float) -> None:
    last = warmup + length
    step = max(1, warmup + round(share * length))
    done = (step - warmup) / length
    cosine = Schedule(CosineSchedule(warmup_steps=warmup, final_fraction=final), learning_rate=2.0, last_step=last)
    linear = Schedule(LinearSchedule(warmup_steps=warmup, final_fraction=final), learning_rate=2.0, last_step=last)
    if step >= warmup:
        assert cosine.learning_rate(step) == pytest.approx(
            2 * (final + (1 - final) * math.cos(math.pi * done / 2) ** 2)
        )
        assert linear.learning_rate(step) == pytest.approx(2 * (1 - done + done * final))
    assert cosine.learning_rate(last) == pytest.approx(2 * final)
    assert linear.learning_rate(last) == pytest.approx(2 * final)
    assert cosine.learning_rate(last + 7) == pytest.approx(2 * final)
    for early in range(1, warmup + 1):
        assert cosine.learning_rate(early) == pytest.approx(2 * early / warmup)
        assert linear.learning_rate(early) == pytest.approx(2 * early / warmup)


@given(
    warmup=st.integers(0, 50),
    length=st.integers(1, 200),
    final=st.floats(0, 1),
    step=st.integers(1, 250),
    time_share=st.floats(0, 1),
)
def test_a_schedule_that_follows_the_time_is_never_behind_it(
    warmup: int, length: int, final: float, step: int, time_share: float
) -> None:
    last = warmup + length
    for kind in (CosineSchedule, LinearSchedule):
        config = kind(warmup_steps=warmup, final_fraction=final)
        steady = Schedule(config, learning_rate=1.0, last_step=last)
        following = Schedule(replace(config, follow_time=True), learning_rate=1.0, last_step=last)
        by_time = Schedule(replace(config, follow_time=True), learning_rate=1.0, last_step=None)
        assert steady.learning_rate(step, time_share) == steady.learning_rate(step), "the time is nothing to it"
        assert following.learning_rate(step) == steady.learning_rate(step)
        slower, slowest = following.learning_rate(step, time_share), by_time.learning_rate(step, time_share)
        assert slower == pytest.approx(min(slowest, steady.learning_rate(step)))
        if step > warmup:
            assert following.learning_rate(step, 1.0) == pytest.approx(final)
        # At a steady pace it is the schedule whose last step is where the time ends, if the warm-up leaves half of it.
        if step <= last and 2 * warmup <= last:
            assert by_time.learning_rate(step, step / last) == pytest.approx(steady.learning_rate(step), abs=1e-9)


def test_a_warm_up_longer_than_the_training_only_rises() -> None:
    assert rates(CosineSchedule(warmup_steps=10), 4, last_step=5) == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("kind", [CosineSchedule, LinearSchedule])
def test_a_warm_up_longer_than_the_time_falls_again(kind: type[CosineSchedule]) -> None:
    schedule = Schedule(kind(warmup_steps=4000, follow_time=True), learning_rate=1.0, last_step=None)
    found = [schedule.learning_rate(step, step / 80) for step in range(1, 81)]
    assert found[:40] == pytest.approx([step / 4000 for step in range(1, 41)])
    highest = found.index(max(found))
    assert 39 <= highest < 60
    assert found[highest:] == sorted(found[highest:], reverse=True)
    assert found[-1] == pytest.approx(0.0, abs=1e-9)


def test_a_training_that_ended_in_its_warm_up_is_told_of() -> None:
    assert "ended at step 77, before the 4,000 steps" in (doubt_end(CosineSchedule(warmup_steps=4000), 77) or "")
    assert doubt_end(CosineSchedule(warmup_steps=77), 77) is None
    assert doubt_end(ConstantSchedule(), 0) is None


def test_plateau_falls_after_so_many_validations_without_a_best() -> None:
    schedule = Schedule(PlateauSchedule(factor=0.5, patience=2), learning_rate=1.0, last_step=None)
    seen = []
    for is_best in [True, False, False, False, True, False, False, False, False]:
        schedule.observe(is_best=is_best)
        seen.append(schedule.learning_rate(100))
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_plateau_stops_falling_at_the_final_fraction_and_goes_on_from_its_state() -> None:
    config = PlateauSchedule(factor=0.1, patience=1, final_fraction=0.05)
    schedule = Schedule(config, learning_rate=1.0, last_step=None)
    schedule.observe(is_best=False)
    resumed = Schedule(config, learning_rate=1.0, last_step=None)
    resumed.load_state_dict(schedule.state_dict())
    for one in (schedule, resumed):
        assert one.learning_rate(1) == pytest.approx(0.1)
        one.observe(is_best=False)
        assert one.learning_rate(1) == 0.05
