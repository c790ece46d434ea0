"""What `data check` finds in examples of every kind, each fault planted by hand."""

from collections.abc import Iterator
from pathlib import Path

from seqlens.data.dna.letters import reverse_complement
from seqlens.data.dna.records import DnaRecord, Gene
from seqlens.data.example_audit import ExampleAudit, audit_examples
from seqlens.data.examples import Place
from seqlens.data.labelled.corpus import LabelledData, open_labelled
from seqlens.data.labelled.records import LabelledText
from seqlens.data.language.records import Document
from seqlens.data.moods import MoodsData, open_moods
from seqlens.data.tagged.records import Entity, TaggedText


class Planted:
    """A corpus of records written down here."""

    name, noun = "planted", ("record", "records")

    def __init__(self, **splits: list[object]) -> None:
        self._splits = splits

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def read(self, split: str) -> Iterator[object]:
        return iter(self._splits[split])

    def fingerprint(self, split: str) -> str:
        return "0"


def found(audit: ExampleAudit) -> dict[tuple[str, str], int]:
    return {(finding.kind, finding.split): finding.count for finding in audit.findings}


def text(content: str, label: str, line: int) -> LabelledText:
    return LabelledText(content, label, Place("x.tsv", line))


def test_leaks_duplicates_conflicts_and_empty_texts_are_told_with_their_places() -> None:
    train = [text(f"text {number}", "good" if number % 2 else "bad", number) for number in range(1, 41)]
    train += [text("Text  1", "good", 41), text("text 2", "good", 42), text(" ", "bad", 43)]
    validation = [text("text 3", "good", 1), text("new", "bad", 2), text("text 4", "good", 3), text("newer", "odd", 4)]
    test = [text("NEW", "bad", 1), text("yet another", "good", 2)]
    audit = audit_examples(Planted(train=train, validation=validation, test=test), task="classify")
    assert found(audit) == {
        ("duplicate", "train"): 1,
        ("conflicting-labels", "train"): 1,
        ("empty", "train"): 1,
        ("leak", "validation"): 1,
        ("leak-other-label", "validation"): 1,
        ("label-not-in-train", "validation"): 1,
        ("leak-from-validation", "test"): 1,
    }
    places = {(one.kind, one.split): [place.line for place in one.places] for one in audit.findings}
    assert places["duplicate", "train"] == [41]
    assert places["conflicting-labels", "train"] == [42]
    assert places["empty", "train"] == [43]
    assert places["leak", "validation"] == [1]
    assert places["leak-other-label", "validation"] == [3]
    assert places["leak-from-validation", "test"] == [1]
    assert audit.severity == "error"
    assert audit.splits[0].labels == {"good": 22, "bad": 21}
    assert (audit.splits[0].lengths.minimum, audit.splits[0].lengths.maximum) == (1, 7)


def test_many_labels_are_told_of_together_and_ids_are_taken_for_no_labels() -> None:
    ids = [text(f"text {number}", f"id {number:02}", number) for number in range(1, 41)]
    audit = audit_examples(Planted(train=ids, validation=[text("other", "id 99", 1)]), task="classify")
    assert found(audit) == {("labels-like-ids", "train"): 40, ("label-not-in-train", "validation"): 1}
    assert audit.severity == "error"
    assert audit.findings[0].detail == "40 of 40 examples have a label of their own, as 'id 01'."
    twice = [*ids, *(text(f"again {number}", f"id {number:02}", number) for number in range(1, 41))]
    other = [text(f"new {number}", f"new {number}", number) for number in range(30)]
    own = audit_examples(
        Planted(train=[text("the same", "very good", 1)], test=[text("the same", "good", 1)]),
        task="classify",
        own_train_labels=True,
    )
    assert found(own) == {("leak", "test"): 1, ("one-label", "train"): 1, ("rare-label", "train"): 1}
    audit = audit_examples(Planted(train=twice, validation=other), task="classify")
    assert found(audit) == {("label-not-in-train", "validation"): 30, ("rare-label", "train"): 80}
    assert audit.findings[1].detail == "40 labels, as 'id 01', 'id 02', 'id 03', 'id 04', 'id 05'."


