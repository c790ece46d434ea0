"""What can be set, told from the dataclasses alone: every setting with its values, its default and its meaning."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Sequence
from typing import Any, final

import annotated_types
from pydantic.fields import FieldInfo

from seqlens.config.shapes import (
    bare,
    choices,
    expected,
    field_annotations,
    is_record,
    is_required,
    mapping_part,
    members,
    sequence_parts,
)
from seqlens.config.words import KeyPath, dotted, written
from seqlens.errors import RequestError, did_you_mean

_LIMITS = ((annotated_types.Ge, "ge", "≥"), (annotated_types.Gt, "gt", ">"))
_UPPER_LIMITS = ((annotated_types.Le, "le", "≤"), (annotated_types.Lt, "lt", "<"))


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """A setting: what may be written for it, what it is where nothing is, and what it does."""

    name: str
    value: str
    default: str
    meaning: str


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """The settings below one path; where a block may be of several kinds, those of one kind."""

    path: str
    also: tuple[str, ...]
    """Other paths at which the same may stand."""
    kind: str | None
    within: str | None
    """The kind of the block that it stands in, where that has several."""
    meaning: str
    settings: tuple[Setting, ...]

    @property
    def title(self) -> str:
        """The path, with the kind where there are several."""
        kind = "" if self.kind is None else f", kind {self.kind}"
        return f"{self.path or 'a recipe'}{kind}" + ("" if self.within is None else f", in {self.within}")


def describe(record: type) -> list[Block]:
    """The blocks of a configuration, outermost first; a block that stands in several places is told once."""
    places: dict[type, list[str]] = {}
    outer: dict[type, str | None] = {}
    waiting: list[tuple[KeyPath, type, str | None]] = [((), record, None)]
    while waiting:
        path, current, within = waiting.pop(0)
        if current not in places:
            outer[current] = within
            annotations = field_annotations(current)
            inside = next(iter(choices(annotations.get("kind", Any))), within)
            for name, annotation in annotations.items():
                waiting += [((*path, name), below, inside) for below in _records_below(annotation)]
        places.setdefault(current, []).append(dotted(path))
    return [_block(current, outer[current], *dict.fromkeys(paths)) for current, paths in places.items()]


def find_blocks(blocks: Sequence[Block], path: str) -> list[Block]:
    """Blocks with the single setting that a path may name, then those at the path and below it; of `kind` all kinds.

    Raises:
        RequestError: there is none; with the nearest that is.
    """
    whole = [block for block in blocks if path in (block.path, *block.also) or block.path.startswith(f"{path}.")]
    above, _, name = path.rpartition(".")
    single = [
        dataclasses.replace(block, settings=tuple(one for one in block.settings if one.name == name))
        for block in blocks
        if above in (block.path, *block.also) and any(one.name == name for one in block.settings)
    ]
    # Of a setting that can only be a block, the block says all.
    told = [block for block in single if not whole or any(map(_can_be_a_value, block.settings))]
    if found := [*told, *whole]:
        return found
    if name == "kind":  # which kinds there are is what the blocks say
        kinds = [block for block in blocks if above in (block.path, *block.also) and block.kind is not None]
        if kinds:
            return kinds
    known = {place for block in blocks for place in (block.path, *block.also)} | {
        f"{block.path}.{one.name}".lstrip(".") for block in blocks for one in block.settings
    }
    raise RequestError(f"There is no setting '{path}'.{did_you_mean(path, sorted(known - {''}))}")


def _can_be_a_value(setting: Setting) -> bool:
    return not all(part == "null" or "a mapping" in part for part in setting.value.split(" or "))


def _block(record: type, within: str | None, path: str, *also: str) -> Block:
    annotations = field_annotations(record)
    meanings = _attribute_docs(record)
    kinds = choices(annotations.get("kind", Any)) if path else []
    settings = tuple(
        Setting(name, _value(annotation), _default(record, name), meanings.get(name, ""))
        for name, annotation in annotations.items()
        if not (name == "kind" and kinds)
    )
    return Block(path, also, kinds[0] if kinds else None, within, _paragraphs(inspect.getdoc(record) or ""), settings)


def _records_below(annotation: Any) -> list[type]:
    """The dataclasses that may stand for an annotation, or in its list."""
    found: list[type] = []
    for member in members(annotation):
        inner, _ = bare(member)
        if is_record(inner):
            found.append(inner)
        elif sequence := sequence_parts(inner):
            found += [record for part in (*(sequence[1] or ()), sequence[2]) for record in _records_below(part)]
    return found


def _value(annotation: Any) -> str:
    kinds: list[str] = []
    others: list[str] = []
    for member in members(annotation):
        inner, _ = bare(member)
        of_record = choices(field_annotations(inner).get("kind", Any)) if is_record(inner) else []
        kinds += of_record
        others += [] if of_record else [_limited(member, inner)]
    mapping = [f"a mapping of kind {', '.join(kinds)}"] if kinds else []
    return " or ".join(dict.fromkeys([*mapping, *others]))


def _limited(member: Any, inner: Any) -> str:
    text = expected(member)
    if sequence := sequence_parts(inner):
        return f"{text}: {_value(sequence[2])}" if sequence[1] is None and sequence[2] is not Any else text
    if mapping_part(inner):
        return text
    limits = [limit for added in bare(member)[1] for limit in _limits(added)]
    return " ".join([text, *([", ".join(limits)] if limits else [])])


def _limits(added: Any) -> list[str]:
    parts = added.metadata if isinstance(added, FieldInfo) else [added]
    return [
        f"{sign} {getattr(part, name)}"
        for kind, name, sign in (*_LIMITS, *_UPPER_LIMITS)
        for part in parts
        if isinstance(part, kind)
    ]


def _default(record: type, name: str) -> str:
    if is_required(record, name):
        return "must be given"
    field = next(one for one in dataclasses.fields(record) if one.name == name)
    factory = field.default_factory
    value = field.default if factory is dataclasses.MISSING else factory()
    if dataclasses.is_dataclass(value):
        kind = getattr(value, "kind", None)
        return "as below" if kind is None else f"kind {kind}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(written, value))}]"
    return written(value)


def _attribute_docs(record: type) -> dict[str, str]:
    """The texts that stand below a dataclass's fields."""
    found: dict[str, str] = {}
    for owner in reversed(record.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(tree, ast.ClassDef)
        for before, after in zip(tree.body, tree.body[1:], strict=False):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and is_text:
                found[before.target.id] = _paragraphs(str(after.value.value))  # type: ignore[attr-defined]
    return found


def _paragraphs(text: str) -> str:
    """Paragraphs on a line each."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
