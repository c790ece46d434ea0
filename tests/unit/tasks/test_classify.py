"""The task `classify`: fitted, saved, trained a little, asked; its scores are scikit-learn's."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as scikit
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from seqlens.data.examples import Place
from seqlens.data.labelled.records import LabelledText
from seqlens.data.moods import MoodsData, generate_moods
from seqlens.data.text import CharactersConfig, SubwordsConfig, WordsConfig
from seqlens.errors import RequestError, WorkError
from seqlens.metrics import pool_parts
from seqlens.models.classifier_config import ClassifierConfig
from seqlens.models.config import RecurrentEncoderConfig, TransformerEncoderConfig
from seqlens.tasks.classify.answer import Classification
from seqlens.tasks.classify.baselines import NaiveBayes, majority
from seqlens.tasks.classify.calibration import (
    abstention_curve,
    fit_temperature,
    reliability,
    without_temperature,
)
from seqlens.tasks.classify.config import ClassifyConfig
from seqlens.tasks.classify.dataset import balanced_repeats
from seqlens.tasks.classify.measures import (
    accuracy,
    expected_calibration_error,
    log_loss,
    macro_f1,
    matthews,
    measure_answers,
    recall,
)
from seqlens.tasks.classify.prediction_file import prediction_table
from seqlens.tasks.classify.task import ClassifyTask
from seqlens.tasks.example_analysis import AnalysingTask

SMALL = ClassifierConfig(
    embedding_dim=16, dropout_p=0.0, pooling="max", encoder=RecurrentEncoderConfig(cell="gru", hidden_dim=16)
)
CONFIG = ClassifyConfig(model=SMALL)
LABELS = ("bad", "fine", "good")


def words_decide(count: int, seed: int = 0) -> list[LabelledText]:
    """Texts whose label is told by one word, which a negation turns."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        good, negated = rng.random(2) < 0.5
        word = "superb" if good else "dull"
        filler = " ".join(rng.choice(["the", "film", "plot", "a", "was"], size=int(rng.integers(1, 6))))
        text = f"{filler} {'not ' if negated else ''}{word}"
        found.append(LabelledText(text, "good" if good != negated else "bad"))
    return found


