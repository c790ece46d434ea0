"""Labelled texts: every format as another program writes it, broken ones refused by line, splits that hold out."""

import csv
import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from seqlens.data.example_cards import read_example_card
from seqlens.data.labelled.corpus import LabelledData, open_labelled
from seqlens.data.labelled.readers import Format, reader_of
from seqlens.data.moods import MoodsData, generate_moods
from seqlens.data.splitting import normalise_sentence
from seqlens.errors import RequestError

ROWS = [
    ("a good film", "pos"),
    ('they say "never again"', "neg"),
    ("не плохо , совсем", "pos"),
    ("너무 지루하다", "neg"),
]
needs_data = pytest.mark.skipif(
    "SEQLENS_MIRROR" not in os.environ, reason="SEQLENS_MIRROR names no folder with the data"
)


def read(path: Path, form: Format = "auto", **settings: Any) -> list[tuple[str, str]]:
    columns = settings.get("columns", (0, 1))
    keys = settings.get("keys", ("text", "label"))
    header = settings.get("header")
    reader = reader_of(path, form, columns=columns, keys=keys, phrases=settings.get("phrases", False), header=header)
    return [(example.text, example.label) for example in reader(())]


def corpus_texts(base: Path, split: str, **settings: Any) -> list[tuple[str, str]]:
    corpus = open_labelled(LabelledData(**settings), base=base)
    return [(example.text, example.label) for example in corpus.read(split)]


def test_tables_as_other_programs_write_them(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in ROWS), encoding="utf-8-sig")
    assert read(tmp_path / "a.tsv") == ROWS
    (tmp_path / "b.tsv").write_bytes(b"id\tstars\treview\r\n7\tpos\ta good film\r\n")
    assert read(tmp_path / "b.tsv", columns=("review", "stars")) == ROWS[:1]
    assert read(tmp_path / "b.tsv", columns=(2, "stars")) == ROWS[:1]
    rows = [*ROWS, ("two\nlines, and a comma", "pos"), ("", "neg")]
    with (tmp_path / "c.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    assert read(tmp_path / "c.csv", columns=("text", "label")) == rows


def test_lines_jsonl_and_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"__label__{label} {text}\n" for text, label in ROWS), encoding="utf-8")
    assert read(tmp_path / "a.txt") == ROWS
    (tmp_path / "b.txt").write_text("1 a good film\n", encoding="utf-8")
    assert read(tmp_path / "b.txt") == [("a good film", "1")]
    with gzip.open(tmp_path / "c.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"body": text, "stars": label, "id": 3}) + "\n" for text, label in ROWS)
    assert read(tmp_path / "c.jsonl.gz", keys=("body", "stars")) == ROWS
    (tmp_path / "d.jsonl").write_text('{"text": "fine", "label": 1}\n{"text": "bad", "label": false}\n')
    assert read(tmp_path / "d.jsonl") == [("fine", "1"), ("bad", "false")]


def test_folders_and_class_files(tmp_path: Path) -> None:
    for number, (text, label) in enumerate(ROWS):
        (tmp_path / "mine" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / label / f"{number}.txt").write_text(f"{text}\n", encoding="utf-8")
    (tmp_path / "mine" / "pos" / "notes.pdf").write_bytes(b"no text")
    assert read(tmp_path / "mine") == sorted(ROWS, key=lambda row: row[1])
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "reviews.pos").write_bytes("très bien\n".encode("latin-1"))
    (tmp_path / "files" / "reviews.neg").write_bytes("pas très\nnon plus\n".encode("latin-1"))
    settings = {"path": "files", "format": "class_files", "encoding": "latin-1", "test_fraction": 0.0}
    corpus = open_labelled(LabelledData(**settings, validation_fraction=0.4), base=tmp_path)  # type: ignore[arg-type]
    found = [one for split in corpus.splits for one in corpus.read(split)]
    assert sorted((one.text, one.label) for one in found) == [
        ("non plus", "neg"), ("pas très", "neg"), ("très bien", "pos")
    ]  # fmt: skip


