import json
from collections import defaultdict
from pathlib import Path

import pytest

from seqlens.data.audit import audit
from seqlens.data.codecs.marks import MarkedText
from seqlens.data.corpus import FilePair, PairsData, PronounsData, open_corpus
from seqlens.data.documents import ContextConfig, document_chunks, in_document
from seqlens.data.pronouns import ADJECTIVES, NOUNS, split_of_combination
from seqlens.errors import RequestError

STORY = ("Once.", "Twice.", "Thrice.", "", "New.", "Newer.")


def contexts(texts: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(text), text.context if isinstance(text, MarkedText) else ()) for text in texts]


EXPECTED = [
    ("Once.", ()),
    ("Twice.", ("Once.",)),
    ("Thrice.", ("Once.", "Twice.")),
    ("New.", ()),
    ("Newer.", ("New.",)),
]


def text_files(folder: Path) -> PairsData:
    (folder / "a.en").write_text("\n".join(STORY) + "\n")
    (folder / "a.fr").write_text("\n".join(line.upper() for line in STORY) + "\n")
    pair = FilePair(str(folder / "a.en"), str(folder / "a.fr"))
    return PairsData(train=pair, validation=pair, context=ContextConfig(2))


def tsv_file(folder: Path) -> PairsData:
    rows = [("x" if number < 3 else "y", line) for number, line in enumerate(STORY)]
    (folder / "a.tsv").write_text("".join(f"{name}\t{line}\t{line.upper()}\n" for name, line in rows if line))
    return PairsData(
        train=str(folder / "a.tsv"),
        validation=str(folder / "a.tsv"),
        source_column=1,
        target_column=2,
        document_column=0,
        context=ContextConfig(2),
    )


def jsonl_file(folder: Path) -> PairsData:
    rows = [{"source": line, "target": line.upper(), "story": int(n > 3)} for n, line in enumerate(STORY) if line]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = str(folder / "a.jsonl")
    return PairsData(train=path, validation=path, document_key="story", context=ContextConfig(2))


@pytest.mark.parametrize("write", [text_files, tsv_file, jsonl_file], ids=["text", "tsv", "jsonl"])
def test_sources_are_given_the_sentences_before_them_in_their_document(write: object, tmp_path: Path) -> None:
    corpus = open_corpus(write(tmp_path), base=Path())  # type: ignore[operator]

    pairs = list(corpus.read("train"))

    assert contexts([pair.source for pair in pairs]) == EXPECTED
    assert [pair.target for pair in pairs] == [source.upper() for source, _ in EXPECTED]
    assert corpus.context_sentences == 2
    assert audit(corpus).splits[0].num_pairs == 5


def test_documents_are_not_torn_by_a_split_and_chunks_give_the_same(tmp_path: Path) -> None:
    lines = [f"d{document}\tsentence {document} {place}\tx\n" for document in range(300) for place in range(3)]
    (tmp_path / "all.tsv").write_text("".join(lines))
    config = PairsData(
        path=str(tmp_path / "all.tsv"),
        source_column=1,
        target_column=2,
        document_column=0,
        context=ContextConfig(1),
        test_fraction=0.2,
    )
    corpus = open_corpus(config, base=Path())
    splits_of = defaultdict(set)
    for split in corpus.splits:
        for pair in corpus.read(split):
            splits_of[pair.document].add(split)
    assert len(splits_of) == 300
    assert {len(found) for found in splits_of.values()} == {1}
    assert {split for found in splits_of.values() for split in found} == {"train", "validation", "test"}


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_lines_in_chunks_have_the_context_of_their_document(size: int) -> None:
    lines = list(STORY)
    chunks = [lines[first : first + size] for first in range(0, len(lines), size)]

    marked = [text for chunk in document_chunks(chunks, 2) for text in chunk]

    assert [entry for entry in contexts(marked) if entry[0]] == EXPECTED
    assert contexts(in_document(STORY[:3], 2)) == EXPECTED[:3]
    assert [str(text) for text in marked] == lines


def train_on(path: Path) -> PairsData:
    return PairsData(train=str(path), validation=str(path), context=ContextConfig())


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\n" * 9)
    with pytest.raises(RequestError, match=r"nothing tells the documents of .*a.tsv apart, expected 'document_column'"):
        open_corpus(PairsData(path=str(tmp_path / "a.tsv"), context=ContextConfig()), base=Path())
    with pytest.raises(RequestError, match="multi30k has no documents: its sentences stand alone"):
        open_corpus(PairsData(path="multi30k", context=ContextConfig()), base=Path())
    (tmp_path / "a.jsonl").write_text('{"source": "a", "target": "b", "documents": "x"}\n')
    corpus = open_corpus(train_on(tmp_path / "a.jsonl"), base=Path())
    with pytest.raises(RequestError, match=r"line 1 has no key 'document', .* Did you mean 'documents'\?"):
        list(corpus.read("train"))
    (tmp_path / "b.jsonl").write_text('{"source": "a", "target": "b", "document": [1]}\n')
    corpus = open_corpus(train_on(tmp_path / "b.jsonl"), base=Path())
    with pytest.raises(RequestError, match=r"has '\[1\]' at the key 'document', expected text"):
        list(corpus.read("train"))
    (tmp_path / "one.tsv").write_text("".join(f"d\ts {n}\tt\n" for n in range(9)))
    config = PairsData(
        path=str(tmp_path / "one.tsv"), source_column=1, target_column=2, document_column=0, context=ContextConfig()
    )
    with pytest.raises(RequestError, match=r"too few pairs to hold some out for validation\. It has one document"):
        open_corpus(config, base=Path())


def test_pronouns_need_the_sentence_before_and_keep_their_combinations_apart() -> None:
    corpus = open_corpus(PronounsData(context=ContextConfig()), base=Path())
    seen: dict[str, set[tuple[str, str]]] = {}
    for split in corpus.splits:
        pairs = list(corpus.read(split))
        assert len(pairs) % 2 == 0
        firsts, seconds = pairs[::2], pairs[1::2]
        assert all(not isinstance(pair.source, MarkedText) or not pair.source.context for pair in firsts)
        assert all(pair.source.context == (first.source,) for first, pair in zip(firsts, seconds, strict=True))  # type: ignore[attr-defined]
        seen[split] = {(first.source, second.source) for first, second in zip(firsts, seconds, strict=True)}
        feminine = sum("elle" in (pair.target or "").lower() for pair in seconds) / len(seconds)
        assert 0.4 < feminine < 0.6
        # One English sentence, two translations: without context it can only be guessed.
        alone = defaultdict(set)
        for pair in seconds:
            alone[str(pair.source)].add(pair.target)
        assert sum(len(targets) == 2 for targets in alone.values()) > len(alone) / 3
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]
    for noun in NOUNS:
        assert {split_of_combination(noun, adjective) for adjective in ADJECTIVES} == set(corpus.splits)
    plain = list(open_corpus(PronounsData(), base=Path()).read("test"))
    assert [(str(pair.source), pair.target) for pair in corpus.read("test")] == [
        (pair.source, pair.target) for pair in plain
    ]
    with pytest.raises(RequestError, match=r"pronouns has no split 'dev'.*Did you mean 'validation'"):
        corpus.read("dev")
