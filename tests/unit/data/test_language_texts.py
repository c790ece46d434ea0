"""Plain text for language models: lines and running texts, their splits and faults; the generators."""

import gzip
import re
from itertools import islice
from pathlib import Path

import pytest

from seqlens.data.language.corpus import TextData, join_running, open_text
from seqlens.data.language.names import NAME_SPLITS, NamesData, open_names
from seqlens.data.language.prose import PROSE_SPLITS, ProseData, open_prose, split_of_hero
from seqlens.data.language.reading import read_line_documents, read_running_text
from seqlens.data.language.records import Document, fingerprint_documents
from seqlens.data.language.story_grammar import MEN, TRADES, WOMEN
from seqlens.errors import RequestError

NAMES = [f"name {number}" for number in range(60)]
STORY = "".join(f"This is line {number} of a story, and it goes on.\n" for number in range(40))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_each_line_is_a_document_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "names.txt", "\ufeffÅsa\r\n María José \nLi\u2028Wei")
    documents = list(read_line_documents(path))
    assert [document.text for document in documents] == ["Åsa", " María José ", "Li\u2028Wei"]
    assert str(documents[1].place) == f"{path} line 2"
    assert all(document.ends and not document.continues for document in documents)


def test_a_gzipped_file_is_told_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_bytes(gzip.compress(b"a\nb\n"))
    assert [document.text for document in read_line_documents(path)] == ["a", "b"]


@pytest.mark.parametrize("block_size", [20, 77, 500, 10_000])
@pytest.mark.parametrize("text", [STORY, "word " * 400 + "end\n", "x" * 1000 + "\n\n", "no end of line"])
def test_a_running_text_in_blocks_is_the_text(block_size: int, text: str, tmp_path: Path) -> None:
    blocks = list(read_running_text(write(tmp_path / "text.txt", text), block_size=block_size))
    assert "".join(block.text for block in blocks) == text.removesuffix("\n") + "\n"
    assert [block.continues for block in blocks] == [False] + [True] * (len(blocks) - 1)
    assert not any(block.ends for block in blocks)
    assert all(len(block.text) <= 3 * block_size for block in blocks)
    assert all(len(block.text) >= min(20, block_size) for block in blocks[:-1])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "holds no text, expected a text on each line"),
        (b"\n", "line 1 is blank, expected a text on each line"),
        (b"one\n \ntwo\n", "line 2 is blank.*data.blank_lines: skip.*data.unit: document"),
        (b"one\ntw\xffo\n", "line 2 is not UTF-8: byte 0xff at byte 3"),
        (b"one\n\x00\x01\x02\n", "line 2 holds a NUL character"),
        ("one".encode("utf-16"), "is UTF-16, expected UTF-8"),
        (gzip.compress(b"one\ntwo\n" * 2000)[:-30], "ends too early"),
    ],
)
def test_a_fault_is_named_by_file_and_line(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(raw)
    with pytest.raises(RequestError, match=f"(?s){path}.*{message}|{path} {message}"):
        list(read_line_documents(path))


def test_blank_lines_can_be_skipped_but_not_all_of_them(tmp_path: Path) -> None:
    path = write(tmp_path / "names.txt", "\none\n\ntwo\n\n")
    assert [document.text for document in read_line_documents(path, blank_lines="skip")] == ["one", "two"]
    with pytest.raises(RequestError, match="holds no text"):
        list(read_line_documents(write(tmp_path / "blank.txt", "\n\n"), blank_lines="skip"))
    with pytest.raises(RequestError, match="holds no text"):
        list(read_running_text(tmp_path / "blank.txt", block_size=100))


# --- corpora -----------------------------------------------------------------------------------------------------


def test_one_file_of_lines_is_split_by_what_they_say(tmp_path: Path) -> None:
    write(tmp_path / "names.txt", "".join(f"{name}\n" for name in NAMES * 2))
    corpus = open_text(TextData(path="names.txt", validation_fraction=0.2, test_fraction=0.2), base=tmp_path)
    assert corpus.splits == ("train", "validation", "test")
    found = {split: {document.text for document in corpus.read(split)} for split in corpus.splits}
    assert set().union(*found.values()) == set(NAMES)
    assert sum(map(len, found.values())) == len(NAMES)
    assert all(found.values())
    assert corpus.noun == ("line", "lines")


def test_one_running_text_is_split_by_its_order(tmp_path: Path) -> None:
    write(tmp_path / "story.txt", STORY)
    config = TextData(path="story.txt", unit="document", block_size=100, validation_fraction=0.1, test_fraction=0.2)
    corpus = open_text(config, base=tmp_path)
    found = {split: list(corpus.read(split)) for split in corpus.splits}
    assert "".join(block.text for split in corpus.splits for block in found[split]) == STORY
    assert all(not blocks[0].continues and all(block.continues for block in blocks[1:]) for blocks in found.values())
    assert len(found["test"]) == round(0.2 * sum(map(len, found.values())))
    assert [len(run) for run in join_running([*found["train"], *found["test"]])] == [
        len(found["train"]),
        len(found["test"]),
    ]


def test_a_folder_has_its_splits_and_named_files_come_before_them(tmp_path: Path) -> None:
    for name in ("train.txt", "dev.txt", "test.txt.gz"):
        write(tmp_path / name, f"{name}\n")
    write(tmp_path / "other.txt", "other\n")
    corpus = open_text(TextData(path=".", test="other.txt"), base=tmp_path)
    texts = {split: [document.text for document in corpus.read(split)] for split in corpus.splits}
    assert texts == {"train": ["train.txt"], "validation": ["dev.txt"], "test": ["other"]}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TextData(path="absent.txt"), "absent.txt: there is no such file"),
        (TextData(path="empty"), "empty has no train.txt in it, expected one; it holds nothing"),
        (TextData(path="one.txt"), "too few different lines to hold some out"),
        (TextData(path="one.txt", unit="document"), "has 1 blocks of 1000 characters, too few"),
        (TextData(train="empty"), "is a folder, expected a file"),
    ],
)
def test_what_cannot_be_opened_is_said(config: TextData, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "one.txt", "one\none\n")
    with pytest.raises(RequestError, match=message):
        list(open_text(config, base=tmp_path).read("train"))


