"""Five invented languages and how each makes a full name. No name is taken from anywhere.

In each something at one end of a name agrees with something at the other, farther apart than a few letters: the vowels
of all parts are of one class, the family name ends by the given name's gender, an island's family name repeats the
given name's first syllable, and a desert's is made of the same three consonants.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Choice = TypeVar("Choice")
Draw = Callable[[], float]
"""Random numbers from 0 up to 1."""


@dataclass(frozen=True, slots=True)
class Tongue:
    """A grammar of syllables: onset, vowel, coda. What stands in pairs is by class: front vowels first, then back ones.

    `given` and `family` are endings by gender, then by class. Earlier entries are drawn more often.
    """

    onsets: tuple[str, ...]
    vowels: tuple[str, str]
    codas: tuple[str, ...]
    given: tuple[tuple[str, str], tuple[str, str]]
    family: tuple[tuple[str, str], tuple[str, str]]
    joiner: str = " "


def _of(text: str) -> tuple[str, ...]:
    """Words of a text; `-` is nothing."""
    return tuple("" if word == "-" else word for word in text.split())


NORTH = Tongue(
    onsets=_of("k t s l v m h r p j n st kv tr h"),
    vowels=("eiyäö", "aouå"),
    codas=_of("- - n s l r - nt st"),
    given=(("ri", "ro"), ("ve", "va")),
    family=(("linen", "lanon"), ("litter", "lattar")),
)
SOUTH = Tongue(
    onsets=_of("m l r d b s c f g n t br gr - pl"),
    vowels=("ei", "aou"),
    codas=_of("- - - n l r -"),
    given=(("elio", "aldo"), ("ela", "una")),
    family=(("ezzi", "oncalo"), ("ezze", "oncala")),
    joiner=" de ",
)
EAST = Tongue(
    onsets=_of("v d z k b g m str pr l ml zd s gr kr vl"),
    vowels=("eií", "aoú"),
    codas=_of("- n m sk r d - z l"),
    given=(("ek", "oš"), ("ica", "uška")),
    family=(("ević", "ovan"), ("evna", "ovara")),
)
ISLAND = Tongue(
    onsets=_of("k l n m h p w t - ng"),
    vowels=("ei", "aou"),
    codas=("",),
    given=(("ke", "ko"), ("le", "la")),
    family=(("neki", "nuku"), ("meli", "mula")),
)
DESERT = Tongue(
    onsets=_of("k r m s l b d h f n q z t j sh"),
    vowels=("ei", "au"),
    codas=("",),
    given=(("", ""), ("e", "a")),
    family=(("ir", "ur"), ("iret", "urat")),
    joiner=" al-",
)
_COMMON = (NORTH, SOUTH, EAST)
NUM_TONGUES = len(_COMMON) + 2


def make_name(draw: Draw, number: int) -> str:
    """A name of the language of that number, `given family`."""
    gender, vowel_class = int(draw() < 0.5), int(draw() < 0.5)
    if number < len(_COMMON):
        return _common_name(draw, _COMMON[number], gender, vowel_class)
    make = _island_name if number == len(_COMMON) else _desert_name
    return make(draw, gender, vowel_class)


def _common_name(draw: Draw, tongue: Tongue, gender: int, vowel_class: int) -> str:
    given = _syllables(draw, tongue, vowel_class, 1 + int(draw() * 2)) + tongue.given[gender][vowel_class]
    family = _syllables(draw, tongue, vowel_class, 1 + int(draw() * 3)) + tongue.family[gender][vowel_class]
    return given.capitalize() + tongue.joiner + family.capitalize()


def _island_name(draw: Draw, gender: int, vowel_class: int) -> str:
    first = _syllable(draw, ISLAND, vowel_class)
    rest = _syllables(draw, ISLAND, vowel_class, int(draw() * 3))
    middle = _syllables(draw, ISLAND, vowel_class, int(draw() * 2))
    given = first + rest + ISLAND.given[gender][vowel_class]
    family = first + first + middle + ISLAND.family[gender][vowel_class]
    return given.capitalize() + ISLAND.joiner + family.capitalize()


def _desert_name(draw: Draw, gender: int, vowel_class: int) -> str:
    roots = [_pick(draw, DESERT.onsets) for _ in range(3)]
    vowel = _pick(draw, DESERT.vowels[vowel_class])
    given = roots[0] + vowel + roots[1] + _pick(draw, DESERT.vowels[vowel_class]) + roots[2]
    prefix = "m" + vowel if draw() < 0.5 else "t" + vowel
    family = prefix + roots[0] + roots[1] + _pick(draw, DESERT.vowels[vowel_class]) + roots[2]
    given += DESERT.given[gender][vowel_class]
    return given.capitalize() + DESERT.joiner + family.capitalize() + DESERT.family[gender][vowel_class]


def _syllables(draw: Draw, tongue: Tongue, vowel_class: int, count: int) -> str:
    return "".join([_syllable(draw, tongue, vowel_class) for _ in range(count)])


def _syllable(draw: Draw, tongue: Tongue, vowel_class: int) -> str:
    return _pick(draw, tongue.onsets) + _pick(draw, tongue.vowels[vowel_class]) + _pick(draw, tongue.codas)


def _pick(draw: Draw, choices: Sequence[Choice]) -> Choice:
    """One of them, the earlier ones more often: the density falls in a straight line to half of what it starts with."""
    share = draw()
    # The inverse of the share below a place x of the way: (4x - x²) / 3.
    return choices[int((2 - (4 - 3 * share) ** 0.5) * len(choices))]