def train(config: ClassifyConfig, examples: list[LabelledText], steps: int) -> tuple[ClassifyTask, torch.nn.Module]:
    task = ClassifyTask.fit(config, lambda: examples)
    torch.manual_seed(1)
    model = task.build_model().train()
    data = task.encode(examples, training=True, seed=1)
    sampler = data.sampler(max_tokens=200, seed=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = task.loss(model, data.batch(next(sampler), 0))
        (loss.total / loss.count).backward()
        optimizer.step()
    return task, model.eval()


@pytest.fixture(scope="module")
def trained() -> tuple[ClassifyTask, torch.nn.Module]:
    return train(CONFIG, words_decide(200), steps=60)


def random_answers(count: int = 400, classes: tuple[str, ...] = LABELS) -> tuple[list[str], list[dict[str, float]]]:
    rng = np.random.default_rng(5)
    truth = [classes[number] for number in rng.integers(0, len(classes), count)]
    rows = rng.dirichlet(np.ones(len(classes)), count)
    return truth, [dict(zip(classes, row.tolist(), strict=True)) for row in rows]


def test_measures_are_those_of_scikit_learn() -> None:
    truth, probabilities = random_answers()
    found = [max(of, key=of.__getitem__) for of in probabilities]
    table = [[of[label] for label in LABELS] for of in probabilities]
    assert accuracy(truth, found).value() == pytest.approx(scikit.accuracy_score(truth, found))
    assert macro_f1(truth, found, LABELS).value() == pytest.approx(scikit.f1_score(truth, found, average="macro"))
    recalls = scikit.recall_score(truth, found, average=None, labels=LABELS)
    assert [recall(truth, found, label).value() for label in LABELS] == pytest.approx(recalls.tolist())
    assert recall(truth, found, "never there").value() == 0
    expected = scikit.log_loss(truth, table, labels=list(LABELS))
    assert log_loss(truth, probabilities).value() == pytest.approx(expected)
    never = ["good"] * len(truth)
    expected = scikit.f1_score(truth, never, average="macro", zero_division=0)
    assert macro_f1(truth, never, LABELS).value() == pytest.approx(expected)
    # A class that is neither there nor answered does not count; a label that training had not does.
    few = [label if label != LABELS[-1] else "new" for label in truth]
    answers = [label if label != LABELS[-1] else LABELS[0] for label in found]
    of_few = [{label: float(label == answer) for label in LABELS} for answer in answers]
    examples = [LabelledText("x", label) for label in few]
    expected = scikit.f1_score(few, answers, average="macro", zero_division=0)
    assert measure_answers(examples, of_few, LABELS)["macro_f1"].value() == pytest.approx(expected)
    two, of_two = random_answers(classes=("a", "b"))
    answers = [max(of, key=of.__getitem__) for of in of_two]
    assert matthews(two, answers, "b").value() == pytest.approx(scikit.matthews_corrcoef(two, answers))
    assert matthews(two, ["a"] * len(two), "b").value() == scikit.matthews_corrcoef(two, ["a"] * len(two)) == 0
    assert log_loss(["new"], [{"a": 1.0}]).value() == pytest.approx(-np.log(1e-12))


def test_macro_f1_of_folds_is_that_of_all_whichever_has_the_rare_label() -> None:
    texts = [("pos", "pos"), ("neg", "neg"), ("mixed", "pos"), ("neg", "pos"), ("pos", "pos"), ("neg", "neg")]
    examples = [LabelledText(f"text {number}", label) for number, (label, _) in enumerate(texts)]
    probabilities = [{answer: 0.9, ("neg" if answer == "pos" else "pos"): 0.1} for _, answer in texts]
    with_rare = [{**of, "mixed": 0.0} for of in probabilities]
    whole = measure_answers(examples, with_rare, ["mixed", "neg", "pos"])["macro_f1"]
    # The training of the fold that holds the rare label out has not seen it.
    folds = [
        measure_answers(examples[:3], probabilities[:3], ["neg", "pos"])["macro_f1"],
        measure_answers(examples[3:], with_rare[3:], ["mixed", "neg", "pos"])["macro_f1"],
    ]
    assert pool_parts(folds).value() == pytest.approx(whole.value())
    other = macro_f1(["pos"], ["pos"], ["pos", "neg", "fine"])
    with pytest.raises(RequestError, match="cannot be pooled"):
        pool_parts([whole, other])


def test_the_calibration_error_by_hand_and_bin_by_bin() -> None:
    chances = [0.95, 0.91, 0.92, 0.55, 0.6]
    probabilities = [{"a": chance, "b": 1 - chance} for chance in chances]
    found = expected_calibration_error(["a", "a", "b", "a", "b"], probabilities, num_bins=10)
    by_hand = (3 * abs((0.95 + 0.91 + 0.92) / 3 - 2 / 3) + abs(0.55 - 1) + abs(0.6 - 0)) / 5
    assert found.value() == pytest.approx(by_hand)
    assert expected_calibration_error(["a"], [{"a": 1.0, "b": 0.0}]).value() == 0
    truth, of = random_answers()
    correct = np.array([float(max(one, key=one.__getitem__) == label) for one, label in zip(of, truth, strict=True)])
    largest = np.array([max(one.values()) for one in of])
    bins = reliability(largest, correct)
    slow = sum(one.num_answers * abs(one.confidence - one.num_right / one.num_answers) for one in bins) / len(truth)
    assert expected_calibration_error(truth, of).value() == pytest.approx(slow)
    assert sum(one.num_answers for one in bins) == len(truth)
    assert all(one.low <= one.confidence <= one.high for one in bins)


def test_the_temperature_is_that_of_a_search_over_many() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 3, (300,), generator=generator)
    for scale in (0.2, 1.0, 6.0):
        logits = scale * (torch.randn(300, 3, generator=generator) + 1.5 * torch.eye(3)[labels])
        found = fit_temperature(logits, labels)
        tried = torch.logspace(-1.3, 1.3, 4001, dtype=torch.float64)
        losses = [float(torch.nn.functional.cross_entropy(logits.double() / one, labels)) for one in tried]
        assert found == pytest.approx(float(tried[int(np.argmin(losses))]), rel=2e-3)
    unknown = torch.cat((labels, torch.tensor([-1])))
    assert fit_temperature(torch.cat((logits, torch.tensor([[99.0, 0, 0]]))), unknown) == pytest.approx(found)
    assert fit_temperature(torch.eye(3), torch.arange(3)) == 1.0, "nothing tells how sure is too sure"
    assert fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 1.0


