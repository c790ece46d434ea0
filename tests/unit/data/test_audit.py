import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.config.load import to_plain
from seqlens.data.audit import CorpusAudit, Finding, audit, audit_rows, length_rows
from seqlens.data.corpus import MixtureData, MixturePart, PairsData, open_corpus
from seqlens.data.dates import DatesData
from seqlens.data.examples import Pair, Place
from seqlens.data.split_record import LengthSummary, SplitRecord
from seqlens.data.text_faults import find_text_faults, script_of

needs_mirror = pytest.mark.skipif(
    "SEQLENS_MIRROR" not in os.environ, reason="SEQLENS_MIRROR names no folder with the data"
)

NOUNS = ["Hund", "Katze", "Vogel", "Mann", "Frau", "Kind", "Haus", "Baum"]
WORDS = ["dog", "cat", "bird", "man", "woman", "child", "house", "tree"]


def clean_pairs(count: int, start: int = 0) -> list[tuple[str, str]]:
    return [
        (f"Hier steht {NOUNS[n % 8]} Nummer {n}.", f"Here stands {WORDS[n % 8]} number {n}.")
        for n in range(start, start + count)
    ]


def write_split(folder: Path, split: str, pairs: list[tuple[str, str]]) -> None:
    for ending, side in (("de", 0), ("en", 1)):
        text = "".join(pair[side] + "\n" for pair in pairs)
        (folder / f"{split}.{ending}").write_text(text, encoding="utf-8", newline="")


def audit_folder(folder: Path) -> CorpusAudit:
    return audit(open_corpus(PairsData(path=".", source="de", target="en"), base=folder))


def findings(audited: CorpusAudit) -> dict[tuple[str, str, str | None], Finding]:
    return {(finding.kind, finding.split, finding.side): finding for finding in audited.findings}


def lines(finding: Finding) -> list[int]:
    return [place.line for place in finding.places]


def test_a_clean_corpus_has_no_findings_and_exact_lengths(tmp_path: Path) -> None:
    write_split(tmp_path, "train", clean_pairs(60))
    write_split(tmp_path, "dev", clean_pairs(10, 100))
    audited = audit_folder(tmp_path)
    assert audited.findings == ()
    assert audited.severity is None
    train = audited.splits[0]
    sources = sorted(len(source) for source, _ in clean_pairs(60))
    assert train.num_pairs == 60
    assert train.source.characters == LengthSummary(
        sources[0], (sources[29] + sources[30]) / 2, sources[56], sources[-1]
    )
    assert train.target.words == LengthSummary(5, 5.0, 5, 5)
    assert (train.source.name, train.source.script) == ("de", "Latin")
    assert [(row.split, row.side, row.unit) for row in length_rows(audited)][:3] == [
        ("train", "de", "characters"),
        ("train", "de", "words"),
        ("train", "en", "characters"),
    ]


def test_every_fault_of_a_pair_is_found_where_it_is(tmp_path: Path) -> None:
    pairs = clean_pairs(60)
    pairs[4] = ("", "Nobody is here.")
    pairs[9] = pairs[2]
    pairs[14] = (pairs[3][0], "Another answer to it.")
    pairs[19] = ("Hier steht Berlin.", "Hier steht  Berlin.")
    pairs[24] = ("Das ist nur ein sehr kurzer Satz.", "This is " + "a very long sentence " * 9 + "that goes on.")
    pairs[29] = ("Здесь стоит собака номер 29.", "Here stands dog number 29.")
    pairs[34] = ("Ein schÃ¶ner Tag.", "A fine day\u2028indeed.")
    pairs[39] = ("Ein sch\ufffdner Hund.", "A fine\x07 dog.")
    pairs[44] = (" Hier steht ein Mann.", "Here stands a man.\u00a0")
    write_split(tmp_path, "train", pairs)
    write_split(tmp_path, "valid", clean_pairs(10, 100))
    found = findings(audit_folder(tmp_path))
    expected = {
        ("empty-side", "source"): 5,
        ("duplicate-pair", None): 10,
        ("ambiguous-source", None): 4,
        ("source-equals-target", None): 20,
        ("length-ratio", None): 25,
        ("unlike-script", "source"): 30,
        ("mojibake", "source"): 35,
        ("line-separator", "target"): 35,
        ("replacement-character", "source"): 40,
        ("control-character", "target"): 40,
        ("outer-whitespace", "source"): 45,
        ("outer-whitespace", "target"): 45,
    }
    assert {(kind, side): lines(finding) for (kind, _, side), finding in found.items()} == {
        key: [line] for key, line in expected.items()
    }
    assert all(finding.count == 1 for finding in found.values())
    assert found["control-character", "train", "target"].places == (Place(str(tmp_path / "train.en"), 40),)
    assert found["mojibake", "train", "source"].places == (Place(str(tmp_path / "train.de"), 35),)


