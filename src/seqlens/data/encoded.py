"""A corpus as token ids, encoded once and mapped into memory after that.

One folder per corpus and codec: for each side a flat file of ids (uint16, or uint32 for large vocabularies) and one of
offsets, and `header.json`. The sizes are checked on opening; a damaged folder is encoded again, and that is said.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Int, Int32, Int64, Integer

from seqlens.config.files import read_json, write_json
from seqlens.data.batch import PairBatch, pad_slices
from seqlens.data.copying import MAX_UNKNOWN, number_pairs
from seqlens.data.examples import Pair
from seqlens.data.text import END_ID, TextCodec
from seqlens.errors import RequestError, WorkError

_FORMAT = 1
_HEADER = "header.json"
_CHUNK_SIZE = 4096  # pairs encoded at a time
_ABANDONED_AFTER_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class _Side:
    """Row i is `tokens[offsets[i] : offsets[i + 1]]`, its final `<end>` included."""

    tokens: Integer[np.ndarray, "tokens"]
    offsets: Int64[np.ndarray, "rows_and_one"]

    def row(self, index: int) -> Int64[np.ndarray, "time"]:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]].astype(np.int64)


@final
class EncodedPairs:
    """Pairs as ids, each row ending with `<end>`; the ids stay in the file until a row is asked for.

    `lengths` is `[pairs, 2]`: source and target (0 without targets), `<end>` counted. `rows` gives the place in the
    whole corpus of each pair here. `note` says in a sentence that a damaged cache had to be made again.
    """

    def __init__(
        self,
        source: _Side,
        target: _Side | None,
        *,
        lengths: Int32[np.ndarray, "pairs 2"],
        rows: Int64[np.ndarray, "pairs"],
        note: str | None,
    ) -> None:
        self._source = source
        self._target = target
        self.lengths = lengths
        self.rows = rows
        self.note = note

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_targets(self) -> bool:
        return self._target is not None

    def source(self, index: int) -> Int64[np.ndarray, "time"]:
        """The source ids of one pair, `<end>` last."""
        return self._source.row(int(self.rows[index]))

    def target(self, index: int) -> Int64[np.ndarray, "time"]:
        """The target ids of one pair, `<end>` last.

        Raises:
            ValueError: these pairs have no targets.
        """
        if self._target is None:
            raise ValueError("these pairs have no targets")
        return self._target.row(int(self.rows[index]))

    def batch(self, indices: Int[np.ndarray, "batch"] | Sequence[int]) -> PairBatch:
        """Pads the pairs at `indices` of this object; the batch's `indices` are these numbers."""
        numbers = np.asarray(indices, dtype=np.int64)
        rows, lengths = self.rows[numbers], self.lengths[numbers].astype(np.int64)
        source = pad_slices(self._source.tokens, self._source.offsets[rows], lengths[:, 0])
        target = None
        if self._target is not None:
            target = pad_slices(self._target.tokens, self._target.offsets[rows], lengths[:, 1])
        return PairBatch(source, target, tuple(numbers.tolist()))

    def subset(self, indices: Int[np.ndarray, "some"] | Sequence[int]) -> "EncodedPairs":
        """The pairs at `indices`, numbered from 0, on the same files."""
        numbers = np.asarray(indices, dtype=np.int64)
        lengths, rows = self.lengths[numbers], self.rows[numbers]
        return EncodedPairs(self._source, self._target, lengths=lengths, rows=rows, note=self.note)


