"""Fine-tuning: a training that starts from the weights and the vocabulary of another run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

import safetensors.torch
import torch
from torch import Tensor

from seqlens.config import read_json, to_plain, write_atomically, write_json
from seqlens.data.codecs.marks import BREAK, chosen_tags, unknown_tag
from seqlens.data.corpus import Corpus
from seqlens.data.examples import Pair
from seqlens.data.mixture import MixtureData
from seqlens.data.text import CharactersConfig, SubwordsConfig, TextCodec, TextCodecConfig, WordsConfig
from seqlens.errors import RequestError, WorkError, did_you_mean
from seqlens.inference import LoadedRun, read_run
from seqlens.inference.run_folder import WEIGHTS_FILE
from seqlens.models.transducer import Transducer
from seqlens.models.weights import load_weights, pack_weights
from seqlens.tasks.build import Task
from seqlens.tasks.transduce.config import CodecConfig, SeparateCodecs, SharedCodec
from seqlens.training.run_config import RunConfig

INIT_FILE = "init.json"
INIT_WEIGHTS_FILE = "init.safetensors"
"""The first weights, until the run is finished: a resumed training does not need the other run."""

Vocabulary = Literal["kept", "extended"]
VOCABULARIES: tuple[Vocabulary, ...] = ("kept", "extended")

# Which side's vocabulary the rows of these weights belong to; all other weights have the same shape in both models.
_ROWS = {
    "source_embedding.weight": "source",
    "target_embedding.weight": "target",
    "output.weight": "target",
    "output.bias": "target",
}


@final
@dataclass(frozen=True, slots=True)
class Initial:
    """The run that a training starts from; with `vocabulary` `extended`, new symbols are added to its own."""

    run: LoadedRun
    vocabulary: Vocabulary

    def settings(self, config: RunConfig) -> RunConfig:
        """The recipe with the run's codec in place of its own.

        Raises:
            RequestError: the run's model is not the recipe's, or its vocabulary is kept and lacks a tag of the data.
        """
        path = first_difference("task.model", _shape(self.run.task.config.model), _shape(config.transduce.model))
        if path is not None:
            theirs, ours = _at(self.run.task.config.model, path), _at(config.transduce.model, path)
            raise RequestError(
                f"The recipe's '{path}' is {ours}, but that of {self.run.path} is {theirs}, expected the same: its "
                f"weights would not fit. Try --set {path}={theirs}."
            )
        if self.vocabulary == "kept":
            self._check_tags(config)
        codec = self.run.task.config.codec
        if self.vocabulary == "extended":
            codec = _with_sizes(codec, config.transduce.codec)
        return replace(config, task=replace(config.transduce, codec=codec))

    def kept_codec(self, config: RunConfig) -> str | None:
        """A sentence where the recipe has another codec than the run, whose own is kept; None where it is the same."""
        theirs, ours = to_plain(self.settings(config).transduce.codec), to_plain(config.transduce.codec)
        path = first_difference("task.codec", theirs, ours)
        if path is None:
            return None
        return (
            f"The codec is that of {self.run.path}, which has {_below(theirs, path)} as '{path}'; the recipe's "
            f"{_below(ours, path)} changes nothing."
        )

    def _check_tags(self, config: RunConfig) -> None:
        known = self.run.task.source_codec.tags
        parts = config.pair_data.parts if isinstance(config.pair_data, MixtureData) else ()
        for name in (part.tag_name for part in parts):
            if name is not None and name not in known:
                raise RequestError(
                    f"{unknown_tag(name, chosen_tags(known))} That is the vocabulary of "
                    f"{self.run.path}; with --init-vocabulary extended new tags are added."
                )
        has_context = any(getattr(data, "context", None) for data in (config.pair_data, *(part.data for part in parts)))
        if has_context and BREAK not in known:
            raise RequestError(
                f"'data.context' is given, but {self.run.path} was trained on single sentences, and its vocabulary has "
                "no mark between sentences; with --init-vocabulary extended it is added."
            )

    def fit_task(self, config: RunConfig, corpus: Corpus) -> Task:
        """The task with the run's codecs, which are extended by what is new in the corpus if that is asked for."""
        task = replace(self.run.task, config=config.transduce)
        if self.vocabulary == "kept":
            return task

        def pairs() -> Iterable[Pair]:
            return corpus.read("train")

        codec = config.transduce.codec
        if isinstance(codec, SharedCodec):
            shared = _extended(
                task.source_codec, codec.text, lambda: (side for pair in pairs() for side in _sides(pair))
            )
            return replace(task, source_codec=shared, target_codec=shared)
        source = _extended(task.source_codec, codec.source, lambda: (pair.source for pair in pairs()))
        target = _extended(task.target_codec, codec.target, lambda: (pair.target or "" for pair in pairs()))
        return replace(task, source_codec=source, target_codec=target)

    def put_weights(self, model: Transducer, task: Task) -> dict[str, int]:
        """Copies the run's weights into `model`; rows of symbols that the run does not know stay fresh.

        Returns how many rows of each side were copied.
        """
        rows = {
            "source": _same_symbols(self.run.task.source_codec, task.source_codec),
            "target": _same_symbols(self.run.task.target_codec, task.target_codec),
        }
        earlier = self.run.model.state_dict()
        with torch.no_grad():
            for name, tensor in model.state_dict().items():
                _copy(tensor, earlier[name], rows[_ROWS[name]] if name in _ROWS else None)
        return {side: len(pairs) for side, pairs in rows.items()}

    def write(self, folder: Path, model: Transducer, copied: Mapping[str, int]) -> None:
        """Writes the first weights and the record of where they come from into the new run's folder."""
        write_atomically(folder / INIT_WEIGHTS_FILE, safetensors.torch.save(pack_weights(model).tensors))
        record = {
            "run": str(self.run.path),
            "name": self.run.path.resolve().name,
            "weights_sha256": self.run.record["files"][WEIGHTS_FILE],
            "vocabulary": self.vocabulary,
            "symbols_copied": dict(copied),
        }
        write_json(folder / INIT_FILE, record)


