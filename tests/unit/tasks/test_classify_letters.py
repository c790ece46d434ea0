"""Classifiers that read letters beside words, and such as learn finer classes than they answer."""

import dataclasses
import json
from math import log
from pathlib import Path

import pytest
import torch

from seqlens.data.batch import pad
from seqlens.data.labelled.corpus import LabelledData, open_labelled
from seqlens.data.labelled.records import LabelledText
from seqlens.data.text import UNKNOWN_ID, CharactersConfig, TextCodec, WordsCodec, WordsConfig
from seqlens.errors import RequestError
from seqlens.models.classifier import TokenClassifier
from seqlens.models.classifier_config import ClassifierConfig, LetterGramsConfig
from seqlens.models.committee import ClassifierCommittee
from seqlens.models.config import RecurrentEncoderConfig, TransformerEncoderConfig
from seqlens.tasks.classify.classes import answer_logits
from seqlens.tasks.classify.config import ClassifyConfig
from seqlens.tasks.classify.spelling import Speller, letter_grams
from seqlens.tasks.classify.task import ClassifyTask
from seqlens.testing import assert_padding_invariant

GRAMS = LetterGramsConfig(shortest=3, longest=4, num_buckets=512)
ENCODER = RecurrentEncoderConfig(cell="gru", hidden_dim=8)
MODEL = ClassifierConfig(embedding_dim=12, dropout_p=0.0, pooling="max", encoder=ENCODER, letter_grams=GRAMS)
LETTERS = ClassifyConfig(codec=WordsConfig(lowercase=True), model=MODEL)
STEMS = ("love", "charm", "delight", "hate", "bore", "dread")
ANSWERS = {"very good": "good", "neutral": None}


def by_stem(endings: tuple[str, ...]) -> list[LabelledText]:
    return [
        LabelledText(f"The {stem}{ending} film", "good" if place < 3 else "bad")
        for place, stem in enumerate(STEMS)
        for ending in endings
    ]


