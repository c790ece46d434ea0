"""From the `data` of a recipe to a corpus of examples."""

from pathlib import Path
from typing import Any

from seqlens.data.data_config import ExampleDataConfig
from seqlens.data.dna.corpus import DnaData, open_dna
from seqlens.data.dna.genes import GenesData, open_genes
from seqlens.data.dna.windows_corpus import DnaWindowsData, open_windows
from seqlens.data.download import Announce
from seqlens.data.example_corpus import ExampleCorpus
from seqlens.data.labelled.corpus import LabelledData, open_labelled
from seqlens.data.language.corpus import TextData, open_text
from seqlens.data.language.names import NamesData, open_names
from seqlens.data.language.prose import ProseData, open_prose
from seqlens.data.moods import MoodsData, open_moods
from seqlens.data.tagged.corpus import SpansData, open_spans
from seqlens.data.tagged.people import PeopleData, open_people


def open_examples(config: ExampleDataConfig, *, base: Path, announce: Announce | None = None) -> ExampleCorpus[Any]:
    """Opens a corpus; relative paths are taken from `base`. Files of the catalogue are fetched if they are not there.

    Raises:
        RequestError: a path or a choice of files does not fit. WorkError: a download failed.
    """
    match config:
        case LabelledData():
            return open_labelled(config, base=base, announce=announce)
        case MoodsData():
            return open_moods(config)
        case TextData():
            return open_text(config, base=base)
        case NamesData():
            return open_names(config)
        case ProseData():
            return open_prose(config)
        case DnaWindowsData():
            return open_windows(config, base=base, announce=announce)
        case DnaData():
            return open_dna(config, base=base, announce=announce)
        case GenesData():
            return open_genes(config)
        case SpansData():
            return open_spans(config, base=base, announce=announce)
        case PeopleData():
            return open_people(config)