def test_splits_of_folders_and_classes_that_are_called_as_splits(tmp_path: Path) -> None:
    def write(*parts: str) -> None:
        path = tmp_path.joinpath(*parts)
        path.mkdir(parents=True)
        for number in range(20):
            (path / f"{number}.txt").write_text(f"{' '.join(parts)} {number}")

    for split in ("train", "test"):
        for label in ("pos", "neg"):
            write("own", split, label)
    write("own", "old")  # lies beside the splits and is no class
    corpus = open_labelled(LabelledData(path="own", format="folders"), base=tmp_path)
    assert {one.label for split in corpus.splits for one in corpus.read(split)} == {"pos", "neg"}
    assert [one.text for one in corpus.read("test")] == [one.text for one in corpus.read("test") if "test" in one.text]
    for label in ("bus", "train"):
        write("vehicles", label)
    with pytest.raises(RequestError, match=r"vehicles/train has texts as the classes .* named after the split 'train'"):
        open_labelled(LabelledData(path="vehicles", format="folders"), base=tmp_path)
    (tmp_path / "one.tsv").write_text("good\tpos\n")
    with pytest.raises(RequestError, match=r"one\.tsv is one file, but 'format: folders' is for a folder"):
        open_labelled(LabelledData(path="one.tsv", format="folders"), base=tmp_path)


def test_labels_of_json_lines_are_as_those_of_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good", "label": " pos"}\n{"text": "bad", "label": "neg "}\n')
    assert read(path) == [("good", "pos"), ("bad", "neg")]
    path.write_text('{"text": "good", "label": "pos"}\n{"text": "bad", "label": " "}\n')
    with pytest.raises(RequestError, match=r"a\.jsonl line 2 has no label at the key 'label'"):
        read(path)


@pytest.mark.parametrize("cut", [{"fold": 1, "num_folds": 3}, {}, {"test": "test.ptb"}], ids=["fold", "file", "test"])
def test_no_phrase_of_a_sentence_that_is_held_out_is_learnt(cut: dict[str, object], tmp_path: Path) -> None:
    for name, first, count in (("trees.ptb", 0, 60), ("test.ptb", 60, 6)):
        numbers = range(first, first + count)
        (tmp_path / name).write_text("".join(f"(3 (2 w{n}) (1 (2 a{n}) (0 b{n})))\n" for n in numbers))
    corpus = open_labelled(LabelledData(path="trees.ptb", phrases=True, **cut), base=tmp_path)  # type: ignore[arg-type]
    texts = {split: [one.text for one in corpus.read(split)] for split in corpus.splits}
    assert set(texts) == {"train", "validation", "test"}
    held_out = [*texts["validation"], *texts["test"]]
    assert all(len(text.split()) == 3 for text in held_out), "a score is of whole sentences"
    learnt = {text for text in texts["train"] if len(text.split()) == 3}
    assert sorted([*learnt, *held_out]) == sorted(f"w{n} a{n} b{n}" for n in range(66 if "test" in cut else 60))
    assert sorted(texts["train"]) == sorted(
        phrase for text in learnt for w, a, b in [text.split()] for phrase in (text, w, f"{a} {b}", a, b)
    )


def test_class_files_split_already_are_in_a_folder_a_split(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / "mine" / split).mkdir(parents=True)
        for label in ("pos", "neg"):
            (tmp_path / "mine" / split / f"reviews.{label}").write_text(f"{split} {label}\n")
    config = LabelledData(path="mine", format="class_files")
    corpus = open_labelled(config, base=tmp_path)
    for split, name in (("train", "train"), ("validation", "dev"), ("test", "test")):
        assert [(one.text, one.label) for one in corpus.read(split)] == [(f"{name} neg", "neg"), (f"{name} pos", "pos")]
    named = LabelledData(train="mine/train", test="mine/test", format="class_files", validation_fraction=0.5)
    assert [one.text for one in open_labelled(named, base=tmp_path).read("test")] == ["test neg", "test pos"]
    (tmp_path / "flat").mkdir()
    for name in ("train.pos", "train.neg", "test.pos"):
        (tmp_path / "flat" / name).write_text("fine\n")
    with pytest.raises(RequestError, match="twice"):
        open_labelled(LabelledData(path="flat", format="class_files"), base=tmp_path)
    (tmp_path / "flat" / "train.neg").unlink()
    with pytest.raises(RequestError, match=r"flat/train\.pos is named after a split, but .* a split is a folder"):
        open_labelled(LabelledData(path="flat", format="class_files"), base=tmp_path)


