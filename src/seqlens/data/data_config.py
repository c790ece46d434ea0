"""All kinds of data that a recipe can name, and which kind of task learns from which."""

from typing import Annotated

from pydantic import Field

from seqlens.data.corpus import MixtureData, PairsData, PronounsData
from seqlens.data.dates import DatesData
from seqlens.data.dna.corpus import DnaData
from seqlens.data.dna.genes import GenesData
from seqlens.data.dna.windows_corpus import DnaWindowsData
from seqlens.data.labelled.corpus import LabelledData
from seqlens.data.language.corpus import TextData
from seqlens.data.language.names import NamesData
from seqlens.data.language.prose import ProseData
from seqlens.data.moods import MoodsData
from seqlens.data.tagged.corpus import SpansData
from seqlens.data.tagged.people import PeopleData

PairDataConfig = PairsData | DatesData | PronounsData | MixtureData
ExampleDataConfig = (
    LabelledData
    | MoodsData
    | DnaWindowsData
    | DnaData
    | GenesData
    | SpansData
    | PeopleData
    | TextData
    | NamesData
    | ProseData
)
DataConfig = Annotated[PairDataConfig | ExampleDataConfig, Field(discriminator="kind")]

TASK_OF_DATA: dict[str, str] = {
    "pairs": "transduce",
    "dates": "transduce",
    "pronouns": "transduce",
    "mixture": "transduce",
    "labelled": "classify",
    "moods": "classify",
    "text": "generate",
    "names": "generate",
    "prose": "generate",
    "dna_windows": "classify",
    "dna": "mark",
    "genes": "mark",
    "spans": "tag",
    "people": "tag",
}
"""For each kind of data, the kind of task that learns from it."""


def check_task_fits(data: DataConfig, task: str) -> None:
    """Refuses a task that cannot learn from such data.

    Raises:
        ValueError: it cannot; the message names the kinds of data that fit.
    """
    if TASK_OF_DATA[data.kind] != task:
        fitting = ", ".join(f"'{kind}'" for kind, of in TASK_OF_DATA.items() if of == task)
        raise ValueError(
            f"'data.kind' is '{data.kind}', from which the task '{task}' cannot learn, expected {fitting}, "
            f"or 'task.kind: {TASK_OF_DATA[data.kind]}'"
        )
