"""A grammar of short stories in English, written for this project; no sentence is taken from anywhere.

What a story says early binds what it says later, often hundreds of characters on: who it is about, and whether that is
`he` or `she`; what is carried and where to; whether the subject before a long clause was one or many.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Choice = TypeVar("Choice")
Draw = Callable[[], float]
"""Random numbers from 0 up to 1."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MEN = _words("Aldo Bram Corin Daven Edrik Fenn Garo Harl Ivo Jorin Kellan Lorn")
WOMEN = _words("Asta Brenna Cilla Dora Elsin Frea Gilda Hanne Isolde Jutta Katla Lisbet")
TRADES = _words("baker weaver miller sailor potter carpenter shepherd glazier tailor fisher cooper painter")
_TOWNS = _words("Harrowmere Stonebeck Ellinford Wickmere Tarn Oakhaven Brightwater Fallow Cross Merrowdale Northgate")
_THINGS = _words("lantern letter kettle ladder basket trumpet ribbon saddle mirror compass hammer blanket")
_KINDS = _words("rusty heavy broken painted silver borrowed narrow wooden green useless")
_PLACES = _words("market mill harbour chapel bridge orchard tower ferry quarry inn")
_WEATHER = _words("rain wind fog snow thunder frost")
_MANY = _words("neighbours merchants children soldiers strangers sisters farmers pilgrims")
_ONE = _words("neighbour merchant child soldier stranger widow farmer pilgrim")
_MOODS = _words("tired cheerful silent angry hungry proud worried content")
_DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a story; `gender` is 0 for `he`, 1 for `she`."""

    name: str
    gender: int
    trade: str

    @property
    def he(self) -> str:
        return ("he", "she")[self.gender]

    @property
    def him(self) -> str:
        return ("him", "her")[self.gender]

    @property
    def his(self) -> str:
        return ("his", "her")[self.gender]


@dataclass(frozen=True, slots=True)
class Story:
    """What a story is bound to from its first sentence on."""

    hero: Person
    friend: Person
    thing: str
    kind: str
    town: str
    place: str


def draw_story(draw: Draw, hero: Person) -> Story:
    """What happens to a hero."""
    gender = int(draw() < 0.5)
    names = [name for name in (MEN, WOMEN)[gender] if name != hero.name]
    friend = Person(pick(draw, names), gender, pick(draw, TRADES))
    return Story(hero, friend, pick(draw, _THINGS), pick(draw, _KINDS), pick(draw, _TOWNS), pick(draw, _PLACES))


def tell(draw: Draw, story: Story) -> str:
    """The text of a story: three paragraphs, a line each, and an empty line."""
    hero, friend = story.hero, story.friend
    opening = [
        f"{hero.name} was a {hero.trade} in {story.town}, and {hero.his} house stood near the {story.place}.",
        f"On {pick(draw, _DAYS)} {hero.he} found a {story.kind} {story.thing} {_where(draw)}.",
    ]
    middle = [_sentence(draw, story) for _ in range(2 + int(draw() * 4))]
    meeting = f"At the {story.place} {hero.he} met {friend.name} the {friend.trade}, who {_habit(draw)}."
    talk = [_speech(draw, story) for _ in range(1 + int(draw() * 3))]
    closing = [
        f"So {hero.name} gave the {story.thing} to {friend.name}, and {friend.name} put it in {friend.his} bag.",
        f"So {hero.name} kept the {story.thing}, and {hero.he} never spoke of it to {friend.name} again.",
        f"In the end the {story.thing} stayed in {story.town}, where {hero.name} and {friend.name} sold it at the "
        f"{story.place}.",
    ]
    ending = [_sentence(draw, story) for _ in range(int(draw() * 3))]
    paragraphs = [opening + middle, [meeting, *talk], [*ending, pick(draw, closing)]]
    return "\n".join(" ".join(paragraph) for paragraph in paragraphs) + "\n\n"


def _sentence(draw: Draw, story: Story) -> str:
    hero = story.hero
    match int(draw() * 6):
        case 0:
            subject, many = _crowd(draw)
            return f"{subject} {('was', 'were')[many]} {pick(draw, _MOODS)} because of the {pick(draw, _WEATHER)}."
        case 1:
            subject, many = _crowd(draw)
            return f"{subject} {('wants', 'want')[many]} the {story.thing}, but {hero.name} {_refusal(draw)}."
        case 2:
            return f"The {story.thing}, {_aside(draw)}, was too {pick(draw, _KINDS)} for {hero.him}."
        case 3:
            weather = pick(draw, _WEATHER)
            return f"When the {weather} came over {story.town}, {hero.name} took {hero.his} {story.thing} and ran."
        case 4:
            return f"{hero.he.capitalize()} thought of the {story.place} and of {hero.his} {_kin(draw)}."
        case _:
            return f"All day {hero.name} was {pick(draw, _MOODS)}, and in the evening {hero.he} {_habit(draw)}."


def _crowd(draw: Draw) -> tuple[str, int]:
    """A subject that is one or many, with a clause about the other number between it and its verb."""
    many = int(draw() < 0.5)
    others = pick(draw, (_MANY, _ONE)[many])
    who = pick(draw, (_ONE, _MANY)[many])
    clause = pick(
        draw,
        (
            f"who had once helped the {others} of {pick(draw, _TOWNS)}",
            f"whom the {others} had seen at the {pick(draw, _PLACES)}",
            f"near the {others} with the {pick(draw, _KINDS)} {pick(draw, _THINGS)}",
        ),
    )
    return f"The {who} {clause}", many


def _speech(draw: Draw, story: Story) -> str:
    one, other = (story.hero, story.friend) if draw() < 0.5 else (story.friend, story.hero)
    said = pick(
        draw,
        (
            f"Is that {story.thing} from {story.town}?",
            f"You are a {other.trade}, {other.name}, and I am a {one.trade}.",
            f"Take the {story.kind} {story.thing} to the {story.place}!",
            f"I would not carry a {story.thing} through the {pick(draw, _WEATHER)}, {other.name}.",
        ),
    )
    if draw() < 0.5:
        return f'"{said}" asked {one.name}.' if said.endswith("?") else f'"{said}" said {one.name} the {one.trade}.'
    return f'{one.name} turned to {other.name} and said to {other.him}: "{said}"'


def _where(draw: Draw) -> str:
    return pick(draw, ("under the stairs", "behind the door", "in the grass", "by the well", "on the road"))


def _habit(draw: Draw) -> str:
    return pick(draw, ("counted the boats", "sang to the geese", "slept by the fire", "wrote long lists", "drank tea"))


def _refusal(draw: Draw) -> str:
    return pick(draw, ("does not sell", "says nothing", "shakes no hands", "will not hear of it"))


def _aside(draw: Draw) -> str:
    return pick(draw, ("it must be said", "as everyone knew", f"like most gifts from {pick(draw, _TOWNS)}"))


def _kin(draw: Draw) -> str:
    return pick(draw, ("mother", "father", "brother", "cousin", "debts"))


def pick(draw: Draw, choices: Sequence[Choice]) -> Choice:
    """One of them, all equally often."""
    return choices[int(draw() * len(choices))]
