"""Folders of labelled texts: a folder a class with a file a text, and the splits of a corpus by name."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from seqlens.data.examples import Place
from seqlens.data.labelled.records import LabelledText
from seqlens.data.readers import open_bytes, telling_damage
from seqlens.data.splitting import TEST, TRAIN, VALIDATION
from seqlens.errors import RequestError

_SPLIT_NAMES = {
    TRAIN: TRAIN,
    VALIDATION: VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "devel": VALIDATION,
    TEST: TEST,
}
_TEXT_ENDINGS = (".txt", ".txt.gz")


def find_class_folders(path: Path) -> dict[str, Path]:
    """The folders in `path` that hold text files, by name; those are the classes. Splits are none."""
    return {
        entry.name: entry
        for entry in sorted(path.iterdir())
        if entry.is_dir() and entry.name not in _SPLIT_NAMES and _text_files(entry)
    }


def has_class_folders(path: Path | None) -> bool:
    """Whether a split, if it is there, is a folder with folders of classes."""
    return path is not None and path.is_dir() and bool(find_class_folders(path))


def check_split_names(path: Path, splits: Mapping[str, Path]) -> None:
    """Refuses a class that is called as a split, since nobody can tell which it is.

    Raises:
        RequestError: there is one.
    """
    for split, folder in splits.items():
        if folder.is_dir() and _text_files(folder):
            raise RequestError(
                f"{folder} has texts as the classes beside it in {path}, but is named after the split '{split}'. "
                "Give the class another name, or each split a folder for each class."
            )


def read_class_folder(path: Path) -> Iterator[LabelledText]:
    """Yields every text file of every class, in the order of their names; its lines are one text.

    Raises:
        RequestError: there is no class folder; a file is not UTF-8.
    """
    classes = find_class_folders(path)
    if not classes:
        raise RequestError(f"{path} has no folder with text files (.txt) in it, expected one for each class.")
    for label, folder in classes.items():
        for file in _text_files(folder):
            with telling_damage(file), open_bytes(file) as handle:
                raw = handle.read()
            try:
                yield LabelledText(raw.decode("utf-8-sig").strip(), label, Place(str(file), 1))
            except UnicodeDecodeError as error:
                line = raw.count(b"\n", 0, error.start) + 1
                found = f"byte 0x{raw[error.start]:02x}"
                raise RequestError(
                    f"{Place(str(file), line)} is not UTF-8: it has {found}. Save it as UTF-8."
                ) from error


def read_class_file(path: Path, encoding: str) -> Iterator[LabelledText]:
    """Yields the lines of a file as texts of one class, whose label is the file's ending, or its name without one.

    The endings `.txt` and `.gz` say nothing of the class: `reviews.pos`, `reviews.pos.txt` and `pos.txt.gz` are of
    `pos`.

    Raises:
        RequestError: a line is not in this encoding, or is blank; the file is empty.
    """
    label = path.name.removesuffix(".gz").removesuffix(".txt").rpartition(".")[2]
    utf_8 = encoding == "utf-8"
    number = 0
    with telling_damage(path), open_bytes(path) as handle:
        for number, raw in enumerate(handle, start=1):
            place = Place(str(path), number)
            try:
                text = raw.decode("utf-8-sig" if utf_8 and number == 1 else encoding).strip()
            except UnicodeDecodeError as error:
                found = f"byte 0x{raw[error.start]:02x}"
                raise RequestError(
                    f"{place} is not {encoding.upper()}: it has {found}; see 'data.encoding'."
                ) from error
            if not text:
                raise RequestError(f"{place} is blank, expected a text on each line.")
            yield LabelledText(text, label, place)
    if not number:
        raise RequestError(f"{path} is empty, expected a text on each line.")


def split_files(path: Path) -> dict[str, Path]:
    """The splits in a folder by their usual names: `train.tsv`, `dev.jsonl.gz`, a folder `test`, …

    Raises:
        RequestError: a split is there twice.
    """
    found: dict[str, Path] = {}
    for entry in sorted(path.iterdir()):
        split = _SPLIT_NAMES.get(entry.name.partition(".")[0])
        if split is None:
            continue
        if split in found:
            raise RequestError(f"{path} has the split '{split}' twice, as {found[split].name} and as {entry.name}.")
        found[split] = entry
    return {split: found[split] for split in (TRAIN, VALIDATION, TEST) if split in found}


def visible_files(folder: Path) -> list[Path]:
    """The files in a folder, in the order of their names; hidden ones are the system's, such as `.DS_Store`."""
    return sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))


def _text_files(folder: Path) -> list[Path]:
    return [file for file in visible_files(folder) if file.name.lower().endswith(_TEXT_ENDINGS)]
