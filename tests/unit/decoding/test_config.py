import pytest
from pydantic import TypeAdapter, ValidationError

from seqlens.decoding import DecodingConfig

adapter = TypeAdapter(DecodingConfig)


def test_defaults_are_valid_and_survive_a_round_trip():
    assert adapter.validate_python(adapter.dump_python(DecodingConfig())) == DecodingConfig()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "beams"),
        ("beam_width", 0),
        ("length_penalty", -0.1),
        ("length_penalty", float("nan")),
        ("max_length", 0),
        ("min_length", -1),
        ("num_best", 0),
        ("num_best", 6),
        ("diversity_groups", 0),
        ("diversity_groups", 2),
        ("diversity_penalty", -0.1),
        ("stopping", "early"),
        ("temperature", -0.1),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("seed", -1),
    ],
)
def test_values_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValidationError, match=field):
        adapter.validate_python({field: value})


def test_the_shortest_is_no_longer_than_the_longest():
    assert DecodingConfig(min_length=5, max_length=5).min_length == 5
    with pytest.raises(ValueError, match="min_length is 10, expected at most max_length, 5"):
        DecodingConfig(min_length=10, max_length=5)


def test_greedy_search_has_one_answer():
    with pytest.raises(ValueError, match="greedy search finds one output"):
        DecodingConfig(method="greedy", num_best=2)
