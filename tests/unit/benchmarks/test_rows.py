"""Files of results: every row is whole, none is lost, none comes twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.provenance import REPOSITORY
from benchmarks.rows import append_row, read_rows
from benchmarks.speed.process import child_environment
from seqlens.errors import WorkError


def test_rows_come_back_in_order_with_every_script(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    rows = [{"text": "한국어 | \u2028 é"}, {"value": 0.1, "list": [1, None]}]
    for row in rows:
        assert append_row(path, row)
    assert read_rows(path) == rows
    assert path.read_text(encoding="utf-8").count("\n") == 2


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "rows.jsonl") == []


def test_a_row_is_not_added_where_it_must_not_be(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_row(path, {"seed": 1})
    assert not append_row(path, {"seed": 2}, unless=lambda rows: rows == [{"seed": 1}])
    assert append_row(path, {"seed": 2}, unless=lambda rows: rows == [])
    assert read_rows(path) == [{"seed": 1}, {"seed": 2}]


def test_a_last_line_without_its_end_does_not_swallow_the_next_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"seed": 1}', encoding="utf-8")
    append_row(path, {"seed": 2})
    assert read_rows(path) == [{"seed": 1}, {"seed": 2}]


@pytest.mark.parametrize("line", ['{"seed": ', "[1]"])
def test_a_damaged_line_is_named_and_nothing_is_added(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"seed": 1}}\n{line}\n', encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(WorkError, match=r"rows\.jsonl line 2"):
        append_row(path, {"seed": 2})
    assert path.read_bytes() == before


def test_a_number_that_json_does_not_know_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(ValueError, match="JSON"):
        append_row(path, {"value": float("nan")})
    assert not path.exists()


def test_processes_that_add_rows_at_a_time_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    program = (
        "import sys; from pathlib import Path; from benchmarks.rows import append_row\n"
        "for number in range(15): append_row(Path(sys.argv[1]), {'from': sys.argv[2], 'number': number})"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(path), name], cwd=REPOSITORY, env=child_environment())
        for name in ("one", "other", "third")
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    found = {(row["from"], row["number"]) for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    assert found == {(name, number) for name in ("one", "other", "third") for number in range(15)}