def test_no_file_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"The data have none of 'path'"):
        open_text(TextData(), base=tmp_path)
    write(tmp_path / "test.txt", "one\n")
    assert open_text(TextData(test="test.txt"), base=tmp_path).splits == ("test",)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "names.txt", "".join(f"{name}\n" for name in NAMES))
    with pytest.raises(RequestError, match=r"has no split 'dev'.*Did you mean 'validation'"):
        open_text(TextData(path="names.txt"), base=tmp_path).read("dev")
    with pytest.raises(RequestError, match=r"names has no split 'tset'.*Did you mean 'test'"):
        open_names(NamesData()).read("tset")


def test_a_fingerprint_knows_documents_but_not_blocks() -> None:
    one = fingerprint_documents([Document("ab"), Document("cd", continues=True)])
    assert one == fingerprint_documents([Document("a"), Document("bcd", continues=True)])
    assert one != fingerprint_documents([Document("ab"), Document("cd")])
    assert fingerprint_documents([]) != fingerprint_documents([Document("")])


# --- generators --------------------------------------------------------------------------------------------------


def test_no_name_is_in_two_splits_or_comes_twice() -> None:
    corpus = open_names(NamesData(num_train=2000, num_validation=300, num_test=300))
    names = [document.text for split in NAME_SPLITS for document in corpus.read(split)]
    assert len(names) == len(set(names)) == 2600
    assert corpus.fingerprint("test") == corpus.fingerprint("test") != corpus.fingerprint("validation")


def test_a_file_of_generated_training_names_is_split_as_any_other(tmp_path: Path) -> None:
    names = open_names(NamesData(num_train=1000)).read("train")
    write(tmp_path / "names.txt", "".join(f"{document.text}\n" for document in names))
    corpus = open_text(TextData(path="names.txt", validation_fraction=0.1, test_fraction=0.1), base=tmp_path)
    sizes = {split: len(list(corpus.read(split))) for split in corpus.splits}
    assert 60 < sizes["validation"] < 140
    assert 60 < sizes["test"] < 140


def test_a_larger_split_begins_with_a_smaller_one_and_the_seed_tells() -> None:
    few = list(open_names(NamesData(num_train=50)).read("train"))
    assert few == list(islice(open_names(NamesData(num_train=500)).read("train"), 50))
    assert few != list(open_names(NamesData(num_train=50, seed=1)).read("train"))


def test_names_agree_across_their_parts() -> None:
    """An island's family name repeats a syllable, a desert's three consonants; and both end by the gender."""
    names = [document.text.lower() for document in open_names(NamesData(num_train=500)).read("train")]
    consonant, vowel = "(sh|[^aeiou])", "[aeiu]"
    root = f"{consonant}{vowel}{consonant}{vowel}{consonant}"
    desert = re.compile(rf"{root}([ea]?) al-[mt]{vowel}\1\2{vowel}\3(ir|ur|iret|urat)")
    island = re.compile(r"((?:ng|[klnmhpwt])?[aeiou])[a-z]*(k[eo]|l[ea]) \1\1[a-z]*(neki|nuku|meli|mula)")
    deserts = [name for name in names if " al-" in name]
    islands = [name for name in names if name.endswith(("neki", "nuku", "meli", "mula"))]
    assert len(deserts) > 50
    assert len(islands) > 50
    for name, pattern in [(name, desert) for name in deserts] + [(name, island) for name in islands]:
        match = pattern.fullmatch(name)
        assert match, name
        given, family = match.groups()[-2:]
        assert (given[:1] in ("l", "e", "a") and given != "") == family.endswith(("eli", "ula", "iret", "urat")), name


def test_stories_are_one_running_text_whose_heroes_are_held_out() -> None:
    corpus = open_prose(ProseData(num_train=200, num_validation=20, num_test=20))
    stories = {split: list(corpus.read(split)) for split in PROSE_SPLITS}
    for split, told in stories.items():
        assert [story.continues for story in told] == [False] + [True] * (len(told) - 1)
        for story in told:
            words = story.text.replace(",", "").split()
            assert split_of_hero(words[0], words[3]) == split, story.text[:60]
    for split in PROSE_SPLITS:
        pairs = [(n, t) for n in (*MEN, *WOMEN) for t in TRADES if split_of_hero(n, t) == split]
        assert {name for name, _ in pairs} == {*MEN, *WOMEN}
        assert {trade for _, trade in pairs} == set(TRADES)


def test_a_story_keeps_to_its_hero() -> None:
    for story in open_prose(ProseData(num_train=100)).read("train"):
        first = story.text.split(". ")[0]
        name = story.text.split()[0]
        assert (" his " if name in MEN else " her ") in first
        assert "\nAt the " in story.text
        assert story.text.endswith(".\n\n")
