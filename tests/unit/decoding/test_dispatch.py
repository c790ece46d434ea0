from dataclasses import fields, replace

import pytest

from seqlens.decoding import (
    DecodingConfig,
    SearchRequest,
    beam_search,
    decode,
    greedy_search,
    sample,
    unread_settings,
)

START, END, A, B = range(4)
TABLE = {START: {A: 0.55, B: 0.45}, A: {A: 0.5, B: 0.2, END: 0.3}, B: {END: 0.6, B: 0.4}}
ASKED = SearchRequest(start_id=START, end_id=END, max_lengths=[3, 9], forbidden_ids=[START], prefixes=[[], [B]])


@pytest.mark.parametrize(
    ("config", "search", "settings"),
    [
        (
            DecodingConfig(beam_width=3, num_best=2, length_penalty=0.5, max_length=4, min_length=2, stopping="full"),
            beam_search,
            {"beam_width": 3, "num_best": 2, "stopping": "full"},
        ),
        (
            DecodingConfig(beam_width=4, num_best=3, diversity_groups=2, diversity_penalty=0.1, length_penalty=0.5),
            beam_search,
            {"beam_width": 4, "num_best": 3, "diversity_groups": 2, "diversity_penalty": 0.1},
        ),
        (
            DecodingConfig(method="greedy", length_penalty=0.5, max_length=4, min_length=2),
            greedy_search,
            {},
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
    found = decode(model, state, config, ASKED)
    cap = config.max_length or 9
    asked = replace(ASKED, max_lengths=[3, cap], length_penalty=config.length_penalty, min_length=config.min_length)
    assert found == search(model, state, asked, **settings)
    assert found != search(model, state, replace(asked, max_lengths=[2, 2]))


CHANGES = {
    "beam_width": 3,
    "num_best": 2,
    "stopping": "full",
    "diversity_groups": 2,
    "diversity_penalty": 3.0,
    "temperature": 5.0,
    "top_k": 1,
    "top_p": 0.01,
    "seed": 1,
    "length_penalty": 0.0,
    "max_length": 2,
    "min_length": 3,
    "precision": "bfloat16",
}


@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
@pytest.mark.parametrize("groups", [1, 2])
def test_what_a_method_does_not_read_is_known(method, groups, chain, state):
    start = DecodingConfig(method, beam_width=4, diversity_groups=groups)
    assert {*CHANGES} == {one.name for one in fields(start)} - {"method"}
    unread = unread_settings(start, CHANGES)
    assert unread == [name for name in CHANGES if name in unread]
    before = decode(chain(TABLE, 4), state, start, ASKED)
    for name in unread:
        if method == "greedy" and name == "num_best":
            continue  # which is refused
        changed = {"diversity_groups": 1 if name == "beam_width" else groups, name: CHANGES[name]}
        assert decode(chain(TABLE, 4), state, replace(start, **changed), ASKED) == before, name
    expected = {
        "beam": {"temperature", "top_k", "top_p", "seed"} | ({"diversity_penalty"} if groups == 1 else set()),
        "greedy": {*CHANGES} - {"length_penalty", "max_length", "min_length", "precision"},
        "sample": {"beam_width", "stopping", "diversity_groups", "diversity_penalty"},
    }
    assert {*unread} == expected[method]
