import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.config import parse_config
from seqlens.data.codecs.marks import MarkedText, with_tag
from seqlens.data.corpus import Corpus, FilePair, MixtureData, MixturePart, PairsData, open_corpus
from seqlens.data.dates import DatesData
from seqlens.data.examples import Pair
from seqlens.data.fingerprints import fingerprint_pairs
from seqlens.data.fractions import PartOfPairs
from seqlens.data.held_out import check_held_out, count_seen
from seqlens.data.sampler import TokenBudgetSampler
from seqlens.data.text import (
    CharactersConfig,
    SubwordsConfig,
    TextCodec,
    TextCodecConfig,
    WordsConfig,
    fit_codec,
    load_codec,
)
from seqlens.errors import RequestError, WorkError

CODECS: dict[str, TextCodecConfig] = {
    "words": WordsConfig(),
    "characters": CharactersConfig(),
    "bpe": SubwordsConfig(vocab_size=300),
    "joiners": SubwordsConfig(vocab_size=300, joiners=True),
    "unigram": SubwordsConfig(algorithm="unigram", vocab_size=60, byte_fallback=False),
}
TEXTS = [
    MarkedText("a dog runs", tag="2fr"),
    "a cat <2fr> sleeps",
    MarkedText("the cat", tag="2de", context=("a dog",)),
]


def fitted(name: str) -> TextCodec:
    return fit_codec(CODECS[name], TEXTS)


@pytest.mark.parametrize("name", CODECS)
def test_a_tag_is_one_symbol_that_no_text_gives(name: str, tmp_path: Path) -> None:
    codec = fitted(name)
    plain = codec.encode("a dog runs")

    assert codec.tags == ("2de", "2fr", "break")
    assert [codec.token(id) for id in range(codec.size - 3, codec.size)] == ["<2de>", "<2fr>", "<break>"]
    assert codec.encode(MarkedText("a dog runs", tag="2fr")) == [codec.size - 2, *plain]
    marked = codec.encode_batch([MarkedText("the cat", tag="2de", context=("a dog", "runs"))])[0]
    pause = [codec.size - 1]
    assert marked == [
        codec.size - 3, *codec.encode("a dog"), *pause, *codec.encode("runs"), *pause, *codec.encode("the cat")
    ]  # fmt: skip
    assert codec.decode([codec.size - 2, *plain, codec.size - 1]) == "a dog runs"
    codec.save(tmp_path)
    loaded = load_codec(tmp_path)
    assert loaded.fingerprint == codec.fingerprint
    assert loaded.tags == codec.tags
    assert loaded.encode(TEXTS[0]) == codec.encode(TEXTS[0])


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=30)
@given(text=st.one_of(st.text(), st.text(alphabet="<2fr>break de", max_size=20)))
def test_no_text_without_marks_gives_a_tag(name: str, text: str) -> None:
    codec = fitted(name)
    assert max(codec.encode(text), default=0) < codec.size - 3


def test_a_codec_without_tags_is_what_it_was() -> None:
    plain = fit_codec(WordsConfig(), ["a dog runs"])
    assert plain.tags == ()
    assert plain.fingerprint == plain.with_tags([]).fingerprint  # type: ignore[attr-defined]
    assert plain.fingerprint != plain.with_tags(["2fr"]).fingerprint  # type: ignore[attr-defined]


def test_an_unknown_tag_is_told_with_the_nearest(tmp_path: Path) -> None:
    codec = fitted("words")
    with pytest.raises(RequestError, match=r"There is no tag '2es', expected one of 2de, 2fr. Did you mean '2de'\?"):
        with_tag(["a dog"], "<2es>", codec.tags)
    with pytest.raises(RequestError, match="There is no tag 'break', expected one of 2de, 2fr"):
        with_tag(["a dog"], "break", codec.tags)
    with pytest.raises(RequestError, match="this vocabulary has no tags, since its training data had none"):
        fit_codec(WordsConfig(), ["a"]).encode(MarkedText("a", tag="2fr"))
    codec.save(tmp_path)
    path = tmp_path / "codec.json"
    path.write_text(path.read_text().replace('"2de"', '"2dd"'))
    with pytest.raises(WorkError, match="damaged"):
        load_codec(tmp_path)


