"""What beam search promises where outputs must hold phrases, or must differ from each other."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.decoding import DecodingConfig, Hypothesis, SearchRequest, beam_search, decode
from seqlens.errors import RequestError
from tests.contracts.toy_search import END, START, ToyModel, assert_same, contains
from tests.draws import draws

penalties = st.sampled_from([0.0, 0.3, 1.0, 2.0])
seeds = st.integers(0, 10_000)
words = st.sampled_from([2, 3])
phrases = st.lists(words, min_size=1, max_size=3).map(tuple)


def ask(max_lengths: list[int], **arguments: object) -> SearchRequest:
    return SearchRequest(start_id=START, end_id=END, max_lengths=max_lengths, **arguments)


@draws(40)
@given(
    seed=seeds,
    asked=st.lists(st.lists(phrases, max_size=3), min_size=1, max_size=3),
    max_length=st.integers(2, 6),
    penalty=penalties,
    num_best=st.integers(1, 3),
    num_values=st.sampled_from([None, 1]),
)
def test_a_beam_as_wide_as_the_search_space_finds_the_best_outputs_with_all_phrases(
    seed: int,
    asked: list[list[tuple[int, ...]]],
    max_length: int,
    penalty: float,
    num_best: int,
    num_values: int | None,
) -> None:
    model = ToyModel(4, seed, num_values=num_values)
    limits = [max(max_length, sum(map(len, wanted)) + 1) for wanted in asked]
    limits = [min(limit, 6) for limit in limits]
    asked = [wanted if sum(map(len, wanted)) < limit else [] for wanted, limit in zip(asked, limits, strict=True)]
    request = ask(limits, length_penalty=penalty, forbidden_ids=[START], phrases=asked)
    found = beam_search(model, model.start(list(range(len(asked)))), request, beam_width=3**6, num_best=num_best)
    for source, (wanted, limit) in enumerate(zip(asked, limits, strict=True)):
        every = model.enumerate_finished(source, limit, penalty, {START})
        having = [one for one in every if all(contains(one.tokens, phrase) for phrase in wanted)]
        ours = [one for one in found[source] if one.finished]
        scores = [one.score for one in having[:num_best]]
        assert [one.score for one in ours] == pytest.approx(scores, abs=1e-12)
        if num_values is None:  # with ties either is the best
            assert_same(ours, having[:num_best])


@draws(60)
@given(
    seed=seeds,
    asked=st.lists(st.lists(st.lists(st.integers(2, 6), min_size=1, max_size=4), max_size=3), min_size=1, max_size=4),
    room=st.integers(1, 3),
    width=st.integers(1, 7),
    stopping=st.sampled_from(["bound", "full"]),
    prefix=st.lists(st.integers(2, 6), max_size=3),
)
def test_every_output_has_its_phrases_at_any_width(
    seed: int, asked: list[list[list[int]]], room: int, width: int, stopping: str, prefix: list[int]
) -> None:
    model = ToyModel(7, seed)
    limits = [len(prefix) + sum(map(len, wanted)) + room for wanted in asked]
    config = DecodingConfig(beam_width=width, num_best=min(width, 2), stopping=stopping)
    inputs = list(range(len(asked)))
    request = ask(limits, forbidden_ids=[START], phrases=asked, prefixes=[prefix] * len(asked))
    together = decode(model, model.start(inputs), config, request)
    for source, (wanted, limit, answer) in enumerate(zip(asked, limits, together, strict=True)):
        assert answer
        assert answer[0].finished or not any(wanted)
        for hypothesis in answer:
            assert list(hypothesis.tokens[: len(prefix)]) == prefix
            assert all(contains(hypothesis.tokens, tuple(phrase)) for phrase in wanted)
            assert len(hypothesis.tokens) + hypothesis.finished <= limit
            check_log_prob(model, hypothesis, source)
        request = ask([limit], forbidden_ids=[START], phrases=[wanted], prefixes=[prefix])
        (alone,) = decode(model, model.start([source]), config, request)
        assert_same(answer, alone)


def check_log_prob(model: ToyModel, hypothesis: Hypothesis, source: int) -> None:
    chosen = [*hypothesis.tokens, END] if hypothesis.finished else list(hypothesis.tokens)
    log_prob = sum(model.log_probs(source, chosen[:step])[token].item() for step, token in enumerate(chosen))
    assert hypothesis.log_prob == pytest.approx(log_prob, abs=1e-12)


@draws(40)
@given(seed=seeds, max_lengths=st.lists(st.integers(1, 6), min_size=2, max_size=4), width=st.integers(1, 6))
def test_an_input_without_phrases_is_answered_as_if_no_other_had_any(
    seed: int, max_lengths: list[int], width: int
) -> None:
    model = ToyModel(6, seed, num_values=1)
    inputs = list(range(len(max_lengths)))
    wanted = [[[3]] if length > 1 else [] for length in max_lengths[:1]] + [[]] * (len(inputs) - 1)
    plain = beam_search(model, model.start(inputs), ask(max_lengths), beam_width=width)
    mixed = beam_search(model, model.start(inputs), ask(max_lengths, phrases=wanted), beam_width=width)
    assert mixed[1:] == plain[1:]


@draws(40)
@given(
    seed=seeds,
    max_lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    groups=st.integers(1, 4),
    width=st.integers(1, 3),
    num_best=st.integers(1, 6),
    stopping=st.sampled_from(["bound", "full"]),
)
def test_a_beam_in_groups_without_a_penalty_is_the_beam_of_a_group(
    seed: int, max_lengths: list[int], groups: int, width: int, num_best: int, stopping: str
) -> None:
    model = ToyModel(6, seed)
    inputs = list(range(len(max_lengths)))
    config = DecodingConfig(
        beam_width=groups * width,
        num_best=min(num_best, groups * width),
        diversity_groups=groups,
        diversity_penalty=0.0,
        stopping=stopping,
    )
    apart = decode(model, model.start(inputs), config, ask(max_lengths))
    plain = DecodingConfig(beam_width=width, stopping=stopping)
    expected = decode(model, model.start(inputs), plain, ask(max_lengths))
    assert [answer[0] for answer in apart] == [answer[0] for answer in expected]


@draws(40)
@given(
    seed=seeds,
    max_lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    groups=st.integers(2, 4),
    width=st.integers(1, 3),
    penalty=st.sampled_from([0.1, 0.7, 50.0]),
    prefix=st.lists(st.integers(2, 5), max_size=2),
)
def test_groups_keep_the_rules_and_an_input_is_answered_as_alone(
    seed: int, max_lengths: list[int], groups: int, width: int, penalty: float, prefix: list[int]
) -> None:
    model = ToyModel(9, seed)
    inputs = list(range(len(max_lengths)))
    prefixes = [prefix[:length] for length in max_lengths]
    config = DecodingConfig(
        beam_width=groups * width, num_best=groups, diversity_groups=groups, diversity_penalty=penalty
    )
    request = ask(max_lengths, prefixes=prefixes, forbidden_ids=[START])
    found = decode(model, model.start(inputs), config, request)
    for source, (answer, limit) in enumerate(zip(found, max_lengths, strict=True)):
        assert 1 <= len(answer) <= groups
        assert len({(one.tokens, one.finished) for one in answer}) == len(answer)
        assert answer == sorted(answer, key=lambda one: (not one.finished, -one.score))
        for one in answer:
            check_log_prob(model, one, source)
        request = ask([limit], prefixes=prefixes[source : source + 1], forbidden_ids=[START])
        (alone,) = decode(model, model.start([source]), config, request)
        assert_same(answer, alone)


def test_a_high_penalty_makes_all_groups_begin_differently() -> None:
    model = ToyModel(12, seed=3)
    config = DecodingConfig(beam_width=8, num_best=4, diversity_groups=4, diversity_penalty=100.0, length_penalty=0.0)
    request = ask([6] * 5, forbidden_ids=[START], min_length=2)
    apart = decode(model, model.start(list(range(5))), config, request)
    plain = DecodingConfig(beam_width=8, num_best=4, length_penalty=0.0)
    together = decode(model, model.start(list(range(5))), plain, request)

    def most_common(answer: list[Hypothesis]) -> int:
        return max(Counter(one.tokens[:1] for one in answer).values())

    assert [most_common(answer) for answer in apart] == [1] * 5
    assert max(map(most_common, together)) > 1


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        ({"phrases": [[[2, 3], [4]]], "max_lengths": [3]}, {}, r"input 0 need 4 symbols with the end, more than .* 3"),
        ({"phrases": [[[2, 3]]], "prefixes": [[2]], "max_lengths": [2]}, {}, "input 0 need 3 symbols"),
        ({"phrases": [[[2]]]}, {"method": "greedy"}, "by beam search only, but the method is greedy search"),
        ({"phrases": [[[2]]]}, {"method": "sample"}, "by beam search only, but the method is sampling"),
        ({"phrases": [[[2]]]}, {"beam_width": 4, "diversity_groups": 2}, "kept apart in groups"),
        ({"phrases": [[[]]]}, {}, "empty phrase"),
        ({"phrases": [[[END]]]}, {}, "has the symbol 1, which is never chosen"),
        ({"phrases": [[[3]]], "forbidden_ids": [3]}, {}, "has the symbol 3, which is never chosen"),
        ({"phrases": [[[3]], []]}, {}, "'phrases' has 2 entries, expected one per input: 1"),
    ],
)
def test_what_cannot_be_met_gets_a_sentence(
    arguments: dict[str, object], settings: dict[str, object], sentence: str
) -> None:
    model = ToyModel(6, seed=0)
    request = ask(**{"max_lengths": [5], **arguments})
    with pytest.raises(RequestError, match=sentence):
        decode(model, model.start([0]), DecodingConfig(**settings), request)


@pytest.mark.parametrize(("prefix", "max_length"), [([2, 3], 4), ([5, 2], 5), ([2, 3, 4], 4)])
def test_a_prefix_may_begin_or_hold_a_phrase(prefix: list[int], max_length: int) -> None:
    model = ToyModel(6, seed=1)
    request = ask([max_length], phrases=[[[2, 3, 4]]], prefixes=[prefix], forbidden_ids=[START])
    (answer,) = beam_search(model, model.start([0]), request, beam_width=3)
    assert contains(answer[0].tokens, (2, 3, 4))


@pytest.mark.parametrize(
    ("seed", "vocab_size", "wanted", "max_length", "width"),
    [
        (17, 5, [[3, 2, 4], [4, 3, 2, 2, 2], [4, 3, 3, 4]], 13, 3),
        (133, 5, [[3, 4, 3, 4], [4, 4, 2, 4, 2], [4, 3, 3]], 13, 1),
        (374, 5, [[2, 2, 4, 4, 4], [2, 3, 4, 3, 3]], 11, 2),
        (1258, 4, [[3, 2, 3, 3], [2, 3, 2, 2]], 9, 1),
    ],
)
def test_phrases_that_overlap_do_not_lead_where_there_is_no_room_left(
    seed: int, vocab_size: int, wanted: list[list[int]], max_length: int, width: int
) -> None:
    # Having met most symbols is no help here: of phrases begun at once, one breaks off the other.
    model = ToyModel(vocab_size, seed)
    request = ask([max_length], forbidden_ids=[START], phrases=[wanted])
    (answer,) = beam_search(model, model.start([0]), request, beam_width=width)
    assert all(contains(answer[0].tokens, tuple(phrase)) for phrase in wanted)
