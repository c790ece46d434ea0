import pytest

from seqlens.decoding import DecodingConfig, beam_search, decode, greedy_search, sample

START, END, A, B = range(4)
TABLE = {START: {A: 0.55, B: 0.45}, A: {A: 0.5, B: 0.2, END: 0.3}, B: {END: 0.6, B: 0.4}}
ARGUMENTS = {"num_groups": 2, "start_id": START, "end_id": END}
COMMON = {"forbidden_ids": [START], "prefixes": [[], [B]]}


@pytest.mark.parametrize(
    ("config", "search", "settings"),
    [
        (
            DecodingConfig(beam_width=3, num_best=2, length_penalty=0.5, max_length=4, min_length=2, stopping="full"),
            beam_search,
            {"beam_width": 3, "num_best": 2, "length_penalty": 0.5, "min_length": 2, "stopping": "full"},
        ),
        (
            DecodingConfig(method="greedy", length_penalty=0.5, max_length=4, min_length=2),
            greedy_search,
            {"length_penalty": 0.5, "min_length": 2},
        ),
        (
            DecodingConfig("sample", temperature=1.5, top_k=2, top_p=0.9, seed=4, num_best=3, max_length=4),
            sample,
            {"temperature": 1.5, "top_k": 2, "top_p": 0.9, "seed": 4, "num_samples": 3},
        ),
    ],
)
def test_a_configuration_reaches_its_search(config, search, settings, chain, state):
    model = chain(TABLE, 4)
    found = decode(model, state, config, max_lengths=[3, 9], **ARGUMENTS, **COMMON)
    assert found == search(model, state, max_lengths=[3, 4], **settings, **ARGUMENTS, **COMMON)
    assert found != search(model, state, max_lengths=[2, 2], **ARGUMENTS, **COMMON)
