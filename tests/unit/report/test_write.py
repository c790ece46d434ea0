import os

import pytest

from seqlens.errors import WorkError
from seqlens.report import Prose, Report, render_report, write_report

REPORT = Report("날짜", "٢٥ يونيو ٢٠٠٩", [Prose("p", "lone \ud800 surrogate")])


def test_one_file_in_utf8_in_a_folder_made_for_it(tmp_path):
    path = tmp_path / "new" / "report.html"
    write_report(REPORT, path)
    assert path.read_text(encoding="utf-8") == render_report(REPORT)
    assert os.listdir(path.parent) == ["report.html"]


def test_an_earlier_report_is_replaced(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(REPORT, path)
    assert "날짜" in path.read_text(encoding="utf-8")


def test_a_failed_write_leaves_the_earlier_report_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkError, match=r"report\.html: No space left on device"):
        write_report(REPORT, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_place_that_cannot_be_written_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkError, match="could not be written to"):
        write_report(REPORT, tmp_path / "file" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WorkError, match="could not be written to"):
        write_report(REPORT, tmp_path / "folder")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
