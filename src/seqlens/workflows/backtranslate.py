"""Back-translation (Sennrich et al. 2016): a reversed run makes sources for texts that have a target side only."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, final

from seqlens.config import parse_config, read_json, sha256_of, to_plain, write_json
from seqlens.data.codecs.marks import with_tag
from seqlens.data.readers import read_lines
from seqlens.decoding import DecodingConfig
from seqlens.errors import RequestError, WorkError
from seqlens.inference import Predictor, load_transducer
from seqlens.inference.checks import check_at_least_one
from seqlens.inference.run_folder import WEIGHTS_FILE
from seqlens.workflows.preparation import Announce

_CHUNK_BATCHES = 8  # batches between two saved places


@dataclass(frozen=True, slots=True)
class BackTranslation:
    """What `backtranslate` made: pairs in the file `path`; lines that were empty or got an empty answer have none."""

    path: Path
    num_lines: int
    num_pairs: int
    num_empty: int
    num_unanswered: int


@dataclass(slots=True)
class _Place:
    """How far an unfinished file has come: chunks of lines, and the bytes that belong to them."""

    chunks: int = 0
    bytes: int = 0
    lines: int = 0
    pairs: int = 0
    empty: int = 0
    unanswered: int = 0


def backtranslate(
    run: str | Path | Predictor,
    *,
    input: str | Path,
    output: str | Path,
    tag: str | None = None,
    decoding: Mapping[str, object] | None = None,
    batch_size: int = 64,
    announce: Announce | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    device: str = "auto",
) -> BackTranslation:
    """Answers the lines of a file and writes `answer TAB line` for each: a source that was made, and its real target.

    Interrupted, it leaves `OUTPUT.partial` and goes on there when it is asked for the same again; the file is the one
    that would have been written at once. Tabs within a text become spaces, since a TSV cannot hold them.

    Args:
        run: a run of the reverse direction: from the language of the lines to that of the sources wanted.
        input: a text a line, gzipped or not. Empty lines are left out and counted.
        output: a .tsv that is not there yet.
        tag: put before each line, for a run trained with tags.
        decoding: settings of the search that differ from the run's, such as `{"method": "sample", "seed": 7}`.
        batch_size: lines answered at a time.
        announce: told, a sentence each, of what happens; `progress` of how many lines are done.

    Raises:
        RequestError: no such run, file or tag; the output is there; a partial one was begun with other settings.
    """
    check_at_least_one(batch_size=batch_size)
    announce = announce or (lambda text: None)
    source, target = Path(input), Path(output)
    if target.exists():
        raise RequestError(f"{target} is there already, expected a new file.")
    if target.suffix != ".tsv":
        raise RequestError(
            f"The output is {target}, expected a name that ends in .tsv, as the readers of pairs need it."
        )
    if not source.is_file():
        raise RequestError(f"There is no input file {source}.")
    predictor = run if isinstance(run, Predictor) else load_transducer(run, device=device)
    own = to_plain(predictor.task.config.decoding)
    config = parse_config(DecodingConfig, {**own, **(decoding or {})}, where="decoding")
    settings = {
        "run": [one.record["files"][WEIGHTS_FILE] for one in (predictor, *predictor.others)],
        "input": sha256_of(source),
        "decoding": to_plain(config),
        "tag": tag,
        "batch_size": batch_size,
    }
    # What is wrong is told before there is a file.
    num_lines = sum(1 for _ in read_lines(source))
    if tag is not None:
        with_tag((), tag, predictor.tags)
    work = _Partial(target, settings)
    place = work.open()
    if place.lines:
        announce(f"Going on after line {place.lines:,} of {source}, where {work.path} ends.")
    for number, lines in enumerate(_chunks(source, _CHUNK_BATCHES * batch_size)):
        if number < place.chunks:
            continue
        answers = _answers(predictor, lines, config, number, tag=tag, batch_size=batch_size)
        pairs = [
            f"{answer}\t{_plain(line)}\n"
            for answer, line in zip(answers, lines, strict=True)
            if answer and line.strip()
        ]
        empty = sum(not line.strip() for line in lines)
        place.lines += len(lines)
        place.pairs += len(pairs)
        place.empty += empty
        place.unanswered += len(lines) - len(pairs) - empty
        work.append(pairs, place)
        if progress is not None:
            progress(place.lines, num_lines)
    work.finish()
    return BackTranslation(target, place.lines, place.pairs, place.empty, place.unanswered)


def _answers(
    predictor: Predictor, lines: Sequence[str], config: DecodingConfig, chunk: int, *, tag: str | None, batch_size: int
) -> list[str]:
    changes: dict[str, Any] = to_plain(config)
    # Draws must not be the same in each chunk, nor depend on where the work was interrupted.
    digest = hashlib.blake2b(f"{config.seed} back-translation {chunk}".encode(), digest_size=4).digest()
    changes["seed"] = int.from_bytes(digest, "big")
    return [
        _plain(answer.text)
        for answer in predictor.predict(lines, batch_size=batch_size, tag=tag, align=False, **changes)
    ]


def _plain(text: str) -> str:
    for sign in ("\r\n", "\n", "\r", "\t"):
        text = text.replace(sign, " ")
    return text.strip()


def _chunks(path: Path, size: int) -> Iterator[list[str]]:
    lines = (text for _, text in read_lines(path))
    while chunk := list(islice(lines, size)):
        yield chunk


@final
class _Partial:
    """The unfinished file and, beside it, its settings and how far it has come."""

    def __init__(self, target: Path, settings: Mapping[str, object]) -> None:
        self.path = target.with_name(f"{target.name}.partial")
        self._record = target.with_name(f"{target.name}.partial.json")
        self._target = target
        self._settings = dict(settings)

    def open(self) -> _Place:
        """Begins the file, or cuts one that was begun to its last saved place."""
        place = _Place()
        if self._record.is_file():
            record = read_json(self._record)
            if not isinstance(record, dict):
                raise WorkError(f"{self._record} is damaged: it does not say how far {self.path} is. Remove both.")
            for name, value in self._settings.items():
                if record.get("settings", {}).get(name) != json.loads(json.dumps(value)):
                    raise RequestError(
                        f"{self.path} was begun with another '{name}'. Remove it and {self._record.name}, or give "
                        "another --output."
                    )
            place = self._read_place(record)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("r+b" if place.chunks else "wb") as file:
                file.truncate(place.bytes)
        except OSError as error:
            raise WorkError(f"{self.path} could not be written: {error.strerror or error}.") from error
        return place

    def _read_place(self, record: Mapping[str, Any]) -> _Place:
        found = record.get("place")
        fields = found if isinstance(found, dict) and set(found) == set(_Place.__slots__) else None
        there = self.path.stat().st_size if self.path.is_file() else 0
        if fields is None or there < fields["bytes"]:
            raise WorkError(
                f"{self.path} does not have what {self._record.name} says of it, so it cannot be gone on with. "
                "Remove both."
            )
        return _Place(**fields)

    def append(self, lines: Sequence[str], place: _Place) -> None:
        """Adds the lines of a chunk, then notes that they are there."""
        try:
            with self.path.open("ab") as file:
                file.write("".join(lines).encode())
                file.flush()
                os.fsync(file.fileno())
                place.bytes = file.tell()
        except OSError as error:
            raise WorkError(f"{self.path} could not be written: {error.strerror or error}.") from error
        place.chunks += 1
        write_json(
            self._record, {"settings": self._settings, "place": {n: getattr(place, n) for n in _Place.__slots__}}
        )

    def finish(self) -> None:
        """Gives the whole file its name."""
        os.replace(self.path, self._target)
        self._record.unlink(missing_ok=True)
