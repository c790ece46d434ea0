"""One name for a baseline that is called differently in each fold."""

from seqlens.workflows.baseline_names import common_name, common_names


def test_words_in_which_names_differ_are_left_open() -> None:
    assert common_name(["majority (good)", "majority (good)"]) == "majority (good)"
    assert common_name(["majority (good)", "majority (bad)"]) == "majority …"
    assert common_name(["stretches of 300 bases", "stretches of 240 bases"]) == "stretches of … bases"
    assert common_name(["5-grams", "6-grams of words"]) == "5-grams"


def test_baselines_are_told_by_their_place() -> None:
    assert common_names([["a 1", "b"], ["a 2", "b"]]) == ["a …", "b"]
    assert common_names([["a", "b"], ["a"]]) == ["a", "b"]
