"""Which reader reads a file of labelled texts."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from seqlens.data.labelled.folders import read_class_file, read_class_folder
from seqlens.data.labelled.records import LabelledText
from seqlens.data.labelled.tables import Column, read_columns, read_labelled_jsonl, read_labelled_lines
from seqlens.data.labelled.trees import read_trees
from seqlens.data.splitting import normalise_sentence
from seqlens.errors import RequestError

Format = Literal["auto", "lines", "tsv", "csv", "jsonl", "trees", "folders", "class_files"]
Reader = Callable[[Collection[str]], Iterable[LabelledText]]
"""Reads a split anew, without the texts it is given: all that count as equal to them, but of trees these alone."""

_BY_ENDING: dict[str, Format] = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".txt": "lines", ".ptb": "trees"}


def reader_of(
    path: Path,
    form: Format,
    *,
    columns: tuple[Column, Column],
    keys: tuple[str, str],
    phrases: bool,
    header: bool | None = None,
) -> Reader:
    """How a file or folder is read; `columns` and `keys` are those of the text and of the label.

    `header` is as for `read_columns`.

    Raises:
        RequestError: the format is to be told by an ending that none has.
    """
    form = _format_of(path) if form == "auto" else form
    match form:
        case "trees":
            return lambda left_out: _tree_texts(path, phrases, left_out)
        case "folders" if not path.is_dir():
            raise RequestError(f"{path} is one file, but 'format: folders' is for a folder with a folder a class.")
        case "folders":
            return _filtered(lambda: read_class_folder(path))
        case "jsonl":
            return _filtered(lambda: read_labelled_jsonl(path, text_key=keys[0], label_key=keys[1]))
        case "lines":
            return _filtered(lambda: read_labelled_lines(path))
        case "class_files":
            raise RequestError(f"{path} is one file, but 'format: class_files' is for a folder with a file a class.")
        case _:
            quoted, separator = form == "csv", "," if form == "csv" else "\t"
            return _filtered(
                lambda: read_columns(
                    path,
                    text_column=columns[0],
                    label_column=columns[1],
                    separator=separator,
                    quoted=quoted,
                    header=header,
                )
            )


def class_files_reader(files: Sequence[Path], encoding: str) -> Reader:
    """Reads a file a class, a line a text; the label is the file's ending but `.txt`, or its name."""
    return _filtered(lambda: (example for file in files for example in read_class_file(file, encoding)))


def _filtered(read: Callable[[], Iterable[LabelledText]]) -> Reader:
    def rest(left_out: Collection[str]) -> Iterable[LabelledText]:
        if not left_out:
            return read()
        unwanted = set(map(normalise_sentence, left_out))
        return (example for example in read() if normalise_sentence(example.text) not in unwanted)

    return rest


def _tree_texts(path: Path, phrases: bool, left_out: Collection[str]) -> Iterator[LabelledText]:
    """The texts of trees; of phrases each once with the same label, as short ones recur in hundreds of trees."""
    seen: set[tuple[str, str]] = set()
    for example in read_trees(path, phrases=phrases, left_out=left_out):
        if not phrases:
            yield example
        elif example.text not in left_out and (example.text, example.label) not in seen:
            seen.add((example.text, example.label))
            yield example


def _format_of(path: Path) -> Format:
    if path.is_dir():
        return "folders"
    ending = Path(path.name.removesuffix(".gz")).suffix
    if ending not in _BY_ENDING:
        endings = ", ".join(_BY_ENDING)
        raise RequestError(
            f"{path} has none of the endings {endings} (.gz after it or not), expected 'format' to be set."
        )
    return _BY_ENDING[ending]
