"""What is told of settings is what the dataclasses say."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field
from typer.testing import CliRunner

from seqlens.cli.main import build_app
from seqlens.config.describe import Setting, describe, find_blocks
from seqlens.errors import RequestError
from seqlens.training.run_config import RunConfig


@dataclass(frozen=True, slots=True)
class Round:
    """A circle."""

    kind: Literal["round"] = "round"
    radius: Annotated[float, Field(gt=0, le=2)] = 1.0
    """In metres."""


@dataclass(frozen=True, slots=True)
class Square:
    """Four sides.

    All of one length.
    """

    kind: Literal["square"] = "square"
    side: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing of `shapes`."""

    name: str
    shape: Annotated[Round | Square, Field(discriminator="kind")] = field(default_factory=Square)
    others: tuple[Round, ...] = ()
    colours: tuple[Literal["red", "blue"], ...] = ("red",)
    """Of the paint,
    the first below."""
    sizes: dict[str, int] = field(default_factory=dict)


def test_values_defaults_and_meanings() -> None:
    drawing, circle, square = describe(Drawing)
    assert (drawing.path, drawing.title, drawing.meaning) == ("", "a recipe", "A drawing of `shapes`.")
    assert drawing.settings == (
        Setting("name", "text", "must be given", ""),
        Setting("shape", "a mapping of kind round, square", "kind square", ""),
        Setting("others", "a list: a mapping of kind round", "[]", ""),
        Setting("colours", "a list: one of 'red', 'blue'", "['red']", "Of the paint, the first below."),
        Setting("sizes", "a mapping", "{}", ""),
    )
    assert (circle.path, circle.also, circle.title) == ("shape", ("others",), "shape, kind round")
    assert circle.settings == (Setting("radius", "a number > 0, ≤ 2", "1.0", "In metres."),)
    assert square.meaning == "Four sides.\n\nAll of one length."
    assert square.settings == (Setting("side", "a whole number ≥ 1 or null", "null", ""),)


def test_blocks_and_single_settings_are_found() -> None:
    blocks = describe(Drawing)
    assert [block.kind for block in find_blocks(blocks, "shape")] == ["round", "square"]
    assert [block.kind for block in find_blocks(blocks, "others")] == ["round"]
    assert [block.kind for block in find_blocks(blocks, "shape.kind")] == ["round", "square"]
    with pytest.raises(RequestError, match=r"There is no setting 'others\.radius\.kind'"):
        find_blocks(blocks, "others.radius.kind")
    (only,) = find_blocks(blocks, "others.radius")
    assert [one.name for one in only.settings] == ["radius"]
    with pytest.raises(RequestError, match=r"There is no setting 'shape\.raduis'\. Did you mean 'shape\.radius'\?"):
        find_blocks(blocks, "shape.raduis")


def test_a_setting_that_is_a_text_or_a_block_is_told_of_as_both() -> None:
    found = find_blocks(describe(RunConfig), "data.path")
    assert {block.kind for block in found} >= {"pairs", "labelled", "dna", "spans", "text", None}
    assert [[one.name for one in block.settings] for block in found if block.kind == "labelled"] == [["path"]]
    assert [block.path for block in find_blocks(describe(RunConfig), "data.context")] == ["data.context"]


def test_every_block_of_a_recipe_says_what_it_is() -> None:
    blocks = describe(RunConfig)
    assert {"data", "task", "task.model.encoder", "training.schedule", "batches"} <= {block.path for block in blocks}
    assert [block.title for block in blocks if not block.meaning] == []
    titles = [block.title for block in blocks]
    assert len(set(titles)) == len(titles)


def test_the_page_is_what_the_command_prints() -> None:
    page = Path(__file__).parents[3] / "docs" / "settings.md"
    printed = CliRunner().invoke(build_app(), ["settings", "--markdown"]).stdout
    assert page.read_text(encoding="utf-8") == printed, "run `make docs`"


def test_the_command_tells_one_setting() -> None:
    found = CliRunner().invoke(build_app(), ["settings", "training.average_last"])
    assert found.exit_code == 0
    assert "average_last: a whole number ≥ 0; default 0\n        The final weights are the mean of" in found.stdout
    wrong = CliRunner().invoke(build_app(), ["settings", "training.average_lats"])
    assert wrong.exit_code == 2
    assert "Did you mean 'training.average_last'?" in wrong.output
