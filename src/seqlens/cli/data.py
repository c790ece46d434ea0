"""`seqlens data`: what there is, fetch it, look at it, check it."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqlens.cli.guard import guarded
from seqlens.cli.printing import note, print_lines, print_table
from seqlens.data.catalogue import Card, catalogue_names, read_card
from seqlens.errors import RequestError
from seqlens.report import Table

if TYPE_CHECKING:
    from seqlens.data.example_cards import ExampleCard

_LIST_EXAMPLES = """Examples:

\b
  seqlens data list
"""
_FETCH_EXAMPLES = """Examples:

\b
  seqlens data fetch multi30k
  SEQLENS_MIRROR=/mnt/mirror seqlens data fetch multi30k
"""
_SHOW_EXAMPLES = """Examples:

\b
  seqlens data show multi30k
  seqlens data show my-corpus --source de --target en --recipe translation/gru-attention
  seqlens data show my-pairs.tsv --set source_column=1 --set target_column=2
  seqlens data show dates/smoke --split validation
  seqlens data show sentiment/moods-gru
  seqlens data show my-texts.tsv --kind classify --set label_column=2
"""
_CHECK_EXAMPLES = """Examples:

\b
  seqlens data check my-corpus --kind transduce
  seqlens data check my-corpus --source de --target en --json | jq .findings
  seqlens data check my-pairs.tsv --set source_column=1 --set target_column=2
  seqlens data check my-texts.csv --kind classify --set text_column=review --set label_column=stars
  seqlens data check my-recipe.yaml
