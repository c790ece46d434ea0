from dataclasses import replace

import pytest

from seqlens.decoding import DecodingConfig, SearchRequest, beam_search, decode, greedy_search, sample

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
