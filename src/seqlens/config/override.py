"""Single settings changed from outside the file: `--set training.max_steps=500`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqlens.config.plain import plain_value
from seqlens.config.tree import Tree
from seqlens.config.words import KeyPath, dotted, found
from seqlens.errors import RequestError

Overrides = Mapping[str, object] | Sequence[str]


def apply_overrides(tree: Mapping[str, Any], overrides: Overrides) -> dict[str, Any]:
    """Returns a copy of `tree` with some settings changed; a mapping replaces the whole mapping at its path.

    Args:
        tree: nested plain dictionaries.
        overrides: items such as `"training.max_steps=500"`, whose values are read as YAML 1.2, or a mapping
            from dotted path to value. Items of a list are counted from 0 (`model.sizes.0`). Missing mappings
            are created.

    Raises:
        RequestError: an item has no `=`, its value is not YAML, or its path leads through a single value.
    """
    return dict(override(Tree(tree), overrides).value)


def override(tree: Tree, overrides: Overrides) -> Tree:
    """Does what `apply_overrides` does and remembers `--set path` as the place of what it changed."""
    for path, value in _items(overrides):
        label = f"--set {dotted(path)}"
        places = {key: place for key, place in tree.places.items() if key[: len(path)] != path}
        for length in range(1, len(path)):
            if not _exists(tree.value, path[:length]):
                places[path[:length]] = label
        places[path] = label
        changed = _changed(tree.value, path, value, label, ())
        assert isinstance(changed, dict)
        tree = Tree(changed, places)
    return tree


def _items(overrides: Overrides) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(overrides, Mapping):
        for name, value in overrides.items():
            path = _path(name, name)
            yield path, plain_value(value, path)
        return
    for item in [overrides] if isinstance(overrides, str) else overrides:
        name, equals, text = item.partition("=")
        if not equals:
            raise RequestError(f"--set {item}: there is no '=', expected path=value such as training.max_steps=500.")
        path = _path(name, item)
        yield path, _value(text, f"--set {dotted(path)}")


def _path(name: str, item: str) -> KeyPath:
    path = tuple(part.strip() for part in name.split("."))
    if not all(path):
        raise RequestError(f"--set {item}: a name is missing in the path '{name}', expected names joined by dots.")
    return path


def _value(text: str, label: str) -> object:
    if text.lstrip().startswith("#"):  # YAML would take it for a comment, that is, for nothing
        raise RequestError(f"{label}: {text.strip()!r} is a comment in YAML, put the text in quotes.")
    from seqlens.config.compose import parse_yaml

    value, _ = parse_yaml(text, lambda line: label)
    return value


def _exists(node: object, path: KeyPath) -> bool:
    for part in path:
        if isinstance(node, Mapping):
            node = node.get(part)
        elif isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            return False
    return node is not None


def _changed(node: object, path: KeyPath, value: object, label: str, above: KeyPath) -> object:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if node is None:
        node = {}
    if isinstance(node, Mapping):
        return {**node, head: _changed(node.get(head), rest, value, label, (*above, head))}
    if isinstance(node, list):
        if not head.isdecimal() or int(head) >= len(node):
            have = f"0 to {len(node) - 1}" if node else "none, the list is empty"
            raise RequestError(f"{label}: '{dotted(above)}' has no item '{head}', its items are {have}.")
        index = int(head)
        return [*node[:index], _changed(node[index], rest, value, label, (*above, head)), *node[index + 1 :]]
    raise RequestError(f"{label}: '{dotted(above)}' is {found(node)}, which has no settings of its own.")
