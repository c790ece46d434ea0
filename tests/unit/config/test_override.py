"""Single settings changed from outside the file."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlens.config.override import apply_overrides
from seqlens.errors import RequestError


@pytest.mark.parametrize(
    ("item", "changed"),
    [
        ("a.b=500", {"a": {"b": 500, "c": [1, 2]}, "d": "x"}),
        ("a.b=1e-3", {"a": {"b": 0.001, "c": [1, 2]}, "d": "x"}),
        ("a.b=null", {"a": {"b": None, "c": [1, 2]}, "d": "x"}),
        ("a.b=", {"a": {"b": None, "c": [1, 2]}, "d": "x"}),
        ("a.b=no", {"a": {"b": "no", "c": [1, 2]}, "d": "x"}),
        ("a.b='8'", {"a": {"b": "8", "c": [1, 2]}, "d": "x"}),
        ("a.b=x=y", {"a": {"b": "x=y", "c": [1, 2]}, "d": "x"}),
        ("a={kind: cosine}", {"a": {"kind": "cosine"}, "d": "x"}),
        ("a.c=[3]", {"a": {"b": 1, "c": [3]}, "d": "x"}),
        ("a.c.1=7", {"a": {"b": 1, "c": [1, 7]}, "d": "x"}),
        ("e.f.g=true", {"a": {"b": 1, "c": [1, 2]}, "d": "x", "e": {"f": {"g": True}}}),
        (" d = y ", {"a": {"b": 1, "c": [1, 2]}, "d": "y"}),
    ],
)
def test_an_item_changes_one_setting(item: str, changed: dict[str, Any]) -> None:
    tree = {"a": {"b": 1, "c": [1, 2]}, "d": "x"}
    assert apply_overrides(tree, [item]) == changed
    assert tree == {"a": {"b": 1, "c": [1, 2]}, "d": "x"}


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ("a.b", "--set a.b: there is no '=', expected path=value such as training.max_steps=500."),
        ("a..b=1", "--set a..b=1: a name is missing in the path 'a..b', expected names joined by dots."),
        ("=1", "--set =1: a name is missing in the path '', expected names joined by dots."),
        ("d.e=1", "--set d.e: 'd' is 'x' (text), which has no settings of its own."),
        ("a.c.2=1", "--set a.c.2: 'a.c' has no item '2', its items are 0 to 1."),
        ("a.c.x=1", "--set a.c.x: 'a.c' has no item 'x', its items are 0 to 1."),
        ("a.b=[1", "--set a.b: this is not valid YAML: '[' is not closed."),
        ("a.b=#1", "--set a.b: '#1' is a comment in YAML, put the text in quotes."),
        ("a.b={c: 1, c: 2}", "--set a.b: 'c' is set a second time, first at --set a.b."),
    ],
)
def test_an_item_that_cannot_be_applied(item: str, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        apply_overrides({"a": {"b": 1, "c": [1, 2]}, "d": "x"}, [item])
    assert str(caught.value) == sentence


def test_a_mapping_of_values() -> None:
    values = {"a.b": (1, 2), "a.path": Path("x") / "y", "a.text": "8", "n": None}
    assert apply_overrides({"a": None}, values) == {
        "a": {"b": [1, 2], "path": "x/y", "text": "8"},
        "n": None,
    }


def test_the_last_of_two_items_holds_and_one_string_is_one_item() -> None:
    assert apply_overrides({}, ["a.b=1", "a=2", "a=3"]) == {"a": 3}
    assert apply_overrides({}, "a.b=1") == {"a": {"b": 1}}


names = st.text("abc", min_size=1, max_size=2)
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
trees = st.recursive(st.integers(), lambda inner: st.dictionaries(names, inner, max_size=3))


@settings(deadline=None)
@given(st.dictionaries(names, trees, max_size=3), paths, st.integers())
def test_only_the_named_path_changes(tree: dict[str, Any], path: tuple[str, ...], value: int) -> None:
    def leaves(node: Any, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
        if not isinstance(node, dict):
            return {above: node}
        return {key: leaf for name, item in node.items() for key, leaf in leaves(item, (*above, name)).items()}

    before = leaves(tree)
    if any(path[: len(leaf)] == leaf and leaf != path for leaf in before):
        with pytest.raises(RequestError, match="has no settings of its own"):
            apply_overrides(tree, {".".join(path): value})
        return
    after = leaves(apply_overrides(tree, {".".join(path): value}))
    kept = {leaf: item for leaf, item in before.items() if leaf[: len(path)] != path}
    assert after == {**kept, path: value}
