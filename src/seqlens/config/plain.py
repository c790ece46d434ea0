"""Configurations as plain values and as YAML text."""

import dataclasses
import io
import os
import re
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, final

from seqlens.config.reader import Reader
from seqlens.config.scalars import read_scalar
from seqlens.config.words import KeyPath, dotted
from seqlens.errors import RequestError

# text that every YAML reader takes for text without quotes, but for the words that stand for something else
_UNQUOTED = re.compile(r"([^\W\d]|/)([\w ./()+-]*[\w./()+-])?")
_OLD_BOOLEANS = ("y", "n", "yes", "no", "on", "off")


def to_plain(config: Any) -> dict[str, Any]:
    """Returns a config as nested dictionaries: `kind` first, tuples as lists, paths as text.

    Raises:
        RequestError: a number is NaN or infinite, which no configuration may hold.
        TypeError: `config` is no dataclass, or holds something that has no plain form.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected a dataclass, got {config!r}")
    plain = plain_value(config, ())
    assert isinstance(plain, dict)
    reader = Reader(Any)
    reader.read(Any, plain, ())
    if reader.faults:
        raise RequestError("\n".join(fault.text for fault in reader.faults))
    return plain


def dump_config(config: Any) -> str:
    """Returns the YAML 1.2 text of a config; `load_config` makes an equal config of it.

    Raises:
        RequestError, TypeError: as `to_plain`.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import RoundTripRepresenter

    @final
    class Representer(RoundTripRepresenter):
        """Writes `null`, where ruamel writes nothing at all."""

    Representer.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))
    yaml = YAML(typ="rt")
    yaml.Representer = Representer
    yaml.width = sys.maxsize
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(_styled(to_plain(config)), stream)
    return stream.getvalue()


def plain_value(value: object, path: KeyPath) -> object:
    """Returns `value`, a part of a config at `path`, in dictionaries, lists and single values."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, PurePath):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return [plain_value(item, (*path, str(index))) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_key(key, path): plain_value(item, (*path, _key(key, path))) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        names.sort(key=lambda name: name != "kind")
        return {name: plain_value(getattr(value, name), (*path, name)) for name in names}
    raise TypeError(f"'{dotted(path)}' is a {type(value).__name__}, which a configuration cannot hold")


def _key(key: object, path: KeyPath) -> str:
    if not isinstance(key, str):
        raise TypeError(f"'{dotted(path)}' has the key {key!r}; the keys of a configuration are text")
    return str(key)


def _styled(value: object) -> object:
    """Marks the text that needs quotes, and puts lists without inner lists or mappings on one line."""
    from ruamel.yaml.comments import CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str):
        is_word = value.lower() in _OLD_BOOLEANS or not isinstance(read_scalar(value), str)
        return value if _UNQUOTED.fullmatch(value) and not is_word else DoubleQuotedScalarString(value)
    if isinstance(value, dict):
        return {_styled(key): _styled(item) for key, item in value.items()}
    if isinstance(value, list):
        items = CommentedSeq([_styled(item) for item in value])
        if not any(isinstance(item, (dict, list)) for item in value):
            items.fa.set_flow_style()
        return items
    return value