def test_what_the_temperature_did_can_be_undone() -> None:
    logits = np.array([2.0, -1.0, 0.5])
    for temperature in (0.3, 1.0, 4.0):
        shares = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        undone = without_temperature(dict(zip(LABELS, shares.tolist(), strict=True)), temperature)
        expected = np.exp(logits) / np.exp(logits).sum()
        assert list(undone.values()) == pytest.approx(expected.tolist(), rel=1e-9)
    assert without_temperature({"a": 1.0, "b": 0.0}, 2.0) == {"a": 1.0, "b": 0.0}


def test_the_abstention_curve_by_hand() -> None:
    points = abstention_curve(np.array([0.5, 0.9, 0.7, 0.8]), np.array([0.0, 1.0, 0.0, 1.0]), num_points=4)
    assert [(point.coverage, point.threshold, point.accuracy) for point in points] == [
        (1.0, 0.5, 0.5), (0.75, 0.7, pytest.approx(2 / 3)), (0.5, 0.8, 1.0), (0.25, 0.9, 1.0)
    ]  # fmt: skip


def test_naive_bayes_is_that_of_scikit_learn() -> None:
    examples = list(generate_moods(MoodsData(num_train=150, num_test=40), "train"))
    others = list(generate_moods(MoodsData(num_train=150, num_test=40), "test"))
    ids: dict[str, int] = {}
    rows, other_rows = (
        [[ids.setdefault(word, len(ids)) for word in one.text.split()] for one in part] for part in (examples, others)
    )
    labels = [one.label for one in examples]
    ours = NaiveBayes.fit(rows, labels, orders=(1, 2))
    counter = CountVectorizer(ngram_range=(1, 2), binary=True, tokenizer=str.split, token_pattern=None)
    theirs = MultinomialNB(alpha=1.0).fit(counter.fit_transform([one.text for one in examples]), labels)
    expected = theirs.predict_proba(counter.transform([one.text for one in others]))
    found = [[ours.probabilities(row)[label] for label in ours.classes] for row in other_rows]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert majority(["b", "a", "b", "a", "c"]) == "a"


