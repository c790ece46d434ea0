"""Configs load from YAML 1.2, and every fault is a sentence with file, line and path."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types
import pytest
from pydantic import Field

from seqlens.config import DefaultKind, load_config, parse_config
from seqlens.errors import RequestError


@dataclass(frozen=True, slots=True)
class Constant:
    kind: Literal["constant"]
    learning_rate: float = 1e-3


@dataclass(frozen=True, slots=True)
class Cosine:
    kind: Literal["cosine"]
    num_warmup_steps: Annotated[int, annotated_types.Ge(0)] = 0


@dataclass(frozen=True, slots=True)
class Training:
    max_steps: Annotated[int, annotated_types.Ge(1)] = 100
    schedule: Constant | Cosine = Constant("constant")
    dropout_p: Annotated[float, Field(ge=0, lt=1)] = 0.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    clip: float | None = None
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Attention:
    hidden_dim: int
    num_heads: int = 1

    def __post_init__(self) -> None:
        if self.hidden_dim % self.num_heads:
            raise ValueError(f"num_heads {self.num_heads} does not divide hidden_dim {self.hidden_dim}")


@dataclass(frozen=True, slots=True)
class Recurrent:
    cell: Literal["rnn", "lstm", "gru"] = "gru"
    sizes: tuple[int, ...] = (8,)


@dataclass(frozen=True, slots=True)
class Transduce:
    model: Attention
    kind: Literal["transduce"] = "transduce"


@dataclass(frozen=True, slots=True)
class Classify:
    labels: tuple[str, ...]
    kind: Literal["classify"] = "classify"
    model: Recurrent = Recurrent()


@dataclass(frozen=True, slots=True)
class Run:
    task: Transduce | Classify
    training: Training = field(default_factory=Training)
    name: str = ""
    seed: int | Literal["random", "clock"] = 0
    window: tuple[int, float] = (1, 0.5)
    weights: dict[str, float] = field(default_factory=dict)
    stages: Annotated[tuple[Recurrent, ...], annotated_types.MinLen(1)] = (Recurrent(),)
    folder: Path | None = None
    extra: Any = None


Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a `Run` from text in a file `my.yaml` of the present folder."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str | bytes, overrides: Any = ()) -> Any:
        data = text if isinstance(text, bytes) else text.encode()
        Path("my.yaml").write_bytes(data)
        return load_config(Run, Path("my.yaml"), overrides)

    return load_text


TASK = "task: {kind: classify, labels: [a]}\n"


def test_nested_unions_and_defaults(load: Load) -> None:
    config = load(
        "# a recipe\n"
        "task:\n  kind: transduce\n  model:\n    hidden_dim: 12\n    num_heads: 3\n"
        "training:\n  schedule: {kind: cosine, num_warmup_steps: 5}\n  clip: 1\n"
        "seed: random\nwindow: [3, 4]\nweights: {no: 1, 1: 2.5}\nfolder: a/b\n"
        "stages:\n  - cell: lstm\n  - {}\n"
    )
    assert config == Run(
        task=Transduce(Attention(12, 3)),
        training=Training(schedule=Cosine("cosine", 5), clip=1.0),
        seed="random",
        window=(3, 4.0),
        weights={"no": 1.0, "1": 2.5},
        folder=Path("a/b"),
        stages=(Recurrent("lstm"), Recurrent()),
    )
    assert type(config.window) is tuple
    assert type(config.training.clip) is float


def test_yaml_1_2_words(load: Load) -> None:
    text = "task:\n  kind: classify\n  labels: [no, 2009-06-25, '1', \"null\", 1_000, 12:30, =, <<, ~x]\n"
    config = load(text + "training: {clip: 1e-3}\nseed: 0o17\nextra: [yes, .5, 0x1F, -7, ~, True, +1., Null]\n")
    assert config.task.labels == ("no", "2009-06-25", "1", "null", "1_000", "12:30", "=", "<<", "~x")
    assert config.training.clip == 0.001
    assert config.seed == 15
    assert config.extra == ["yes", 0.5, 31, -7, None, True, 1.0, None]
    assert [type(value) for value in config.extra] == [
        str, float, int, int, type(None), bool, float, type(None)
    ]  # fmt: skip


def test_aliases_are_followed(load: Load) -> None:
    config = load(TASK + "stages:\n  - &first {sizes: [1, 2]}\n  - *first\n")
    assert config.stages == (Recurrent(sizes=(1, 2)),) * 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "training:\n  max_stepz: 3\n" + TASK,
            "my.yaml line 2: 'training.max_stepz' is not a setting here. Did you mean 'max_steps'?",
        ),
        (
            "\ntask:\n  kind: transduce\n  model:\n    hidden_dim: '8'\n",
            "my.yaml line 5: 'task.model.hidden_dim' is '8' (text), expected a whole number.",
        ),
        (
            "task:\n  kind: transduse\n",
            "my.yaml line 2: 'task.kind' is 'transduse' (text), expected one of 'transduce', 'classify'."
            " Did you mean 'transduce'?",
        ),
        (
            "task:\n  labels: [a]\n",
            "my.yaml line 1: 'task.kind' is missing, expected one of 'transduce', 'classify'.",
        ),
        ("name: x\nseed: 3\n", "my.yaml line 1: 'task' is missing, expected a mapping."),
        (
            "name: x\ntask:\n  kind: transduce\n  model: {}\n",
            "my.yaml line 4: 'task.model.hidden_dim' is missing, expected a whole number.",
        ),
        (
            "task:\n  kind: transduce\n  model: {hidden_din: 3}\n",
            "my.yaml line 3: 'task.model.hidden_din' is not a setting here. Did you mean 'hidden_dim'?",
        ),
        (  # a setting that another kind of task has at this very place
            "task:\n  kind: transduce\n  model: {hidden_dim: 4, cell: gru}\n",
            "my.yaml line 3: 'task.model.cell' is not a setting here. Known here: hidden_dim, num_heads.",
        ),
        (
            TASK + "training:\n  schedule:\n    kind: constant\n    num_warmup_steps: 3\n",
            "my.yaml line 5: 'training.schedule.num_warmup_steps' is not a setting of kind 'constant'."
            " It belongs to kind 'cosine'.",
        ),
        (
            TASK + "max_steps: 3\n",
            "my.yaml line 2: 'max_steps' is not a setting here. Did you mean 'training.max_steps'?",
        ),
        (
            TASK + "stages:\n- cell: gru\n- zzz: 1\n",
            "my.yaml line 4: 'stages.1.zzz' is not a setting here. Known here: cell, sizes.",
        ),
        (
            TASK + "training:\n  max_steps: 0\n",
            "my.yaml line 3: 'training.max_steps' is 0, expected at least 1.",
        ),
        (
            TASK + "training: {dropout_p: 1}\n",
            "my.yaml line 2: 'training.dropout_p' is 1, expected less than 1.",
        ),
        (
            TASK + "training: {device: gpu}\n",
            "my.yaml line 2: 'training.device' is 'gpu' (text), expected one of 'auto', 'cpu', 'cuda'."
            " Did you mean 'cpu'?",
        ),
        (
            TASK + "training: {device: 1}\n",
            "my.yaml line 2: 'training.device' is 1 (whole number), expected one of 'auto', 'cpu', 'cuda'.",
        ),
        (
            TASK + "training: {clip: x}\n",
            "my.yaml line 2: 'training.clip' is 'x' (text), expected a number or null.",
        ),
        (
            TASK + "training: {resume: no}\n",
            "my.yaml line 2: 'training.resume' is 'no' (text), expected true or false.",
        ),
        (TASK + "name:\n", "my.yaml line 2: 'name' is nothing, expected text."),
        (TASK + "name: 3\n", "my.yaml line 2: 'name' is 3 (whole number), expected text."),
        (TASK + "name: [a]\n", "my.yaml line 2: 'name' is a list, expected text."),
        (TASK + "training: 3\n", "my.yaml line 2: 'training' is 3 (whole number), expected a mapping."),
        (
            TASK + "seed: true\n",
            "my.yaml line 2: 'seed' is true (true/false), expected a whole number, 'random' or 'clock'.",
        ),
        (
            TASK + "seed: randon\n",
            "my.yaml line 2: 'seed' is 'randon' (text), expected a whole number, 'random' or 'clock'."
            " Did you mean 'random'?",
        ),
        (
            TASK + "seed: 1e3\n",
            "my.yaml line 2: 'seed' is 1000.0 (number), expected a whole number, 'random' or 'clock'.",
        ),
        (TASK + "window: [1]\n", "my.yaml line 2: 'window' has 1 item, expected 2."),
        (TASK + "window: 1\n", "my.yaml line 2: 'window' is 1 (whole number), expected a list of 2."),
        (
            TASK + "weights:\n  a: 1\n  b: {}\n",
            "my.yaml line 4: 'weights.b' is a mapping, expected a number.",
        ),
        (TASK + "stages: []\n", "my.yaml line 2: 'stages' has 0 items, expected at least 1."),
        (
            TASK + "stages:\n  - sizes:\n    - 1\n    - x\n",
            "my.yaml line 5: 'stages.0.sizes.1' is 'x' (text), expected a whole number.",
        ),
        (TASK + "folder: 3\n", "my.yaml line 2: 'folder' is 3 (whole number), expected text or null."),
        (
            TASK + "training: {clip: .nan}\n",
            "my.yaml line 2: 'training.clip' is nan, expected a finite number.",
        ),
        (TASK + "window: [1, -.inf]\n", "my.yaml line 2: 'window.1' is -inf, expected a finite number."),
        (TASK + "extra:\n  a: [1e999]\n", "my.yaml line 3: 'extra.a.0' is inf, expected a finite number."),
        (
            "task:\n  kind: transduce\n  model:\n    hidden_dim: 8\n    num_heads: 3\n",
            "my.yaml line 3: 'task.model': num_heads 3 does not divide hidden_dim 8.",
        ),
        (
            TASK + "name: a\nseed: 1\nname: b\n",
            "my.yaml line 4: 'name' is set a second time, first at my.yaml line 2.",
        ),
        (
            TASK + "stages: [{cell: gru, cell: gru}]\n",
            "my.yaml line 2: 'stages.0.cell' is set a second time, first at my.yaml line 2.",
        ),
        (TASK + "1: 2\n", None),
    ],
)
def test_a_fault_is_one_sentence(load: Load, text: str, sentence: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        load(text)
    if sentence is None:
        sentence = (
            "my.yaml line 2: '1' is not a setting here. Known here: task, training, name, seed, window, "
            "weights, stages, folder, extra."
        )
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "my.yaml is empty, expected settings, one 'name: value' a line."),
        ("# only a comment\n", "my.yaml is empty, expected settings, one 'name: value' a line."),
        ("\n- 1\n- 2\n", "my.yaml line 2: the file holds a list, expected a mapping of settings."),
        ("word\n", "my.yaml line 1: the file holds 'word' (text), expected a mapping of settings."),
        (b"a: 1\nname: \xe9\n", "my.yaml line 2: the file is not UTF-8 text, byte 11 is 0xe9."),
        ("a: [1,\n  2\n", "my.yaml line 1: this is not valid YAML: '[' is not closed."),
        ("a: {b: 1\n", "my.yaml line 1: this is not valid YAML: '{' is not closed."),
        ("a: 1\nb: 'x\nc: 2\n", "my.yaml line 2: this is not valid YAML: a quotation mark is not closed."),
        ("a:\n\tb: 1\n", "my.yaml line 2: this is not valid YAML: a tab stands where spaces are expected."),
        (
            "a: 1\nb: x: y\n",
            "my.yaml line 2: this is not valid YAML: ': ' stands where no setting can begin,"
            " check the indentation or put the text in quotes.",
        ),
        (
            "a:\n  b: 1\n c: 2\n",
            "my.yaml line 3: this is not valid YAML: the indentation does not fit the lines above.",
        ),
        ("a: 1\nb\nc: 1\n", "my.yaml line 2: this is not valid YAML: ':' is missing after a name."),
        (
            "a: 1\nb: @x\n",
            "my.yaml line 2: this is not valid YAML: '@' cannot begin a value, put the text in quotes.",
        ),
        ("a: 1\n---\nb: 2\n", "my.yaml line 2: a second document begins here, expected one."),
        ("a: 1\nb: *c\n", "my.yaml line 2: '*c' names no '&c' above it (quote text that begins with '*')."),
        (
            "a: 1\nb: !!python/object:os.system x\n",
            "my.yaml line 2: the tag 'tag:yaml.org,2002:python/object:os.system' is not known here"
            " (quote text that begins with '!').",
        ),
        (
            "a: 1\nb: x\x85y\n",
            "my.yaml line 2: the character '\\x85' must be written as an escape in double quotes.",
        ),
        ("a: 1\n? [b]\n: 1\n", "my.yaml line 2: the name of a setting must be a word."),
        ('a: 1\nb: "\\ud83d"\n', "my.yaml line 2: '\\ud83d' holds half a character."),
        ("a:\n  " + "[" * 60 + "]" * 60, "my.yaml line 2: this is nested more than 50 deep."),
    ],
)
def test_a_file_that_is_no_configuration(load: Load, text: str | bytes, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        load(text)
    assert str(caught.value) == sentence


def test_an_escape_beyond_unicode_is_told(load: Load) -> None:
    with pytest.raises(RequestError, match=r"^my\.yaml line \d: this is not valid YAML: "):
        load('a: 1\nb: "\\UFFFFFFFF"\n')


def test_a_byte_order_mark_is_no_text(load: Load) -> None:
    assert load(b"\xef\xbb\xbf" + TASK.encode()).task == Classify(("a",))


def test_files_that_cannot_be_read(load: Load) -> None:
    load(TASK)
    Path("folder").mkdir()
    cases = {
        "my.yml": "my.yml does not exist. Did you mean 'my.yaml'?",
        "my": "my does not exist. Did you mean 'my.yaml'?",
        "folder": "folder is a folder, expected a YAML file.",
        "gone/my.yaml": "gone/my.yaml does not exist. Its folder gone does not exist either.",
        "my.yaml/x": "my.yaml/x could not be read: Not a directory.",
    }
    for name, sentence in cases.items():
        with pytest.raises(RequestError) as caught:
            load_config(Run, Path(name))
        assert str(caught.value) == sentence


def test_every_fault_has_its_line_and_five_are_told(load: Load) -> None:
    text = TASK + "name: 1\ntraining:\n  clip: a\n  max_steps: 0\nseed: b\nzz: 1\nyy: 1\nwindow: 1\n"
    with pytest.raises(RequestError) as caught:
        load(text)
    lines = str(caught.value).split("\n")
    assert [line.split(":")[0] for line in lines[:5]] == [f"my.yaml line {line}" for line in (2, 4, 5, 6, 7)]
    assert lines[5] == "There are 2 more faults."


def test_overrides_are_named_as_the_place(load: Load) -> None:
    text = TASK + "training:\n  schedule:\n    kind: cosine\n"
    config = load(text, ["training.schedule.num_warmup_steps=7", "training.max_steps=5", "name=no"])
    assert config.training == Training(5, Cosine("cosine", 7))
    assert config.name == "no"
    assert load(text, {"training.schedule": Constant("constant", 2), "folder": Path("x")}) == Run(
        Classify(("a",)), Training(schedule=Constant("constant", 2.0)), folder=Path("x")
    )
    cases = {
        "training.max_stepz=5": "--set training.max_stepz: 'training.max_stepz' is not a setting here."
        " Did you mean 'max_steps'?",
        "max_steps=5": "--set max_steps: 'max_steps' is not a setting here. Did you mean 'training.max_steps'?",
        "training.schedule.kind=cosin": "--set training.schedule.kind: 'training.schedule.kind' is 'cosin'"
        " (text), expected one of 'constant', 'cosine'. Did you mean 'cosine'?",
        "training.schedule={}": "--set training.schedule: 'training.schedule.kind' is missing,"
        " expected one of 'constant', 'cosine'.",
        "training={max_steps: '5'}": "--set training: 'training.max_steps' is '5' (text), expected a whole number.",
        "task.model.sizes=3": "--set task.model.sizes: 'task.model.sizes' is 3 (whole number), expected a list.",
        "trainin.x.y=3": "--set trainin.x.y: 'trainin' is not a setting here. Did you mean 'training'?",
    }
    for item, sentence in cases.items():
        with pytest.raises(RequestError) as caught:
            load(text, [item])
        assert str(caught.value).startswith(sentence)


def test_parse_config_begins_with_where() -> None:
    assert parse_config(Training, {"max_steps": 3}, where="run.json") == Training(3)
    assert parse_config(Constant | Cosine, {"kind": "cosine"}, where="run.json") == Cosine("cosine")
    with pytest.raises(RequestError) as caught:
        parse_config(Training, {"clip": float("inf"), "schedule": {"kind": 3}}, where="run.json")
    assert str(caught.value) == (
        "run.json: 'schedule.kind' is 3 (whole number), expected one of 'constant', 'cosine'.\n"
        "run.json: 'clip' is inf, expected a finite number."
    )
    with pytest.raises(RequestError, match=r"^run\.json: num_heads 3 does not divide hidden_dim 4\.$"):
        parse_config(Attention, {"hidden_dim": 4, "num_heads": 3}, where="run.json")


def test_a_union_without_kinds_is_the_programmers_mistake() -> None:
    with pytest.raises(TypeError, match="needs a field kind"):
        parse_config(Training | Attention, {"kind": "x"}, where="run.json")


def test_a_field_of_an_unknown_type_is_the_programmers_mistake() -> None:
    @dataclass(frozen=True)
    class Odd:
        value: complex

    with pytest.raises(TypeError, match="'value' is declared as"):
        parse_config(Odd, {"value": 1}, where="run.json")


@dataclass(frozen=True, slots=True)
class Older:
    task: Annotated[Transduce | Classify, DefaultKind("transduce")]


def test_a_union_may_have_a_kind_that_need_not_be_said() -> None:
    assert parse_config(Older, {"task": {"model": {"hidden_dim": 4}}}, where="here").task.kind == "transduce"
    assert parse_config(Older, {"task": {"kind": "classify", "labels": ["a"]}}, where="here").task.kind == "classify"
    with pytest.raises(RequestError, match=r"'task.labels' is not a setting of kind 'transduce'.* kind 'classify'"):
        parse_config(Older, {"task": {"labels": ["a"]}}, where="here")
