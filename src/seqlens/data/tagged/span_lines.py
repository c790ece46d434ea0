"""JSON Lines with character spans: `{"text": "…", "entities": [{"start": 0, "end": 5, "label": "person"}]}`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seqlens.data.examples import Place
from seqlens.data.readers import read_lines
from seqlens.data.tagged.records import Entity, TaggedText
from seqlens.data.tagged.words import TokenRule, tokenise
from seqlens.errors import RequestError, did_you_mean

_ENDS = ("end", "stop", "end_offset")
_STARTS = ("start", "start_offset")
_LABELS = ("label", "type", "entity")


class Keys(NamedTuple):
    """At which keys of an object the text and its entities stand."""

    text: str
    entities: str


def read_span_lines(
    path: Path,
    *,
    text_key: str = "text",
    entities_key: str = "entities",
    tokens: TokenRule = "words",
    repair: bool = False,
) -> Iterator[TaggedText]:
    """Yields the texts of a file. An entity is an object with `start`, `end` and `label`, or a list of the three.

    With `repair`, spans that cut a token in two are widened to whole tokens, white space at their ends is left out,
    and of spans that overlap the longest stays (of equally long ones the first).

    Raises:
        RequestError: as `read_lines`; an empty file; and, with the line, what is no such object, a span outside the
            text or without a token, spans that overlap or cut a token.
    """
    keys = Keys(text_key, entities_key)
    number = 0
    for number, line in read_lines(path):
        place = Place(str(path), number)
        text, entries = _parse(line, keys, place)
        spans = tuple(tokenise(text, tokens))
        entities = [_read_entity(entry, text, place, entry_number) for entry_number, entry in enumerate(entries, 1)]
        if repair:
            entities = _repaired(entities, spans)
        else:
            entities.sort()
            _check(entities, text, spans, place)
        yield TaggedText(text, spans, tuple(entities), place)
    if not number:
        raise RequestError(f"{path} is empty, expected one JSON object a line.")


def _parse(line: str, keys: Keys, place: Place) -> tuple[str, list[Any]]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{place} is not JSON ({error}), expected one JSON object a line.") from error
    if not isinstance(record, dict):
        raise RequestError(f'{place} is no JSON object, expected one such as {{"{keys.text}": "…"}}.')
    for key in keys:
        if key not in record:
            there = ", ".join(f"'{name}'" for name in record) or "none"
            raise RequestError(f"{place} has no key '{key}', its keys are {there}.{did_you_mean(key, record)}")
    text, entries = record[keys.text], record[keys.entities]
    if not isinstance(text, str):
        raise RequestError(f"{place} has {_shown(text)} at the key '{keys.text}', expected text.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise RequestError(f"{place} has half of a surrogate pair in its text, which is no character.")
    if not isinstance(entries, list):
        raise RequestError(f"{place} has {_shown(entries)} at the key '{keys.entities}', expected a list of spans.")
    return text, entries


def _read_entity(entry: Any, text: str, place: Place, number: int) -> Entity:
    where = f"{place}, entity {number},"
    if isinstance(entry, dict):
        start, stop, label = (_first_of(entry, names, where) for names in (_STARTS, _ENDS, _LABELS))
    elif isinstance(entry, list) and len(entry) == 3:
        start, stop, label = entry
    else:
        raise RequestError(f"{where} is {_shown(entry)}, expected an object with start, end and label.")
    for name, value in (("start", start), ("end", stop)):
        if type(value) is not int:
            raise RequestError(f"{where} has {_shown(value)} as its {name}, expected a whole number.")
    if not isinstance(label, str) or not label.strip() or any(sign.isspace() for sign in label):
        raise RequestError(f"{where} has {_shown(label)} as its label, expected a name without spaces.")
    if not 0 <= start < stop <= len(text):
        raise RequestError(
            f"{where} is {start} to {stop}, expected 0 <= start < end <= {len(text)}, the characters of the text."
        )
    if not text[start:stop].strip():
        raise RequestError(f"{where} is {start} to {stop}, where the text has nothing but white space.")
    return Entity(start, stop, label)


def _check(entities: list[Entity], text: str, tokens: tuple[tuple[int, int], ...], place: Place) -> None:
    """Refuses what a tag for each token cannot say."""
    starts, stops = {start for start, _ in tokens}, {stop for _, stop in tokens}
    for before, entity in zip([None, *entities], entities):
        shown = f"'{text[entity.start : entity.stop]}' ({entity.start} to {entity.stop}, {entity.label})"
        if before is not None and before.stop > entity.start:
            other = f"'{text[before.start : before.stop]}' ({before.start} to {before.stop}, {before.label})"
            raise RequestError(
                f"{place} has {shown} overlapping {other}, expected spans apart; 'repair: true' keeps the longest."
            )
        if entity.start not in starts or entity.stop not in stops:
            cut = next(
                (token for token in tokens if token[0] < entity.start < token[1] or token[0] < entity.stop < token[1]),
                None,
            )
            found = "white space at an end" if cut is None else f"only a part of the token '{text[cut[0] : cut[1]]}'"
            raise RequestError(
                f"{place} has {shown} with {found}, expected whole tokens; 'tokens: letters' cuts finer, "
                "'repair: true' takes whole tokens."
            )


def _repaired(entities: list[Entity], tokens: tuple[tuple[int, int], ...]) -> list[Entity]:
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: (entity.start - entity.stop, entity.start)):
        touched = [token for token in tokens if token[0] < entity.stop and entity.start < token[1]]
        start, stop = touched[0][0], touched[-1][1]
        if all(stop <= other.start or other.stop <= start for other in kept):
            kept.append(Entity(start, stop, entity.label))
    return sorted(kept)


def _first_of(entry: dict[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if name in entry:
            return entry[name]
    there = ", ".join(f"'{name}'" for name in entry) or "none"
    raise RequestError(f"{where} has no '{names[0]}', its keys are {there}.")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