def test_marks_are_part_of_the_fingerprint() -> None:
    texts = ["a", MarkedText("a", tag="x"), MarkedText("a", context=("x",)), MarkedText("a", tag="x", context=("y",))]
    assert len({fingerprint_pairs([Pair(text, "b")]) for text in texts}) == 4


def files(folder: Path, name: str, count: int) -> PairsData:
    path = folder / f"{name}.tsv"
    path.write_text("".join(f"{name} {n}\t{name.upper()} {n}\n" for n in range(count)), encoding="utf-8")
    return PairsData(path=str(path))


def test_parts_keep_their_splits_and_get_their_tags(tmp_path: Path) -> None:
    config = MixtureData(
        (
            MixturePart(files(tmp_path, "one", 200), tag="<2one>"),
            MixturePart(files(tmp_path, "two", 100), weight=2.5, tag="bt", name="synthetic", train_only=True),
            MixturePart(DatesData(num_train=10, num_validation=3, num_test=4)),
        )
    )
    corpus = open_corpus(config, base=Path())

    assert corpus.splits == (
        "train", "validation", "test", "validation-2one", "test-2one", "validation-part3", "test-part3"
    )  # fmt: skip
    train = [pair.source for pair in corpus.read("train")]
    tags = [text.tag if isinstance(text, MarkedText) else None for text in train]
    alone = open_corpus(config.parts[0].data, base=Path())
    num_one = sum(1 for _ in alone.read("train"))
    assert Counter(tags) == {"2one": num_one, "bt": 100, None: 10}
    repeats = corpus.repeats()
    assert repeats is not None
    assert repeats.tolist() == [1.0] * num_one + [2.5] * 100 + [1.0] * 10
    validation = list(corpus.read("validation"))
    assert [str(pair.source) for pair in validation[:-3]] == [pair.source for pair in alone.read("validation")]
    assert (corpus.source_name, corpus.target_name) == ("source+date", "target+iso")
    chosen = open_corpus(MixtureData(config.parts, validation="2one"), base=Path())
    assert chosen.fingerprint("validation") == chosen.fingerprint("validation-2one")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    one, two = MixturePart(files(tmp_path, "one", 90), tag="x"), MixturePart(files(tmp_path, "two", 90), tag="x")
    with pytest.raises(RequestError, match="Parts 1 and 2 of the mixture are both called 'x'"):
        open_corpus(MixtureData((one, two)), base=Path())
    with pytest.raises(
        RequestError, match=r"'validation' of the mixture is 'y', expected the name of a part, one of x"
    ):
        open_corpus(MixtureData((one,), validation="y"), base=Path())
    with pytest.raises(RequestError, match="nothing to validate on"):
        open_corpus(MixtureData((MixturePart(one.data, train_only=True),)), base=Path())
    with pytest.raises(RequestError, match=r"has no split 'tset', expected one of train.*Did you mean 'test'"):
        list(open_corpus(MixtureData((one,)), base=Path()).read("tset"))
    for tag in ("two words", "<>", "break", ""):
        with pytest.raises(RequestError, match=r"'parts.0': the tag "):
            parse_config(
                MixtureData, {"kind": "mixture", "parts": [{"data": {"kind": "dates"}, "tag": tag}]}, where="data"
            )