def test_it_learns_answers_and_leaves_a_file_from_which_the_score_comes(
    trained: tuple[ClassifyTask, torch.nn.Module],
) -> None:
    task, model = trained
    examples = words_decide(120, seed=1)
    data = task.encode(examples, training=False, seed=0)
    task = task.finished(model, data, "cpu")
    answers = task.predict(model, [example.text for example in examples], batch_size=7)
    statistics = task.statistics(examples, answers)
    assert statistics["accuracy"].value() > 0.95, "a negation turns the word: no bag of words gets this"
    validated = task.validate(model, data, "cpu")
    for name in ("accuracy", "macro_f1", "correlation"):
        assert statistics[name].value() == pytest.approx(validated[name])
    rows = list(
        csv.DictReader(io.StringIO(task.prediction_files(examples, answers)["predictions.tsv"]), delimiter="\t")
    )
    truth, found = [row["label"] for row in rows], [row["answer"] for row in rows]
    assert scikit.accuracy_score(truth, found) == pytest.approx(statistics["accuracy"].value(), abs=1e-12)
    assert scikit.f1_score(truth, found, average="macro") == pytest.approx(statistics["macro_f1"].value(), abs=1e-12)
    shares = [[float(row[f"p({label})"]) for label in task.labels] for row in rows]
    assert scikit.log_loss(truth, shares) == pytest.approx(statistics["log_loss"].value(), abs=1e-3)
    assert [row["text"] for row in rows] == [example.text for example in examples]
    alone = [task.predict(model, [example.text])[0] for example in examples[:5]]
    for one, other in zip(alone, answers[:5], strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    (empty,) = task.predict(model, [""])
    assert sum(empty.probabilities.values()) == pytest.approx(1)


def test_a_saved_task_answers_as_before(trained: tuple[ClassifyTask, torch.nn.Module], tmp_path: Path) -> None:
    task, model = trained
    task = dataclasses.replace(task, temperature=1.7)
    task.save(tmp_path)
    loaded = ClassifyTask.load(task.config, tmp_path)
    again = loaded.build_model()
    again.load_state_dict(model.state_dict())
    texts = [example.text for example in words_decide(20, seed=2)]
    assert loaded.predict(again.eval(), texts) == task.predict(model, texts)
    assert loaded.describe() == task.describe()
    (tmp_path / "labels.json").write_text(json.dumps({"labels": ["a"]}))
    with pytest.raises(WorkError, match=r"labels\.json is damaged"):
        ClassifyTask.load(task.config, tmp_path)


def test_the_weight_of_a_word_is_what_the_log_odds_lose_without_it(
    trained: tuple[ClassifyTask, torch.nn.Module],
) -> None:
    task, model = dataclasses.replace(trained[0], temperature=2.0), trained[1]
    text = "the film was not superb"
    (answer,) = task.predict(model, [text], settings={"explain": True})
    assert answer.label == "bad"
    assert [text[token.start : token.end] for token in answer.tokens] == text.split()

    def odds(of: str) -> float:
        chance = task.predict(model, [of])[0].probabilities["bad"]
        return float(np.log(chance / (1 - chance)))

    words = text.split()
    for place, token in enumerate(answer.tokens):
        without = " ".join([*words[:place], *words[place + 1 :]])
        assert token.weight == pytest.approx(odds(text) - odds(without), abs=1e-4)
    assert max(answer.tokens, key=lambda token: token.weight).text == "not"
    plain = answer.to_plain()
    assert [token["text"] for token in plain["tokens"]] == words
    assert task.predict(model, [text])[0].tokens == ()


@pytest.mark.parametrize("codec", [CharactersConfig(), SubwordsConfig(vocab_size=290)], ids=["characters", "subwords"])
def test_words_are_weighed_whole_by_codecs_that_cut_them(codec: CharactersConfig | SubwordsConfig) -> None:
    examples = words_decide(60)
    task = ClassifyTask.fit(dataclasses.replace(CONFIG, codec=codec), lambda: examples)
    text = "the plot, not dull "
    (answer,) = task.predict(task.build_model().eval(), [text], settings={"explain": True})
    assert [token.text for token in answer.tokens] == ["the", "plot", ",", "not", "dull"]
    assert [text[token.start : token.end] for token in answer.tokens] == [token.text for token in answer.tokens]
    assert task.predict(task.build_model().eval(), [""], settings={"explain": True})[0].tokens == ()


def test_an_input_beyond_learned_positions_is_cut_and_says_so() -> None:
    encoder = TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=3)
    config = dataclasses.replace(CONFIG, model=ClassifierConfig(embedding_dim=8, encoder=encoder, pooling="mean"))
    examples = words_decide(30)
    task = ClassifyTask.fit(config, lambda: examples)
    model = task.build_model().eval()
    short, long = task.predict(model, ["a film", "a film was not dull"], settings={"explain": True})
    assert (short.truncated, long.truncated) == (False, True)
    assert [token.text for token in long.tokens] == ["a", "film", "was"]
    assert long.to_plain()["truncated"] is True
    assert task.loss(model, task.encode(examples, training=True, seed=0).batch(range(30))).count == 30


def test_classes_can_be_weighed_and_shown_equally_often() -> None:
    examples = [*words_decide(40), *(LabelledText("a plot", "fine") for _ in range(4))]
    counts = {label: sum(one.label == label for one in examples) for label in LABELS}
    task = ClassifyTask.fit(dataclasses.replace(CONFIG, class_weights="balanced"), lambda: examples)
    expected = [len(examples) / 3 / counts[label] for label in LABELS]
    assert list(task.weights) == pytest.approx(expected)
    given = ClassifyTask.fit(dataclasses.replace(CONFIG, class_weights={"good": 3.0}), lambda: examples)
    assert given.weights == (1.0, 1.0, 3.0)
    torch.manual_seed(0)
    model = given.build_model()
    batch = given.encode(examples, training=True, seed=0).batch(range(len(examples)))
    with torch.no_grad():
        losses = torch.nn.functional.cross_entropy(model(*batch.inputs).logits, batch.labels, reduction="none")
    weighed = float((losses * torch.tensor(given.weights)[batch.labels]).sum())
    in_training, after = given.loss(model.train(), batch), given.loss(model.eval(), batch)
    assert in_training.total.item() == pytest.approx(weighed, rel=1e-5)
    assert after.total.item() == in_training.parts["nll"] == pytest.approx(float(losses.sum()), rel=1e-5)
    with pytest.raises(RequestError, match=r"'class_weights' has 'goood', .* bad, fine, good\. Did you mean 'good'\?"):
        ClassifyTask.fit(dataclasses.replace(CONFIG, class_weights={"goood": 2.0}), lambda: examples)
    sampled = ClassifyTask.fit(dataclasses.replace(CONFIG, sample_classes="balanced"), lambda: examples)
    data = sampled.encode(examples, training=True, seed=0)
    assert balanced_repeats(data.labels).sum() == pytest.approx(len(examples))
    seen: dict[int, int] = {0: 0, 1: 0, 2: 0}
    for epoch in range(12):
        for indices in data.sampler(max_tokens=50, seed=0).epoch_batches(epoch):
            for label in data.labels[indices].tolist():
                seen[label] += 1
    shares = [count / sum(seen.values()) for count in seen.values()]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.02)
    assert sum(seen.values()) == pytest.approx(12 * len(examples), abs=12 * 3)


