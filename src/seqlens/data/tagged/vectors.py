"""Word vectors from a text file: a word and its numbers on each line, as GloVe and fastText write them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from seqlens.data.examples import Place
from seqlens.data.readers import read_lines
from seqlens.errors import RequestError


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Words in the order of the file, and a row for each."""

    words: tuple[str, ...]
    rows: Float32[np.ndarray, "words dim"]


def read_vectors(path: Path, *, dim: int, max_words: int, wanted: Callable[[str], bool]) -> WordVectors:
    """Reads the vectors of the first `max_words` words and of all that are `wanted`.

    A first line of two whole numbers, as fastText writes, is passed over.

    Raises:
        RequestError: as `read_lines`; a line without `dim` numbers; an empty file.
    """
    words: list[str] = []
    rows: list[Float32[np.ndarray, "dim"]] = []
    number = 0
    for number, line in read_lines(path):
        word, *values = line.rstrip(" ").split(" ")
        if number == 1 and len(values) == 1 and word.isdigit() and values[0].isdigit():
            continue
        if len(values) > dim:  # some files have words with spaces in them
            word, values = " ".join([word, *values[:-dim]]), values[-dim:]
        if len(values) != dim:
            raise RequestError(
                f"{Place(str(path), number)} has {len(values)} numbers after '{word[:40]}', expected {dim}, the "
                "'embedding_dim' of the model."
            )
        if number > max_words and not wanted(word):
            continue
        try:
            row = np.array(values, dtype=np.float32)
        except ValueError as error:
            message = f"{Place(str(path), number)} has something else than numbers after '{word[:40]}': {error}."
            raise RequestError(message) from error
        words.append(word)
        rows.append(row)
    if not number:
        raise RequestError(f"{path} is empty, expected a word and its numbers on each line.")
    return WordVectors(tuple(words), np.array(rows, dtype=np.float32).reshape(len(rows), dim))