def read_initial(run: str | Path, vocabulary: str) -> Initial:
    """Reads the run that a training is to start from.

    Raises:
        RequestError: there is no such run, or no such choice of vocabulary. WorkError: the run is damaged.
    """
    for choice in VOCABULARIES:
        if choice == vocabulary:
            return Initial(read_run(Path(run)), choice)
    raise RequestError(
        f"The initial vocabulary is '{vocabulary}', expected one of {', '.join(VOCABULARIES)}."
        f"{did_you_mean(vocabulary, VOCABULARIES)}"
    )


def read_init_record(folder: Path) -> dict[str, Any] | None:
    """What a run was started from, or None where that were fresh weights."""
    if not (folder / INIT_FILE).is_file():
        return None
    record = read_json(folder / INIT_FILE)
    if not isinstance(record, dict):
        raise WorkError(f"{folder / INIT_FILE} is damaged: expected a mapping.")
    return record


def check_resumed(run: str | Path, vocabulary: str, folder: Path) -> None:
    """Raises RequestError where the training in a folder was not started from this run, or in another way."""
    record = read_init_record(folder)
    if record is None:
        raise RequestError(f"{folder} was not started from another run, so it cannot be resumed with --init.")
    if not Path(run).exists() and (str(run), vocabulary) == (record.get("run"), record.get("vocabulary")):
        return  # its weights are no longer needed
    initial = read_initial(run, vocabulary)
    given = {"weights_sha256": initial.run.record["files"][WEIGHTS_FILE], "vocabulary": initial.vocabulary}
    for name, what in (("weights_sha256", "weights"), ("vocabulary", "vocabulary")):
        if record.get(name) != given[name]:
            raise RequestError(
                f"{folder} was started from {record.get('name')} with the {what} {str(record.get(name))[:12]}, but "
                f"--init {run} has {given[name][:12]}; leave --init out to go on."
            )


