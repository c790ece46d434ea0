"""The analysis of plain texts: no model."""

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlens.errors import RequestError
from seqlens.metrics import corpus_bleu
from seqlens.tasks.transduce.analysis import ModelKnowledge, Searched, analyse_texts
from seqlens.tasks.transduce.analysis.buckets import make_buckets, read_by, smallest_bucket
from seqlens.tasks.transduce.analysis.clauses import count_clauses
from seqlens.tasks.transduce.analysis.errors import Sentence as Judged
from seqlens.tasks.transduce.analysis.errors import find_errors
from seqlens.tasks.transduce.analysis.lexicon import Lexicon
from seqlens.tasks.transduce.analysis.training_text import TrainingText
from seqlens.tasks.transduce.analysis.words import split_tokens, words_of

NOUNS = {"hund": "dog", "katze": "cat", "haus": "house", "baum": "tree", "auto": "car", "kind": "child"}
NOUNS |= {"pferd": "horse", "vogel": "bird", "buch": "book", "brot": "bread", "stuhl": "chair", "tisch": "table"}
VERBS = {"sieht": "sees", "malt": "paints", "sucht": "seeks", "findet": "finds", "trägt": "carries", "hat": "has"}


def made_up_pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """A small German and its English, word by word."""
    choice = random.Random(seed)
    pairs = []
    for _ in range(count):
        first, verb, second = choice.choice([*NOUNS]), choice.choice([*VERBS]), choice.choice([*NOUNS])
        pairs.append((f"Ein {first} {verb} ein {second}.", f"A {NOUNS[first]} {VERBS[verb]} a {NOUNS[second]}."))
    return pairs


TRAINING = made_up_pairs(400)
TRAINED = TrainingText.read([source for source, _ in TRAINING], [target for _, target in TRAINING])

texts = st.text(alphabet=st.sampled_from("abc ,.!一二ひカ한국ไทé😀\t\u0301"), max_size=30)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Zwei Hunde, die spielen!", ["zwei", "hunde", "die", "spielen"]),
        ("two-year-old's 1,5", ["two", "year", "old", "s", "1", "5"]),
        ("猫が好きです。", list("猫が好きです")),
        ("두 마리의 개가 논다.", ["두", "마리의", "개가", "논다"]),
        ("Tシャツ", ["t", "シ", "ャ", "ツ"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("E\u0301cole ÉCOLE", ["école", "école"]),
        ("😀 ...", []),
        ("", []),
    ],
)
def test_words_of_any_script(text: str, words: list[str]) -> None:
    assert words_of(split_tokens(text)) == words


@given(texts)
def test_tokens_stand_where_they_say_and_leave_nothing_out_but_space(text: str) -> None:
    tokens = split_tokens(text)
    ends = [0, *(token.end for token in tokens)]
    assert all(token.start >= end for token, end in zip(tokens, ends, strict=False))
    covered = {place for token in tokens for place in range(token.start, token.end)}
    assert all(sign.isspace() for place, sign in enumerate(text) if place not in covered)


@given(
    st.lists(st.integers(0, 80), min_size=1, max_size=300), st.sampled_from(["length", "rarest", "unknown", "clauses"])
)
def test_every_sentence_is_in_one_bucket_and_no_bucket_is_tiny(values: list[int], by) -> None:
    buckets = make_buckets(by, values)
    rows = [row for bucket in buckets for row in bucket.rows]
    assert sorted(rows) == list(range(len(values)))
    for bucket in buckets:
        assert all(bucket.low <= values[row] or bucket is buckets[0] for row in bucket.rows)
        assert all(bucket.high is None or values[row] <= bucket.high for row in bucket.rows)
    apart = by in ("rarest", "unknown")
    tiny = [bucket for bucket in buckets if len(bucket.rows) < smallest_bucket(len(values))]
    assert len(tiny) <= (2 if apart else len(buckets) == 1)
    if apart:
        assert not any({values[row] == 0 for row in bucket.rows} == {True, False} for bucket in buckets)


