"""A task that needs context: English to French in documents of two sentences, generated, without a download.

    The car is old.           -> La voiture est vieille.
    I think it is beautiful.  -> Je pense qu'elle est belle.

Whether `it` is `il` or `elle`, and `they` `ils` or `elles`, is told by the noun of the sentence before alone: nouns of
both genders take the same English words. Half of the second sentences are `il` or `ils`.

**Splits.** A noun with an adjective belongs to one split for good, by the places of the two in their lists: about 80 %
of all such combinations are for training, 10 % for validation and 10 % for test. All combinations of a document are of
its split: the noun with the adjective of its own sentence, and with that of the next. Every noun and every adjective
stands in every split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import Field

from seqlens.data.documents import ContextConfig, with_context
from seqlens.data.examples import Pair

Choice = TypeVar("Choice")

PRONOUN_SPLITS = ("train", "validation", "test")


class Noun(NamedTuple):
    """English and French, singular and plural; `is_feminine` is the French gender."""

    english: tuple[str, str]
    french: tuple[str, str]
    is_feminine: bool


class Adjective(NamedTuple):
    """English, and the French forms: masculine and feminine singular, masculine and feminine plural."""

    english: str
    french: tuple[str, str, str, str]


class Form(NamedTuple):
    """A sentence in English and French, with fields for what varies."""

    english: str
    french: str


def _noun(english: str, french: str, *, feminine: bool, plural: str = "") -> Noun:
    return Noun((english, f"{english}s"), (french, plural or f"{french}s"), feminine)


def _adjective(english: str, masculine: str, feminine: str, plural: str = "") -> Adjective:
    return Adjective(english, (masculine, feminine, plural or f"{masculine}s", f"{feminine}s"))


NOUNS = (
    _noun("book", "livre", feminine=False),
    _noun("garden", "jardin", feminine=False),
    _noun("coat", "manteau", feminine=False, plural="manteaux"),
    _noun("hat", "chapeau", feminine=False, plural="chapeaux"),
    _noun("boat", "bateau", feminine=False, plural="bateaux"),
    _noun("train", "train", feminine=False),
    _noun("bag", "sac", feminine=False),
    _noun("pencil", "crayon", feminine=False),
    _noun("bridge", "pont", feminine=False),
    _noun("table", "table", feminine=True),
    _noun("car", "voiture", feminine=True),
    _noun("house", "maison", feminine=True),
    _noun("chair", "chaise", feminine=True),
    _noun("lamp", "lampe", feminine=True),
    _noun("shirt", "chemise", feminine=True),
    _noun("door", "porte", feminine=True),
    _noun("ring", "bague", feminine=True),
    _noun("key", "clé", feminine=True),
)
ADJECTIVES = (
    _adjective("old", "vieux", "vieille", "vieux"),
    _adjective("new", "neuf", "neuve"),
    _adjective("beautiful", "beau", "belle", "beaux"),
    _adjective("big", "grand", "grande"),
    _adjective("small", "petit", "petite"),
    _adjective("green", "vert", "verte"),
    _adjective("white", "blanc", "blanche"),
    _adjective("black", "noir", "noire"),
    _adjective("heavy", "lourd", "lourde"),
    _adjective("light", "léger", "légère"),
    _adjective("red", "rouge", "rouge"),
    _adjective("clean", "propre", "propre"),
    _adjective("dirty", "sale", "sale"),
    _adjective("strange", "étrange", "étrange"),
)
_FIRST = (
    Form("The {noun} {be} {adjective}.", "{the} {noun} {be} {adjective}."),
    Form("My {noun} {be} {adjective}.", "{my} {noun} {be} {adjective}."),
    Form("This {noun} was {adjective}.", "{this} {noun} était {adjective}."),
    Form("Here {be} the {noun} of my sister.", "Voici {the_inside} {noun} de ma sœur."),
)
_SECOND = (
    Form("{It} {be} {adjective}.", "{It} {be} {adjective}."),
    Form("{It} {be} very {adjective}.", "{It} {be} très {adjective}."),
    Form("I think {it} {be} {adjective}.", "Je pense qu'{it} {be} {adjective}."),
    Form("Now {it} {be} {adjective} too.", "Maintenant {it} {be} {adjective} aussi."),
)


@dataclass(frozen=True, slots=True)
class PronounsData:
    """How many documents of two sentences each split holds; without `context` sentences stand alone."""

    kind: Literal["pronouns"] = "pronouns"
    num_train: Annotated[int, Field(ge=1)] = 4_000
    num_validation: Annotated[int, Field(ge=1)] = 200
    num_test: Annotated[int, Field(ge=1)] = 500
    context: ContextConfig | None = None
    seed: Annotated[int, Field(ge=0)] = 0


def generate_pronouns(config: PronounsData, split: str) -> Iterator[Pair]:
    """Yields the pairs of a split, two a document, the same for the same config."""
    sizes = {"train": config.num_train, "validation": config.num_validation, "test": config.num_test}
    # Of random's methods only random() is promised to stay the same in later versions of Python.
    random = Random(f"seqlens.pronouns {config.seed} {split}")
    for number in range(sizes[split]):
        document = [Pair(source, target, document=str(number)) for source, target in _document(random, split)]
        yield from document if config.context is None else with_context(document, config.context.sentences)


def split_of_combination(noun: Noun, adjective: Adjective) -> str:
    """Returns the split that a noun with an adjective belongs to, whatever the seed."""
    # Diagonals of the table of all combinations: so in each row and each column every split has a part.
    bucket = (NOUNS.index(noun) * 3 + ADJECTIVES.index(adjective) * 7) % 10
    return "validation" if bucket == 0 else "test" if bucket == 1 else "train"


def _document(random: Random, split: str) -> list[tuple[str, str]]:
    noun = _draw(random, NOUNS)
    fitting = [adjective for adjective in ADJECTIVES if split_of_combination(noun, adjective) == split]
    number = int(random.random() < 0.5)  # 1 is the plural
    adjectives = (_draw(random, fitting), _draw(random, fitting))
    first, second = _draw(random, _FIRST[:2] if number else _FIRST), _draw(random, _SECOND)
    return [
        _write(first, noun, adjectives[0], number),
        _write(second, noun, adjectives[1], number),
    ]


def _write(form: Form, noun: Noun, adjective: Adjective, number: int) -> tuple[str, str]:
    feminine = int(noun.is_feminine)
    be = ("is", "are")[number]
    it = ("it", "they")[number]
    pronoun = (("il", "elle"), ("ils", "elles"))[number][feminine]
    the = ("le", "la")[feminine] if not number else "les"
    english = form.english.format(
        noun=noun.english[number], be=be, adjective=adjective.english, it=it, It=it.capitalize()
    )
    french = form.french.format(
        noun=noun.french[number],
        be=("est", "sont")[number],
        adjective=adjective.french[2 * number + feminine],
        it=pronoun,
        It=pronoun.capitalize(),
        the=the.capitalize(),
        the_inside=the,
        my=("Mon", "Ma")[feminine] if not number else "Mes",
        this=("Ce", "Cette")[feminine],
    )
    return english, french


def _draw(random: Random, choices: Sequence[Choice]) -> Choice:
    return choices[int(random.random() * len(choices))]
