import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.config.load import dump_config, load_config
from seqlens.data.catalogue import catalogue_names, read_card
from seqlens.data.corpus import DatesCorpus, FilePair, PairsCorpus, PairsData, open_corpus
from seqlens.data.dates import DatesData
from seqlens.data.examples import Pair, Place
from seqlens.data.fingerprints import fingerprint_pairs, fingerprint_sides
from seqlens.data.splitting import normalise_sentence
from seqlens.errors import RequestError

needs_mirror = pytest.mark.skipif(
    "SEQLENS_MIRROR" not in os.environ, reason="SEQLENS_MIRROR names no folder with the data"
)

BASE = Path()


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def numbered(word: str, count: int, start: int = 0) -> list[str]:
    return [f"{word} {number}" for number in range(start, start + count)]


def texts(corpus: PairsCorpus | DatesCorpus, split: str) -> list[tuple[str, str | None]]:
    return [(pair.source, pair.target) for pair in corpus.read(split)]


def sentence(config: PairsData, base: Path, *, require_train: bool = True) -> str:
    with pytest.raises(RequestError) as error:
        open_corpus(config, base=base, require_train=require_train)
    return str(error.value)


def write_folder(folder: Path) -> None:
    for split, start in (("train", 0), ("val", 100), ("test_2016", 200), ("test", 300)):
        write_lines(folder / f"{split}.de.gz", numbered("Satz", 50, start))
        write_lines(folder / f"{split}.en", numbered("sentence", 50, start))
    write_lines(folder / "README.md", ["not data"])
    write_lines(folder / "trainer.en", ["not data"])


def test_a_folder_of_text_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    corpus = open_corpus(PairsData(path="mine", source="de", target="en"), base=tmp_path)
    assert (corpus.name, corpus.source_name, corpus.target_name) == ("mine", "de", "en")
    assert corpus.splits == ("train", "validation", "test", "test_2016")
    for split, start in (("train", 0), ("validation", 100), ("test", 300), ("test_2016", 200)):
        expected = list(zip(numbered("Satz", 50, start), numbered("sentence", 50, start)))
        assert texts(corpus, split) == expected
        assert texts(corpus, split) == expected  # read again
    turned = open_corpus(PairsData(path="mine", source="en"), base=tmp_path)
    assert next(turned.read("train")) == Pair("sentence 0", "Satz 0", Place(str(tmp_path / "mine" / "train.en"), 1))
    assert turned.target_name == "de"


