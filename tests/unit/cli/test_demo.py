"""`seqlens demo`: its names."""

from seqlens.workflows.demo import demo_names
from tests.unit.cli.conftest import Invoke


def test_help_lists_the_demos_and_a_misspelt_one_is_told(invoke: Invoke) -> None:
    shown = " ".join(invoke("demo", "--help").output.split())
    for name in demo_names():
        assert name in shown
    result = invoke("demo", "mood")
    assert result.exit_code == 2
    assert "There is no demo 'mood', expected one of dates, moods, people, genes, names." in result.stderr
    assert "Did you mean 'moods'?" in result.stderr