def put_stored_weights(model: Transducer, folder: Path) -> None:
    """Puts the first weights of an interrupted training into `model`, where it has its own."""
    path = folder / INIT_WEIGHTS_FILE
    if not path.is_file():
        return
    try:
        load_weights(model, safetensors.torch.load_file(path), pack_weights(model).aliases)
    except (safetensors.SafetensorError, ValueError) as error:
        raise WorkError(f"{path} is damaged: {error}.") from error


def forget_initial(folder: Path) -> None:
    """Removes what an earlier attempt, killed before it began, left of another run."""
    for name in (INIT_WEIGHTS_FILE, INIT_FILE):
        (folder / name).unlink(missing_ok=True)


def first_difference(path: str, earlier: object, now: object) -> str | None:
    """The dotted path of the first setting in which two plain configurations differ; None where they are equal."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in [*earlier, *now]:
            if earlier.get(key) != now.get(key):
                return first_difference(f"{path}.{key}", earlier.get(key), now.get(key))
        return None
    return None if earlier == now else path


def _shape(model: object) -> object:
    """A model's settings without its dropout, which may be another from run to run."""

    def without(plain: object) -> object:
        if isinstance(plain, dict):
            return {name: without(value) for name, value in plain.items() if not name.endswith("dropout_p")}
        return plain

    return without(to_plain(model))


def _with_sizes(codec: CodecConfig, wanted: CodecConfig) -> CodecConfig:
    """The codec of a run, to be extended by as many words, or as rare ones, as the recipe says."""
    if isinstance(codec, SharedCodec) and isinstance(wanted, SharedCodec):
        return replace(codec, text=_sized(codec.text, wanted.text))
    if isinstance(codec, SeparateCodecs) and isinstance(wanted, SeparateCodecs):
        return replace(codec, source=_sized(codec.source, wanted.source), target=_sized(codec.target, wanted.target))
    return codec


def _sized(codec: TextCodecConfig, wanted: TextCodecConfig) -> TextCodecConfig:
    if isinstance(codec, WordsConfig) and isinstance(wanted, WordsConfig):
        return replace(codec, vocab_size=wanted.vocab_size, min_count=wanted.min_count)
    if isinstance(codec, CharactersConfig) and isinstance(wanted, CharactersConfig):
        return replace(codec, min_count=wanted.min_count)
    if isinstance(codec, SubwordsConfig) and isinstance(wanted, SubwordsConfig):
        return replace(codec, character_coverage=wanted.character_coverage)
    return codec


def _at(model: object, path: str) -> object:
    return _below(to_plain(model), path)


def _below(plain: object, path: str) -> object:
    value: Any = plain
    for name in path.split(".")[2:]:
        value = value.get(name) if isinstance(value, dict) else None
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else value


def _sides(pair: Pair) -> tuple[str, str]:
    return pair.source, pair.target or ""


def _extended(codec: TextCodec, config: TextCodecConfig, texts: Callable[[], Iterable[str]]) -> TextCodec:
    return codec.extended(config, texts())


def _same_symbols(earlier: TextCodec, now: TextCodec) -> list[tuple[int, int]]:
    """The ids, in both vocabularies, of what both have."""
    ids = {symbol: id for id, symbol in enumerate(earlier.symbols())}
    return [(ids[symbol], id) for id, symbol in enumerate(now.symbols()) if symbol in ids]


def _copy(tensor: Tensor, earlier: Tensor, rows: list[tuple[int, int]] | None) -> None:
    if rows is None:
        tensor.copy_(earlier)
        return
    theirs, ours = (torch.tensor(ids, dtype=torch.long) for ids in zip(*rows, strict=True))
    tensor[ours] = earlier[theirs]
