"""YAML text as plain Python values with the line of every key; imports the YAML parser, so import it late."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from seqlens.config.scalars import read_scalar
from seqlens.config.words import KeyPath, written
from seqlens.errors import RequestError

_DEEPEST = 50
_PLAIN_TAGS = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
# what YAML does not allow, and U+0085, which the parser would turn into a space
_NOT_PRINTABLE = re.compile(r"[^\t\n\r -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def parse_yaml(text: str, place: Callable[[int], str]) -> tuple[object, dict[KeyPath, int]]:
    """Returns the value of one YAML 1.2 document and the line (from 1) of every key and list item.

    Keys are text as written. Aliases are followed; tags, several documents and repeated keys are refused.

    Raises:
        RequestError: the text is not YAML; the sentence begins with `place(line)`.
    """
    if unprintable := _NOT_PRINTABLE.search(text):
        line = text.count("\n", 0, unprintable.start()) + 1
        raise RequestError(
            f"{place(line)}: the character {unprintable[0]!a} must be written as an escape in double quotes."
        )
    composer = _Composer(YAML(typ="safe", pure=True).parse(text), place)
    try:
        return composer.document()
    except MarkedYAMLError as error:
        line, problem = _explain(error)
        raise RequestError(f"{place(line)}: this is not valid YAML: {problem}.") from error
    except (YAMLError, ValueError, OverflowError) as error:  # an escape beyond Unicode has no mark
        problem = " ".join(str(error).split())
        raise RequestError(f"{place(composer.line)}: this is not valid YAML: {problem}.") from error


@final
class _Composer:
    """Builds plain values from the parser's events."""

    def __init__(self, events: Iterator[Any], place: Callable[[int], str]) -> None:
        self.events = events
        self.place = place
        self.line = 1
        self.lines: dict[KeyPath, int] = {}
        self.anchors: dict[str, object] = {}

    def document(self) -> tuple[object, dict[KeyPath, int]]:
        value: object = None
        num_documents = 0
        while not isinstance(event := self.next(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                num_documents += 1
                if num_documents > 1:
                    self.refuse("a second document begins here, expected one")
            elif not isinstance(event, (StreamStartEvent, DocumentEndEvent)):
                self.lines[()] = self.line
                value = self.node(event, ())
        return value, self.lines

    def next(self) -> Any:
        event = next(self.events)
        self.line = event.start_mark.line + 1
        return event

    def node(self, event: Any, path: KeyPath) -> object:
        if len(path) > _DEEPEST:
            self.refuse(f"this is nested more than {_DEEPEST} deep")
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                name = event.anchor
                self.refuse(f"'*{name}' names no '&{name}' above it (quote text that begins with '*')")
            return self.anchors[event.anchor]
        if event.tag not in _PLAIN_TAGS:
            self.refuse(f"the tag '{event.tag}' is not known here (quote text that begins with '!')")
        value: object
        if isinstance(event, ScalarEvent):
            # the first flag of `implicit` is set where the word has neither quotes nor a tag
            value = read_scalar(event.value) if event.implicit[0] else self.text(event)
        elif isinstance(event, SequenceStartEvent):
            value = self.sequence(path)
        else:
            value = self.mapping(path)
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        return value

    def sequence(self, path: KeyPath) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self.next(), SequenceEndEvent):
            below = (*path, str(len(items)))
            self.lines[below] = self.line
            items.append(self.node(event, below))
        return items

    def mapping(self, path: KeyPath) -> dict[str, object]:
        items: dict[str, object] = {}
        while not isinstance(event := self.next(), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                self.refuse("the name of a setting must be a word")
            key = self.text(event)
            below = (*path, key)
            if key in items:
                self.refuse(f"'{'.'.join(below)}' is set a second time, first at {self.place(self.lines[below])}")
            self.lines[below] = self.line
            items[key] = self.node(self.next(), below)
        return items

    def text(self, event: Any) -> str:
        text = str(event.value)
        if _SURROGATE.search(text):  # an escape such as "\ud83d" alone, which no UTF-8 file can hold
            self.refuse(f"{written(text)} holds half a character")
        return text

    def refuse(self, problem: str) -> NoReturn:
        raise RequestError(f"{self.place(self.line)}: {problem}.")


def _explain(error: Any) -> tuple[int, str]:
    """Returns the line and, for the usual mistakes, plainer words than the parser's."""
    problem, context = str(error.problem or error.context or "it cannot be read"), str(error.context or "")
    mark, opened = error.problem_mark or error.context_mark, error.context_mark
    line = mark.line + 1 if mark else 1
    opening = opened.line + 1 if opened else line
    if "quoted scalar" in context and "end of stream" in problem:
        return opening, "a quotation mark is not closed"
    if "<stream end>" in problem and "flow" in context:
        return opening, f"'{'[' if 'sequence' in context else '{'}' is not closed"
    if "'\\t'" in problem:
        return line, "a tab stands where spaces are expected"
    if "cannot start any token" in problem:
        return line, f"{problem.split()[2]} cannot begin a value, put the text in quotes"
    if "mapping values are not allowed" in problem:
        return line, "': ' stands where no setting can begin, check the indentation or put the text in quotes"
    if "<block end>" in problem:
        return line, "the indentation does not fit the lines above"
    if "could not find expected ':'" in problem:
        return opening, "':' is missing after a name"
    return line, problem.rstrip(".")