def test_lengths_that_lie_close_are_cut_into_fifths() -> None:
    buckets = make_buckets("length", [1, 2, 3, 4, 5] * 40)
    assert [bucket.label for bucket in buckets] == ["1", "2", "3", "4", "5+"]
    assert [bucket.label for bucket in make_buckets("length", list(range(1, 61)) * 10)][:2] == ["0–5", "6–10"]


def test_a_kind_of_bucket_that_is_not_there_gets_a_sentence() -> None:
    assert read_by("length") == "length"
    with pytest.raises(RequestError, match=r"'lenght', expected one of .* Did you mean 'length'\?"):
        read_by("lenght")


@pytest.mark.parametrize(
    ("text", "language", "count"),
    [
        ("Ein Mann schläft.", "de", 1),
        ("Ein Mann, der einen Hut trägt, schläft auf der Bank.", "de", 2),
        ("A man sleeps while two dogs play in the garden.", "en", 2),
        ("A man sleeps while two dogs play in the garden.", "", 1),
        ("Red, green, blue and yellow.", "en", 1),
        ("It costs 1,500 euros at 10:30 today.", "en", 1),
        ("Voici la femme que nous avons vue hier soir.", "fr", 2),
        ("Le petit garçon pense que tu dors bien.", "fr", 2),
        ("Le petit garçon pense qu'il dort bien.", "fr", 2),
        ("Elle sourit toujours lorsqu\u2019elle voit son chien.", "fr", 2),
        ("Il viendra demain matin s'il fait encore beau.", "fr", 2),
        ("Elle se repose et s'amuse bien.", "fr", 1),
        ("Vím že máš hlad ale oběd ještě není.", "cs_CZ", 2),
        ("猫が好きです、犬も好きです。", "ja", 2),
        ("", "en", 1),
        ("...", "en", 1),
    ],
)
def test_clauses_by_the_rule(text: str, language: str, count: int) -> None:
    assert count_clauses(split_tokens(text), language) == count


def test_the_lexicon_finds_the_words_that_belong_together() -> None:
    assert TRAINED.lexicon is not None
    for word, translation in {**NOUNS, **VERBS}.items():
        found = TRAINED.lexicon.translations(word)
        assert max(found, key=found.__getitem__) == translation
        assert 0.99 < sum(TRAINED.lexicon.translations(word).values()) <= 1.0001
    assert Lexicon.fit([], []).translations("hund") == {}
    assert Lexicon.fit([[]], [[]]).translations("hund") == {}


def errors_of(source: str, reference: str, answer: str, training: TrainingText | None = TRAINED) -> set[str]:
    judged = Judged(split_tokens(source), split_tokens(reference), split_tokens(answer))
    return set(find_errors(judged, training))


SOURCE, REFERENCE = "Ein Hund sieht ein Haus.", "A dog sees a house."


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (REFERENCE, set()),
        ("a DOG sees a house .", set()),
        ("A dog sees.", {"omitted"}),
        ("A dog a dog sees a house.", {"repeated"}),
        ("A dog sees sees a house.", {"repeated"}),
        ("A hund sees a house.", {"copied"}),
        (SOURCE, {"copied"}),
        ("", {"omitted", "too short"}),
        ("A dog sees a house and one more house and then one more again.", {"too long"}),
    ],
)
def test_errors_of_an_answer(answer: str, found: set[str]) -> None:
    assert errors_of(SOURCE, REFERENCE, answer) == found


def test_a_word_that_was_looked_at_is_not_called_omitted() -> None:
    source, reference, answer = map(split_tokens, (SOURCE, REFERENCE, "A dog sees."))
    for weight, found in ((0.0, {"omitted"}), (0.9, set())):
        judged = Judged(source, reference, answer, attention=[weight] * len(source))
        assert set(find_errors(judged, TRAINED)) == found