"""


KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="The task that a file or folder is for: transduce (the default), classify, tag, mark or generate.",
        show_default=False,
    ),
]
DataSettingOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting of the data, as below `data` in a recipe (text_column=1); may be given again.",
        show_default=False,
    ),
]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="LANGUAGE", help="The source's ending.", show_default=False)
]
TargetOption = Annotated[
    str | None, typer.Option("--target", metavar="LANGUAGE", help="The target's ending.", show_default=False)
]


def build_app() -> typer.Typer:
    """The commands below `seqlens data`."""
    app = typer.Typer(help="List, fetch, show and check data.", no_args_is_help=True, rich_markup_mode=None)
    app.command("list", short_help="The catalogue.", epilog=_LIST_EXAMPLES)(list_data)
    app.command("fetch", short_help="Download and verify a data set.", epilog=_FETCH_EXAMPLES)(fetch_data)
    app.command("show", short_help="One batch as a model gets it.", epilog=_SHOW_EXAMPLES)(show_data)
    app.command("check", short_help="What is wrong with data.", epilog=_CHECK_EXAMPLES)(check_data)
    return app


@guarded
def list_data() -> None:
    """List the data sets that a recipe can name, with their licences, and whether they are on this machine."""
    from seqlens.data.data_config import TASK_OF_DATA
    from seqlens.data.date_patterns import LOCALES
    from seqlens.data.example_cards import example_card_names, read_example_card
    from seqlens.workflows.example_data import GENERATED

    cards = [read_card(name) for name in catalogue_names()]
    rows: list[tuple[str, ...]] = [
        (card.name, card.task, " ".join(card.languages), _num_pairs(card), _whereabouts(card), card.licence)
        for card in cards
    ]
    locales = f"{len(LOCALES)} locales"
    rows.append(
        ("dates", "transduce", locales, "any", "generated", "Made from the patterns of CLDR (Unicode License).")
    )
    rows.append(("pronouns", "transduce", "en fr", "any", "generated", "Made from templates of seqlens."))
    rows += [
        (card.name, card.task, "", f"{card.splits[0].num_examples:,}", _whereabouts(card), card.licence)
        for card in map(read_example_card, example_card_names())
    ]
    rows += [(name, TASK_OF_DATA[name], "", "any", "generated", "Made by seqlens.") for name in GENERATED]
    print_table(Table("", ("name", "task", "languages", "for training", "here", "licence"), rows))


def _num_pairs(card: Card) -> str:
    return f"{next(split.num_pairs for split in card.splits if split.name == 'train'):,}"


def _whereabouts(card: "Card | ExampleCard") -> str:
    from seqlens.data.download import cache_folder

    mirror = os.environ.get("SEQLENS_MIRROR")
    folder = Path(mirror) / card.mirror if mirror else cache_folder() / card.name
    there = sum((folder / file.name).is_file() for file in card.files)
    if there == len(card.files):
        return "in the mirror" if mirror else "yes"
    return f"{there} of {len(card.files)} files" if there else "no"


@guarded
def fetch_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="See `seqlens data list`.", show_default=False)],
) -> None:
    """Download a data set, or find it in the mirror, check every file, and print the folder that holds it."""
    from seqlens.data.download import fetch
    from seqlens.workflows.example_data import GENERATED

    if name in ("dates", "pronouns", *GENERATED):
        note(f"The {name} are generated where they are needed; there is nothing to fetch.")
        return
    print_lines([str(fetch(name, announce=note))])


@guarded
def show_data(
    name_or_path: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_PATH", help="A data set, a recipe, a folder, a .tsv or .jsonl file.", show_default=False
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="RECIPE", help="Show the tokens of this recipe's codec.", show_default=False),
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="A split of the data.")] = "train",
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="Pairs or examples in the batch.")] = 4,
    kind: KindOption = None,
    settings: DataSettingOption = [],  # noqa: B006 - typer copies it
    source: SourceOption = None,
    target: TargetOption = None,
) -> None:
    """Print one batch as a model gets it: tokens, ids, unknown tokens, ends, padding, mask, what is to be answered."""
    from seqlens.cli.batches import batch_lines, example_lines
    from seqlens.workflows.example_data import find_example_data
    from seqlens.workflows.show import show_batch
    from seqlens.workflows.show_examples import show_examples

    data = find_example_data(name_or_path, kind=kind, settings=settings)
    if data is not None:
        _refuse_languages(data.task, source, target)
        shown = show_examples(data, recipe=recipe, split=split, count=count, announce=note)
        print_lines(example_lines(shown))
        return
    batch = show_batch(
        name_or_path,
        recipe=recipe,
        split=split,
        count=count,
        settings=settings,
        source=source,
        target=target,
        announce=note,
    )
    print_lines(batch_lines(batch))


def _refuse_languages(task: str, source: str | None, target: str | None) -> None:
    for option, language in (("--source", source), ("--target", target)):
        if language is not None:
            raise RequestError(f"{option} is '{language}', but these data are for the task '{task}'.")


@guarded
def check_data(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A folder, a file, a name of the catalogue, or a recipe.", show_default=False
        ),
    ],
    kind: KindOption = None,
    settings: DataSettingOption = [],  # noqa: B006 - typer copies it
    source: SourceOption = None,
    target: TargetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.", show_default=False)] = False,
) -> None:
    """Report what is wrong with data before a model is trained on them: counts, first places, advice.

    The exit code is 1 where there is an error: something that stops training, or makes its scores mean nothing.
    """
    from seqlens.cli.findings import plain_audit, print_audit, print_example_audit
    from seqlens.data.audit import CorpusAudit, audit
    from seqlens.data.corpus import open_corpus
    from seqlens.data.example_audit import ExampleAudit, audit_examples
    from seqlens.data.open_examples import open_examples
    from seqlens.workflows.example_data import find_example_data
    from seqlens.workflows.show import pair_data_config

    found: CorpusAudit | ExampleAudit
    data = find_example_data(path, kind=kind, settings=settings)
    if data is not None:
        _refuse_languages(data.task, source, target)
        own_train_labels = bool(getattr(data.config, "train_labels", None))
        corpus = open_examples(data.config, base=Path(), announce=note)
        found = audit_examples(corpus, task=data.task, own_train_labels=own_train_labels)
    else:
        config = pair_data_config(path, settings, source=source, target=target)
        found = audit(open_corpus(config, base=Path(), require_train=False, announce=note))
    if as_json:
        print_lines([json.dumps(plain_audit(found), ensure_ascii=False, indent=2)])
    elif isinstance(found, ExampleAudit):
        print_example_audit(found)
    else:
        print_audit(found)
    if found.severity == "error":
        raise typer.Exit(1)