def test_class_files_as_editors_leave_them(tmp_path: Path) -> None:
    """`.txt` is no class, a byte order mark no part of a text, and what the system hides in a folder no data."""
    for name, content in (("pos.txt", "\ufeffgood\r\nfine\r\n"), ("reviews.neg.txt", "bad\n"), (".DS_Store", "\0")):
        (tmp_path / name).write_bytes(content.encode())
    settings = {"path": ".", "format": "class_files", "validation_fraction": 0.3, "test_fraction": 0.0}
    found = [one for split in ("train", "validation") for one in corpus_texts(tmp_path, split, **settings)]
    assert sorted(found) == [("bad", "neg"), ("fine", "pos"), ("good", "pos")]
    for folder, name in (("a", "ONE.TXT"), ("a", "._ONE.TXT"), ("b", "two.txt")):
        (tmp_path / "folders" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "folders" / folder / name).write_text(name, encoding="utf-8")
    assert read(tmp_path / "folders") == [("ONE.TXT", "a"), ("two.txt", "b")]


def test_trees_and_their_phrases(tmp_path: Path) -> None:
    (tmp_path / "t.ptb").write_text("(3 (2 A) (4 (4 fine) (2 film)))\n(1 (2 It) (1 (1 (2 -LRB-) (1 drags)) (2 \\/)))\n")
    assert read(tmp_path / "t.ptb") == [("A fine film", "3"), ("It ( drags /", "1")]
    assert read(tmp_path / "t.ptb", phrases=True) == [
        ("A fine film", "3"), ("fine film", "4"), ("film", "2"), ("fine", "4"), ("A", "2"),
        ("It ( drags /", "1"), ("( drags /", "1"), ("/", "2"), ("( drags", "1"), ("drags", "1"), ("(", "2"),
        ("It", "2"),
    ]  # fmt: skip
    (tmp_path / "t.ptb").write_text("(3 (4 fine) (2 film))\n(3 (2 film) (4 fine))\n")
    assert Counter(read(tmp_path / "t.ptb", phrases=True))[("fine", "4")] == 1, "short phrases come once"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.ptb", "(3 (2 a) (4 film))\n(3 (2 a) (4 film)\n", r"t\.ptb line 2 ends inside a bracket, expected a tree"),
        ("t.ptb", "(3 (2 a) (4 film)))\n", r"t\.ptb line 1 has a closing bracket too many, at column 19"),
        ("t.ptb", "(3 (2 a)) (3 (2 b))\n", r"t\.ptb line 1 has a second tree at column 11"),
        ("t.ptb", "(2 a)\n\n", r"t\.ptb line 2 is blank, expected a tree"),
        ("t.ptb", "a film\n", r"t\.ptb line 1 is no tree, expected brackets"),
        ("t.ptb", "", r"t\.ptb is empty, expected a tree on each line"),
        ("a.txt", "pos good\nneg\n", r"a\.txt line 2 has only 'neg', expected a label, a space and a text"),
        ("a.txt", "pos good\n\n", r"a\.txt line 2 has nothing, expected a label, a space and a text"),
        ("a.txt", "", r"a\.txt is empty, expected a label and a text on each line"),
        ("a.tsv", "good\tpos\nbad\n", r"a\.tsv line 2 has 1 column, expected at least 2"),
        (
            "a.tsv",
            "Text\tlabel\ngood\tpos\n",
            r"a\.tsv line 1 is a header with 'Text' and 'label'.*'text_column: Text'",
        ),
        (
            "a.csv",
            "review,stars\ngood,4\n",
            r"a\.csv line 1 is a header .* set 'text_column: review' and 'label_column",
        ),
        ("a.tsv", "good\tpos\nbad\t \n", r"a\.tsv line 2 has no label in column 1"),
        ("a.csv", 'good,pos\n"bad,neg\n', r"a\.csv line 2 cannot be read as CSV"),
        ("a.jsonl", '{"text": "a"}\n', r"a\.jsonl line 1 has no key 'label', its keys are 'text'"),
        ("a.jsonl", '{"text": "a", "label": null}\n', r"a\.jsonl line 1 has 'null' at the key 'label', expected text"),
        ("a.jsonl", '{"text": 1, "label": 1}\n', r"a\.jsonl line 1 has '1' at the key 'text', expected text"),
        ("a.doc", "x", r"a\.doc has none of the endings \.tsv.*expected 'format' to be set"),
    ],
)
def test_a_broken_file_is_refused_by_file_and_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(RequestError, match=message):
        read(tmp_path / name)


