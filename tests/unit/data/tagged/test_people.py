"""The generator of sentences about people."""

import dataclasses

import pytest

from seqlens.data.tagged.people import PEOPLE_SPLITS, PeopleData, generate_people, open_people
from seqlens.data.tagged.people_words import FIRST_NAMES
from seqlens.errors import RequestError


def test_entities_are_whole_tokens_of_all_four_kinds() -> None:
    found: dict[str, set[str]] = {}
    for split in PEOPLE_SPLITS:
        for example in generate_people(PeopleData(num_train=500), split):
            assert [example.text[one.start : one.stop] for one in example.entities] == [
                example.text[example.tokens[first][0] : example.tokens[end - 1][1]]
                for first, end, _ in example.token_spans()
            ]
            for one in example.entities:
                found.setdefault(one.label, set()).add(example.text[one.start : one.stop])
    assert set(found) == {"person", "place", "organisation", "date"}
    # The same word may be one or the other.
    assert {name.split()[-1] for name in found["person"]} & found["place"]
    assert set(FIRST_NAMES) & {word for date in found["date"] for word in date.split()}


def test_names_are_held_out() -> None:
    names: dict[str, set[str]] = {}
    for split in PEOPLE_SPLITS:
        names[split] = {
            word
            for example in generate_people(PeopleData(), split)
            for one in example.entities
            if one.label in ("place", "organisation")
            or (one.label == "person" and " " in example.text[one.start : one.stop])
            for word in example.text[one.start : one.stop].split()[-1:]
            if one.label != "organisation"
        }
    assert not names["train"] & names["validation"]
    assert not (names["train"] | names["validation"]) & names["test"]
    assert all(len(of) > 20 for of in names.values())


def test_a_seed_decides_and_a_larger_split_begins_with_a_smaller_one() -> None:
    few, many = (list(generate_people(PeopleData(num_train=number), "train")) for number in (20, 40))
    assert many[:20] == few
    assert list(generate_people(PeopleData(num_train=20, seed=1), "train")) != few
    config = PeopleData(num_train=20)
    corpus = open_people(config)
    assert list(corpus.read("train")) == few
    assert corpus.fingerprint("train") != open_people(dataclasses.replace(config, seed=1)).fingerprint("train")
    with pytest.raises(RequestError, match="people has no split 'dev', expected one of train, validation, test"):
        corpus.read("dev")


def test_no_sentence_is_in_two_splits() -> None:
    config = PeopleData(num_train=20_000, num_validation=5_000, num_test=5_000)
    train, validation, test = ({one.text for one in generate_people(config, split)} for split in PEOPLE_SPLITS)
    assert not train & validation
    assert not (train | validation) & test
