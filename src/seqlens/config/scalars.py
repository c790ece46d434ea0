"""What an unquoted word means in YAML 1.2 (core schema): `no` is text, `1e-3` a number, `2009-06-25` text."""

import re

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NOT_A_NUMBER = re.compile(r"\.(nan|NaN|NAN)")
_LONGEST_WHOLE = 4000  # Python converts no more than 4300 digits


def read_scalar(text: str) -> str | int | float | bool | None:
    """Returns the value of an unquoted word."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if len(text) <= _LONGEST_WHOLE:
        if _WHOLE.fullmatch(text):
            return int(text)
        if _OCTAL.fullmatch(text):
            return int(text[2:], 8)
        if _HEXADECIMAL.fullmatch(text):
            return int(text[2:], 16)
    if _NUMBER.fullmatch(text):
        return float(text)
    if sign := _INFINITE.fullmatch(text):
        return float(f"{sign[1]}inf")
    if _NOT_A_NUMBER.fullmatch(text):
        return float("nan")
    return text