def rows_of_words(length: int) -> list[str]:
    return [f"{' '.join(['word'] * length)} {number}\t{'ab'[number % 2]}\n" for number in range(30)]


def test_a_header_of_other_names_is_told_by_the_rows_after_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("phrase\tmood\n" + "".join(rows_of_words(3)))
    with pytest.raises(
        RequestError, match=r"a\.tsv line 1 seems to be a header: 'mood' is the label of none of the 30"
    ):
        read(path)
    assert len(read(path, columns=("phrase", "mood"))) == len(read(path, header=True)) == 30
    assert read(path, header=False)[0] == ("phrase", "mood")
    path.write_text("phrase\tmood\n" + "".join(rows_of_words(3)) + "no label\n")
    with pytest.raises(RequestError, match="seems to be a header"):
        read(path)


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ("fine\ta\n", rows_of_words(3)),
        ("a good one\tc\n", rows_of_words(3)),
        ("fine\tc\n", [row.split()[0] + "\t" + row.split("\t")[1] for row in rows_of_words(3)]),
        ("fine\tc\n", rows_of_words(3)[:10]),
    ],
)
def test_an_example_is_not_taken_for_a_header(tmp_path: Path, first: str, others: list[str]) -> None:
    (tmp_path / "a.tsv").write_text(first + "".join(others))
    assert len(read(tmp_path / "a.tsv")) == 1 + len(others)


def test_the_setting_of_a_header_goes_with_counted_columns(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("review,stars\na b,4\n")
    (tmp_path / "dev.csv").write_text("review,stars\nc d,3\n")
    assert corpus_texts(tmp_path, "train", path=".", header=True) == [("a b", "4")]
    with pytest.raises(ValueError, match="'header' is false, but 'text_column' or 'label_column' is a name"):
        LabelledData(path=".", text_column="review", header=False)
    (tmp_path / "dev.csv").write_text("Great,\n" + "a long text,b\n" * 30)
    with pytest.raises(RequestError, match=r"dev\.csv line 1 has no label in column 1"):
        corpus_texts(tmp_path, "validation", path=".")


def test_what_cannot_be_read_further_down_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('fine,a\ngood,b\n"bad,b\n')
    with pytest.raises(RequestError, match=r"a\.csv line 3 cannot be read as CSV"):
        read(tmp_path / "a.csv")


def test_wrong_bytes_and_wrong_columns_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes("ok\tpos\ntrès\tneg\n".encode("latin-1"))
    with pytest.raises(RequestError, match=r"a\.tsv line 2 is not UTF-8"):
        read(tmp_path / "a.tsv")
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "1.txt").write_bytes("fine\ntrès".encode("latin-1"))
    with pytest.raises(RequestError, match=r"1\.txt line 2 is not UTF-8: it has byte 0xe8"):
        read(tmp_path)
    (tmp_path / "b.tsv").write_text("text\tlabel\ngood\tpos\n")
    with pytest.raises(RequestError, match=r"b\.tsv has no column 'lable', its columns are .*Did you mean 'label'\?"):
        read(tmp_path / "b.tsv", columns=("text", "lable"))
    (tmp_path / "c.tsv").write_text("good\tpos\nso\tso\tneg\n")
    with pytest.raises(RequestError, match=r"c\.tsv line 2 has 3 columns, expected 2 as in the first row; a text"):
        read(tmp_path / "c.tsv")
    (tmp_path / "d.csv").write_text("text,label\ngood,pos,\nbad,neg\n")
    assert len(read(tmp_path / "d.csv", columns=("text", "label"))) == 2, "a separator at the end holds nothing"
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "r.pos").write_bytes("très".encode("latin-1"))
    settings = LabelledData(path="f", format="class_files")
    with pytest.raises(RequestError, match=r"r\.pos line 1 is not UTF-8: it has byte 0xe8; see 'data\.encoding'"):
        list(open_labelled(settings, base=tmp_path).readers["train"](()))


