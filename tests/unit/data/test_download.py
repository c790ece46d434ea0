import gzip
import hashlib
import io
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from seqlens.data import pairs as corpus_module
from seqlens.data.catalogue import Card, CardFile, CardSplit, HashedTsvReader, PairedReader
from seqlens.data.corpus import PairsData, open_corpus
from seqlens.data.download import cache_folder, fetch, fetch_files
from seqlens.errors import RequestError, WorkError

SENTENCES = {"de": "Hund\nKatze\n", "en": "dog\ncat\n"}


class Server:
    """What a local server answers by path, what it was asked for, and how many bytes it lets through."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut_at: int | None = None
        self.url = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            body = state.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_at])

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        state.url = f"http://127.0.0.1:{listening.server_port}/raw/"
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        listening.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SEQLENS_MIRROR", raising=False)
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def paired_card(base_url: str | None) -> Card:
    files = tuple(
        CardFile(f"train.{code}.gz", 0, sha256(gzip.compress(text.encode())), sha256(text.encode()))
        for code, text in SENTENCES.items()
    )
    splits = tuple(
        CardSplit(name, 2, {code: f"train.{code}.gz" for code in SENTENCES}, dict.fromkeys(SENTENCES, ""))
        for name in ("train", "validation")
    )
    return Card(
        name="tiny",
        title="Tiny",
        summary="",
        task="transduce",
        languages=("de", "en"),
        direction=("de", "en"),
        licence="",
        published="",
        base_url=base_url,
        mirror="mt/tiny",
        mirror_form="",
        reader=PairedReader(),
        files=files,
        splits=splits,
    )


def serve(server: Server) -> Card:
    # Packed otherwise than the mirror form, to the same text.
    for code, text in SENTENCES.items():
        server.files[f"/raw/train.{code}.gz"] = gzip.compress(text.encode(), compresslevel=1, mtime=7)
    return paired_card(server.url)


def everything_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.rglob("*") if entry.is_file())


def test_files_are_downloaded_once_and_verified(server: Server, cache: Path) -> None:
    card, told = serve(server), []
    folder = fetch_files(card, card.files, announce=told.append)
    assert folder == cache / "tiny"
    assert everything_in(cache) == ["train.de.gz", "train.en.gz"]
    assert told == [f"Downloading {server.url}train.de.gz", f"Downloading {server.url}train.en.gz"]
    assert fetch_files(card, card.files, announce=told.append) == folder
    assert len(server.asked) == len(told) == 2


def test_a_damaged_file_in_the_cache_is_downloaded_again(server: Server, cache: Path) -> None:
    card = serve(server)
    folder = fetch_files(card, card.files)
    for damage in (b"", b"\x1f\x8b", gzip.compress(b"other text"), (folder / "train.de.gz").read_bytes()[:-4]):
        (folder / "train.de.gz").write_bytes(damage)
        fetch_files(card, card.files)
        assert gzip.decompress((folder / "train.de.gz").read_bytes()).decode() == SENTENCES["de"]
    assert server.asked.count("/raw/train.de.gz") == 5


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (gzip.compress(b"another text\n"), "is not the file of the catalogue and was not kept: the SHA-256"),
        (b"<html>sign in</html>", "is not the file of the catalogue and was not kept: the SHA-256"),
        (gzip.compress(b"another text\n")[:-3], "is damaged and was not kept"),
    ],
    ids=["another-text", "a-web-page", "cut-short"],
)
def test_another_file_than_the_cards_is_not_kept(server: Server, cache: Path, body: bytes, expected: str) -> None:
    card = serve(server)
    server.files["/raw/train.en.gz"] = body
    with pytest.raises(WorkError, match=f"What {server.url}train.en.gz sent {expected}"):
        fetch_files(card, card.files)
    assert everything_in(cache) == ["train.de.gz"]


def test_an_interrupted_download_leaves_nothing(server: Server, cache: Path) -> None:
    card = serve(server)
    server.cut_at = 20
    with pytest.raises(WorkError, match=r"train.de.gz to .*: the connection broke off before the end of the file"):
        fetch_files(card, card.files)
    assert everything_in(cache) == []
    server.cut_at = None
    fetch_files(card, card.files)
    assert everything_in(cache) == ["train.de.gz", "train.en.gz"]


def test_a_missing_file_and_a_missing_server_name_the_url_and_the_mirror(server: Server, cache: Path) -> None:
    card = serve(server)
    del server.files["/raw/train.de.gz"]
    with pytest.raises(WorkError) as error:
        fetch_files(card, card.files)
    told = str(error.value)
    assert f"Could not download {server.url}train.de.gz" in told
    assert "the server answered 404 Not Found" in told
    assert "set SEQLENS_MIRROR to a folder that holds 'mt/tiny/train.de.gz'" in told
    # Port 1 of this machine listens to nobody.
    with pytest.raises(WorkError, match="there is no connection to the server"):
        fetch_files(paired_card("http://127.0.0.1:1/"), card.files)
    assert everything_in(cache) == []


def test_a_folder_that_cannot_be_written_gets_a_sentence(server: Server, cache: Path) -> None:
    card = serve(server)
    cache.write_text("a file where the folder should be")
    with pytest.raises(WorkError, match="Could not download"):
        fetch_files(card, card.files)


def test_a_mirror_is_used_in_place(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = paired_card(None)
    monkeypatch.setenv("SEQLENS_MIRROR", str(tmp_path / "mirror"))
    folder = tmp_path / "mirror" / "mt" / "tiny"
    folder.mkdir(parents=True)
    (folder / "train.de.gz").write_bytes(gzip.compress(SENTENCES["de"].encode()))
    with pytest.raises(RequestError, match=r"The mirror has no file .*train.en.gz .*Set SEQLENS_MIRROR"):
        fetch_files(card, card.files)
    (folder / "train.en.gz").write_bytes(gzip.compress(b"dog\n"))
    with pytest.raises(WorkError, match=r"train.en.gz is not the file of the catalogue: the SHA-256"):
        fetch_files(card, card.files)
    (folder / "train.en.gz").write_bytes(SENTENCES["en"].encode())  # not even packed: the text is what counts
    assert fetch_files(card, card.files) == folder
    assert not cache.exists()


def test_what_has_only_a_mirror_form_says_so(cache: Path) -> None:
    card = paired_card(None)
    with pytest.raises(RequestError, match="it has only a mirror form: set SEQLENS_MIRROR"):
        fetch_files(card, card.files)


def test_a_downloaded_corpus_reads_and_one_in_a_zip_too(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "".join(f"dog {number}\tHund {number}\n" for number in range(500))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("all.txt", table)
    server.files["/raw/all.zip"] = archive.getvalue()
    paired = serve(server)
    zipped = Card(
        **{name: getattr(paired, name) for name in ("title", "summary", "task", "languages", "licence", "published")},
        name="zipped",
        direction=("en", "de"),
        base_url=server.url,
        mirror="",
        mirror_form="",
        reader=HashedTsvReader({"en": 0, "de": 1}, split_by="en", validation_fraction=0.1, test_fraction=0.1),
        files=(CardFile("all.zip", 0, "", sha256(table.encode()), member="all.txt"),),
        splits=tuple(
            CardSplit(name, 0, {"en": "all.zip", "de": "all.zip"}, {}) for name in ("train", "validation", "test")
        ),
    )
    cards = {"tiny": paired, "zipped": zipped}
    monkeypatch.setattr(corpus_module, "catalogue_names", lambda: tuple(cards))
    monkeypatch.setattr(corpus_module, "read_card", cards.__getitem__)
    tiny = open_corpus(PairsData(path="tiny", source="en"), base=Path())
    assert [(pair.source, pair.target) for pair in tiny.read("train")] == [("dog", "Hund"), ("cat", "Katze")]
    forth = open_corpus(PairsData(path="zipped"), base=Path())
    back = open_corpus(PairsData(path="zipped", source="de", target="en"), base=Path())
    sizes = []
    for split in ("train", "validation", "test"):
        pairs = [(pair.source, pair.target) for pair in forth.read(split)]
        assert [(pair.target, pair.source) for pair in back.read(split)] == pairs
        sizes.append(len(pairs))
    assert sum(sizes) == 500
    assert min(sizes) > 20


def test_unknown_names_and_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Did you mean 'multi30k'"):
        fetch("multi-30k")
    monkeypatch.setenv("SEQLENS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SEQLENS_CACHE")
    assert cache_folder().name == "seqlens"
