"""The task `tag`: fitted, saved, trained a little, asked; its scores are seqeval's."""

import dataclasses
import json
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
import torch
from seqeval.metrics import f1_score, precision_score, recall_score

from seqlens.data.tagged.conll import Columns, read_conll
from seqlens.data.tagged.people import PeopleData, generate_people
from seqlens.data.tagged.records import Entity, TaggedText, joined, of_words
from seqlens.errors import RequestError, WorkError
from seqlens.models.config import RecurrentEncoderConfig, TransformerEncoderConfig
from seqlens.models.tagger_config import RecurrentLettersConfig, TaggerConfig
from seqlens.tasks.tag.answer import FoundEntity, Tagging
from seqlens.tasks.tag.baselines import CommonestTag, Gazetteer
from seqlens.tasks.tag.config import TagConfig, VectorsConfig
from seqlens.tasks.tag.tags import TagSet
from seqlens.tasks.tag.task import TagTask

SMALL = TaggerConfig(
    embedding_dim=16,
    letters=RecurrentLettersConfig(embedding_dim=8, hidden_dim=8),
    feature_dim=4,
    encoder=RecurrentEncoderConfig(cell="lstm", hidden_dim=24),
    dropout_p=0.1,
)
PEOPLE = PeopleData(num_train=300, num_validation=40, num_test=20)
CONFIGS = {
    "bioes, crf": TagConfig(model=SMALL),
    "bio, crf": TagConfig(model=SMALL, scheme="bio"),
    "bio, softmax": TagConfig(model=dataclasses.replace(SMALL, crf=False), scheme="bio"),
}


def people(split: str) -> list[TaggedText]:
    return list(generate_people(PEOPLE, split))


def train(config: TagConfig, steps: int = 60) -> tuple[TagTask, torch.nn.Module]:
    examples = people("train")
    task = TagTask.fit(config, lambda: examples)
    torch.manual_seed(1)
    model = task.build_model().train()
    data = task.encode(examples, training=True, seed=1)
    sampler = data.sampler(max_tokens=400, seed=1)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = task.loss(model, data.batch(next(sampler), 0))
        (loss.total / loss.count).backward()
        optimizer.step()
    return task, model.eval()


