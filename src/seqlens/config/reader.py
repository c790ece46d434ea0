"""Plain values checked against a dataclass, and every fault told with the path of the setting."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, final, get_args, get_origin

from seqlens.config import shapes
from seqlens.config.words import KeyPath, counted, dotted, found, sentence, written
from seqlens.errors import SeqlensError, did_you_mean

_NUM_KNOWN_SHOWN = 12


@final
class Faulty:
    """Stands for a value that could not be read."""


FAULTY: Final = Faulty()


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at `path`; `mismatch` if the kind of value is wrong, so another alternative may fit."""

    path: KeyPath
    text: str
    mismatch: bool = False


@final
class Reader:
    """Reads one tree of plain values and collects its faults."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.faults: list[Fault] = []

    def read(self, annotation: Any, value: object, path: KeyPath) -> Any:
        """Returns `value` as what `annotation` declares, or `FAULTY` after noting why not."""
        members = shapes.members(annotation)
        if len(members) > 1:
            return self._read_union(annotation, members, value, path)
        inner, metadata = shapes.bare(annotation)
        if shapes.is_record(inner):
            return self._read_record([inner], annotation, value, path)
        if sequence := shapes.sequence_parts(inner):
            return self._constrained(metadata, self._read_sequence(annotation, sequence, value, path), path)
        if mapping := shapes.mapping_part(inner):
            return self._constrained(metadata, self._read_mapping(annotation, mapping[0], value, path), path)
        if inner is Any or inner is object:
            return self._read_anything(value, path)
        if inner is None or inner is NoneType:
            return None if value is None else self._mismatch(annotation, value, path)
        if get_origin(inner) is Literal:
            fits = any(type(value) is type(choice) and value == choice for choice in get_args(inner))
            return value if fits else self._mismatch(annotation, value, path)
        if inner is Path:
            return Path(value) if isinstance(value, str) else self._mismatch(annotation, value, path)
        if inner in (int, float, str, bool):
            return self._read_scalar(annotation, value, path)
        raise TypeError(f"'{dotted(path)}' is declared as {annotation}, which a configuration cannot hold")

    def _read_union(self, annotation: Any, members: list[Any], value: object, path: KeyPath) -> Any:
        records = [shapes.bare(member)[0] for member in members if shapes.is_record(member)]
        if isinstance(value, Mapping) and records:
            return self._read_record(records, annotation, value, path)
        others = [member for member in members if not shapes.is_record(member)]
        others.sort(key=lambda member: shapes.bare(member)[0] is not type(value))  # 3 in `float | int` stays whole
        nearest: list[Fault] | None = None
        for member in others:
            trial = Reader(self.root)
            result = trial.read(member, value, path)
            if result is not FAULTY:
                return result
            if nearest is None and not any(fault.mismatch and fault.path == path for fault in trial.faults):
                nearest = trial.faults
        if nearest is None:
            return self._mismatch(annotation, value, path)
        self.faults += nearest
        return FAULTY

    def _read_record(self, records: list[type], annotation: Any, value: object, path: KeyPath) -> Any:
        if not isinstance(value, Mapping):
            return self._mismatch(annotation, value, path)
        record = records[0]
        others: dict[str, set[str]] = {}
        if len(records) > 1:
            by_kind = shapes.records_by_kind(records)
            kinds = Literal[tuple(by_kind)]  # type: ignore[valid-type]
            default = shapes.default_kind(annotation)
            if "kind" not in value and default is None:
                return self._missing("kind", kinds, path)
            kind = value.get("kind", default)
            if self.read(kinds, kind, (*path, "kind")) is FAULTY:
                return FAULTY
            assert isinstance(kind, str)
            value = {"kind": kind, **value}
            record = by_kind[kind]
            others = {
                kind: set(shapes.field_annotations(other)) for kind, other in by_kind.items() if other is not record
            }
        annotations = shapes.field_annotations(record)
        num_faults = len(self.faults)
        guessed = self._refuse_unknown(value, annotations, others, path)
        arguments = {}
        for name, below in annotations.items():
            if name in value:
                arguments[name] = self.read(below, value[name], (*path, name))
            elif shapes.is_required(record, name) and name not in guessed:
                self._missing(name, below, path)
        return FAULTY if len(self.faults) > num_faults else self._build(record, arguments, path)

    def _refuse_unknown(
        self,
        value: Mapping[str, object],
        known: Mapping[str, Any],
        others: Mapping[str, set[str]],
        path: KeyPath,
    ) -> set[str]:
        """Notes each key that is no setting; returns the settings that such keys probably mean."""
        guessed = set()
        for key in value:
            if key in known:
                continue
            below = (*path, key)
            here = f"of kind {written(value['kind'])}" if others else "here"
            hint = self._hint(key, below, known, others)
            guessed |= {name for name in known if hint.endswith(f"'{name}'?")}
            self.faults.append(Fault(below, f"'{dotted(below)}' is not a setting {here}.{hint}"))
        return guessed

    def _hint(self, key: str, below: KeyPath, known: Mapping[str, Any], others: Mapping[str, set[str]]) -> str:
        """Returns a sentence on what an unknown key may be meant for."""
        if kinds := [kind for kind, names in others.items() if key in names]:
            return f" It belongs to kind {' and '.join(map(written, kinds))}."
        if near := did_you_mean(key, known):
            return near
        same_name = set(shapes.paths_named(self.root, key)) - {below}
        if len(same_name) == 1:
            return f" Did you mean '{dotted(same_name.pop())}'?"
        shown = ", ".join(list(known)[:_NUM_KNOWN_SHOWN])
        return f" Known here: {shown}{', …' if len(known) > _NUM_KNOWN_SHOWN else ''}."

    def _build(self, record: type, arguments: Mapping[str, object], path: KeyPath) -> Any:
        try:
            return record(**arguments)
        except (ValueError, SeqlensError) as error:  # from the __post_init__ of the record
            text = sentence(str(error) or "the settings do not fit together")
            self.faults.append(Fault(path, f"'{dotted(path)}': {text}" if path else text))
            return FAULTY

    def _read_sequence(
        self, annotation: Any, parts: tuple[type, tuple[Any, ...] | None, Any], value: object, path: KeyPath
    ) -> Any:
        make, fixed, any_item = parts
        if not isinstance(value, (list, tuple)):
            return self._mismatch(annotation, value, path)
        if fixed is not None and len(value) != len(fixed):
            text = f"'{dotted(path)}' has {counted(len(value), 'item')}, expected {len(fixed)}."
            self.faults.append(Fault(path, text))
            return FAULTY
        each = fixed if fixed is not None else [any_item] * len(value)
        items = [
            self.read(below, item, (*path, str(index)))
            for index, (below, item) in enumerate(zip(each, value, strict=True))
        ]
        return FAULTY if any(item is FAULTY for item in items) else make(items)

    def _read_mapping(self, annotation: Any, below: Any, value: object, path: KeyPath) -> Any:
        if not isinstance(value, Mapping):
            return self._mismatch(annotation, value, path)
        items = {key: self.read(below, item, (*path, key)) for key, item in value.items()}
        return FAULTY if any(item is FAULTY for item in items.values()) else items

    def _read_anything(self, value: object, path: KeyPath) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return self._read_scalar(float, value, path)
        inner: list[tuple[str, object]] = []
        if isinstance(value, Mapping):
            inner = list(value.items())
        elif isinstance(value, (list, tuple)):
            inner = [(str(index), item) for index, item in enumerate(value)]
        read = [self._read_anything(item, (*path, name)) for name, item in inner]
        return FAULTY if any(item is FAULTY for item in read) else value

    def _read_scalar(self, annotation: Any, value: object, path: KeyPath) -> Any:
        from pydantic import ConfigDict, TypeAdapter, ValidationError

        adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            return self._explain(annotation, error.errors(include_url=False)[0], value, path)

    def _constrained(self, metadata: tuple[Any, ...], value: object, path: KeyPath) -> Any:
        """Checks what `Annotated` says of a whole list or mapping."""
        if value is FAULTY or not metadata:
            return value
        return self._read_scalar(Annotated[Any, *metadata], value, path)

    def _explain(self, annotation: Any, error: Any, value: object, path: KeyPath) -> Faulty:
        if error["type"].endswith("_type"):
            return self._mismatch(annotation, value, path)
        bound = _bound(error["type"], error.get("ctx", {}))
        expected = f"expected {bound}" if bound else f"which is not allowed: {error['msg']}"
        is_many = isinstance(value, (list, tuple, dict))
        have = f"has {counted(len(value), 'item')}" if is_many else f"is {written(value)}"  # type: ignore[arg-type]
        self.faults.append(Fault(path, f"'{dotted(path)}' {have}, {expected}."))
        return FAULTY

    def _mismatch(self, annotation: Any, value: object, path: KeyPath) -> Faulty:
        hint = ""
        if isinstance(value, str):
            hint = did_you_mean(value, [choice for choice in shapes.choices(annotation) if isinstance(choice, str)])
        where = f"'{dotted(path)}'" if path else "this"
        text = f"{where} is {found(value)}, expected {shapes.expected(annotation)}.{hint}"
        self.faults.append(Fault(path, text, mismatch=True))
        return FAULTY

    def _missing(self, name: str, annotation: Any, path: KeyPath) -> Faulty:
        text = f"'{dotted((*path, name))}' is missing, expected {shapes.expected(annotation)}."
        self.faults.append(Fault(path, text))
        return FAULTY


def _bound(kind: str, limits: Mapping[str, Any]) -> str | None:
    """Returns in words the limit that a value is beyond, from pydantic's name of the error."""
    match kind:
        case "finite_number":
            return "a finite number"
        case "greater_than_equal":
            return f"at least {_number(limits['ge'])}"
        case "greater_than":
            return f"more than {_number(limits['gt'])}"
        case "less_than_equal":
            return f"at most {_number(limits['le'])}"
        case "less_than":
            return f"less than {_number(limits['lt'])}"
        case "multiple_of":
            return f"a multiple of {_number(limits['multiple_of'])}"
        case "string_too_short":
            return f"at least {counted(limits['min_length'], 'character')}"
        case "string_too_long":
            return f"at most {counted(limits['max_length'], 'character')}"
        case "too_short":
            return f"at least {limits['min_length']}"
        case "too_long":
            return f"at most {limits['max_length']}"
        case "string_pattern_mismatch":
            return f"text of the form {limits['pattern']}"
        case _:
            return None


def _number(limit: object) -> str:
    return str(int(limit)) if isinstance(limit, float) and limit.is_integer() else str(limit)