def test_misspelt_labels_among_good_ones_are_rare_ones() -> None:
    good = [text(f"text {number}", "good" if number % 2 else "bad", number) for number in range(200)]
    odd = [text(f"odd {number}", f"goood{number}", 200 + number) for number in range(25)]
    audit = audit_examples(Planted(train=[*good, *odd]), task="classify")
    assert found(audit) == {("rare-label", "train"): 25, ("lopsided-labels", "train"): 1}


def test_labels_that_are_rare_lopsided_or_all_the_same_are_told() -> None:
    many = [text(f"text {number}", "common", number) for number in range(1, 51)]
    lopsided = audit_examples(Planted(train=[*many, text("few", "rare", 51)]), task="classify")
    assert found(lopsided) == {("rare-label", "train"): 1, ("lopsided-labels", "train"): 1}
    assert lopsided.severity == "note"
    assert lopsided.findings[1].detail == "'common' is there 50 times, 'rare' 1 times."
    same = audit_examples(Planted(train=many), task="classify")
    assert found(same) == {("one-label", "train"): 50}
    none = [TaggedText("no name here", ((0, 2), (3, 7), (8, 12)))]
    assert found(audit_examples(Planted(train=none), task="tag")) == {("nothing-labelled", "train"): 1}


def test_spans_are_labels_and_what_is_marked_is_the_answer() -> None:
    def tagged(*entities: Entity) -> TaggedText:
        return TaggedText("Ann met Bo", ((0, 3), (4, 7), (8, 10)), entities)

    one = Entity(0, 3, "person")
    train = [tagged(one)] * 3 + [TaggedText("No", ((0, 2),))]
    audit = audit_examples(Planted(train=train, test=[tagged(one), tagged(), train[-1]]), task="tag")
    assert audit.splits[0].labels == {"person": 3}
    kinds = found(audit)
    assert kinds["leak", "test"] == 1
    assert kinds["leak-other-label", "test"] == 1
    assert kinds["leak-unmarked", "test"] == 1
    assert kinds["duplicate", "train"] == 2
    assert ("one-label", "train") not in kinds, "one kind of entity is nothing wrong"


def test_dna_is_the_same_on_either_strand() -> None:
    sequence = "ATGCCCTTTGAAACCTAA" * 4
    gene = (Gene("+", ((0, 18),)),)
    train = [DnaRecord("a", sequence, gene)]
    test = [DnaRecord("b", reverse_complement(sequence), gene), DnaRecord("c", "GATTACA" * 9, gene)]
    audit = audit_examples(Planted(train=train, test=test), task="mark")
    assert found(audit) == {("leak", "test"): 1}
    assert audit.unit == "bases"


def test_texts_without_labels_are_checked_too() -> None:
    train = [Document("one line", Place("t.txt", 1)), Document("caf\u00c3\u00a9", Place("t.txt", 2))]
    audit = audit_examples(Planted(train=train, test=[Document("one line", Place("t.txt", 9))]), task="generate")
    assert found(audit) == {("mojibake", "train"): 1, ("leak", "test"): 1}


def test_a_file_that_cannot_be_read_is_a_finding_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("fine\tgood\nno label here\n", encoding="utf-8")
    (tmp_path / "validation.tsv").write_text("well\tgood\n", encoding="utf-8")
    corpus = open_labelled(LabelledData(path=str(tmp_path)), base=Path())
    audit = audit_examples(corpus, task="classify")
    (broken,) = (one for one in audit.findings if one.kind == "unreadable")
    assert broken.severity == "error"
    assert "train.tsv line 2" in broken.detail


def test_generated_opinions_have_no_errors() -> None:
    audit = audit_examples(open_moods(MoodsData(num_train=500)), task="classify")
    assert audit.severity != "error", [finding for finding in audit.findings if finding.severity == "error"]