@pytest.mark.parametrize(
    ("name", "steps", "least"), [("bioes, crf", 40, 0.6), ("bio, crf", 12, 0.01), ("bio, softmax", 40, 0.1)]
)
def test_it_learns_answers_in_raw_text_and_scores_as_seqeval(
    name: str, steps: int, least: float, tmp_path: Path
) -> None:
    task, model = train(CONFIGS[name], steps)
    examples = people("validation")
    data = task.encode(examples, training=False, seed=0)
    metrics = task.validate(model, data, "cpu")
    assert metrics["f1"] > least
    answers = task.predict(model, [task.input_of(example) for example in examples], batch_size=7)
    statistics = task.statistics(examples, answers)
    assert statistics["f1"].value() == pytest.approx(metrics["f1"])
    assert list(statistics)[:3] == ["f1", "precision", "recall"]
    assert {"f1_person", "f1_date", "f1_seen", "f1_unseen"} <= set(statistics)
    # Somebody else's program gets the same numbers from the file.
    (tmp_path / "predictions.conll").write_text(task.prediction_files(examples, answers)["predictions.conll"])
    lines = (tmp_path / "predictions.conll").read_text().split("\n\n")
    columns = [[line.split("\t") for line in sentence.splitlines()] for sentence in lines if sentence.strip()]
    truth, found = ([[line[place] for line in sentence] for sentence in columns] for place in (1, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert float(f1_score(truth, found)) == pytest.approx(metrics["f1"], abs=1e-12)
        assert float(precision_score(truth, found)) == pytest.approx(metrics["precision"], abs=1e-12)
        assert float(recall_score(truth, found)) == pytest.approx(metrics["recall"], abs=1e-12)
    read_back = [example.token_spans() for example in read_conll(tmp_path / "predictions.conll", Columns(tag=1))]
    assert read_back == [example.token_spans() for example in examples if example.tokens]
    # Raw texts are cut as the generator cuts them, so the answers are the same, and stand where they say.
    raw = task.predict(model, [example.text for example in examples])
    assert list(map(str, raw)) == list(map(str, answers))
    for example, answer in zip(examples, raw, strict=True):
        assert answer.text == example.text
        for entity in answer.entities:
            assert example.text[entity.start : entity.end] == entity.text
            assert 0 < entity.confidence <= 1
        assert all(one.end <= other.start for one, other in pairwise(answer.entities))
    sure: dict[bool, list[float]] = {True: [], False: [0.0]}
    for example, answer in zip(examples, raw, strict=True):
        for entity in answer.entities:
            right = Entity(entity.start, entity.end, entity.label) in example.entities
            sure[right].append(entity.confidence)
    assert sum(sure[True]) / len(sure[True]) > sum(sure[False]) / len(sure[False])


def test_a_saved_task_answers_as_before(tmp_path: Path) -> None:
    task, model = train(CONFIGS["bioes, crf"], steps=2)
    task.save(tmp_path)
    loaded = TagTask.load(task.config, tmp_path)
    again = loaded.build_model()
    again.load_state_dict(model.state_dict())
    texts = [example.text for example in people("test")]
    assert loaded.predict(again.eval(), texts) == task.predict(model, texts)
    assert loaded.describe() == task.describe()
    assert loaded.seen == task.seen
    (tmp_path / "labels.json").write_text(json.dumps({"labels": ["a"]}))
    with pytest.raises(WorkError, match=r"labels\.json is damaged"):
        TagTask.load(task.config, tmp_path)


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_loss_and_path_of_a_batch_are_those_of_its_sentences(scheme: str) -> None:
    config = dataclasses.replace(CONFIGS["bioes, crf"], scheme=scheme)
    examples = [*people("train")[:6], of_words([], [])]
    task = TagTask.fit(config, lambda: examples)
    model = task.build_model().double().eval()
    data = task.encode(examples, training=False, seed=0)
    whole = task.loss(model, data.batch(range(len(examples))))
    alone = [task.loss(model, data.batch([number])) for number in range(len(examples))]
    assert float(whole.total.detach()) == pytest.approx(sum(float(one.total.detach()) for one in alone), rel=1e-5)
    assert whole.count == sum(one.count for one in alone) == sum(len(example.tokens) for example in examples)
    assert float(alone[-1].total.detach()) == 0
    assert task.predict(model, ["", "  "]) == [Tagging("", ()), Tagging("  ", ())]


def test_the_sentences_of_a_text_are_rows_that_tell_each_other_of_their_words() -> None:
    parts = people("train")[:8]
    texts = [joined(parts[:3]), joined(parts[3:7]), parts[7]]
    task = TagTask.fit(TagConfig(model=dataclasses.replace(SMALL, repeats=True)), lambda: parts)
    model = task.build_model().double().eval()
    data = task.encode(texts, training=False, seed=0)
    batch = data.batch([2, 0, 1])
    assert batch.texts.tolist() == [0, 1, 1, 1, 2, 2, 2, 2]
    assert data.lengths.tolist() == [len(text.tokens) for text in texts]
    apart = task.encode(parts, training=False, seed=0).batch([7, *range(7)])
    assert torch.equal(apart.inputs.ids, batch.inputs.ids)
    assert torch.equal(apart.tags, batch.tags)
    logits = [model(*one.inputs, one.forms, one.texts).logits for one in (batch, apart)]
    torch.testing.assert_close(logits[0][0], logits[1][0])
    assert not torch.allclose(logits[0][1:4], logits[1][1:4])
    # Whatever else is asked with it, a text's answer is its own.
    together = task.predict(model, texts)
    assert list(map(str, together)) == [str(task.predict(model, [text])[0]) for text in texts]
    assert [answer.text for answer in together] == [text.text for text in texts]
    for text, answer in zip(texts, together, strict=True):
        assert all(text.text[one.start : one.end] == one.text and "\n" not in one.text for one in answer.entities)


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_the_tags_allow_what_the_scheme_allows(scheme: str) -> None:
    tags = TagSet(("x", "y"), scheme)  # type: ignore[arg-type]
    allowed = tags.allowed()

    def may(before: str, after: str) -> bool:
        return bool(allowed.transitions[tags.names.index(before), tags.names.index(after)])

    assert may("B-x", "I-x")
    assert not may("O", "I-x")
    assert not may("B-x", "I-y")
    assert not bool(allowed.start[tags.names.index("I-x")])
    if scheme == "bio":
        assert may("B-x", "O")
        assert may("I-x", "B-y")
        assert bool(allowed.end.all())
    else:
        assert not may("B-x", "O")
        assert not may("I-x", "B-x")
        assert may("E-x", "S-y")
        assert [name for name, ends in zip(tags.names, allowed.end, strict=True) if not ends] == [
            "B-x", "I-x", "B-y", "I-y"
        ]  # fmt: skip
    assert tags.spans(tags.ids(5, [(0, 2, "x"), (2, 3, "z"), (3, 4, "y")])) == [(0, 2, "x"), (3, 4, "y")]


def test_what_comes_after_the_last_learned_position_has_no_entity() -> None:
    encoder = TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=3)
    model_config = TaggerConfig(embedding_dim=4, encoder_input_dim=8, encoder=encoder)
    examples = people("train")
    task = TagTask.fit(TagConfig(model=model_config), lambda: examples)
    model = task.build_model().eval()
    short, long = task.predict(model, ["one two three", "one two three four"])
    assert (short.truncated, long.truncated) == (False, True)
    assert long.to_plain()["truncated"] is True
    lines = TaggedText("a b c\nd e", ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9)))
    data = task.encode([lines], training=True, seed=1)
    assert (data.lengths.tolist(), data.longest_parts.tolist()) == ([5], [3]), "positions are those of a sentence"
    loss = task.loss(model, task.encode(examples, training=True, seed=0).batch(range(9)))
    assert loss.count == sum(min(3, len(example.tokens)) for example in examples[:9])