def test_leaks_between_splits(tmp_path: Path) -> None:
    write_split(tmp_path, "train", clean_pairs(50))
    write_split(tmp_path, "val", [*clean_pairs(10, 100), clean_pairs(1)[0]])
    leaked = [
        (clean_pairs(1, 7)[0][0].upper(), clean_pairs(1, 7)[0][1] + " "),
        (clean_pairs(1, 8)[0][0], "Something else."),
    ]
    write_split(tmp_path, "test", [*clean_pairs(5, 200), *leaked, clean_pairs(1, 103)[0], ("", "empty")])
    write_split(tmp_path, "test_2", [*clean_pairs(5, 300), clean_pairs(1, 200)[0], ("", "empty")])
    audited = audit_folder(tmp_path)
    found = [finding for finding in audited.findings if "leak" in finding.kind]
    assert [(leak.kind, leak.severity, leak.split, leak.detail, lines(leak)) for leak in found] == [
        ("pair-leak", "error", "validation", "The pair is in train too.", [11]),
        ("pair-leak", "error", "test", "The pair is in train too.", [6]),
        ("pair-leak", "error", "test", "The pair is in validation too.", [8]),
        ("source-leak", "warning", "test", "The source is in train too, with another target.", [7]),
    ]
    assert audited.severity == "error"


def test_faults_of_reading_are_findings(tmp_path: Path) -> None:
    write_split(tmp_path, "train", clean_pairs(30))
    write_split(tmp_path, "val", clean_pairs(5, 100))
    write_split(tmp_path, "test", [])
    content = (tmp_path / "train.de").read_bytes().splitlines(keepends=True)
    content[2] = "Bär\n".encode("latin-1")
    content[7] = "Küche\n".encode("latin-1")
    (tmp_path / "train.de").write_bytes(b"".join(content) + b"noch einer\n")
    found = findings(audit_folder(tmp_path))
    assert lines(found["invalid-utf8", "train", None]) == [3, 8]
    assert "byte 0xe4 at byte 2 of the line" in found["invalid-utf8", "train", None].detail
    assert lines(found["unequal-lengths", "train", None]) == [31]
    assert "has 31 lines but" in found["unequal-lengths", "train", None].detail
    assert ("replacement-character", "train", "source") not in found  # it is the reader's, not the text's
    assert found["empty-file", "test", None].severity == "error"
    assert ("empty-split", "test", None) in found


def test_a_file_that_holds_all_splits_tells_its_faults_once(tmp_path: Path) -> None:
    rows = [f"{source}\t{target}" for source, target in clean_pairs(40)]
    rows[5] = "no tab here"
    (tmp_path / "all.tsv").write_text("\n".join(rows) + "\n")
    audited = audit(open_corpus(PairsData(path="all.tsv", test_fraction=0.3), base=tmp_path))
    (found,) = audited.findings
    assert (found.kind, found.split, found.count) == ("bad-record", "train, validation, test", 1)
    assert sum(split.num_pairs for split in audited.splits) == 39