def test_errors_without_spaces() -> None:
    assert errors_of("猫が寝る。", "The cat sleeps.", "猫が寝る。", None) == {"copied"}
    assert errors_of("The cat sleeps.", "猫が寝ている。", "猫が寝ている猫が寝ている。", None) >= {"repeated"}
    assert errors_of("They like it.", "好きです", "ああ好きです", None) == set()
    assert errors_of("개가 논다", "The dog plays.", "개가 plays.", None) == {"copied"}


def test_what_both_languages_write_alike_is_no_copy_without_spaces_either() -> None:
    alike = TrainingText.read(["日本の猫", "日本の犬"] * 20, ["日本的猫", "日本的狗"] * 20)
    assert errors_of("日本の山", "那座山", "日本的山", alike) == set()
    assert errors_of("犬猫の山", "那座山", "犬猫的山", alike) == {"copied"}


def test_doubling_that_the_reference_has_is_no_error() -> None:
    assert errors_of("x", "No no no, he said.", "No no no, she said.", None) == set()


def copied_and_right(pairs: list[tuple[str, str]]):
    sources, references = [source for source, _ in pairs], [target for _, target in pairs]
    training = {"training_sources": [source for source, _ in TRAINING], "training_targets": [t for _, t in TRAINING]}
    return sources, references, training


def test_a_system_that_copies_is_found_out_and_a_perfect_one_has_no_errors() -> None:
    sources, references, training = copied_and_right(made_up_pairs(60, seed=1))
    copying = analyse_texts(sources, references, sources, **training)
    assert copying.error("copied").count == 60
    assert copying.error("copied").share.value == 1.0
    assert copying.error("hallucinated").share is None
    perfect = analyse_texts(sources, references, references, **training)
    assert [row.count for row in perfect.errors] == [0] * 6
    assert perfect.overall["bleu"].value == pytest.approx(100)


def test_a_system_that_gives_one_answer_is_found_out() -> None:
    sources, references, training = copied_and_right(made_up_pairs(60, seed=1))
    answers = ["A bird flies over the hill."] * 60
    knowledge = ModelKnowledge(dependence=[0.0] * 60)
    found = analyse_texts(sources, references, answers, knowledge=knowledge, **training)
    assert found.error("hallucinated").count == 60
    assert found.error("omitted").count == 60
    depends = ModelKnowledge(dependence=[4.0] * 59 + [None])
    assert analyse_texts(sources, references, answers, knowledge=depends).error("hallucinated").count == 0


def test_unknown_and_rare_words_are_those_of_the_training_split() -> None:
    sources = ["Ein Hund sieht ein Haus."] * 30 + ["Ein Zebra sieht ein Haus."] * 10 + ["Ein Gnu sieht ein Zebra."] * 5
    found = analyse_texts(sources, sources, sources, training_sources=["Ein Hund sieht ein Haus."] * 20)
    labels = {(b.bucket.label, len(b.bucket.rows)) for b in found.grouping("unknown").buckets}
    assert labels == {("0", 30), ("1+", 15)}
    assert [len(b.bucket.rows) for b in found.grouping("rarest").buckets] == [15, 30]
    assert {one.by for one in analyse_texts(sources, sources, sources).groupings} == {"length", "clauses"}


def test_a_bucket_is_scored_as_if_its_sentences_were_all() -> None:
    sources, references, _ = copied_and_right(made_up_pairs(80, seed=2))
    answers = [text.replace("dog", "cat") for text in references]
    sources = [source + " und noch ein Wort mehr" * (row % 4) for row, source in enumerate(sources)]
    found = analyse_texts(sources, references, answers)
    assert len(found.grouping("length").buckets) >= 3
    for scored in found.grouping("length").buckets:
        rows = scored.bucket.rows
        alone = corpus_bleu([answers[row] for row in rows], [references[row] for row in rows])
        assert scored.scores["bleu"] == alone


