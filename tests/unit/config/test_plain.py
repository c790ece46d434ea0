"""A config written as YAML loads back equal."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from seqlens.config import dump_config, load_config, parse_config, to_plain
from seqlens.errors import RequestError


@dataclass(frozen=True, slots=True)
class Words:
    lowercase: bool = False
    kind: Literal["words"] = "words"


@dataclass(frozen=True, slots=True)
class Subwords:
    algorithm: Literal["bpe", "unigram"]
    pieces: tuple[str, ...] = ()
    kind: Literal["subwords"] = "subwords"


@dataclass(frozen=True, slots=True)
class Nested:
    codec: Words | Subwords
    rate: float
    count: int
    either: int | float | str | None
    limits: tuple[float, int] | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    text: str
    parts: tuple[Nested, ...]
    first: Nested
    path: Path
    table: dict[str, tuple[float, ...]]
    grid: tuple[tuple[int, ...], ...]
    size: Annotated[int, annotated_types.Ge(1)] = 1
    other: Words | Subwords | None = None
    names: list[str] = field(default_factory=list)


TRICKY = [
    "no", "Yes", "on", "n", "null", "~", "", "1e3", "1e-05", "0x1F", "0o17", "1_000", "08", ".5", ".inf", ".NaN",
    "true", "TRUE", "<<", "=", "2009-06-25", "12:30", "- x", "a: b", "x #y", "# x", "!x", "&a", "*a", "@a", "`a",
    "%a", "{", "}", "[", "]", ",", "?", "? a", "|", ">", "-", "---", "...", " a", "a ", "a\n", "\n a\n\n",
    "a\tb", "\t", "\r", "\r\n", "\x85", "\u2028", "\u2029", "\ufeff", "\ufffe", "\x00", "\x1b[0m", "\x7f",
    "'", '"', "\\", "日本語", "e\u0301", "👩\u200d👧", "\U0010ffff", "שלום", "\u3000", "\xa0",
    "a" * 300, "a b " * 100,
]  # fmt: skip
texts = st.sampled_from(TRICKY) | st.text(st.characters(exclude_categories=["Cs"]))
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e-05, 1e22, 1e16, 5e-324, -0.0])
codecs = st.builds(Words, st.booleans()) | st.builds(
    Subwords, st.sampled_from(["bpe", "unigram"]), st.lists(texts, max_size=3).map(tuple)
)
nested = st.builds(
    Nested,
    codecs,
    floats,
    st.integers(),
    st.none() | st.integers() | floats | texts,
    st.none() | st.tuples(floats, st.integers()),
)
configs = st.builds(
    Whole,
    texts,
    st.lists(nested, max_size=2).map(tuple),
    nested,
    st.sampled_from([Path("a/b"), Path("."), Path("no"), Path("/x y/1")]),
    st.dictionaries(texts, st.lists(floats, max_size=2).map(tuple), max_size=3),
    st.lists(st.lists(st.integers(), max_size=2).map(tuple), max_size=2).map(tuple),
    st.integers(min_value=1),
    st.none() | codecs,
    st.lists(texts, max_size=2),
)


@settings(deadline=None)
@given(configs)
def test_dump_then_load_is_the_identity(tmp_path_factory: pytest.TempPathFactory, config: Whole) -> None:
    path = tmp_path_factory.getbasetemp() / "whole.yaml"
    path.write_bytes(dump_config(config).encode("utf-8"))
    loaded = load_config(Whole, path)
    assert loaded == config
    assert repr(loaded) == repr(config)  # 3 is not 3.0, and -0.0 not 0.0
    assert parse_config(Whole, to_plain(config), where="plain") == config


@pytest.mark.parametrize("text", TRICKY)
def test_text_stays_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    config = Subwords("bpe", (text, text))
    path.write_bytes(dump_config(config).encode("utf-8"))
    assert load_config(Subwords, path) == config


@settings(deadline=None)
@given(texts)
@example("no")
def test_other_yaml_readers_see_the_same_text(text: str) -> None:
    plain = to_plain(Subwords("bpe", (text,)))
    for version in ("1.1", "1.2"):
        yaml = YAML(typ="safe", pure=True)
        yaml.version = version
        assert yaml.load(dump_config(Subwords("bpe", (text,)))) == plain


def test_the_layout_is_easy_to_read() -> None:
    config = Nested(Subwords("bpe", ("a", "no")), 1e-05, 3, None, (0.5, 2))
    assert dump_config(config) == (
        'codec:\n  kind: subwords\n  algorithm: bpe\n  pieces: [a, "no"]\n'
        "rate: 1e-05\ncount: 3\neither: null\nlimits: [0.5, 2]\n"
    )


def test_plain_values_have_the_kind_first() -> None:
    plain = to_plain(Subwords("bpe", ("a",)))
    assert plain == {"kind": "subwords", "algorithm": "bpe", "pieces": ["a"]}
    assert list(plain) == ["kind", "algorithm", "pieces"]


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(RequestError, match=r"^'rate' is nan, expected a finite number\.$"):
        to_plain(Nested(Words(), float("nan"), 1, None))
    with pytest.raises(TypeError, match="expected a dataclass"):
        to_plain({"a": 1})
    bad: Any = {1, 2}
    with pytest.raises(TypeError, match="'lowercase' is a set"):
        to_plain(dataclasses.replace(Words(), lowercase=bad))
    keys: Any = {1: (0.5,)}
    whole = Whole("", (), Nested(Words(), 1.0, 1, None), Path("."), keys, ())
    with pytest.raises(TypeError, match="'table' has the key 1"):
        to_plain(whole)
