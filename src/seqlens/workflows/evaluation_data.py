"""The data that a run is scored on: its own, or others that are read as its own were; and the command for it."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from seqlens.config import Overrides, apply_overrides, parse_config, to_plain
from seqlens.data.catalogue import catalogue_names, read_card
from seqlens.data.codecs.marks import chosen_tags, tag_name, with_tag
from seqlens.data.corpus import Corpus, PairsData, open_corpus
from seqlens.data.documents import is_blank
from seqlens.data.examples import Pair
from seqlens.data.mixture import MixtureCorpus, MixtureData, PartCorpus
from seqlens.data.pairs import card_direction
from seqlens.errors import RequestError
from seqlens.inference.predictor import Predictor
from seqlens.workflows.open_data import open_recipe_pairs
from seqlens.workflows.run_recipe import read_run_recipe

DataT = TypeVar("DataT")
_PLACES = ("path", "train", "validation", "test", "kind")


def run_corpus(predictor: Predictor) -> Corpus:
    """The run's own data. RequestError where they are not there any more."""
    config = read_run_recipe(predictor.path)
    return open_recipe_pairs(config, base=predictor.path)


def changed_data(own: DataT, settings: Overrides) -> DataT:
    """The run's own data as others are read: with these settings instead. RequestError where one is wrong."""
    for item in as_items(settings):
        if item.partition("=")[0].strip() in _PLACES:
            raise RequestError(f"'data.{item}' is set, but where the data are is what 'data' itself says.")
    tree = apply_overrides({"data": to_plain(own)}, [f"data.{item}" for item in as_items(settings)])
    return parse_config(type(own), tree["data"], where="--set data") if settings else own


def as_items(settings: Overrides) -> list[str]:
    """Settings as they are typed, `name=value`."""
    if isinstance(settings, Mapping):
        return [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    return list(settings)


def refuse_settings(settings: Overrides) -> None:
    """RequestError where there are settings of other data, though there are no other data."""
    if settings:
        raise RequestError(
            f"'data.{as_items(settings)[0]}' is set, but the run's own data are read as in training; it is for others, "
            "given by 'data'."
        )


def check_split_of_file(path: Path, split: str) -> None:
    """RequestError where another split of a file is wanted than the one it is."""
    if split != "test":
        raise RequestError(f"The split is '{split}', but the file {path} is all one, expected 'test'.")


def open_evaluated(
    predictor: Predictor,
    split: str,
    data: str | Path | None,
    tag: str | None = None,
    settings: Overrides = (),
) -> tuple[Corpus, str]:
    """The corpus to score on and the split of it: the run's own, or `data` instead, its sources behind `tag`.

    Other data are read as the run's own were but for `settings`: the same columns, keys, languages and sentences of
    context. For a run of a mixture they are those of the part with this tag.

    Raises:
        RequestError: there is no such data, split, tag or setting; or the run's inputs begin with a tag, and none is
            given.
    """
    if data is None:
        refuse_settings(settings)
        if tag is not None:
            raise RequestError(f"'tag' is '{tag}', but the run's own data have their tags; it is for other data.")
        corpus = run_corpus(predictor)
    else:
        own = changed_data(_own_pairs(predictor, tag), settings)
        if (path := Path(data)).is_file():
            check_split_of_file(path, split)
            own = replace(own, path=None, train=None, validation=None, test=str(path.resolve()))
        else:
            own = replace(own, path=str(data), train=None, validation=None, test=None)
        corpus = open_corpus(own, base=Path(), require_train=False)
        corpus = corpus if tag is None else _tagged(corpus, tag_name(tag))
    if split not in corpus.splits:
        corpus.read(split)
    return corpus, split


def read_without_blanks(corpus: Corpus, split: str) -> tuple[list[Pair], int]:
    """The pairs of a split, and how many besides are empty on both sides: no sentences, but the ends of documents."""
    pairs = list(corpus.read(split))
    kept = [pair for pair in pairs if not is_blank(pair)]
    return kept, len(pairs) - len(kept)


def evaluation_command(
    run: Path,
    split: str,
    data: str | Path | None,
    *,
    tag: str | None = None,
    data_settings: Overrides = (),
    decoding: Mapping[str, object] | None = None,
    analyse: bool = False,
) -> str:
    """What a person types for this evaluation."""
    settings = [f"data.{item}" for item in as_items(data_settings)]
    settings += [f"{name}={'null' if setting is None else setting}" for name, setting in (decoding or {}).items()]
    options = typed_options({"--split": split, "--data": data, "--tag": tag}, settings)
    return shlex.join(["seqlens", "evaluate", str(run), *options, *["--analyse"] * analyse])


def typed_options(options: Mapping[str, object], settings: Iterable[str]) -> list[str]:
    """The words of those options of a command that are not None, and of its `--set`s."""
    words = [word for option, value in options.items() if value is not None for word in (option, str(value))]
    return words + [word for item in settings for word in ("--set", item)]


def _own_pairs(predictor: Predictor, tag: str | None) -> PairsData:
    """How the run's own pairs are read, or those of a mixture's part."""
    if tag is not None:
        with_tag((), tag, predictor.tags)  # refuses one that the run does not have
    own = read_run_recipe(predictor.path).pair_data
    facts = predictor.record.get("data", {})
    if isinstance(own, MixtureData):
        facts = {}  # of all its parts together
        wanted = None if tag is None else tag_name(tag)
        found = [part.data for part in own.parts if part.tag_name == wanted]
        if not found:
            raise RequestError(
                f"{predictor.path} was trained on inputs that begin with a tag, so other data need one: give `--tag`, "
                f"one of {', '.join(chosen_tags(predictor.tags))}."
            )
        own = found[0]
    if isinstance(own, PairsData):
        if own.path in catalogue_names():  # which has languages to choose by itself
            source, target = card_direction(read_card(own.path), own)
            return replace(own, source=source, target=target)
        return own
    return PairsData(source=facts.get("source"), target=facts.get("target"), context=getattr(own, "context", None))


def _tagged(corpus: Corpus, tag: str) -> MixtureCorpus:
    part = PartCorpus(corpus.name, corpus, 1.0, tag, train_only=False)
    members: dict[str, tuple[tuple[PartCorpus, str], ...]] = {split: ((part, split),) for split in corpus.splits}
    return MixtureCorpus(corpus.name, corpus.source_name, corpus.target_name, (part,), members)