def test_what_is_there_decides_the_splits(tmp_path: Path) -> None:
    rows = [f"text number {number}\t{number % 2}\n" for number in range(300)]
    (tmp_path / "all.tsv").write_text("".join([*rows, *rows[:50], "TEXT  number 7\t1\n"]))
    corpus = open_labelled(LabelledData(path="all.tsv"), base=tmp_path)
    assert corpus.splits == ("train", "validation", "test")
    texts = {split: {normalise_sentence(one.text) for one in corpus.read(split)} for split in corpus.splits}
    assert sum(map(len, texts.values())) == 300, "equal texts, in case and spaces too, stand in one split"
    assert all(len(texts[split]) > 10 for split in texts)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "train.tsv").write_text("".join(rows[:200]))
    (tmp_path / "s" / "dev.tsv").write_text("".join(rows[200:]))
    corpus = open_labelled(LabelledData(path="s"), base=tmp_path)
    assert corpus.splits == ("train", "validation")
    assert len(list(corpus.read("validation"))) == 100
    (tmp_path / "s" / "validation.jsonl").write_text("")
    with pytest.raises(RequestError, match=r"has the split 'validation' twice, as dev\.tsv and as validation"):
        open_labelled(LabelledData(path="s"), base=tmp_path)
    with pytest.raises(RequestError, match="has no split 'dev'"):
        list(corpus.read("dev"))


def test_labels_are_renamed_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("a\t0\nb\t2\nc\t4\nd\t9\n")
    (tmp_path / "dev.tsv").write_text("e\t2\nf\t0\n")
    labels = {"0": "bad", "2": None, "4": "good"}
    assert corpus_texts(tmp_path, "train", path=".", labels=labels) == [("a", "bad"), ("c", "good"), ("d", "9")]
    assert corpus_texts(tmp_path, "validation", path=".", labels=labels) == [("f", "bad")]


def test_no_phrase_of_a_held_out_sentence_is_trained_on(tmp_path: Path) -> None:
    (tmp_path / "train.ptb").write_text(
        "(3 (4 fine) (2 film))\n(1 (2 a) (1 (1 dull) (2 plot)))\n(1 (1 dull) (2 one))\n"
    )
    (tmp_path / "dev.ptb").write_text("(3 (4 fine) (2 film))\n")
    (tmp_path / "test.ptb").write_text("(1 (1 dull) (2 plot))\n")
    settings = {"path": ".", "phrases": True, "drop_held_out": True}
    found = corpus_texts(tmp_path, "train", **settings)
    # The first tree is one of dev; a phrase of the second one is a sentence of test, its words alone are not.
    assert found == [("a dull plot", "1"), ("plot", "2"), ("dull", "1"), ("a", "2"), ("dull one", "1"), ("one", "2")]
    assert corpus_texts(tmp_path, "validation", **settings) == [("fine film", "3")], "scores are of whole sentences"
    assert ("fine film", "3") in corpus_texts(tmp_path, "train", path=".", phrases=True)


