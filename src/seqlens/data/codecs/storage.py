"""A codec's file: a JSON object of a format number, the codec's kind and content, and their fingerprint."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

from seqlens.config.files import read_json, write_atomically
from seqlens.data.codecs.normalisation import Normaliser
from seqlens.errors import WorkError

FORMAT = 1
FILE_NAME = "codec.json"

Value = TypeVar("Value")


def fingerprint_of(content: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the content, written as JSON in one way only, as 64 hexadecimal digits."""
    text = json.dumps({**content, "format": FORMAT}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_codec(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `codec.json` into the folder, which is made if it is missing.

    Raises:
        WorkError: the file could not be written.
    """
    whole = {**content, "format": FORMAT, "fingerprint": fingerprint_of(content)}
    entries = [f"{_readable(key)}: {_readable(value)}" for key, value in sorted(whole.items())]
    write_atomically(folder / FILE_NAME, "{\n" + ",\n".join(entries) + "\n}\n")


def read_codec(folder: Path) -> "StoredCodec":
    """Reads `codec.json` from the folder and checks that it is what `write_codec` wrote.

    Raises:
        WorkError: the file is missing, is no JSON, is of another format, or was changed.
    """
    path = folder / FILE_NAME
    content = read_json(path)
    if not isinstance(content, dict):
        raise WorkError(f"{path} is no codec: it holds {_kind_of(content)}, expected an object.")
    number = content.pop("format", None)
    if number != FORMAT or isinstance(number, bool):
        raise WorkError(f"{path}: 'format' is {number!r}, but this version of seqlens reads format {FORMAT}.")
    fingerprint = content.pop("fingerprint", None)
    try:
        matches = fingerprint == fingerprint_of(content)
    except UnicodeEncodeError as error:
        raise WorkError(f"{path} is damaged: it holds {error.object[error.start]!r}, which is no character.") from error
    if not matches:
        raise WorkError(f"{path} is damaged or was edited: its content does not match its 'fingerprint'.")
    return StoredCodec(path, content)


@final
@dataclass(frozen=True, slots=True)
class StoredCodec:
    """The content of a codec's file, with getters that check what they return."""

    path: Path
    content: Mapping[str, Any]

    def get(self, key: str, kind: type[Value]) -> Value:
        """Returns the value of a key, which must be there and of this type.

        Raises:
            WorkError: it is not.
        """
        value = self.content.get(key)
        if type(value) is not kind:
            raise self.fault(f"'{key}' is {_kind_of(value)}, expected {_NAMES[kind]}")
        return value

    def filled_list(self, key: str) -> list[Any]:
        """Returns a list with at least one entry.

        Raises:
            WorkError: the value is something else.
        """
        values = self.get(key, list)
        if not values:
            raise self.fault(f"'{key}' is empty")
        return values

    def characters(self, key: str) -> list[str]:
        """Returns a list of different single characters.

        Raises:
            WorkError: the value is something else.
        """
        values = self.filled_list(key)
        for place, value in enumerate(values):
            if not isinstance(value, str) or len(value) != 1:
                raise self.fault(f"'{key}' entry {place} is {value!r}, expected one character")
        self.check_unique(key, values)
        return values

    def names(self, key: str) -> list[str]:
        """Returns a list of different texts that are not empty; an empty list where the key is missing.

        Raises:
            WorkError: the value is something else.
        """
        if key not in self.content:
            return []
        values = self.filled_list(key)
        for place, value in enumerate(values):
            if not isinstance(value, str) or not value:
                raise self.fault(f"'{key}' entry {place} is {value!r}, expected a name")
        self.check_unique(key, values)
        return values

    def normaliser(self) -> Normaliser:
        """Returns the normaliser that the keys `normalisation` and `lowercase` describe.

        Raises:
            WorkError: they describe none.
        """
        match self.get("normalisation", str):
            case "nfc" | "nfkc" | "none" as form:
                return Normaliser(form, self.get("lowercase", bool))
            case other:
                raise self.fault(f"'normalisation' is '{other}', expected 'nfc', 'nfkc' or 'none'")

    def check_unique(self, key: str, values: list[Any]) -> None:
        """Raises a WorkError if a value occurs twice."""
        seen = set()
        for value in values:
            if value in seen:
                raise self.fault(f"'{key}' holds {value!r} twice")
            seen.add(value)

    def fault(self, what: str) -> WorkError:
        """Returns the error that names the file and says what is wrong with it."""
        return WorkError(f"{self.path} is damaged: {what}.")


def _readable(value: Any) -> str:
    """Returns a value as JSON on one line, a list as one line for each entry."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in value) + "\n]"
    return json.dumps(value, ensure_ascii=False)


_NAMES: Mapping[type[Any], str] = {
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    int: "a whole number",
}


def _kind_of(value: object) -> str:
    if value is None:
        return "missing"
    return _NAMES.get(type(value), f"a {type(value).__name__}")
