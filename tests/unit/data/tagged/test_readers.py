"""CoNLL columns and JSON Lines: what is read, and where a broken file is said to be broken."""

import gzip
import json
from pathlib import Path

import pytest

from seqlens.data.examples import Place
from seqlens.data.tagged.conll import Columns, read_conll
from seqlens.data.tagged.corpus import SpansData, open_spans
from seqlens.data.tagged.records import Entity, TaggedText
from seqlens.data.tagged.span_lines import read_span_lines
from seqlens.data.tagged.words import TokenRule, tokenise
from seqlens.errors import RequestError

HARRY = """-DOCSTART- -X- O O

# id = 1
Harry NNP B-NP B-person
Potter NNP I-NP I-person
met VBD B-VP O

# NN B-NP O
Hermione NNP B-NP B-person
"""


def write(tmp_path: Path, content: str, name: str = "file.conll") -> Path:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_columns_documents_comments_and_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path, HARRY)
    first, second = read_conll(path, Columns())
    assert first == TaggedText(
        "Harry Potter met", ((0, 5), (6, 12), (13, 16)), (Entity(0, 12, "person"),), Place(str(path), 4)
    )
    # A line with # is a token where it has a tag.
    assert second.words() == ["#", "Hermione"]
    assert second.token_spans() == [(1, 2, "person")]


def test_sentences_of_a_document_can_be_one_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a B-x\nb I-x\n\nc B-y\n\nd O\n-DOCSTART- O\n\ne B-x\n")
    texts = list(read_conll(path, Columns(), join=2))
    assert [text.text for text in texts] == ["a b\nc", "d", "e"]
    assert texts[0].words() == ["a", "b", "c"]
    assert texts[0].entities == (Entity(0, 3, "x"), Entity(4, 5, "y"))
    assert texts[0].place == Place(str(path), 1)
    assert list(read_conll(path, Columns(), join=1)) == list(read_conll(path, Columns()))
    assert len(list(read_conll(path, Columns(), join=1))) == 4


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("B-person\tHarry\nO\tmet\n", Columns(1, 0)),
        ("1|Harry|B-person|x\n2|met|O|y\n", Columns(1, -2, "|")),
        ("Harry   I-person\nmet\t O", Columns(scheme="iob1")),
        ("Harry,S-person\nmet,O\n \n\n", Columns(separator=",", scheme="bioes")),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_any_columns_separator_and_scheme(tmp_path: Path, content: str, columns: Columns, zipped: bool) -> None:
    path = write(tmp_path, content)
    if zipped:
        path.write_bytes(gzip.compress(content.encode()))
    (sentence,) = read_conll(path, columns)
    assert (sentence.text, sentence.entities) == ("Harry met", (Entity(0, 5, "person"),))


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("a O\nb I-x\n", Columns(), "line 2 has 'I-x' after 'O', expected 'B-x' where an entity begins. If I- begins"),
        ("a O\n\nb I-x\n", Columns(), "line 3 has 'I-x' at the beginning of its sentence"),
        ("a B-y\nb I-x\n", Columns(), "line 2 has 'I-x' after 'B-y'"),
        ("a O\nb c O\n", Columns(), "line 2 has 3 columns, expected 2 as in the lines before: 'b c O'."),
        ("a O\nb\n", Columns(), "line 2 has 1 column, expected 2 as in the lines before: 'b'."),
        ("a O\n# note\n", Columns(), "line 2 has the tag 'note'"),
        ("a\nb\n", Columns(), "line 1 has 1 column, expected a token and its tag with tabs and blanks between"),
        ("a O\n", Columns(tag=2), "line 1 has 2 columns, but 'tag_column' is 2, expected 0 to 1, or -1 for the last."),
        ("a\tO\n\tO\n", Columns(separator="\t"), "line 2 has no token in column 0"),
        ("a NN\n", Columns(), "line 1 has the tag 'NN', expected O, B-LABEL or I-LABEL. The tags are looked for in"),
        ("a S-x\n", Columns(), "E- and S- are of 'scheme: bioes'"),
        ("a B-x\nb O\n", Columns(scheme="bioes"), "line 2 has 'O' after 'B-x', expected 'E-x' to end it."),
        ("", Columns(), "has no token in it, expected a token and its tag on each line."),
        ("\n-DOCSTART- O\n", Columns(), "has no token in it"),
    ],
)
def test_broken_columns_are_named_by_file_and_line(
    tmp_path: Path, content: str, columns: Columns, message: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(RequestError) as error:
        list(read_conll(path, columns))
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_repair_reads_a_broken_scheme_but_not_what_is_no_tag(tmp_path: Path) -> None:
    path = write(tmp_path, "a O\nb I-x\nc I-y\n")
    (sentence,) = read_conll(path, Columns(), repair=True)
    assert sentence.token_spans() == [(1, 2, "x"), (2, 3, "y")]
    path = write(tmp_path, "a O\nb NN\n")
    with pytest.raises(RequestError, match="line 2 has the tag 'NN'"):
        list(read_conll(path, Columns(), repair=True))


TEXT = "Yesterday, Harry Potter met 赫敏."


def span_line(*entities: object, text: object = TEXT) -> str:
    return json.dumps({"text": text, "entities": list(entities)}, ensure_ascii=False) + "\n"


def test_character_spans(tmp_path: Path) -> None:
    people = [{"start": 28, "end": 30, "label": "person"}, [11, 23, "person"]]
    path = write(tmp_path, span_line(*people) + span_line(text=""), "file.jsonl")
    first, second = read_span_lines(path)
    assert first.text == TEXT
    assert first.words() == ["Yesterday", ",", "Harry", "Potter", "met", "赫", "敏", "."]
    assert first.entities == (Entity(11, 23, "person"), Entity(28, 30, "person"))
    assert first.token_spans() == [(2, 4, "person"), (5, 7, "person")]
    assert second == TaggedText("", (), (), Place(str(path), 2))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (span_line([20, 99, "x"]), "entity 1, is 20 to 99, expected 0 <= start < end <= 31"),
        (span_line([-1, 3, "x"]), "is -1 to 3"),
        (span_line([3, 3, "x"]), "is 3 to 3"),
        (span_line([0, 9, "x"], [10, 11, "x"]), "entity 2, is 10 to 11, where the text has nothing but white space"),
        (
            span_line([11, 23, "x"], [17, 27, "y"]),
            "has 'Potter met' (17 to 27, y) overlapping 'Harry Potter' (11 to 23",
        ),
        (span_line([0, 4, "x"]), "'Yest' (0 to 4, x) with only a part of the token 'Yesterday'"),
        (span_line([10, 16, "x"]), "with white space at an end, expected whole tokens"),
        (span_line([0, 9, "a b"]), '"a b" as its label, expected a name without spaces'),
        (span_line([0.0, 9, "x"]), "has 0.0 as its start, expected a whole number"),
        (span_line([True, 9, "x"]), "has true as its start"),
        (span_line([0, 9]), "is [0, 9], expected an object with start, end and label"),
        (span_line({"start": 0, "label": "x"}), "has no 'end', its keys are 'start', 'label'"),
        (span_line(text=3), "has 3 at the key 'text', expected text"),
        ('{"text": "a"}\n', "has no key 'entities', its keys are 'text'."),
        ('{"text": "a", "entity": []}\n', "Did you mean 'entity'?"),
        ('{"text": "a", "entities": 1}\n', "has 1 at the key 'entities', expected a list of spans"),
        ('{"text": "\\ud800", "entities": []}\n', "half of a surrogate pair"),
        ("[]\n", "is no JSON object"),
        ("{\n", "is not JSON"),
        ("\n", "is not JSON"),
    ],
)
def test_broken_spans_are_named_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, span_line() + line, "file.jsonl")
    with pytest.raises(RequestError) as error:
        list(read_span_lines(path))
    assert f"{path} line 2" in str(error.value)
    assert message in str(error.value)