def test_only_the_first_places_are_kept_but_all_are_counted(tmp_path: Path) -> None:
    write_split(tmp_path, "train", [(f" {source}", target) for source, target in clean_pairs(40)])
    write_split(tmp_path, "val", clean_pairs(5, 100))
    corpus = open_corpus(PairsData(path=".", source="de", target="en"), base=tmp_path)
    (found,) = audit(corpus, max_places=3).findings
    assert (found.count, lines(found)) == (40, [1, 2, 3])
    (row,) = audit_rows(audit(corpus, max_places=3))
    assert (row.severity, row.side, row.places) == ("note", "source", f"{tmp_path / 'train.de'} lines 1, 2, 3")


def test_an_audit_has_a_plain_form(tmp_path: Path) -> None:
    write_split(tmp_path, "train", [*clean_pairs(30), ("Hund", "Hund")])
    write_split(tmp_path, "val", clean_pairs(5, 100))
    plain = to_plain(audit_folder(tmp_path))
    assert json.loads(json.dumps(plain)) == plain
    assert plain["findings"][0]["kind"] == "source-equals-target"


def test_a_corpus_without_files_is_audited_too() -> None:
    audited = audit(open_corpus(DatesData(num_train=200, num_validation=20, num_test=20), base=Path()))
    assert [split.num_pairs for split in audited.splits] == [200, 20, 20]
    assert not any("leak" in finding.kind for finding in audited.findings)


@given(
    pairs=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=12),
    others=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=4),
)
def test_hashed_answers_equal_those_of_the_sentences(
    pairs: list[tuple[str, str]], others: list[tuple[str, str]]
) -> None:
    record, other = SplitRecord(10), SplitRecord(10)
    for held, texts in ((record, pairs), (other, others)):
        for source, target in texts:
            held.add(Pair(source, target))
    assert record.repeated_pairs().tolist() == [n for n, pair in enumerate(pairs) if pair in pairs[:n]]
    sources = [source for source, _ in pairs]
    ambiguous = {source for source in sources if len({t for s, t in pairs if s == source}) > 1}
    assert record.ambiguous_sources().tolist() == [
        n for n, s in enumerate(sources) if s in ambiguous and s not in sources[:n]
    ]
    pair_leaks, source_leaks = record.leaks_from(other)
    assert pair_leaks.tolist() == [n for n, pair in enumerate(pairs) if pair in others]
    other_sources = {source for source, _ in others}
    assert source_leaks.tolist() == [n for n, (s, t) in enumerate(pairs) if s in other_sources and (s, t) not in others]


def test_length_outliers_come_worst_first_and_follow_the_rule() -> None:
    record = SplitRecord(10)
    generator = np.random.default_rng(3)
    lengths = [(int(s), int(s * 1.2 + generator.normal() * np.sqrt(s))) for s in generator.integers(30, 90, size=300)]
    lengths += [(60, 260), (90, 8), (50, 400)]
    for source, target in lengths:
        record.add(Pair("a" * source, "b" * max(target, 1)))
    outliers, ratio = record.ratio_outliers()
    assert outliers.tolist() == [302, 300, 301]
    assert ratio == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Où ça ? «Île d'Oléron» – Œuvre, naïve, 100 €…", []),
        ("MAÇÃ” e «IRMÃ», SÃO TOMÉ…", []),
        ("Ångström, Ñandú, ÐÝR, Ó‘", []),
        ("Привет, мир! Γειά σου", []),
        ("日本語 한국어 العربية", []),
        ("a\u00a0b\u200bc\u202fd\u00ad\t", []),
        ("a\u2028b", ["line-separator"]),
        ("a\x85b\x0bc\rd", ["line-separator"]),
        ("a\x00b", ["control-character"]),
        ("a\ufeffb", ["control-character"]),
        ("\ufffd", ["replacement-character"]),
    ],
)
def test_text_faults(text: str, kinds: list[str]) -> None:
    assert find_text_faults(text) == kinds


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
@pytest.mark.parametrize(
    "text", ["é", "ein schöner Tag", "coûter", "l’été", "“so”", "100 €", "Привет", "Γειά", "\ufeffa"]
)
def test_text_read_in_a_wrong_encoding_is_mojibake(text: str, encoding: str) -> None:
    # As browsers read it: a byte for which Windows-1252 has no character is a control character.
    misread = "".join(
        chr(byte) if byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([byte]).decode(encoding)
        for byte in text.encode()
    )
    assert "mojibake" in find_text_faults(misread)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("plain", "Latin"),
        ("12.5 %", None),
        ("Größe 5", "Latin"),
        ("ＡＢＣ", "Latin"),
        ("IBM в Москве", "Cyrillic"),
        ("東京タワーへ行く", "Han or Kana"),
        ("2009년 6월", "Hangul"),
        ("ﾃｽﾄ", "Han or Kana"),
        ("Ωμέγα", "Greek"),
        ("𝑥² ª", None),
        ("١٢ مرحبا", "Arabic"),
    ],
)
def test_scripts(text: str, script: str | None) -> None:
    assert script_of(text) == script