def test_answers_for_people_and_for_programs() -> None:
    text = "Yesterday, Harry met."
    answer = Tagging(text, (FoundEntity("Yesterday", 0, 9, "date", 0.75), FoundEntity("Harry", 11, 16, "person", 0.5)))
    assert str(answer) == "[date Yesterday], [person Harry] met."
    assert answer.to_plain() == {
        "entities": [
            {"text": "Yesterday", "start": 0, "end": 9, "label": "date", "confidence": 0.75},
            {"text": "Harry", "start": 11, "end": 16, "label": "person", "confidence": 0.5},
        ],
    }


def test_the_lines_of_a_text_are_sentences_of_the_prediction_file() -> None:
    parts = [of_words(["A", "met", "B"], [(0, 1, "x"), (2, 3, "x")]), of_words(["C", "left"], [(0, 1, "x")])]
    text = joined(parts)
    task = TagTask.fit(TagConfig(model=SMALL), lambda: parts)
    entities = [
        FoundEntity(text.text[one.start : one.stop], one.start, one.stop, one.label, 1.0) for one in text.entities
    ]
    written = task.prediction_files([text], [Tagging(text.text, tuple(entities))])["predictions.conll"]
    assert written == "A\tB-x\tB-x\nmet\tO\tO\nB\tB-x\tB-x\n\nC\tB-x\tB-x\nleft\tO\tO\n\n"
    # One that was answered across two lines stays whole.
    across = (FoundEntity("B\nC", 6, 9, "x", 1.0),)
    written = task.prediction_files([text], [Tagging(text.text, across)])["predictions.conll"]
    assert "B\tB-x\tB-x\nC\tB-x\tI-x\n" in written


def test_the_baselines_look_up_what_training_had() -> None:
    texts = [
        of_words(["New", "York", "is", "new"], [(0, 2, "place")]),
        of_words(["York", "is", "old"], [(0, 1, "place")]),
        of_words(["Will", "will", "come"], [(0, 1, "person")]),
        of_words(["Will", "it", "rain", "May"], []),
    ]
    gazetteer, commonest = Gazetteer(texts), CommonestTag(texts)
    # Once an entity and once not: not looked for.
    assert gazetteer.spans(["Will", "New", "York", "see", "York"]) == [(1, 3, "place"), (4, 5, "place")]
    assert commonest.spans(["see", "New", "York", "York"]) == [(1, 2, "place"), (2, 3, "place"), (3, 4, "place")]
    assert gazetteer.spans([]) == commonest.spans([]) == []


def test_seen_and_new_entities_are_told_apart() -> None:
    examples = [of_words(["New", "York", "met", "Rome"], [(0, 2, "place"), (3, 4, "place")])]
    train_texts = [of_words(["NEW", "york"], [(0, 2, "place")])]
    task = TagTask.fit(TagConfig(model=SMALL), lambda: train_texts)
    found = [Tagging(examples[0].text, (FoundEntity("New York", 0, 8, "place", 1.0),))]
    measures = {name: of.value() for name, of in task.statistics(examples, found).items()}
    assert measures == pytest.approx({"f1": 2 / 3, "precision": 1.0, "recall": 0.5, "f1_seen": 1.0, "f1_unseen": 0.0})
    without_new = [of_words(["New", "York", "met", "them"], [(0, 2, "place")])]
    assert "f1_unseen" not in task.statistics(without_new, found), "0 would be said of something that nobody can do"


