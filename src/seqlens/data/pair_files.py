"""Where the pairs of a split lie: two text files, a TSV file or a JSON Lines file; and a folder full of them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqlens.data.examples import Pair
from seqlens.data.readers import FaultHandler, read_jsonl, read_paired_text, read_tsv
from seqlens.errors import RequestError, did_you_mean

VALIDATION_NAMES = ("validation", "valid", "val", "dev")


@dataclass(frozen=True, slots=True)
class TextFiles:
    """Line N of one file translates line N of the other."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class TsvFile:
    """One pair a line; columns counted from zero; `member` names the file inside a zip archive."""

    path: Path
    source_column: int = 0
    target_column: int = 1
    member: str | None = None
    document_column: int | None = None


@dataclass(frozen=True, slots=True)
class JsonlFile:
    """One JSON object a line."""

    path: Path
    source_key: str = "source"
    target_key: str = "target"
    document_key: str | None = None


PairFiles = TextFiles | TsvFile | JsonlFile


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a TSV file and which keys of a JSON object are the two sides, and which tell the document."""

    source_column: int = 0
    target_column: int = 1
    source_key: str = "source"
    target_key: str = "target"
    document_column: int | None = None
    document_key: str = "document"
    has_documents: bool = False


def read_pairs(files: PairFiles, *, on_fault: FaultHandler | None = None) -> Iterator[Pair]:
    """Yields the pairs, by the reader that fits; raises what that reader raises."""
    match files:
        case TextFiles(source, target):
            return read_paired_text(source, target, on_fault=on_fault)
        case TsvFile(path, source_column, target_column, member, document_column):
            return read_tsv(
                path,
                source_column=source_column,
                target_column=target_column,
                document_column=document_column,
                member=member,
                on_fault=on_fault,
            )
        case JsonlFile(path, source_key, target_key, document_key):
            return read_jsonl(
                path, source_key=source_key, target_key=target_key, document_key=document_key, on_fault=on_fault
            )


def file_names(files: PairFiles) -> tuple[str, str]:
    """Returns the file that the sources and the file that the targets are read from."""
    match files:
        case TextFiles(source, target):
            return str(source), str(target)
        case TsvFile(path, _, _, None) | JsonlFile(path):
            return str(path), str(path)
        case TsvFile(path, _, _, member):
            return f"{path}/{member}", f"{path}/{member}"


def open_single(path: Path, columns: Columns) -> PairFiles:
    """Returns the TSV or JSON Lines file at `path`. Raises RequestError where its name ends otherwise."""
    match path.name.removesuffix(".gz").rpartition(".")[2]:
        case "tsv":
            if columns.has_documents and columns.document_column is None:
                raise RequestError(
                    f"'context' is given, but nothing tells the documents of {path} apart, expected 'document_column': "
                    "the number, from zero, of the column that changes from one document to the next."
                )
            return TsvFile(path, columns.source_column, columns.target_column, document_column=columns.document_column)
        case "jsonl":
            document_key = columns.document_key if columns.has_documents else None
            return JsonlFile(path, columns.source_key, columns.target_key, document_key)
        case _:
            raise RequestError(
                f"{path} is neither .tsv nor .jsonl (or either with .gz), expected one file with both sides. Two text "
                "files are given as 'source: FILE' and 'target: FILE'."
            )


@dataclass(frozen=True, slots=True)
class Folder:
    """The data files of a folder: split -> ending (a language, `tsv` or `jsonl`) -> the files of that name."""

    path: Path
    files: Mapping[str, Mapping[str, tuple[Path, ...]]]

    def languages(self) -> tuple[str, ...]:
        """Returns the endings of the text files, without `.gz`; those of train, where it has some."""
        of_train, of_all = (
            {ending for found in splits for ending in found} - {"tsv", "jsonl"}
            for splits in ([self.files.get("train", {})], self.files.values())
        )
        return tuple(sorted(of_train or of_all))

    def splits(self, source: str, target: str, columns: Columns) -> dict[str, PairFiles]:
        """Returns the files of every split that has these two languages, or is a single file.

        Raises RequestError for a split with one side only (unless it has yet other languages) or with a
        choice of files.
        """
        chosen: dict[str, PairFiles] = {}
        for split in sorted(self.files):
            files = self._files_of(split, source, target, columns)
            if files is not None:
                chosen[split] = files
        return chosen

    def _files_of(self, split: str, source: str, target: str, columns: Columns) -> PairFiles | None:
        found = self.files[split]
        sides = [found.get(source, ()), found.get(target, ())]
        single = [path for ending in ("tsv", "jsonl") for path in found.get(ending, ())]
        if any(len(side) > 1 for side in sides) or len(single) + any(sides) > 1:
            rivals = [*single, *sides[0], *sides[1]]
            raise RequestError(
                f"{self.path} has more than one choice for '{split}': {_listed(rivals)}. Keep one, or name the files "
                "of each split."
            )
        if single:
            return open_single(single[0], columns)
        if all(sides):
            return TextFiles(sides[0][0], sides[1][0])
        others = set(found) - {source, target}
        if any(sides) and not others:
            missing = source if not sides[0] else target
            there = (sides[0] or sides[1])[0]
            raise RequestError(f"{there} has no file for the other side beside it, expected one ending in .{missing}.")
        return None


def scan_folder(path: Path) -> Folder:
    """Returns the data files of a folder: `train.*`, `validation.*` (or valid, val, dev), and everything
    `test*.*`.
    """
    files: dict[str, dict[str, tuple[Path, ...]]] = {}
    for entry in sorted(path.iterdir()):
        match = re.fullmatch(r"(?P<stem>train|validation|valid|val|dev|test.*)\.(?P<ending>[\w-]+)", _unzipped(entry))
        if match is None or entry.name.startswith(".") or not entry.is_file():
            continue
        split = "validation" if match["stem"] in VALIDATION_NAMES else match["stem"]
        by_ending = files.setdefault(split, {})
        by_ending[match["ending"]] = (*by_ending.get(match["ending"], ()), entry)
    return Folder(path, files)


def choose_languages(folder: Folder, source: str | None, target: str | None) -> tuple[str, str]:
    """Returns source and target of a folder, where they can be told from what is given and what is there.

    Raises RequestError for a language that the folder does not have, and where there is a choice.
    """
    languages = folder.languages()
    if not languages:
        return source or "source", target or "target"
    if source is None and target is None and {"source", "target"} <= set(languages):
        return "source", "target"
    return complete_direction(languages, source, target, where=str(folder.path))


def complete_direction(
    languages: tuple[str, ...], source: str | None, target: str | None, *, where: str
) -> tuple[str, str]:
    """Returns source and target: those given, and the other of two languages where one is given.

    Raises RequestError for an unknown language, for twice the same, and where there is a choice.
    """
    listed = ", ".join(languages)
    for side, code in (("source", source), ("target", target)):
        if code is not None and code not in languages:
            raise RequestError(
                f"'{side}' is '{code}', which {where} does not have, expected one of {listed}."
                f"{did_you_mean(code, languages)}"
            )
    if source is not None and source == target:
        raise RequestError(f"'source' and 'target' are both '{source}', expected two of {listed}.")
    rest = [language for language in languages if language not in (source, target)]
    if source is None and target is not None and len(rest) == 1:
        source = rest[0]
    elif target is None and source is not None and len(rest) == 1:
        target = rest[0]
    if source is None or target is None:
        missing = " and ".join(f"'{side}'" for side, code in (("source", source), ("target", target)) if code is None)
        raise RequestError(f"{missing} must be given for {where}, expected two of {listed}.")
    return source, target


def _unzipped(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _listed(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)