def test_the_analysis_tells_of_calibration_mistakes_and_labels_that_training_has_not(
    trained: tuple[ClassifyTask, torch.nn.Module],
) -> None:
    task = dataclasses.replace(trained[0], temperature=2.0)
    assert isinstance(task, AnalysingTask)
    examples = [LabelledText("x", "good"), LabelledText("y", "bad"), LabelledText("z", "god", Place("t.tsv", 3))]
    answers = [Classification(label, of[label], of) for label, of in (
        ("good", {"bad": 0.2, "good": 0.8}), ("good", {"bad": 0.1, "good": 0.9}), ("bad", {"bad": 0.6, "good": 0.4})
    )]  # fmt: skip
    analysis = task.analyse(examples, answers)
    (remark,) = analysis.remarks
    assert "1 example has a label that training has not, the first is t.tsv line 3: 'god'" in remark
    assert "Did you mean 'good'?" in remark
    titles = {section.title: section for section in analysis.sections}
    mistakes = titles["The most confident mistakes"]
    assert [row[0] for row in mistakes.rows] == ["y", "z"]  # type: ignore[union-attr]
    before, after = titles["Calibration"].rows  # type: ignore[union-attr]
    probabilities = [answer.probabilities for answer in answers]
    undone = [without_temperature(of, 2.0) for of in probabilities]
    truth = [example.label for example in examples]
    assert after[1].value == pytest.approx(expected_calibration_error(truth, probabilities).value())
    assert before[1].value == pytest.approx(expected_calibration_error(truth, undone).value())
    assert before[3] == pytest.approx(float(np.mean([max(of.values()) for of in undone])))
    assert titles["By class"].rows[0] == ("bad", 1, 1, 0.0, 0.0, 0.0)  # type: ignore[union-attr]
    assert titles["Labels (rows) and answers (columns)"].rows[1] == ("god", 1, 0)  # type: ignore[union-attr]


def test_what_cannot_be_learned_or_asked_is_said() -> None:
    with pytest.raises(RequestError, match="have only the label 'good', expected at least two different ones"):
        ClassifyTask.fit(CONFIG, lambda: [LabelledText("a", "good")])
    with pytest.raises(RequestError, match="have no label"):
        ClassifyTask.fit(CONFIG, list)
    task = ClassifyTask.fit(dataclasses.replace(CONFIG, codec=WordsConfig(lowercase=True)), lambda: words_decide(9))
    with pytest.raises(RequestError, match=r"no setting 'explian' of predict.* Did you mean 'explain'\?"):
        task.read_settings({"explian": True})
    with pytest.raises(RequestError, match="'explain' is 'yes', expected true or false"):
        task.read_settings({"explain": "yes"})


def test_the_table_of_answers_is_one_row_an_answer() -> None:
    texts = ["one\rtwo", "one\ntwo", 'a "quoted"\ttext', "plain"]
    answers = [Classification("a", 0.75, {"a": 0.75, "b": 0.25})] * len(texts)
    table = prediction_table([LabelledText(text, "a") for text in texts], answers, ["a", "b"])
    rows = list(csv.DictReader(io.StringIO(table, newline=""), delimiter="\t"))
    assert [row["text"] for row in rows] == texts
    assert table.splitlines()[-1] == "a\ta\t0.75\t0.25\tplain"