def test_word_vectors_give_known_words_a_start(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("Harry " + "1 " * 16 + "\nharry " + "2 " * 16 + "\nunmet " + "3 " * 16 + "\n")
    config = TagConfig(model=SMALL, vectors=VectorsConfig(str(path)))
    texts = [of_words(["Harry", "met"], [(0, 1, "person")])]
    task = TagTask.fit(config, lambda: texts)
    weight = task.build_model().words.embedding.weight
    assert weight[task.codec.word_id("HARRY")].tolist() == [1.0] * 16
    assert weight[task.codec.word_id("unmet")].tolist() == [3.0] * 16
    assert weight[task.codec.word_id("met")].abs().max() < 1
    task.save(tmp_path / "codec")
    loaded = TagTask.load(config, tmp_path / "codec")
    assert loaded.vectors is None
    assert loaded.build_model().words.embedding.weight.shape == weight.shape


def test_what_cannot_be_learned_or_asked_is_said() -> None:
    with pytest.raises(RequestError, match="No entity is marked in the training data"):
        TagTask.fit(TagConfig(), lambda: [of_words(["nothing"], [])])
    task = TagTask.fit(TagConfig(), lambda: people("train"))
    with pytest.raises(RequestError, match="There is no setting 'explain' of predict"):
        task.read_settings({"explain": True})


def test_validation_misses_entities_whose_label_training_has_not() -> None:
    known = of_words(["Ann", "sings"], [(0, 1, "A")])
    task = TagTask.fit(CONFIGS["bioes, crf"], lambda: [known])
    model = task.build_model().eval()
    unknown = of_words(["Ann", "sings"], [(0, 1, "A"), (1, 2, "B")])
    data = task.encode([unknown], training=False, seed=0)
    with torch.no_grad():
        model.crf.start.zero_()
        model.output.bias.zero_()
        model.output.weight.zero_()
        model.crf.transitions.masked_fill_(torch.isfinite(model.crf.transitions), 0.0)
    found = task.validate(model, data, "cpu")
    expected = task.statistics([unknown], task.predict(model, [task.input_of(unknown)]))
    assert found["f1"] == pytest.approx(expected["f1"].value())
    assert found["recall"] <= 0.5


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_a_span_that_reaches_beyond_what_is_read_ends_there(scheme: Literal["bio", "bioes"]) -> None:
    encoder = TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=3)
    config = TagConfig(model=TaggerConfig(embedding_dim=4, encoder_input_dim=8, encoder=encoder), scheme=scheme)
    text = "one two three four five"
    spans = [(0, 7), (4, 18), (8, 18), (0, 13)]  # of five words: before the end, across it, from it on, up to it
    examples = [of_words(text.split(), [])]
    examples = [dataclasses.replace(examples[0], entities=(Entity(start, end, "x"),)) for start, end in spans]
    task = TagTask.fit(config, lambda: examples)
    model = task.build_model().eval()
    with torch.no_grad():
        losses = [task.loss(model, task.encode([one], training=True, seed=0).batch([0])).total for one in examples]
    assert torch.isfinite(torch.stack(losses)).all()
    closing = [task.tags.names[place] for place in task.tags.closing()]
    expected = {"bio": ["O", "B-x", "I-x"], "bioes": ["O", "S-x", "E-x", "E-x", "S-x"]}
    assert closing == expected[scheme]


def test_forms_that_training_has_not_say_nothing() -> None:
    _, model = train(TagConfig(model=SMALL), steps=3)
    words = model.words
    assert not words.features.weight[words.offsets + 1].any()
    assert words.features.weight[words.offsets + 2].any()
    assert not words.letters.embedding.weight[1].any()
    assert words.letters.embedding.weight[2].any()


def test_validation_puts_entities_of_a_text_where_they_are_after_a_sentence_that_was_cut() -> None:
    encoder = TransformerEncoderConfig(num_layers=1, num_heads=2, positions="learned", max_length=3)
    config = TagConfig(model=TaggerConfig(embedding_dim=4, encoder_input_dim=8, encoder=encoder))
    words = "a b c d e"
    text = TaggedText(f"{words}\nf g", tuple((place, place + 1) for place in (0, 2, 4, 6, 8, 10, 12)), ())
    task = TagTask.fit(config, lambda: [dataclasses.replace(text, entities=(Entity(10, 11, "x"),))])
    model = task.build_model().eval()
    (answer,) = task.predict(model, [text])
    found = tuple(Entity(one.start, one.end, one.label) for one in answer.entities)
    assert any(entity.start >= 10 for entity in found), "an untrained model tags something there"
    data = task.encode([dataclasses.replace(text, entities=found)], training=False, seed=0)
    assert task.validate(model, data, "cpu")["f1"] == 1