def test_folds_part_the_texts(tmp_path: Path) -> None:
    (tmp_path / "all.tsv").write_text("".join(f"text {number}\t{number % 3}\n" for number in range(200)))
    every: list[tuple[str, str]] = []
    for fold in range(5):
        config = {"path": "all.tsv", "fold": fold, "num_folds": 5}
        parts = {split: corpus_texts(tmp_path, split, **config) for split in ("train", "validation", "test")}
        assert sum(map(len, parts.values())) == 200
        assert not set(parts["train"]) & (set(parts["validation"]) | set(parts["test"]))
        every += parts["test"]
    assert len(every) == len(set(every)) == 200, "each text is tested on once"
    with pytest.raises(ValueError, match="'fold' is 5, expected 0 to 4: 'num_folds' is 5"):
        LabelledData(path="all.tsv", fold=5, num_folds=5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "The data have none of 'path', 'train', 'validation' and 'test'"),
        ({"path": "ss"}, r"There is no data set, file or folder 'ss': .*Did you mean 'sst'\?"),
        ({"path": "."}, r"has neither splits \(train\.tsv.* it holds x\.pdf"),
        ({"train": "no.tsv"}, r"There is no file .*no\.tsv, which 'train' names"),
        ({"path": "ncbi-disease"}, "'ncbi-disease' is a data set of kind 'spans', expected one of kind 'labelled'"),
    ],
)
def test_data_that_are_not_there_are_named(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    (tmp_path / "x.pdf").write_bytes(b"")
    with pytest.raises(RequestError, match=message):
        open_labelled(LabelledData(**settings), base=tmp_path)


def test_moods_are_the_same_each_time_and_hold_out() -> None:
    config = MoodsData(num_train=400, num_test=200)
    texts = {split: [one.text for one in generate_moods(config, split)] for split in ("train", "validation", "test")}
    assert [len(of) for of in texts.values()] == [400, 200, 200]
    assert texts["train"] == [one.text for one in generate_moods(config, "train")]
    assert not set(texts["train"]) & {*texts["validation"], *texts["test"]}
    assert not set(texts["validation"]) & set(texts["test"])
    adjectives: Counter[tuple[str, str]] = Counter()
    for one in generate_moods(MoodsData(num_train=4000), "train"):
        adjectives.update((word, one.label) for word in ("superb", "boring") if f" {word} " in one.text)
    for word in ("superb", "boring"):
        good, bad = adjectives[word, "positive"], adjectives[word, "negative"]
        assert abs(good - bad) < 0.25 * (good + bad), "a word alone does not tell the label"


@needs_data
def test_mr_is_what_its_card_says() -> None:
    (card,) = read_example_card("mr").splits
    corpus = open_labelled(LabelledData(path="mr"), base=Path())
    assert sum(1 for split in corpus.splits for _ in corpus.read(split)) == card.num_examples
    assert {one.label for one in corpus.read("validation")} == {"pos", "neg"}


@needs_data
def test_sst_is_what_its_card_says_and_is_split_as_published() -> None:
    corpus = open_labelled(LabelledData(path="sst"), base=Path())
    for split in read_example_card("sst").splits:
        assert sum(1 for _ in corpus.read(split.name)) == split.num_examples
        assert corpus.fingerprint(split.name) == split.fingerprint
    labels = {"0": "negative", "1": "negative", "2": None, "3": "positive", "4": "positive"}
    corpus = open_labelled(LabelledData(path="sst", drop_held_out=True, labels=labels), base=Path())
    texts = {split: [one.text for one in corpus.read(split)] for split in corpus.splits}
    assert (len(texts["validation"]), len(texts["test"])) == (872, 1821)
    assert 6850 <= len(texts["train"]) <= 6920, "the published ones, but for those that stand in another split, too"
    assert not {*texts["validation"], *texts["test"]} & set(texts["train"])


def test_a_label_ends_at_a_tab_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("pos\tgreat movie here\n__label__neg bad\tmovie\n", encoding="utf-8")
    assert read(tmp_path / "a.txt") == [("great movie here", "pos"), ("bad\tmovie", "neg")]


def test_beside_a_training_file_a_folder_of_texts_is_no_class(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text(f"{split} a\tpos\n{split} b\tneg\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "note.txt").write_text("a note\n")
    assert corpus_texts(tmp_path, "train", path=".") == [("train a", "pos"), ("train b", "neg")]
    assert corpus_texts(tmp_path, "validation", path=".") == [("dev a", "pos"), ("dev b", "neg")]


def test_what_counts_as_equal_is_dropped_from_train(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("Great film!\tpos\nBad film.\tneg\nfine\tpos\n")
    (tmp_path / "dev.tsv").write_text("great film!\tpos\n")
    (tmp_path / "test.tsv").write_text("bad  film.\tneg\n")
    assert corpus_texts(tmp_path, "train", path=".", drop_held_out=True) == [("fine", "pos")]


def test_a_damaged_archive_is_told_of_and_a_long_field_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine" / "pos").mkdir(parents=True)
    whole = gzip.compress(os.urandom(4000))
    (tmp_path / "mine" / "pos" / "a.txt.gz").write_bytes(whole[:2000])
    with pytest.raises(RequestError, match=r"a.txt.gz ends too early: the compressed file was cut short"):
        read(tmp_path / "mine")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "reviews.pos.gz").write_bytes(whole[:2000])
    with pytest.raises(RequestError, match=r"reviews.pos.gz ends too early|reviews.pos.gz line 1 is not UTF-8"):
        corpus_texts(tmp_path, "train", path="files", format="class_files")
    limit = csv.field_size_limit()
    (tmp_path / "long.csv").write_text(f'"{"a word " * 30000}",pos\n')
    assert [len(text) for text, _ in read(tmp_path / "long.csv")] == [210000]
    assert csv.field_size_limit() == limit


def test_text_and_label_are_two_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,review,stars\n1,fine,5\n")
    with pytest.raises(RequestError, match=r"Text and label of .*a.csv would both be column 1, counted from 0"):
        read(tmp_path / "a.csv", columns=("review", 1))
    assert read(tmp_path / "a.csv", columns=("review", "stars")) == [("fine", "5")]
