"""What the annotation of a config field allows."""

import dataclasses
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from seqlens.config.words import KeyPath, one_of, written

_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "text",
    bool: "true or false",
    types.NoneType: "null",
}
_DEEPEST = 8


@dataclasses.dataclass(frozen=True, slots=True)
class DefaultKind:
    """In the `Annotated[...]` of a union: which alternative is meant where `kind` is not said."""

    kind: str


def default_kind(annotation: Any) -> str | None:
    """Returns the kind that a union takes where none is said, if it has one."""
    return next((added.kind for added in bare(annotation)[1] if isinstance(added, DefaultKind)), None)


def bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Returns an annotation without `Annotated[...]`, and what `Annotated` added."""
    metadata: tuple[Any, ...] = ()
    while get_origin(annotation) is Annotated:
        annotation, *added = get_args(annotation)
        metadata = (*added, *metadata)
    return annotation, metadata


def members(annotation: Any) -> list[Any]:
    """Returns the alternatives of a union, flat, each with the union's limits; else the annotation alone."""
    inner, metadata = bare(annotation)
    if get_origin(inner) not in (Union, types.UnionType):
        return [annotation]
    flat = [alternative for argument in get_args(inner) for alternative in members(argument)]
    # the names in `Annotated[...]` are values here, which the type checker cannot follow
    return [Annotated[alternative, *metadata] if metadata else alternative for alternative in flat]


def is_record(annotation: Any) -> bool:
    """Tells whether an annotation is a dataclass."""
    inner, _ = bare(annotation)
    return isinstance(inner, type) and dataclasses.is_dataclass(inner)


def sequence_parts(annotation: Any) -> tuple[type, tuple[Any, ...] | None, Any] | None:
    """Returns for a list or tuple: its type, the items' annotations if their number is fixed, any item's."""
    inner, _ = bare(annotation)
    origin = get_origin(inner) or inner
    arguments = get_args(inner)
    if origin is tuple:
        if not arguments or arguments[-1] is Ellipsis:
            return tuple, None, arguments[0] if arguments else Any
        return tuple, arguments, Any
    if origin in (list, Sequence, Collection):
        return (list if origin is list else tuple), None, arguments[0] if arguments else Any
    return None


def mapping_part(annotation: Any) -> tuple[Any] | None:
    """Returns, for a mapping with text keys, the annotation of its values (alone in a tuple)."""
    inner, _ = bare(annotation)
    if (get_origin(inner) or inner) not in (dict, Mapping):
        return None
    arguments = get_args(inner) or (str, Any)
    if bare(arguments[0])[0] not in (str, Any):
        raise TypeError(f"{annotation}: the keys of a configuration's mapping are text")
    return (arguments[1],)


def choices(annotation: Any) -> list[Any]:
    """Returns the values of every `Literal[...]` among the alternatives."""
    found: list[Any] = []
    for member in members(annotation):
        inner, _ = bare(member)
        if get_origin(inner) is Literal:
            found += get_args(inner)
    return found


def expected(annotation: Any) -> str:
    """Returns in plain words what may be written for an annotation, such as `a whole number or null`."""
    parts = []
    for member in members(annotation):
        inner, _ = bare(member)
        if get_origin(inner) is Literal:
            parts += [written(choice) for choice in get_args(inner)]
        elif is_record(inner) or mapping_part(inner):
            parts.append("a mapping")
        elif sequence := sequence_parts(inner):
            parts.append(f"a list of {len(sequence[1])}" if sequence[1] else "a list")
        else:
            parts.append(_WORDS.get(inner, "a value"))
    parts.sort(key=lambda part: part == "null")
    return one_of(parts)


def field_annotations(record: type) -> dict[str, Any]:
    """Returns the annotations of the fields that a dataclass takes, forward references resolved."""
    hints = get_type_hints(record, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(record) if field.init}


def is_required(record: type, name: str) -> bool:
    """Tells whether a field of a dataclass has no default."""
    field = next(field for field in dataclasses.fields(record) if field.name == name)
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def records_by_kind(records: Sequence[type]) -> dict[str, type]:
    """Returns the dataclasses of a union by the values of their `kind: Literal[...]`."""
    by_kind: dict[str, type] = {}
    for record in records:
        for kind in choices(field_annotations(record).get("kind", Any)) or [None]:
            if not isinstance(kind, str) or kind in by_kind:
                raise TypeError(f"{record.__name__} needs a field kind: Literal[...] of its own to be in a union")
            by_kind[kind] = record
    return by_kind


def paths_named(annotation: Any, name: str, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Yields the paths of every setting called `name` anywhere under an annotation."""
    if len(above) > _DEEPEST:
        return
    for record in filter(is_record, members(annotation)):
        for field, below in field_annotations(bare(record)[0]).items():
            if field == name:
                yield (*above, field)
            yield from paths_named(below, name, (*above, field))
