"""Prefixes and constraints, from what a person writes to what the answers hold."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.data.codecs.marks import MarkedText
from seqlens.data.text import UNKNOWN_ID, SubwordsConfig, TextCodec, WordsConfig, fit_codec
from seqlens.errors import RequestError
from seqlens.inference import Predictor, load
from seqlens.inference.demands import read_demands
from seqlens.models.config import TransformerDecoderConfig
from seqlens.tasks.transduce.answer import Translation
from seqlens.tasks.transduce.demands import Demand, encode_demand

from .conftest import CODECS, PAIRS, MakeRun, transformer

TEXTS = ["zwei katzen", "ein mann rennt im schnee", "", "hund"]
FITTED: dict[str, TextCodec] = {
    name: fit_codec(config, [text for pair in PAIRS for text in pair] + ["Élan  (gut), 24 %"])
    for name, config in CODECS.items()
}
letters = st.text(st.sampled_from("ab dogruns(,)É é%4"), max_size=12)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(CODECS)), prefix=letters, data=st.data())
def test_a_text_begins_with_its_prefix_whatever_follows(name: str, prefix: str, data: st.DataObject) -> None:
    codec = FITTED[name]
    try:
        ids = encode_demand(codec, Demand(prefix)).prefix
    except RequestError:
        assert UNKNOWN_ID in codec.encode(prefix)
        return
    following = data.draw(st.lists(st.integers(4, codec.size - 1), max_size=6))
    assert codec.decode([*ids, *following]).startswith(codec.normalise(prefix).rstrip())


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(CODECS)), phrase=letters.filter(str.strip), data=st.data())
def test_a_text_has_its_phrase_wherever_it_stands(name: str, phrase: str, data: st.DataObject) -> None:
    codec = FITTED[name]
    try:
        (ids,) = encode_demand(codec, Demand(phrases=(phrase,))).phrases
    except RequestError:
        assert UNKNOWN_ID in codec.encode(phrase)
        return
    around = st.lists(st.integers(4, codec.size - 1), max_size=4)
    before, after = data.draw(around), data.draw(around)
    assert codec.normalise(phrase.strip()) in codec.decode([*before, *ids, *after])


@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
def test_an_answer_may_be_longer_than_its_input_allows_where_that_is_asked_for(method: str, make_run: MakeRun) -> None:
    model = load(make_run(2), device="cpu")
    asked = model.predict(["hund", ""], method=method, min_length=90)
    assert model.task.output_limit.of_length(2) < 90
    assert asked[0].alignment is not None
    assert len(asked[0].alignment.target_tokens) >= 90 - 1
    assert asked[1].text == ""
    learned = TransformerDecoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=30)
    short = load(make_run(2, model=replace(transformer(), decoder=learned)), device="cpu")
    with pytest.raises(RequestError, match="min_length is 90, expected at most 30"):
        short.predict("hund", method=method, min_length=90)


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("settings", [{}, {"method": "greedy"}, {"method": "sample", "num_best": 3}])
def test_answers_begin_with_the_prefix(codec: str, settings: dict[str, object], make_run: MakeRun) -> None:
    model = load(make_run(2, codec=codec), device="cpu")
    answers = (
        model.predict(TEXTS, prefix="the d ", **settings)
        if codec != "words"
        else model.predict(TEXTS, prefix="the dog  ", **settings)
    )
    for text, answer in zip(TEXTS, answers, strict=True):
        for one in (answer, *answer.alternatives):
            assert one.text.startswith("the d") == bool(text)


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_answers_hold_their_constraints(codec: str, make_run: MakeRun) -> None:
    model = load(make_run(3, codec=codec, model=transformer()), device="cpu")
    wanted = [["two dogs", "(old)"], [], ["cat"], ["the snow"]]
    answers = model.predict(TEXTS, constraints=wanted, num_best=2)
    for text, phrases, answer in zip(TEXTS, wanted, answers, strict=True):
        for one in (answer, *answer.alternatives):
            assert all(phrase in one.text for phrase in phrases) or not text
    alone = [model.predict(text, constraints=phrases) for text, phrases in zip(TEXTS, wanted, strict=True)]
    assert [one.text for one in alone] == [one.text for one in answers]
    assert answers[1].text == model.predict(TEXTS[1]).text


def test_a_prefix_and_constraints_together_and_beyond_the_usual_length(make_run: MakeRun) -> None:
    model = load(make_run(4), device="cpu")
    prefix = " ".join(["the man runs in the snow"] * 6)
    answer = model.predict("hund", prefix=prefix, constraints=["a cat", "two dogs"])
    assert answer.text.startswith(prefix)
    assert "a cat" in answer.text
    assert "two dogs" in answer.text


def test_one_for_all_or_one_for_each() -> None:
    assert read_demands(None, None, 2) is None
    assert read_demands("", [], 2) is None
    assert read_demands("a", "b", 2) == [Demand("a", ("b",))] * 2
    assert read_demands(["a", ""], ["b", "c"], 2) == [Demand("a", ("b", "c")), Demand("", ("b", "c"))]
    assert read_demands(None, [["b"], []], 2) == [Demand("", ("b",)), Demand()]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prefix": ["a"]}, "'prefix' has 1 entries, expected one for each of the 2 inputs"),
        ({"prefix": ["a", 3]}, "'prefix' 2 is int, expected text"),
        ({"prefix": 3}, "'prefix' is int, expected a text or a list"),
        ({"constraints": 3}, "'constraints' is int, expected a text or a list"),
        ({"constraints": [["a"], None]}, "'constraints' of input 2 is NoneType"),
        ({"constraints": [["a"]]}, "'constraints' has 1 entries"),
        ({"constraints": [["a"], "b"]}, "has texts and lists"),
        ({"constraints": [["a"], [4]]}, "'constraints' of input 2 has int"),
        ({"constraints": [[], ["a", " "]]}, "Input 2 has an empty phrase"),
        ({"prefix": ["a", "the wolf"]}, "The prefix of input 2, 'the wolf', has 'wolf', which the target vocabulary"),
        ({"constraints": ["wolf"]}, "A phrase of input 1, 'wolf', has 'wolf'"),
        ({"constraints": [[], ["the dog runs"]], "max_length": 3}, "of input 2 need 4 tokens with the end, more .* 3"),
        ({"prefix": "the dog runs", "max_length": 3}, "of input 1 need 4 tokens"),
        ({"constraints": ["dog"], "method": "greedy"}, "beam search only, but the method is greedy search"),
        ({"prefix": "a", "workers": 2}, "'workers' is 2, but prefixes"),
    ],
)
def test_what_cannot_be_met_gets_a_sentence(predictor: Predictor, arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        predictor.predict(["hund", "ein mann"], **arguments)


@pytest.mark.parametrize("nothing", [None, 3, [None]])
def test_an_input_that_is_no_text_gets_a_sentence(predictor: Predictor, nothing: object) -> None:
    with pytest.raises(RequestError, match=r"nput (1 )?is (NoneType|int), expected (a )?text"):
        predictor.predict(nothing)  # type: ignore[call-overload]


def test_a_diverse_n_best_list_through_the_face(predictor: Predictor) -> None:
    answer = predictor.predict(
        "zwei hunde", beam_width=6, num_best=3, diversity_groups=3, diversity_penalty=50.0, min_length=4
    )
    first_words = {one.text.split(" ")[0].rstrip(",") for one in (answer, *answer.alternatives)}
    assert len(first_words) == 3


CHINESE = ["我爱雪。", "狗在雪里跑。", "猫、狗和人在跑。"]


def test_phrases_of_a_script_without_spaces_stand_within_the_text() -> None:
    words = fit_codec(WordsConfig(), CHINESE)
    (snow,) = encode_demand(words, Demand(phrases=("雪",))).phrases
    assert words.decode([*words.encode("我爱"), *snow]) == "我爱雪"
    subwords = fit_codec(SubwordsConfig(vocab_size=300), CHINESE)
    (snow,) = encode_demand(subwords, Demand(phrases=("雪",))).phrases
    assert subwords.decode([*subwords.encode("狗在"), *snow]) == "狗在雪"


def test_a_symbol_may_be_joined_to_what_stands_beside_it() -> None:
    codec = fit_codec(WordsConfig(), ["the man (old), a dog"])
    assert codec.decode(encode_demand(codec, Demand("the man (")).prefix) == "the man ("
    comma, bracket, both = encode_demand(codec, Demand(phrases=(",", "(", "), a"))).phrases
    assert codec.decode([*codec.encode("dog"), *comma, *codec.encode("man")]) == "dog, man"
    assert codec.decode([*codec.encode("dog"), *bracket, *codec.encode("man")]) == "dog (man"
    assert codec.decode([*codec.encode("dog"), *both]) == "dog), a"
    with pytest.raises(RequestError, match="A phrase of input 1, ';', has ';', which the target vocabulary does not"):
        encode_demand(codec, Demand(phrases=(";",)))


def test_a_symbol_is_asked_for_as_subwords_usually_have_it() -> None:
    texts = [f"a dog, a cat and {number} birds." for number in range(40)] + ["well ! really !"] * 40
    codec = fit_codec(SubwordsConfig(vocab_size=340), texts)
    comma, end, mark, word = encode_demand(codec, Demand(phrases=(",", ".", "!", "cat"))).phrases
    sentence = codec.encode("a dog, a cat and 7 birds.")
    for phrase in (comma, end, word):
        assert any(tuple(sentence[place : place + len(phrase)]) == phrase for place in range(len(sentence)))
    exclaimed = codec.encode("a dog !")
    assert tuple(exclaimed[-len(mark) :]) == mark


@pytest.mark.parametrize("demand", [Demand("a bo"), Demand(phrases=("bo",)), Demand(phrases=("a bo",))])
def test_an_unknown_word_is_not_taken_for_the_beginning_of_another(demand: Demand) -> None:
    codec = fit_codec(WordsConfig(), ["a box, a tax"])
    with pytest.raises(RequestError, match="has 'bo', which the target vocabulary does not have"):
        encode_demand(codec, demand)


def test_no_answer_has_a_tag(make_run: MakeRun) -> None:
    tagged = [(MarkedText(source, tag="2en"), target) for source, target in PAIRS]
    run = load(make_run(31, pairs=tagged, shared=True), device="cpu")
    target = run.task.target_codec
    assert target.tags
    with torch.no_grad():  # else a tag would hardly ever be drawn
        run.model.output.bias[target.size - len(target.tags) :] += 50.0
    for search in ({"method": "sample", "num_best": 20}, {"num_best": 5}, {"method": "greedy"}):
        answers = run.predict(["ein hund", "zwei katzen"], tag="2en", **search)
        for one in (other for answer in answers for other in (answer, *answer.alternatives)):
            assert one.alignment is not None
            assert not any(token.startswith("<2en") for token in one.alignment.target_tokens)


def test_a_list_of_a_beam_has_no_text_twice(make_run: MakeRun) -> None:
    pairs = [("ein hund", "a dog runs and a dog sleeps"), ("eine katze", "a cat and a dog")] * 3
    run = load(make_run(5, codec="subwords", pairs=pairs), device="cpu")
    search = {"beam_width": 12, "num_best": 12, "diversity_groups": 12, "diversity_penalty": 3.0}
    for answer in run.predict(["ein hund", "eine katze", "hund"], **search):
        listed = [(one.text, one.finished) for one in (answer, *answer.alternatives)]
        assert len(set(listed)) == len(listed)
    doubled = Translation("a", -1.0, -1.0, alternatives=tuple(Translation(text, -2.0, -2.0) for text in "aba"))
    assert [one.text for one in doubled.without_doubles().alternatives] == ["b"]


FRENCH = ["l'homme et un homme", "d'herbe, l'herbe (une herbe)", "arrière-plan d'un plan"] * 3


@pytest.mark.parametrize("config", [WordsConfig(), SubwordsConfig(vocab_size=340, joiners=True)])
@pytest.mark.parametrize(
    ("start", "word"), [("l'", "homme"), ("d'herbe, l'", "herbe"), ("arrière-", "plan"), ("(", "une")]
)
def test_a_prefix_that_ends_with_an_apostrophe_is_joined_to_what_follows(
    config: WordsConfig | SubwordsConfig, start: str, word: str
) -> None:
    codec = fit_codec(config, FRENCH)
    whole = codec.encode(start + word)
    prefix = encode_demand(codec, Demand(start)).prefix
    assert list(prefix) == whole[: len(prefix)]
    if start != "(":
        assert encode_demand(codec, Demand(phrases=(start,))).phrases == (prefix,)


def test_with_joiners_a_word_is_met_after_a_space_and_after_an_apostrophe() -> None:
    codec = fit_codec(SubwordsConfig(vocab_size=340, joiners=True), FRENCH)
    (ids,) = encode_demand(codec, Demand(phrases=("homme",))).phrases
    for text in ("l'homme", "un homme", "homme", "l'homme et"):
        assert tuple(ids) in list(zip(*(codec.encode(text)[n:] for n in range(len(ids))), strict=False))


@pytest.mark.parametrize(
    ("prefix", "is_joined"),
    [
        ("the dogs'", False),
        ("he said 'stop'", False),
        ("he said \u2018stop\u2019", False),
        ("the man -", False),
        ("l' ", False),
        ("elle dit :", False),
        ("l'", True),
        ("qu\u2019", True),
        ("c'est qu'", True),
        ("well-", True),
        ("he said (", True),
        ("s'", True),
    ],
)
def test_what_a_prefix_ends_with_is_joined_to_what_follows_where_that_is_likely(prefix: str, is_joined: bool) -> None:
    texts = [f"{prefix.strip()} x", f"{prefix.strip()}x", "l'homme", "qu\u2019il", "dog"] * 3
    for config in (WordsConfig(), SubwordsConfig(vocab_size=400, joiners=True)):
        codec = fit_codec(config, texts)
        ids = encode_demand(codec, Demand(prefix)).prefix
        expected = prefix.strip() + ("" if is_joined else " ") + "dog"
        assert codec.decode([*ids, *codec.encode("dog")]) == expected
