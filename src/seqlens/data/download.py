"""Files of the catalogue on this machine: from a mirror, from the cache, or from where they are published.

Where the environment variable SEQLENS_MIRROR names a folder, files are used where they lie in it and nothing
is downloaded. Otherwise they are kept in the folder that SEQLENS_CACHE names, or else in the user's cache
folder. The text in every file is verified each time, wherever the file comes from.
"""

import contextlib
import hashlib
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from seqlens.data.catalogue import CardFile, catalogue_names, no_such_card, read_card
from seqlens.data.example_cards import example_card_names, read_example_card
from seqlens.data.readers import describe_damage, open_bytes
from seqlens.errors import RequestError, WorkError

_TIMEOUT = 30  # seconds without a byte from the server
_CHUNK = 1 << 20

Announce = Callable[[str], None]


class Published(Protocol):
    """A card of the catalogue: where its files are."""

    @property
    def name(self) -> str: ...

    @property
    def base_url(self) -> str | None: ...

    @property
    def mirror(self) -> str: ...


def fetch(name: str, *, announce: Announce | None = None) -> Path:
    """Returns the folder that holds all files of a data set, verified; downloads those that are not there
    yet.

    `announce` is told, in a line each, what is downloaded. Raises RequestError for an unknown name and for a
    mirror without the files, WorkError for a failed download and for a file with another content than the
    card's.
    """
    names = [*catalogue_names(), *example_card_names()]
    if name not in names:
        raise no_such_card(name, names)
    if name not in catalogue_names():
        examples = read_example_card(name)
        return fetch_files(examples, examples.files, announce=announce)
    card = read_card(name)
    return fetch_files(card, card.files, announce=announce)


def fetch_files(card: Published, files: Iterable[CardFile], *, announce: Announce | None = None) -> Path:
    """Returns the folder that holds these files of a card, verified, as `fetch` does."""
    mirror = os.environ.get("SEQLENS_MIRROR")
    if mirror:
        folder = Path(mirror) / card.mirror
        for file in files:
            _check_mirrored(card, folder, file)
        return folder
    folder = cache_folder() / card.name
    for file in files:
        if not _is_cached(folder / file.name, file):
            _download(card, file, folder, announce)
    return folder


def cache_folder() -> Path:
    """Returns the folder where downloads are kept."""
    chosen = os.environ.get("SEQLENS_CACHE")
    if chosen:
        return Path(chosen)
    import pooch

    return Path(pooch.os_cache("seqlens"))


def content_sha256(path: Path, member: str | None = None) -> str:
    """Returns the SHA-256 of a file's unpacked content. Raises WorkError for an archive that cannot be
    unpacked.
    """
    digest = hashlib.sha256()
    try:
        with open_bytes(path, member=member) as handle:
            while chunk := handle.read(_CHUNK):
                digest.update(chunk)
    except (EOFError, zlib.error, OSError, zipfile.BadZipFile) as error:
        raise WorkError(describe_damage(path, error, 0)) from error
    return digest.hexdigest()


def _check_mirrored(card: Published, folder: Path, file: CardFile) -> None:
    path = folder / file.name
    if not path.is_file():
        raise RequestError(
            f"The mirror has no file {path} (SEQLENS_MIRROR is '{os.environ['SEQLENS_MIRROR']}', and {card.name} lies "
            f"in '{card.mirror}' below it). Set SEQLENS_MIRROR to the folder that holds it, or unset it to download."
        )
    found = content_sha256(path, file.member)
    if found != file.content_sha256:
        raise WorkError(f"{path} is not the file of the catalogue: {_mismatch(found, file)}.")


def _is_cached(path: Path, file: CardFile) -> bool:
    if not path.is_file():
        return False
    try:
        return content_sha256(path, file.member) == file.content_sha256
    except (WorkError, RequestError):
        return False  # damaged: it is downloaded again, and that says what is wrong if it fails


def _download(card: Published, file: CardFile, folder: Path, announce: Announce | None) -> None:
    if card.base_url is None:
        raise RequestError(
            f"{card.name} is not published where it could be downloaded from, it has only a mirror form: set "
            f"SEQLENS_MIRROR to a folder that holds '{card.mirror}/{file.name}'."
        )
    import pooch

    url = card.base_url + (file.public_name or file.name)
    if announce is not None:
        announce(f"Downloading {url}")
    # In the same folder, so that the file appears by a rename: whole and verified, or not at all.
    part = folder / f".{file.name}.{secrets.token_hex(8)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pooch.HTTPDownloader(timeout=_TIMEOUT, chunk_size=_CHUNK)(url, str(part), None)
        _check_download(url, part, file)
        os.replace(part, folder / file.name)
    except OSError as error:  # those of the network, of the requests library, are OSErrors too
        response = getattr(error, "response", None)
        if response is not None:
            response.close()  # pooch leaves the connection open after an answer such as 404
        raise WorkError(
            f"Could not download {url} to {folder}: {_reason(error)}. Without a network, set SEQLENS_MIRROR to a "
            f"folder that holds '{card.mirror}/{file.name}'."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # mostly it is not there any more
            part.unlink()


def _check_download(url: str, part: Path, file: CardFile) -> None:
    try:
        found = content_sha256(part, file.member)
    except (WorkError, RequestError) as error:
        raise WorkError(f"What {url} sent is damaged and was not kept: {_unpacking_problem(error)}.") from error
    if found != file.content_sha256:
        raise WorkError(f"What {url} sent is not the file of the catalogue and was not kept: {_mismatch(found, file)}.")


def _unpacking_problem(error: Exception) -> str:
    return str(error.__cause__ or error).rstrip(".")


def _mismatch(found: str, file: CardFile) -> str:
    return f"the SHA-256 of its unpacked text is {found}, expected {file.content_sha256}"


def _reason(error: OSError) -> str:
    """Returns why a download failed, in a few words."""
    from requests import exceptions

    match error:
        case exceptions.HTTPError() if error.response is not None:
            return f"the server answered {error.response.status_code} {error.response.reason}"
        case exceptions.Timeout():
            return f"no answer within {_TIMEOUT} seconds"
        case exceptions.ChunkedEncodingError():
            return "the connection broke off before the end of the file"
        case exceptions.ConnectionError():
            return "there is no connection to the server"
        case _:
            return error.strerror or str(error)