def test_text_files_beside_a_single_training_file_are_found(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.tsv", [f"go {number}\tgeh {number}" for number in range(30)])
    for split in ("valid", "test"):
        for ending in ("de", "en"):
            write_lines(tmp_path / f"{split}.{ending}", numbered(ending, 5))
    corpus = open_corpus(PairsData(path=".", source="en", target="de"), base=tmp_path)
    assert corpus.splits == ("train", "validation", "test")
    assert len(texts(corpus, "train")) == 30
    assert texts(corpus, "test")[0] == ("en 0", "de 0")
    assert "'source' and 'target' must be given" in sentence(PairsData(path="."), tmp_path)


def test_a_folder_without_validation_holds_some_out(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.tsv.gz", [f"go\tgeh {number}" for number in range(30)] + ["come\tkomm", "run\tlauf"])
    corpus = open_corpus(PairsData(path="."), base=tmp_path)
    assert corpus.splits == ("train", "validation")
    train, validation = texts(corpus, "train"), texts(corpus, "validation")
    assert validation
    assert len(train) + len(validation) == 32
    assert not {source for source, _ in train} & {source for source, _ in validation}


@given(
    sources=st.lists(
        st.sampled_from(["Go", "go", " GO", "ｇｏ", "run", "sit", "be", "do", "eat"]), min_size=1, max_size=30
    )
)
def test_one_file_is_split_so_that_no_source_is_in_two_splits(
    tmp_path_factory: pytest.TempPathFactory, sources: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("one")
    lines = [json.dumps({"source": source, "target": str(number)}) for number, source in enumerate(sources)]
    write_lines(folder / "all.jsonl", lines)
    config = PairsData(path="all.jsonl", validation_fraction=0.2, test_fraction=0.2)
    different = {normalise_sentence(source) for source in sources}
    if len(different) == 1:
        assert "too few pairs to hold some out for validation. It has one source" in sentence(config, folder)
        return
    corpus = open_corpus(config, base=folder)
    assert corpus.splits == (("train", "validation") if len(different) == 2 else ("train", "validation", "test"))
    read = {split: texts(corpus, split) for split in corpus.splits}
    assert all(read.values())
    assert sorted(target for pairs in read.values() for _, target in pairs) == sorted(map(str, range(len(sources))))
    held = [{normalise_sentence(source) for source, _ in pairs} for pairs in read.values()]
    assert sum(map(len, held)) == len(different)


def test_a_file_that_cannot_be_read_as_asked_says_so_and_no_more(tmp_path: Path) -> None:
    write_lines(tmp_path / "three.tsv", ["1\ta\tb"] * 400)
    told = sentence(PairsData(path="three.tsv", source_column=1, target_column=3), tmp_path)
    assert told.startswith(f"{tmp_path / 'three.tsv'} line 1 has 3 columns, expected 4 columns separated by tabs")
    assert "too few" not in told


def test_files_of_each_split_can_be_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    write_lines(tmp_path / "a.de", ["neu"])
    write_lines(tmp_path / "b.en", ["new"])
    write_lines(tmp_path / "own.tsv", ["x\ty"])
    own = open_corpus(PairsData(path="mine", source="de", target="en", test=FilePair("a.de", "b.en")), base=tmp_path)
    assert texts(own, "test") == [("neu", "new")]
    assert len(texts(own, "validation")) == 50
    named = open_corpus(
        PairsData(train=FilePair("mine/train.de.gz", "mine/train.en"), validation="own.tsv", source="de"), base=tmp_path
    )
    assert (named.splits, named.source_name, named.target_name) == (("train", "validation"), "de", "target")
    assert texts(named, "validation") == [("x", "y")]
    held_out = open_corpus(PairsData(train=FilePair("mine/train.de.gz", "mine/train.en")), base=tmp_path)
    assert len(texts(held_out, "train")) + len(texts(held_out, "validation")) == 50
    only_test = open_corpus(PairsData(test="own.tsv"), base=tmp_path, require_train=False)
    assert only_test.splits == ("test",)
    assert "has no training pairs, only test" in sentence(PairsData(test="own.tsv"), tmp_path)


def test_a_folder_of_test_files_opens_where_nothing_is_trained(tmp_path: Path) -> None:
    config = PairsData(path=".", source="de", target="en")
    assert "has no pairs of a test, expected test.de and test.en" in sentence(config, tmp_path, require_train=False)
    write_lines(tmp_path / "test_news.de", ["neu"])
    write_lines(tmp_path / "test_news.en", ["new"])
    corpus = open_corpus(config, base=tmp_path, require_train=False)
    assert texts(corpus, "test_news") == [("neu", "new")]
    assert "has no training pairs, expected train.de and train.en" in sentence(config, tmp_path)


def test_a_file_gives_all_to_train_where_the_others_are_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "all.tsv", [f"{word}\tx" for word in numbered("word", 200)])
    write_lines(tmp_path / "own.tsv", ["x\ty"])
    both = open_corpus(PairsData(path="all.tsv", validation="own.tsv", test="own.tsv"), base=tmp_path)
    assert len(texts(both, "train")) == 200
    one = open_corpus(PairsData(path="all.tsv", validation="own.tsv"), base=tmp_path)
    assert len(texts(one, "train")) + len(texts(one, "test")) == 200
    assert "'train' is given too" in sentence(PairsData(path="all.tsv", train="own.tsv"), tmp_path)


def test_an_unreadable_line_does_not_stop_opening_but_reading(tmp_path: Path) -> None:
    write_lines(tmp_path / "all.tsv", ["lost", "a\tb", "c\td", "e\tf"])
    corpus = open_corpus(PairsData(path="all.tsv"), base=tmp_path)
    with pytest.raises(RequestError, match="line 1 has no tab"):
        list(corpus.read("train"))
    write_lines(tmp_path / "bad.tsv", ["lost"])
    assert "line 1 has no tab" in sentence(PairsData(path="bad.tsv"), tmp_path)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PairsData(path="multi3k"), "Did you mean 'multi30k'?"),
        (PairsData(path="multi3k"), "is not there, and the catalogue has multi30k, tatoeba-fra-eng"),
        (PairsData(), "The data have none of 'path', 'train'"),
        (PairsData(path="mine", source="dee", target="en"), "'source' is 'dee', which"),
        (PairsData(path="mine", source="dee", target="en"), "expected one of de, en. Did you mean 'de'?"),
        (PairsData(path="mine", source="en", target="en"), "'source' and 'target' are both 'en'"),
        (PairsData(path="mine"), "'source' and 'target' must be given"),
        (PairsData(path="empty"), "it holds nothing"),
        (PairsData(path="twice"), "has more than one choice for 'train': train.tsv, train.jsonl"),
        (PairsData(path="packed", source="de", target="en"), "more than one choice for 'train': train.de, train.de.gz"),
        (PairsData(path="names", source="de", target="en"), "more than one choice for 'validation': dev.de, val.de"),
        (
            PairsData(path="half", source="de", target="en"),
            "test.de has no file for the other side beside it, expected",
        ),
        (PairsData(path="mine/train.en"), "is neither .tsv nor .jsonl"),
        (PairsData(path="mine", source="de", target="en", test="no.tsv"), "no.tsv, which 'test' names"),
        (PairsData(train=FilePair("mine/train.en", "no.en")), "no.en, which 'train' names"),
        (PairsData(path="multi30k", source="de", target="fra"), "expected one of en, de, fr, cs. Did you mean 'fr'?"),
        (PairsData(path="multi30k", source="de"), "'target' must be given for multi30k"),
        (PairsData(path="mine", validation_fraction=0.5, test_fraction=0.5), "expected a validation fraction above 0"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path: Path, config: PairsData, expected: str) -> None:
    write_folder(tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    for name in ("twice/train.tsv", "twice/train.jsonl", "packed/train.de", "packed/train.de.gz", "packed/train.en"):
        write_lines(tmp_path / name, ["a\tb"])
    for name in ("names/train", "names/dev", "names/val", "half/train"):
        write_lines(tmp_path / f"{name}.de", ["a"])
        write_lines(tmp_path / f"{name}.en", ["b"])
    write_lines(tmp_path / "half" / "test.de", ["a"])
    assert expected in sentence(config, tmp_path)


def test_a_third_language_excuses_a_missing_side(tmp_path: Path) -> None:
    for language in ("de", "en", "cs"):
        write_lines(tmp_path / f"train.{language}", numbered(language, 9))
    for language in ("de", "en"):
        write_lines(tmp_path / f"test.{language}", ["a"])
    assert "test" not in open_corpus(PairsData(path=".", source="cs", target="en"), base=tmp_path).splits


@pytest.mark.parametrize(("split", "hint"), [("val", "'validation'"), ("tets", "'test'")])
def test_an_unknown_split_is_told_at_once(tmp_path: Path, split: str, hint: str) -> None:
    write_folder(tmp_path)
    corpus = open_corpus(PairsData(path=".", source="de", target="en"), base=tmp_path)
    expected = f"no split '{split}', expected one of train, validation, test, test_2016. Did you mean {hint}"
    with pytest.raises(RequestError, match=expected):
        corpus.read(split)
    with pytest.raises(RequestError, match=f"Did you mean {hint}"):
        DatesCorpus(DatesData()).read(split)


def test_a_fingerprint_tells_what_is_said_not_where(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine")
    rows = [f"{a}\t{b}" for a, b in zip(numbered("Satz", 50), numbered("sentence", 50))]
    write_lines(tmp_path / "same.tsv", rows)
    write_lines(tmp_path / "swapped.tsv", [rows[1], rows[0], *rows[2:]])
    folder = open_corpus(PairsData(path="mine", source="de", target="en", test="same.tsv"), base=tmp_path)
    swapped = open_corpus(PairsData(test="swapped.tsv"), base=tmp_path, require_train=False)
    assert folder.fingerprint("train") == folder.fingerprint("test")
    assert folder.fingerprint("train") != swapped.fingerprint("test")
    assert fingerprint_pairs([Pair("ab", "c")]) != fingerprint_pairs([Pair("a", "bc")])
    assert fingerprint_pairs([Pair("a", "")]) != fingerprint_pairs([Pair("a", None)])
    side = hashlib.sha256(b"\x01" + b"\0" * 7 + b"a").hexdigest()
    assert fingerprint_pairs([Pair("a", "a")]) == hashlib.sha256(f"{side} {side}".encode()).hexdigest()


def test_dates_are_a_corpus() -> None:
    corpus = open_corpus(DatesData(num_train=5, num_validation=3, num_test=2), base=BASE)
    assert [len(texts(corpus, split)) for split in corpus.splits] == [5, 3, 2]
    assert corpus.fingerprint("test") == fingerprint_pairs(corpus.read("test"))


def test_the_config_survives_a_file(tmp_path: Path) -> None:
    config = PairsData(train=FilePair("a.de", "a.en"), validation="b.tsv", source="de", test_fraction=0.1)
    (tmp_path / "data.yaml").write_text(dump_config(config))
    assert load_config(PairsData, tmp_path / "data.yaml") == config


@pytest.mark.parametrize("name", catalogue_names())
def test_cards_agree_with_themselves(name: str) -> None:
    card = read_card(name)
    files = {file.name for file in card.files}
    assert {file for split in card.splits for file in split.files.values()} == files
    assert {"train", "validation", "test"} <= {split.name for split in card.splits}
    for split in card.splits:
        assert split.files.keys() == split.fingerprints.keys()
        assert set(split.files) <= set(card.languages)
        assert split.num_pairs > 0
    assert all(len(digest) == 64 for file in card.files for digest in (file.sha256, file.content_sha256))
    assert set(card.direction) <= set(card.languages)


def test_a_misspelt_name_of_the_catalogue_gets_a_hint() -> None:
    with pytest.raises(RequestError, match="Did you mean 'tatoeba-fra-eng'"):
        read_card("tatoeba-fra-en")


@needs_mirror
@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("multi30k", "de", "en"),
        ("multi30k", "en", "fr"),
        ("multi30k", "cs", "fr"),
    ],
)
def test_the_published_data_are_what_the_cards_say(name: str, source: str, target: str) -> None:
    card = read_card(name)
    corpus = open_corpus(PairsData(path=name, source=source, target=target), base=BASE)
    splits = card.splits_for(source, target)
    assert corpus.splits == tuple(split.name for split in splits)
    for split in splits:
        pairs = list(corpus.read(split.name))
        assert len(pairs) == split.num_pairs
        assert fingerprint_sides(pairs) == (split.fingerprints[source], split.fingerprints[target])


@needs_mirror
def test_multi30k_has_its_known_sizes() -> None:
    corpus = open_corpus(PairsData(path="multi30k", source="de", target="en"), base=BASE)
    sizes = {split: sum(1 for _ in corpus.read(split)) for split in corpus.splits}
    assert sizes == {"train": 29_000, "validation": 1_014, "test": 1_000, "test_2017": 1_000, "test_2017_mscoco": 461}
    czech = open_corpus(PairsData(path="multi30k", source="cs", target="en"), base=BASE)
    assert czech.splits == ("train", "validation", "test")


@needs_mirror
def test_no_english_sentence_of_tatoeba_is_in_two_splits() -> None:
    card = read_card("tatoeba-fra-eng")
    corpus = open_corpus(PairsData(path=card.name, source="fr", target="en"), base=BASE)
    english = []
    for split in card.splits:
        pairs = list(corpus.read(split.name))
        assert len(pairs) == split.num_pairs
        assert fingerprint_sides(pairs) == (split.fingerprints["fr"], split.fingerprints["en"])
        english.append({normalise_sentence(pair.target or "") for pair in pairs})
    assert len(set().union(*english)) == sum(map(len, english))
    assert [1_900 < len(held) < 2_100 for held in english] == [False, True, True]


def test_a_mirror_without_the_files_is_told_when_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLENS_MIRROR", str(tmp_path))
    assert f"The mirror has no file {tmp_path}" in sentence(PairsData(path="tatoeba-fra-eng"), BASE)
