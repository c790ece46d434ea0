"""Configurations of frozen dataclasses from YAML, and files that are whole or absent."""

from seqlens.config.files import read_json, sha256_of, write_atomically, write_json
from seqlens.config.load import apply_overrides, dump_config, load_config, parse_config, to_plain
from seqlens.config.override import Overrides
from seqlens.config.shapes import DefaultKind

__all__ = [
    "DefaultKind",
    "Overrides",
    "apply_overrides",
    "dump_config",
    "load_config",
    "parse_config",
    "read_json",
    "sha256_of",
    "to_plain",
    "write_atomically",
    "write_json",
]