def train(config: ClassifyConfig, examples: list[LabelledText], steps: int) -> tuple[ClassifyTask, TokenClassifier]:
    task = ClassifyTask.fit(config, lambda: examples)
    torch.manual_seed(1)
    model = task.build_model().train()
    assert isinstance(model, TokenClassifier)
    data = task.encode(examples, training=True, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = task.loss(model, data.batch(range(len(examples))))
        (loss.total / loss.count).backward()
        optimizer.step()
    return task, model.eval()


@pytest.fixture(scope="module")
def trained() -> tuple[ClassifyTask, TokenClassifier]:
    config = dataclasses.replace(LETTERS, model=dataclasses.replace(MODEL, token_dropout_p=0.5))
    return train(config, by_stem(("d", "s", "ing")), steps=40)


def test_the_n_grams_of_a_word_are_those_with_its_ends_marked() -> None:
    every = LetterGramsConfig(shortest=1, longest=2, num_buckets=10**6)
    assert len(letter_grams("ab", every)) == len(["<", "a", "b", ">", "<a", "ab", "b>"])
    assert letter_grams("ab", every)[1:3] == letter_grams("cab", every)[2:4]
    assert len(set(letter_grams("ab", every))) == 7
    assert letter_grams("x", LetterGramsConfig(shortest=4, longest=5)) == []
    numbers = letter_grams("unwatchable", GRAMS)
    assert all(1 <= number <= GRAMS.num_buckets for number in numbers)
    assert set(letter_grams("watchable", GRAMS)) & set(numbers)
    assert letter_grams("a" * 40, GRAMS) == letter_grams("a" * 4000, GRAMS)


def test_words_that_are_unknown_differ_by_their_letters() -> None:
    codec = WordsCodec.fit(WordsConfig(lowercase=True), ["a film"])
    speller = Speller(codec, GRAMS)
    rows = speller.encode_batch(["A film", "", "a dull, dull FILM"])
    assert [len(row) for row in rows] == [2, 0, 5]
    inputs, spellings = speller.read(pad(rows))
    assert torch.equal(inputs.ids, pad(codec.encode_batch(["A film", "", "a dull, dull FILM"])).ids)
    letters = spellings.grams[spellings.places]
    expected = [letter_grams(word, GRAMS) for word in ("a", "dull", ",", "dull", "film")]
    assert [[number for number in of if number] for of in letters[2].tolist()] == expected
    assert int(inputs.ids[2, 1]) == int(inputs.ids[2, 2]) == UNKNOWN_ID
    assert letters[1].abs().max() == 0


def test_a_word_never_seen_is_read_by_its_letters(trained: tuple[ClassifyTask, TokenClassifier]) -> None:
    task, model = trained
    unseen = by_stem(("ful", "er"))
    words = {word for example in unseen for word in example.text.lower().split()}
    assert len([word for word in words if UNKNOWN_ID in task.codec.encode(word)]) == 12
    found = [answer.label for answer in task.predict(model, [example.text for example in unseen])]
    assert found == [example.label for example in unseen]
    without = dataclasses.replace(LETTERS, model=dataclasses.replace(MODEL, letter_grams=None))
    task, model = train(without, by_stem(("d", "s", "ing")), steps=40)
    assert len({answer.probability for answer in task.predict(model, [example.text for example in unseen])}) == 1


def test_answers_and_weights_of_words_do_not_depend_on_the_batch(
    trained: tuple[ClassifyTask, TokenClassifier], tmp_path: Path
) -> None:
    task, model = trained
    texts = ["the lovely film", "", "a boring and dreadful thing"]
    alone = [task.predict(model, [text], settings={"explain": True})[0] for text in texts]
    together = task.predict(model, texts, settings={"explain": True})
    for one, other in zip(alone, together, strict=True):
        assert one.probability == pytest.approx(other.probability, rel=1e-5)
        assert [token.text for token in one.tokens] == [token.text for token in other.tokens]
    without = task.predict(model, ["the film"])[0].probabilities
    odds = [log(of["good"] / of["bad"]) for of in (together[0].probabilities, without)]
    word = together[0].tokens[1]
    assert word.text == "lovely"
    assert word.weight == pytest.approx((odds[0] - odds[1]) * (1 if together[0].label == "good" else -1), abs=1e-4)
    data = task.encode([LabelledText(text, "good") for text in texts], training=False, seed=0)
    assert task.validate(model, data, "cpu")["loss"] == pytest.approx(
        -sum(log(of.probabilities["good"]) for of in together) / 3, rel=1e-4
    )
    task.save(tmp_path)
    assert ClassifyTask.load(task.config, tmp_path).predict(model, texts) == task.predict(model, texts)


def test_padding_never_changes_an_answer_with_letters() -> None:
    task = ClassifyTask.fit(LETTERS, lambda: by_stem(("d",)))
    model = task.build_model().double().eval()
    assert isinstance(model, TokenClassifier)
    speller = Speller(WordsCodec.fit(WordsConfig(), ["the film"]), GRAMS)
    inputs, spellings = speller.read(pad(speller.encode_batch(["the lovely film", "a", "", "the worst of it all"])))
    vectors = model.embedding(inputs.ids) + model.letters(spellings)  # type: ignore[misc]
    assert_padding_invariant(model, (vectors, inputs.lengths), call=model.classify_embedded)
    whole = model(*inputs, spellings).logits
    torch.testing.assert_close(whole, model.classify_embedded(vectors, inputs.lengths).logits)
    with pytest.raises(ValueError, match="needs the `spellings`"):
        model(*inputs)


def test_an_input_beyond_learned_positions_is_cut_with_its_letters() -> None:
    encoder = TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=3)
    config = dataclasses.replace(LETTERS, model=dataclasses.replace(MODEL, encoder=encoder, pooling="mean"))
    task = ClassifyTask.fit(config, lambda: by_stem(("d",)))
    model = task.build_model().eval()
    short, long = task.predict(model, ["the loved film", "the loved film that was"])
    assert (short.truncated, long.truncated) == (False, True)
    assert short.probability == pytest.approx(long.probability)
    data = task.encode([LabelledText("the loved film that was", "good")], training=True, seed=0)
    assert task.loss(model, data.batch([0])).count == 1


def test_classes_finer_than_the_answers_are_joined() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64)
    classes, labels = ("bad", "good", "neutral", "very good"), ("bad", "good")
    shares = torch.softmax(logits, 1)
    expected = torch.stack([shares[:, 0], shares[:, 1] + shares[:, 3]], 1) / (1 - shares[:, 2:3])
    torch.testing.assert_close(torch.softmax(answer_logits(logits, classes, labels, ANSWERS), 1), expected)
    assert answer_logits(logits, classes, classes, {}) is logits


def graded() -> list[LabelledText]:
    words = {"bad": "dull", "good": "nice", "very good": "superb", "neutral": "long"}
    return [LabelledText(f"a {words[label]} {noun}", label) for label in words for noun in ("film", "plot", "cast")]


def test_a_task_that_learns_grades_answers_with_their_labels(tmp_path: Path) -> None:
    config = ClassifyConfig(
        model=dataclasses.replace(MODEL, letter_grams=None), answers=dict(ANSWERS), class_weights={"neutral": 0.5}
    )
    task, model = train(config, graded(), steps=40)
    assert task.labels == ("bad", "good")
    assert task.classes == ("bad", "good", "neutral", "very good")
    assert task.weights == (1.0, 1.0, 0.5, 1.0)
    assert model.classifier.output.out_features == 4
    found = task.predict(model, ["a superb film", "a nice plot", "a dull cast"], settings={"explain": True})
    assert [answer.label for answer in found] == ["good", "good", "bad"]
    assert all(sum(answer.probabilities.values()) == pytest.approx(1) for answer in found)
    assert list(found[0].probabilities) == ["bad", "good"]
    asked = [LabelledText("a superb film", "good"), LabelledText("a dull film", "bad")]
    data = task.encode(asked, training=False, seed=0)
    assert data.labels.tolist() == [0, 1][::-1]
    assert task.validate(model, data, "cpu")["accuracy"] == 1
    assert set(task.statistics(asked, task.predict(model, [one.text for one in asked]))) >= {"accuracy", "correlation"}
    systems = task.baselines(graded(), asked)
    assert systems["naive Bayes, bigrams"]["accuracy"].value() == 1
    assert next(iter(systems)) == "commonest label (good)"
    assert task.describe()["learnt as"].startswith("4 classes")
    task = task.finished(model, data, "cpu")
    task.save(tmp_path)
    assert ClassifyTask.load(task.config, tmp_path).predict(model, ["a nice film"]) == task.predict(
        model, ["a nice film"]
    )