def table_of(found):
    """All that does not say where a sentence stands, nor depends on how examples are drawn."""
    groups = {
        one.by: [
            (b.bucket.label, len(b.bucket.rows), {n: round(s.value, 9) for n, s in b.scores.items()})
            for b in one.buckets
        ]
        for one in found.groupings
    }
    errors = [
        (row.name, row.count, [(one.source, one.answer, one.detail) for one in row.worst]) for row in found.errors
    ]
    return groups, errors, [(len(a.same), len(a.search), len(a.model), len(a.left_out)) for a in found.attribution]


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_sentences_changes_no_table_and_counts_add_up(rows, shuffle) -> None:
    def analysed(rows):
        sources, references, answers = (list(column) for column in zip(*rows, strict=True))
        searched = [
            Searched(-float(len(a)), -1.0, -float(len(r)), -1.0, a == r, bool(s))
            for s, r, a in zip(sources, references, answers, strict=True)
        ]
        knowledge = ModelKnowledge(dependence=[float(len(a)) - 3 for a in answers], searched=searched)
        return analyse_texts(
            sources,
            references,
            answers,
            training_sources=["a b", "一 c"],
            training_targets=["b", "c"],
            knowledge=knowledge,
        )

    found = analysed(rows)
    for one in found.groupings:
        assert sum(len(b.bucket.rows) for b in one.buckets) == len(rows)
    for attribution in found.attribution:
        assert attribution.num_compared + len(attribution.left_out) == len(rows)
    assert found.to_plain()["num_sentences"] == len(rows)
    shuffled = list(rows)
    shuffle.shuffle(shuffled)
    assert table_of(analysed(shuffled)) == table_of(found)


def test_search_and_model_errors() -> None:
    searched = [
        Searched(-2.0, -1.0, -3.0, -0.5, False),  # the reference wins by the score only
        Searched(-2.0, -1.0, -1.0, -0.5, False),  # by both
        Searched(-2.0, -1.0, -3.0, -1.5, False),  # by neither
        Searched(-2.0, -1.0, -2.0, -1.0, True),
        Searched(-2.0, -1.0, -1.0, -0.5, False, comparable=False),
    ]
    found = analyse_texts(["a"] * 5, ["b"] * 5, ["c"] * 5, knowledge=ModelKnowledge(searched=searched))
    by_log_prob, by_score = found.attribution
    assert (by_log_prob.search, by_log_prob.model, by_log_prob.same, by_log_prob.left_out) == ((1,), (0, 2), (3,), (4,))
    assert (by_score.search, by_score.model) == ((0, 1), (2,))


def test_japanese_is_scored_by_characters_and_that_is_said() -> None:
    found = analyse_texts(["The cat sleeps."] * 3, ["猫が寝ている。"] * 3, ["猫が寝る。"] * 3)
    assert "tok:char" in found.overall["bleu"].signature
    assert any("characters" in note and "BLEU" in note for note in found.notes)
    korean = analyse_texts(["The cat sleeps."], ["고양이가 잔다."], ["고양이가 잔다."])
    assert "tok:13a" in korean.overall["bleu"].signature


def test_lists_that_do_not_fit_get_a_sentence() -> None:
    with pytest.raises(RequestError, match="2 sources, 1 references and 2 answers"):
        analyse_texts(["a", "b"], ["a"], ["a", "b"])
    with pytest.raises(RequestError, match="0 sources"):
        analyse_texts([], [], [])
    with pytest.raises(RequestError, match="1 training sources but 2 training targets"):
        analyse_texts(["a"], ["a"], ["a"], training_sources=["a"], training_targets=["a", "b"])


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluate.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(block, {})
    shown = capsys.readouterr().out
    assert shown.startswith("BLEU ")
    assert "('repeated', 1), ('copied', 1), ('hallucinated', 0)" in shown