def cache_key(
    corpus_fingerprint: str,
    source_codec_fingerprint: str,
    target_codec_fingerprint: str | None,
    *,
    copying: bool = False,
) -> str:
    """The name of the folder for one corpus under one pair of codecs: 32 hexadecimal digits."""
    parts = [_FORMAT, corpus_fingerprint, source_codec_fingerprint, target_codec_fingerprint]
    parts += ["copying"] if copying else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def encode_pairs(
    pairs: Iterable[Pair],
    source_codec: TextCodec,
    target_codec: TextCodec | None,
    *,
    folder: Path,
    key: str,
    progress: Callable[[int], None] | None = None,
    copying: bool = False,
) -> EncodedPairs:
    """Encodes a corpus into `folder/key`, or opens it if it is there: then `pairs` is not touched.

    Pairs are read and encoded some thousand at a time, whatever the size of the corpus; `progress` is told how many
    are done. With `target_codec` None, or where no pair has a target, only sources are kept. With `copying` unknown
    words are numbered (`data/copying.py`), which the key must tell. Several processes may do this at once.

    Raises:
        RequestError: some pairs have a target and some have none.
        WorkError: the files could not be written; nothing is left of them.
    """
    place = folder / key
    note = None
    if place.exists():
        try:
            return _open(place, note=None)
        except WorkError as fault:
            note = f"The encoded corpus in {place} was damaged and has been made again: {fault}"
    temporary = folder / f".{key}-{secrets.token_hex(8)}.partial"
    try:
        with _write_errors(place):
            _remove_abandoned(folder, key)
            temporary.mkdir(parents=True)
        _write(pairs, source_codec, target_codec, temporary, progress, copying)
        with _write_errors(place):
            _install(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _open(place, note=note)


@final
class _SideWriter:
    """Appends encoded rows to the two files of one side."""

    def __init__(self, folder: Path, side: str, size: int) -> None:
        self._size = size
        self._tokens = _tokens_path(folder, side)
        self._offsets = _offsets_path(folder, side)
        self._dtype = "<u2" if size <= 2**16 else "<u4"
        self._num_tokens = 0
        self._append(self._tokens, np.zeros(0, dtype=self._dtype))
        self._append(self._offsets, np.zeros(1, dtype="<i8"))

    def add(self, encoded: list[list[int]]) -> None:
        lengths = np.fromiter((len(ids) + 1 for ids in encoded), dtype=np.int64, count=len(encoded))
        with_ends = chain.from_iterable(chain(ids, (END_ID,)) for ids in encoded)
        tokens = np.fromiter(with_ends, dtype=np.int64, count=int(lengths.sum()))
        lowest, highest = tokens.min(initial=END_ID), tokens.max(initial=END_ID)
        if lowest < 0 or highest >= self._size:
            raise ValueError(f"the codec gave ids from {lowest} to {highest}, but its size is {self._size}")
        self._append(self._tokens, tokens.astype(self._dtype))
        self._append(self._offsets, (self._num_tokens + np.cumsum(lengths)).astype("<i8"))
        self._num_tokens += len(tokens)

    def finish(self) -> dict[str, object]:
        """Brings the files to the disk; returns what the header says of this side."""
        for path in (self._tokens, self._offsets):
            with _write_errors(path), open(path, "ab") as file:
                os.fsync(file.fileno())
        return {"dtype": self._dtype, "num_tokens": self._num_tokens}

    def _append(self, path: Path, values: Integer[np.ndarray, "values"]) -> None:
        with _write_errors(path), open(path, "ab") as file:
            file.write(values.tobytes())


def _write(
    pairs: Iterable[Pair],
    source_codec: TextCodec,
    target_codec: TextCodec | None,
    folder: Path,
    progress: Callable[[int], None] | None,
    copying: bool,
) -> None:
    remaining = iter(pairs)
    chunk = list(islice(remaining, _CHUNK_SIZE))
    num_pairs = 0
    reserve = MAX_UNKNOWN if copying else 0
    source = _SideWriter(folder, "source", source_codec.size + reserve)
    target = None
    if target_codec is not None and (not chunk or chunk[0].target is not None):
        target = _SideWriter(folder, "target", target_codec.size + reserve)
    while chunk:
        sources = [pair.source for pair in chunk]
        targets = [] if target_codec is None else _targets(chunk, num_pairs, expected=target is not None)
        source_ids = source_codec.encode_batch(sources)
        target_ids = [] if target_codec is None else target_codec.encode_batch(targets)
        if copying:
            number_pairs(source_codec, sources, targets, source_ids, target_ids)
        source.add(source_ids)
        if target is not None:
            target.add(target_ids)
        num_pairs += len(chunk)
        if progress is not None:
            progress(num_pairs)
        chunk = list(islice(remaining, _CHUNK_SIZE))
    header = {
        "format": _FORMAT,
        "num_pairs": num_pairs,
        "source": source.finish(),
        "target": None if target is None else target.finish(),
    }
    write_json(folder / _HEADER, {**header, "sha256": _sha256_of_fields(header)})


def _targets(chunk: list[Pair], num_before: int, *, expected: bool) -> list[str]:
    for number, pair in enumerate(chunk, start=num_before + 1):
        if (pair.target is not None) != expected:
            raise RequestError(
                f"{pair.place or f'Pair {number}'}: this pair has {'no' if expected else 'a'} target, unlike those "
                "before it; expected one in every pair or in none."
            )
    return [pair.target for pair in chunk if pair.target is not None]


def _install(temporary: Path, place: Path) -> None:
    """Moves a complete folder to its place, whether that is empty, damaged, or just filled by another process."""
    try:
        os.rename(temporary, place)
        return
    except OSError:
        if not place.exists():
            raise
    try:
        _open(place, note=None)
    except WorkError:
        # Every process writes the same bytes for one key, so files may come from several; the header comes last.
        names = sorted((path.name for path in temporary.iterdir()), key=lambda name: name == _HEADER)
        for name in names:
            os.replace(temporary / name, place / name)


def _open(place: Path, *, note: str | None) -> EncodedPairs:
    header = read_json(place / _HEADER)
    if not isinstance(header, dict):
        raise WorkError(f"{place / _HEADER} holds no fields.")
    fields = {name: value for name, value in header.items() if name != "sha256"}
    if header.get("sha256") != _sha256_of_fields(fields) or header.get("format") != _FORMAT:
        raise WorkError(f"{place / _HEADER} is not as it was written.")
    num_pairs = fields["num_pairs"]
    source = _open_side(place, "source", fields["source"], num_pairs)
    target = None if fields["target"] is None else _open_side(place, "target", fields["target"], num_pairs)
    lengths = np.zeros((num_pairs, 2), dtype=np.int32)
    for column, side in enumerate((source, target)):
        if side is not None:
            lengths[:, column] = np.diff(side.offsets)
    return EncodedPairs(source, target, lengths=lengths, rows=np.arange(num_pairs, dtype=np.int64), note=note)


def _open_side(place: Path, name: str, fields: dict[str, Any], num_pairs: int) -> _Side:
    tokens = _map(_tokens_path(place, name), fields["dtype"], fields["num_tokens"])
    offsets = _map(_offsets_path(place, name), "<i8", num_pairs + 1)
    # Every row holds at least its <end>.
    if offsets[0] != 0 or offsets[-1] != len(tokens) or np.any(np.diff(offsets) < 1):
        raise WorkError(f"{_offsets_path(place, name)} is not as it was written.")
    return _Side(tokens, offsets)


def _map(path: Path, dtype: str, count: int) -> Integer[np.ndarray, "count"]:
    expected = count * np.dtype(dtype).itemsize
    try:
        found = path.stat().st_size
        if found == expected:
            # An empty file cannot be mapped.
            return np.asarray(np.memmap(path, dtype=dtype, mode="r")) if count else np.zeros(0, dtype=dtype)
    except OSError as error:
        raise WorkError(f"{path} could not be read: {error.strerror or error}.") from error
    raise WorkError(f"{path} has {found} bytes, expected {expected}.")


def _tokens_path(folder: Path, side: str) -> Path:
    return folder / f"{side}.tokens"


def _offsets_path(folder: Path, side: str) -> Path:
    return folder / f"{side}.offsets"


def _sha256_of_fields(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _remove_abandoned(folder: Path, key: str) -> None:
    """Removes what a killed process left behind; a living one has written within the day."""
    for path in folder.glob(f".{key}-*.partial"):
        with contextlib.suppress(FileNotFoundError):  # its process has just finished it
            newest = max(file.stat().st_mtime for file in (path, *path.iterdir()))
            if time.time() - newest > _ABANDONED_AFTER_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkError(f"{path} could not be written: {error.strerror or error}.") from error