def test_a_run_of_before_there_were_classes_is_read(tmp_path: Path) -> None:
    task = ClassifyTask.fit(ClassifyConfig(), graded)
    task.save(tmp_path)
    stored = json.loads((tmp_path / "labels.json").read_text())
    assert set(stored) == {"labels", "weights", "temperature"}
    assert ClassifyTask.load(task.config, tmp_path).classes == task.labels


def test_train_may_have_labels_of_its_own(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text("fine\t3\nsuperb\t4\nlong\t2\n", encoding="utf-8")
    labels: dict[str, str | None] = {"4": "good", "3": "good", "2": None}
    corpus = open_labelled(LabelledData(path=".", labels=labels), base=tmp_path)
    assert [one.label for one in corpus.read("train")] == ["good", "good"]
    finer = LabelledData(path=".", labels=labels, train_labels={"4": "very good", "3": "good", "2": "neutral"})
    corpus = open_labelled(finer, base=tmp_path)
    assert [one.label for one in corpus.read("train")] == ["good", "very good", "neutral"]
    assert [one.label for one in corpus.read("validation")] == ["good", "good"]
    assert corpus.fingerprint("train") != corpus.fingerprint("test")
    lines = [f"text {number}\t{2 + number % 3}" for number in range(200)]
    (tmp_path / "one.tsv").write_text("\n".join(lines), encoding="utf-8")
    for config in (finer, dataclasses.replace(finer, fold=1)):
        corpus = open_labelled(dataclasses.replace(config, path="one.tsv"), base=tmp_path)
        assert {one.label for one in corpus.read("train")} == {"good", "very good", "neutral"}
        assert (
            {one.label for one in corpus.read("validation")} == {one.label for one in corpus.read("test")} == {"good"}
        )
        texts = [{one.text for one in corpus.read(split)} for split in corpus.splits]
        assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]


def test_a_committee_answers_with_the_mean_of_its_members_which_learn_alone() -> None:
    config = dataclasses.replace(LETTERS, model=dataclasses.replace(MODEL, members=3), label_smoothing=0.1)
    examples = by_stem(("d", "s"))
    task = ClassifyTask.fit(config, lambda: examples)
    committee = task.build_model()
    assert isinstance(committee, ClassifierCommittee)
    texts = ["the loved film", "a dreadful thing", ""]
    members = [task.predict(member, texts) for member in committee.eval().members]
    assert len({answers[0].probability for answers in members}) == 3
    for place, answer in enumerate(task.predict(committee, texts)):
        mean = sum(answers[place].probabilities["good"] for answers in members) / 3
        assert answer.probabilities["good"] == pytest.approx(mean, rel=1e-5)
    batch = task.encode(examples, training=True, seed=0).batch(range(len(examples)))
    whole = task.loss(committee.train(), batch)
    alone = [task.loss(member, batch) for member in committee.members]
    assert whole.count == len(examples)
    assert whole.total.item() == pytest.approx(sum(one.total.item() for one in alone) / 3, rel=1e-5)
    assert whole.parts["nll"] == pytest.approx(sum(one.parts["nll"] for one in alone) / 3, rel=1e-5)
    whole.total.backward()
    first, *_ = committee.members[1].parameters()
    (expected,) = torch.autograd.grad(alone[1].total, [first])
    torch.testing.assert_close(first.grad, expected / 3)
    assert committee.max_length is None


def test_what_does_not_fit_is_said() -> None:
    def fit(**changes: dict[str, str | None]) -> TextCodec:
        return ClassifyTask.fit(ClassifyConfig(**changes), graded).codec  # type: ignore[arg-type]

    with pytest.raises(RequestError, match=r"'answers' has 'very god', .* Did you mean 'very good'\?"):
        fit(answers={"very god": "good"})
    with pytest.raises(RequestError, match="'answers' leaves only the label 'good', expected at least two"):
        fit(answers={"very good": "good", "neutral": None, "bad": None})
    with pytest.raises(ValueError, match=r"'codec\.kind' is 'characters', expected 'words'"):
        ClassifyConfig(codec=CharactersConfig(), model=MODEL)
    with pytest.raises(ValueError, match="'shortest' is 5, expected at most 'longest', which is 4"):
        LetterGramsConfig(shortest=5, longest=4)
