"""One batch as a person needs to see it: texts, tokens, ids, unknown ones, ends, padding, mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from seqlens.config import apply_overrides, load_config, parse_config, to_plain
from seqlens.data.batch import pad
from seqlens.data.catalogue import catalogue_names
from seqlens.data.corpus import Corpus, DataConfig, PairsData, PronounsData, open_corpus
from seqlens.data.dates import DatesData
from seqlens.data.documents import ContextConfig
from seqlens.data.example_cards import example_card_names
from seqlens.data.text import END_ID, UNKNOWN_ID, CharactersConfig, TextCodec, WordsConfig
from seqlens.errors import RequestError, did_you_mean_data
from seqlens.tasks.build import Task, fit_task
from seqlens.tasks.transduce.config import SeparateCodecs, TransduceConfig
from seqlens.training.run_config import RunConfig
from seqlens.workflows.example_data import GENERATED
from seqlens.workflows.preparation import Announce
from seqlens.workflows.recipe_config import resolve_recipe
from seqlens.workflows.recipes import find_recipe, is_recipe, list_recipes

FITTED_ON = 3000
"""Pairs of a data set that the codec of a quick look is fitted on."""


@dataclass(frozen=True, slots=True)
class ShownSide:
    """One side of a pair in its batch: tokens and ids with `<end>` and padding, and the mask over them."""

    name: str
    text: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    mask: tuple[bool, ...]

    @property
    def num_unknown(self) -> int:
        return self.ids.count(UNKNOWN_ID)


@dataclass(frozen=True, slots=True)
class ShownBatch:
    """The first pairs of a split as one batch."""

    corpus: str
    split: str
    codec: str
    pairs: tuple[tuple[ShownSide, ShownSide], ...]


def show_batch(
    name_or_path: str,
    *,
    recipe: str | None = None,
    split: str = "train",
    count: int = 4,
    settings: Sequence[str] = (),
    source: str | None = None,
    target: str | None = None,
    announce: Announce | None = None,
) -> ShownBatch:
    """Makes a batch of the first `count` pairs of a split.

    Args:
        name_or_path: a recipe (its data, and its codec), or data: a name of the catalogue, `dates`, a folder, a file.
        recipe: the recipe whose codec is fitted on these data. Without one, data have a codec of words that were seen
            at least twice in the first pairs of train (dates: of characters).
        settings: of the data, such as `source_column=1`; `source` and `target` are the languages of a folder.
        announce: told of downloads, and of what takes its time.

    Raises:
        RequestError: there is no such recipe, data, split or setting.
    """
    announce = announce or (lambda text: None)
    if recipe is None and is_recipe(name_or_path):
        recipe = name_or_path
    config = pair_data_config(name_or_path, settings, source=source, target=target)
    corpus = open_corpus(config, base=Path(), announce=announce)
    pairs = list(islice(corpus.read(split), count))
    if not pairs:
        raise RequestError(f"{corpus.name} has no pairs in its split '{split}'.")
    task, codec = _fit(corpus, recipe, announce)
    sources = _sides(corpus.source_name, task.source_codec, [pair.source for pair in pairs])
    targets = _sides(corpus.target_name, task.target_codec, [pair.target or "" for pair in pairs])
    return ShownBatch(corpus.name, split, codec, tuple(zip(sources, targets, strict=True)))


def pair_data_config(
    name_or_path: str, settings: Sequence[str] = (), *, source: str | None = None, target: str | None = None
) -> DataConfig:
    """The pairs of a recipe, or those of that name or path, with these settings and languages.

    Raises:
        RequestError: there is neither a recipe nor a data set of that name nor such a path; a setting is wrong; or
            languages are named for a recipe.
    """
    if is_recipe(name_or_path):
        if source is not None or target is not None:
            raise RequestError(f"{name_or_path} is a recipe, which names its languages; leave --source and --target.")
        return resolve_recipe(name_or_path, [f"data.{setting}" for setting in settings])[1].pair_data
    languages = [f"{side}={value}" for side, value in (("source", source), ("target", target)) if value is not None]
    tree = apply_overrides(to_plain(_data_config(name_or_path)), [*settings, *languages])
    return parse_config(DataConfig, tree, where="the data")


def _data_config(name_or_path: str) -> DataConfig:
    """The data of that name or path.

    Raises:
        RequestError: there is neither a data set of that name nor such a path.
    """
    if name_or_path == "dates":
        return DatesData()
    if name_or_path == "pronouns":
        return PronounsData(context=ContextConfig())
    also_valid = [known.name for known in list_recipes()]
    names = [*catalogue_names(), "dates", "pronouns", *example_card_names(), *GENERATED]
    if name_or_path not in names and not Path(name_or_path).exists():
        raise RequestError(
            f"There is no data set, folder or file '{name_or_path}', the data sets are {', '.join(names)}."
            f"{did_you_mean_data(name_or_path, [*names, *also_valid], Path(name_or_path))}"
        )
    return PairsData(path=name_or_path)


def _load(recipe: str) -> RunConfig:
    return load_config(RunConfig, find_recipe(recipe).path)


def _fit(corpus: Corpus, recipe: str | None, announce: Announce) -> tuple[Task, str]:
    """A task with its codec, and what that codec is in words."""
    if recipe is not None:
        announce(f"Fitting the codec of {recipe} on {corpus.name}.")
        return fit_task(_load(recipe).transduce, lambda: corpus.read("train")), f"the codec of the recipe {recipe}"
    text = CharactersConfig() if corpus.name == "dates" else WordsConfig(min_count=2)
    task = fit_task(
        TransduceConfig(codec=SeparateCodecs(source=text, target=text)),
        lambda: islice(corpus.read("train"), FITTED_ON),
    )
    kind = "characters" if isinstance(text, CharactersConfig) else "words seen at least twice"
    return task, f"{kind}, from the first {FITTED_ON:,} pairs of train; --recipe shows that of a recipe"


def _sides(name: str, codec: TextCodec, texts: list[str]) -> list[ShownSide]:
    padded = pad([[*ids, END_ID] for ids in codec.encode_batch(texts)])
    rows = zip(texts, padded.ids.tolist(), padded.mask().tolist(), strict=True)
    return [
        ShownSide(name, text, tuple(codec.token(token) for token in ids), tuple(ids), tuple(mask))
        for text, ids, mask in rows
    ]