@pytest.mark.parametrize("ending", ["tsv", "jsonl", "text"])
def test_what_one_part_holds_out_no_other_trains_on(ending: str, tmp_path: Path) -> None:
    pairs = [(f"dog {n}", f"Hund {n}") for n in range(200)]
    if ending == "text":
        for name, side in (("en", 0), ("de", 1)):
            (tmp_path / f"both.{name}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
        english, german = str(tmp_path / "both.en"), str(tmp_path / "both.de")
        there = PairsData(train=FilePair(english, german))
        back = PairsData(train=FilePair(german, english))
    else:
        path = tmp_path / f"both.{ending}"
        lines = [f"{a}\t{b}" if ending == "tsv" else json.dumps({"source": a, "target": b}) for a, b in pairs]
        path.write_text("\n".join(lines) + "\n")
        there = PairsData(path=str(path))
        back = replace(there, source_column=1, target_column=0, source_key="target", target_key="source")

    def opened(first: PairsData, second: PairsData, **second_fields: Any) -> Corpus:
        parts = (MixturePart(first, tag="2de"), MixturePart(second, tag="2en", **second_fields))
        corpus = open_corpus(MixtureData(parts), base=Path())
        check_held_out(corpus)
        return corpus

    for second, fields in (
        (back, {}),
        (replace(there, validation_fraction=0.1), {}),
        (replace(there, split_by="target"), {}),
    ):
        with pytest.raises(RequestError, match=r"'2de' and '2en' of the mixture both read .*'split_by: target'"):
            opened(there, second, **fields)
    for first, second, which in ((there, back, "2en"), (there, replace(back, split_by="target"), "2en")):
        with pytest.raises(RequestError, match=rf"'{which}' of the mixture is 'train_only'.*'validation: 2de' of the"):
            opened(first, second, train_only=True)
    corpus = opened(there, replace(back, split_by="target"))
    train = {frozenset((str(pair.source), str(pair.target))) for pair in corpus.read("train")}
    for split in set(corpus.splits) - {"train"}:
        held_out = [frozenset((str(pair.source), str(pair.target))) for pair in corpus.read(split)]
        assert held_out
        assert not train & set(held_out)
    assert opened(there, there).splits[0] == "train"


def test_a_part_of_the_training_data_is_checked_as_all_of_them(tmp_path: Path) -> None:
    there = files(tmp_path, "both", 200)
    back = replace(there, source_column=1, target_column=0)
    corpus = open_corpus(MixtureData((MixturePart(there, tag="x"), MixturePart(back, tag="y"))), base=Path())
    with pytest.raises(RequestError, match="'x' and 'y' of the mixture both read"):
        check_held_out(PartOfPairs(corpus, 0.5, 1))


def test_no_part_trains_on_the_test_file_of_another(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("train", "validation", "test"):
        (folder / f"{name}.tsv").write_text(f"{name}\tT\n")
    own = MixturePart(PairsData(path=str(folder)), name="own")
    other = MixturePart(PairsData(path=str(folder / ".." / "own" / "test.tsv")), name="more", train_only=True)
    with pytest.raises(RequestError, match=r"'more' of the mixture trains on .*test\.tsv, which is the test split of"):
        check_held_out(open_corpus(MixtureData((own, other)), base=Path()))
    again = MixturePart(PairsData(path=str(folder / "train.tsv")), name="again", train_only=True)
    check_held_out(open_corpus(MixtureData((own, again)), base=Path()))


def test_pairs_that_were_trained_on_before_are_counted_either_way_round(tmp_path: Path) -> None:
    (tmp_path / "both.tsv").write_text("".join(f"dog {n}\tHund {n}\n" for n in range(200)))
    there = PairsData(path=str(tmp_path / "both.tsv"), validation_fraction=0.2, test_fraction=0.2)
    back = open_corpus(replace(there, source_column=1, target_column=0), base=Path())
    corpus = open_corpus(there, base=Path())
    train = {frozenset((pair.source, pair.target)) for pair in back.read("train")}
    expected = {}
    for split in ("validation", "test"):
        pairs = [frozenset((pair.source, pair.target)) for pair in corpus.read(split)]
        expected[split] = (sum(pair in train for pair in pairs), len(pairs))
    assert all(seen for seen, _ in expected.values())
    assert count_seen(back.read("train"), corpus) == expected
    assert count_seen(corpus.read("train"), corpus) == {}


def test_both_sides_cannot_be_one_column(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'source_column' and 'target_column' are both 1, expected two"):
        open_corpus(replace(files(tmp_path, "one", 90), source_column=1), base=Path())
    with pytest.raises(RequestError, match="'source_key' and 'target_key' are both en"):
        open_corpus(replace(files(tmp_path, "one", 90), source_key="en", target_key="en"), base=Path())


def test_a_file_for_training_only_needs_nothing_to_be_held_out(tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("a single\tpair\n")
    parts = (
        MixturePart(PairsData(path=str(tmp_path / "one.tsv")), train_only=True, tag="bt"),
        MixturePart(DatesData(num_train=3, num_validation=1, num_test=1)),
    )
    corpus = open_corpus(MixtureData(parts), base=Path())
    assert next(pair.target for pair in corpus.read("train")) == "pair"


@given(
    repeats=st.lists(st.sampled_from((0.1, 0.5, 1.0, 2.0, 2.5, 3.75)), min_size=1, max_size=40), seed=st.integers(0, 3)
)
def test_each_index_comes_as_often_as_its_weight_says(repeats: list[float], seed: int) -> None:
    numbers = np.array(repeats)
    lengths = np.random.default_rng(0).integers(1, 9, (len(numbers), 2))
    sampler = TokenBudgetSampler(lengths, max_tokens=20, shuffle=True, seed=seed, repeats=numbers)
    epochs = [Counter(np.concatenate(sampler.epoch_batches(epoch)).tolist()) for epoch in range(40)]

    for number, counts in enumerate(zip(*[[epoch[index] for index in range(len(numbers))] for epoch in epochs])):
        assert {*counts} <= {int(np.floor(numbers[number])), int(np.ceil(numbers[number]))}
    for weight in set(repeats):
        members = np.flatnonzero(numbers == weight)
        per_epoch = {sum(epoch[int(index)] for index in members) for epoch in epochs}
        assert len(per_epoch) == 1
        assert abs(per_epoch.pop() - weight * len(members)) <= 1
        in_all = [sum(epoch[int(index)] for epoch in epochs) for index in members]
        assert max(in_all) - min(in_all) <= 1
    again = TokenBudgetSampler(lengths, max_tokens=20, shuffle=True, seed=seed, repeats=numbers)
    again.load_state_dict(sampler.state_dict())
    assert next(again).tolist() == next(sampler).tolist()


def test_weights_are_part_of_what_a_saved_place_belongs_to() -> None:
    lengths = np.ones((6, 2), dtype=np.int64)
    plain = TokenBudgetSampler(lengths, max_tokens=4, shuffle=True, seed=0)
    weighed = TokenBudgetSampler(lengths, max_tokens=4, shuffle=True, seed=0, repeats=np.full(6, 2.0))
    with pytest.raises(RequestError, match="cannot be continued from"):
        weighed.load_state_dict(plain.state_dict())
    with pytest.raises(ValueError, match="repeats needs shuffle"):
        TokenBudgetSampler(lengths, max_tokens=4, shuffle=False, seed=0, repeats=np.full(6, 2.0))


def test_a_split_has_the_pairs_of_all_parts_that_have_it(tmp_path: Path) -> None:
    parts = []
    for name, splits in (("one", ("train", "dev", "test", "test_news")), ("two", ("train", "dev", "test_news"))):
        (tmp_path / name).mkdir()
        for split in splits:
            (tmp_path / name / f"{split}.tsv").write_text(f"{name} {split}\tX\n")
        parts.append(MixturePart(PairsData(path=str(tmp_path / name)), tag=name))
    corpus = open_corpus(MixtureData(tuple(parts), validation="one"), base=Path())
    found = {split: [str(pair.source) for pair in corpus.read(split)] for split in corpus.splits}
    assert found["test_news"] == ["one test_news", "two test_news"]
    assert found["test_news-two"] == ["two test_news"]
    assert found["test"] == ["one test"]
    assert found["validation"] == ["one dev"]
