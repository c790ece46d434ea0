"""The plan: what cannot be run or told apart is refused before anything is trained."""

import dataclasses

import pytest

from benchmarks.quality.comparison_plan import COMPARISONS
from benchmarks.quality.entry import Entry, Goal, check_plan, select_entries
from benchmarks.quality.jobs import LONGEST_SECONDS, plan_jobs
from benchmarks.quality.made import MadeData
from benchmarks.quality.plan import PLAN
from seqlens.errors import RequestError

ENTRY = Entry(
    name="dates-smoke",
    title="Dates",
    section="Dates",
    recipe="dates/smoke",
    seeds=(1, 2),
    splits=("test",),
    overrides={"training.max_seconds": 60},
)


def made(**fields: object) -> MadeData:
    return MadeData(**{"corpus": "multi30k", "source": "de", "target": "en", **fields})  # type: ignore[arg-type]


def changed(**fields: object) -> Entry:
    return dataclasses.replace(ENTRY, **fields)  # type: ignore[arg-type]


def test_the_plan_itself_can_be_run() -> None:
    check_plan(PLAN, COMPARISONS)
    jobs = plan_jobs(PLAN)
    assert len(jobs) == sum(len(entry.seeds) for entry in PLAN)
    assert len({(job.entry.name, job.seed) for job in jobs}) == len(jobs)


@pytest.mark.parametrize("limit", [None, LONGEST_SECONDS + 1])
def test_a_training_of_more_than_two_hours_is_refused(limit: int | None) -> None:
    with pytest.raises(RequestError, match="max_seconds"):
        plan_jobs([changed(overrides={"training.max_seconds": limit})])


def test_a_misspelt_override_is_refused() -> None:
    with pytest.raises(RequestError, match="max_steps"):
        plan_jobs([changed(overrides={"training.max_stepz": 3, "training.max_seconds": 60})])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "../evil"}, "name"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"splits": ()}, "splits"),
        ({"overrides": {"seed": 3}}, "seed"),
        ({"shown_by_length": "bleu_case"}, "'shown_by_length' is 'bleu_case'.*mean 'bleu_cased'"),
        ({"goals": (Goal(split="test_2017", score="bleu_cased", to_reach=1, source="nobody"),)}, "test_2017"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        changed(**fields)


def test_two_entries_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="dates-smoke"):
        check_plan([ENTRY, changed(title="Others")])


def test_settings_tell_trainings_apart_and_words_do_not() -> None:
    job, other_seed = plan_jobs([ENTRY])
    assert (job.training_id, job.settings_id) == (other_seed.training_id, other_seed.settings_id)
    assert job.overrides["seed"] == 1
    again = plan_jobs([changed(title="Other words", splits=("test", "validation"))])[0]
    assert (job.training_id, job.settings_id) == (again.training_id, again.settings_id)
    trained_otherwise = plan_jobs([changed(overrides={"training.max_seconds": 61})])[0]
    assert trained_otherwise.training_id != job.training_id
    answered_otherwise = plan_jobs([changed(decoding={"beam_width": 3})])[0]
    assert answered_otherwise.training_id == job.training_id
    assert answered_otherwise.settings_id != job.settings_id


def test_a_training_on_made_data_is_told_apart_by_what_made_them() -> None:
    back = changed(name="back", overrides={"training.max_seconds": 60}, made=made(back_translated_by="dates-smoke"))
    (job, _) = plan_jobs([back], [ENTRY])
    assert job.needs == plan_jobs([ENTRY])[0]
    plain = plan_jobs([dataclasses.replace(back, made=None)])[0]
    seen_more = dataclasses.replace(back, made=made(back_translated_by="dates-smoke", true_weight=3.0))
    reversed_otherwise = changed(overrides={"training.max_seconds": 61})
    others = [plain, plan_jobs([seen_more], [ENTRY])[0], plan_jobs([back], [reversed_otherwise])[0]]
    assert job.training_id not in [other.training_id for other in others]


def test_what_a_training_needs_must_be_in_the_plan_with_its_seeds() -> None:
    back = changed(name="back", made=made(back_translated_by="dates-smoke"), seeds=(1, 3))
    for plan in ([back], [ENTRY, back]):
        with pytest.raises(ValueError, match="no entry 'dates-smoke' with all its seeds"):
            check_plan(plan)
    check_plan([changed(seeds=(1, 2, 3)), back])


def test_a_training_is_told_apart_by_what_it_starts_from() -> None:
    then = changed(name="then", starts_from="dates-smoke")
    (job, _) = plan_jobs([then], [ENTRY])
    assert job.needs == plan_jobs([ENTRY])[0]
    started_otherwise = plan_jobs([then], [changed(overrides={"training.max_seconds": 61})])[0]
    assert job.training_id not in (started_otherwise.training_id, plan_jobs([ENTRY])[0].training_id)
    with pytest.raises(ValueError, match="no entry 'dates-smoke' with all its seeds"):
        check_plan([then])
    with pytest.raises(ValueError, match="expected one"):
        changed(name="then", starts_from="dates-smoke", made=made(back_translated_by="other"))


def test_data_are_made_or_overridden_but_not_both() -> None:
    with pytest.raises(ValueError, match="'made'"):
        changed(made=made(), overrides={"data.source": "en"})
    with pytest.raises(ValueError, match="one_in"):
        made(one_in=1)


def test_entries_are_chosen_by_name_recipe_or_pattern() -> None:
    other = changed(name="others", recipe="translation/others")
    assert select_entries([ENTRY, other], []) == [ENTRY, other]
    assert select_entries([ENTRY, other], ["dates-*"]) == [ENTRY]
    assert select_entries([ENTRY, other], ["translation/*"]) == [other]
    with pytest.raises(RequestError, match=r"'setad'.*--list"):
        select_entries([ENTRY, other], ["setad"])
    with pytest.raises(RequestError, match="Did you mean 'dates-smoke'"):
        select_entries([ENTRY, other], ["date-smok"])