def test_repair_widens_spans_and_keeps_the_longest(tmp_path: Path) -> None:
    line = span_line([10, 14, "a"], [12, 20, "b"], [24, 28, "c"])
    (text,) = read_span_lines(write(tmp_path, line, "file.jsonl"), repair=True)
    assert text.entities == (Entity(11, 23, "b"), Entity(24, 27, "c"))


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("It's T-cell 3.5 a_b?", "words", ["It", "'", "s", "T", "-", "cell", "3", ".", "5", "a", "_", "b", "?"]),
        ("@user it's #one https://a.b/c?d=e ok", "posts", ["@user", "it", "'s", "#one", "https://a.b/c?d=e", "ok"]),
        ("#नमस्ते @ไม่รู้ #مُحَمَّد", "posts", ["#नमस्ते", "@ไม่รู้", "#مُحَمَّد"]),
        ("it's  here\tnow", "spaces", ["it's", "here", "now"]),
        ("हिन्दी भाषा, é", "words", ["हिन्दी", "भाषा", ",", "é"]),
        ("東京へ行く Tokyo", "words", ["東", "京", "へ", "行", "く", "Tokyo"]),
        ("서울에서 25일", "words", ["서울에서", "25일"]),
        ("  ", "words", []),
        ("민수는 e\u0301t 25", "letters", ["민", "수", "는", "e\u0301", "t", "2", "5"]),
        ("Ann's", "letters", ["A", "n", "n", "'", "s"]),
    ],
)
def test_tokens_of_many_scripts(text: str, rule: TokenRule, words: list[str]) -> None:
    assert [text[start:stop] for start, stop in tokenise(text, rule)] == words


def test_a_folder_has_its_splits_and_a_file_is_split(tmp_path: Path) -> None:
    for name in ("train.conll", "dev.conll", "test.jsonl"):
        write(tmp_path, span_line() if name.endswith("jsonl") else HARRY, name)
    corpus = open_spans(SpansData(path="."), base=tmp_path)
    assert corpus.splits == ("train", "validation", "test")
    assert [len(list(corpus.read(split))) for split in corpus.splits] == [2, 2, 1]
    assert corpus.fingerprint("train") == corpus.fingerprint("validation") != corpus.fingerprint("test")
    write(tmp_path, "".join(f"word{number} O\n\n" for number in range(50)) * 2, "one.txt")
    corpus = open_spans(SpansData(path="one.txt"), base=tmp_path)
    texts = {split: {example.text for example in corpus.read(split)} for split in corpus.splits}
    assert sum(len(part) for part in texts.values()) == len(set().union(*texts.values())) == 50
    assert set(texts) == {"train", "validation", "test"}


def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="There is no data set, file or folder 'missing'"):
        open_spans(SpansData(path="missing"), base=tmp_path)
    with pytest.raises(RequestError, match="none of 'path', 'train'"):
        open_spans(SpansData(), base=tmp_path)
    with pytest.raises(RequestError, match=r"has no splits.*it holds nothing"):
        open_spans(SpansData(path="."), base=tmp_path)
    with pytest.raises(RequestError, match="which 'validation' names"):
        open_spans(SpansData(validation="dev.conll"), base=tmp_path)
    write(tmp_path, HARRY, "train.conll")
    corpus = open_spans(SpansData(train="train.conll", test="train.conll"), base=tmp_path)
    with pytest.raises(RequestError, match="has no split 'valid'"):
        list(corpus.read("valid"))
