"""Words as a tagger sees them, and word vectors from a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from seqlens.data.tagged.forms import UNKNOWN, FormsCodec, FormsConfig, feature_names, features_of, shape_of
from seqlens.data.tagged.vectors import read_vectors
from seqlens.errors import RequestError, WorkError


@pytest.mark.parametrize(
    ("word", "shape"),
    [("Harry", "Xx"), ("APC2", "X0"), ("G6-PD", "X0-X"), ("x", "x"), ("...", "."), ("東京", "x"), ("ǅep", "Xx")],
)
def test_shapes(word: str, shape: str) -> None:
    assert shape_of(word) == shape


def test_affixes_are_those_of_small_letters() -> None:
    config = FormsConfig(affixes=(1, 3))
    assert feature_names(config) == ["prefix 1", "suffix 1", "prefix 3", "suffix 3", "shape"]
    assert features_of("ALL2", config) == ["a", "0", "all", "ll0", "X0"]


def test_words_letters_and_features_have_ids() -> None:
    codec = FormsCodec.fit(FormsConfig(min_count=2), ["The", "the", "cat", "p53", "P53", "cat", "once"], more=["dog"])
    assert codec.words == {"cat": 2, "p00": 3, "the": 4, "dog": 5}
    assert codec.counts.tolist() == [0, 0, 2, 2, 2, 0]
    assert [codec.word_id(word) for word in ("CAT", "p99", "once", "Dog")] == [2, 3, UNKNOWN, 5]
    assert UNKNOWN not in codec.letter_ids("Tonce")
    assert codec.letter_ids("ß") == [UNKNOWN]
    assert codec.feature_ids("zebra")[:2] == [UNKNOWN, UNKNOWN]
    assert codec.feature_ids("cattle")[0] == codec.feature_ids("cat")[0]


def test_of_a_long_word_the_middle_is_left_out() -> None:
    codec = FormsCodec.fit(FormsConfig(max_letters=5), ["abcdefgh"])
    assert codec.letter_ids("abcdefgh") == codec.letter_ids("ab") + codec.letter_ids("fgh")


def test_a_codec_comes_back_from_its_file(tmp_path: Path) -> None:
    codec = FormsCodec.fit(FormsConfig(), ["Harry", "met", "Hermione"])
    codec.save(tmp_path)
    loaded = FormsCodec.load(codec.config, tmp_path)
    for word in ("Harry", "HERMIONE", "new", "x1"):
        assert loaded.word_id(word) == codec.word_id(word)
        assert loaded.letter_ids(word) == codec.letter_ids(word)
        assert loaded.feature_ids(word) == codec.feature_ids(word)
    assert loaded.counts.tolist() == codec.counts.tolist()
    with pytest.raises(WorkError, match=r"forms\.json is damaged"):
        FormsCodec.load(FormsConfig(affixes=()), tmp_path)
    content = json.loads((tmp_path / "forms.json").read_text())
    content["counts"].pop()
    (tmp_path / "forms.json").write_text(json.dumps(content))
    with pytest.raises(WorkError, match="that fit each other"):
        FormsCodec.load(codec.config, tmp_path)


def test_vectors_of_glove_and_fasttext(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("4 2\nthe 1 2\n. . 3 4 \nrare 5 6\ncat 7 -8e-1\n", encoding="utf-8")
    vectors = read_vectors(path, dim=2, max_words=3, wanted=lambda word: word == "cat")
    assert vectors.words == ("the", ". .", "cat")
    np.testing.assert_array_equal(vectors.rows, np.array([[1, 2], [3, 4], [7, -0.8]], dtype=np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("the 1 2\ncat 1\n", "line 2 has 1 numbers after 'cat', expected 2, the 'embedding_dim' of the model"),
        ("the 1 x\n", "line 1 has something else than numbers after 'the'"),
        ("", "is empty, expected a word and its numbers"),
    ],
)
def test_broken_vectors_are_named_by_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RequestError) as error:
        read_vectors(path, dim=2, max_words=9, wanted=lambda word: True)
    assert message in str(error.value)