@needs_mirror
def test_the_audit_of_multi30k() -> None:
    audited = audit(open_corpus(PairsData(path="multi30k", source="de", target="en"), base=Path()))
    found = findings(audited)
    assert audited.severity == "warning"  # no pair of a test set is in train
    assert lines(found["length-ratio", "train", None])[:2] == [16664, 16510]  # both '@@' on the German side
    assert found["duplicate-pair", "train", None].count == 3


def test_a_mixture_is_checked_part_by_part(tmp_path: Path) -> None:
    pairs = clean_pairs(60)
    write_split(tmp_path, "train", pairs)
    write_split(tmp_path, "dev", clean_pairs(10, 100))
    (tmp_path / "other.tsv").write_text("".join(f"{source}\t{target.upper()}\n" for source, target in pairs[:30]))
    (tmp_path / "broken.tsv").write_text(
        "Hier steht Nummer 7.\n" + "".join(f"Wort {n} da\tword {n} there\n" for n in range(9))
    )
    own = PairsData(path=str(tmp_path), source="de", target="en")
    more = (
        MixturePart(PairsData(train=str(tmp_path / "other.tsv")), tag="loud", train_only=True),
        MixturePart(PairsData(train=str(tmp_path / "broken.tsv")), tag="bt", train_only=True),
    )
    audited = audit(open_corpus(MixtureData((MixturePart(own, tag="2en"), *more)), base=Path()))
    # The part's own validation split is a part of the mixture's, and other tags make other inputs.
    assert {finding.kind for finding in audited.findings} == {"bad-record"}
    (place,) = audited.findings[0].places
    assert (place.file, place.line) == (str(tmp_path / "broken.tsv"), 1)
    assert audited.findings[0].split == "train"

    leaking = MixturePart(PairsData(train=str(tmp_path / "leak.tsv")), train_only=True)
    (tmp_path / "leak.tsv").write_text(
        "".join(f"{source}\t{target}\n" for source, target in [*pairs[:2], *clean_pairs(3, 100)])
    )
    found = findings(audit(open_corpus(MixtureData((MixturePart(own), leaking)), base=Path())))
    leak = found["pair-leak", "validation", None]
    assert (leak.count, lines(leak)) == (3, [1, 2, 3])
    assert leak.places[0].file == str(tmp_path / "dev.de")
    doubled = found["duplicate-pair", "train", None]
    assert [(place.file, place.line) for place in doubled.places] == [(str(tmp_path / "leak.tsv"), n) for n in (1, 2)]


def test_parts_that_train_on_what_another_holds_out_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "all.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in clean_pairs(200)))
    there = PairsData(path=str(tmp_path / "all.tsv"))
    back = PairsData(path=str(tmp_path / "all.tsv"), source_column=1, target_column=0)
    audited = audit(open_corpus(MixtureData((MixturePart(there, tag="a"), MixturePart(back, tag="b"))), base=Path()))
    assert audited.severity == "error"
    assert "both read" in findings(audited)["held-out", "train", None].detail
