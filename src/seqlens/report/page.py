"""The page: head, contents, sections and facts put together into one HTML document that loads nothing."""

from importlib.resources import files

from seqlens.report.bar_chart import bar_chart_html, bar_chart_table
from seqlens.report.heatmap import heatmap_html
from seqlens.report.line_chart import gaps_note, line_chart_html, line_chart_table
from seqlens.report.sections import (
    AttentionMaps,
    BarChart,
    Cell,
    Examples,
    Heatmap,
    LineChart,
    Prose,
    Report,
    Section,
    Table,
)
from seqlens.report.tables import html_table
from seqlens.report.text import direction, display_width, escape

_FEWEST_SECTIONS_WITH_CONTENTS = 4
# Texts up to this width stay on one line, as a date should.
_LONGEST_UNBROKEN = 16
_MARKS = {
    True: '<span class="mark" role="img" aria-label="right">✓</span>',
    False: '<span class="mark" role="img" aria-label="wrong">✗</span>',
    None: "",
}
_CLASSES = {True: "good", False: "bad", None: "unmarked"}
# Nothing is loaded and no script runs, whatever a text may hold.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def render_report(report: Report) -> str:
    """Returns the report as one HTML document; the same report always gives the same text."""
    style = files("seqlens.report").joinpath("style.css").read_text(encoding="utf-8")
    title = escape(report.title)
    sections = "".join(_section_html(section, f"section-{n}") for n, section in enumerate(report.sections, start=1))
    contents = _contents_html(report) if len(report.sections) >= _FEWEST_SECTIONS_WITH_CONTENTS else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>\n{style}</style>\n</head>\n'
        f"<body{' class=with-contents' if contents else ''}>\n"
        f'<header>\n<h1 dir="{direction(report.title)}">{title}</h1>\n'
        f"{_paragraphs(report.summary, 'summary')}</header>\n"
        f"{contents}<main>\n{sections}</main>\n{_facts_html(report)}</body>\n</html>\n"
    )


def _section_html(section: Section, key: str) -> str:
    heading = f'<h2 dir="{direction(section.title)}">{escape(section.title)}</h2>\n' if section.title else ""
    return f'<section id="{key}">\n{heading}{_body_html(section, key)}</section>\n'


def _body_html(section: Section, key: str) -> str:
    match section:
        case Prose():
            return _paragraphs(section.text)
        case Table():
            return f"{html_table(section)}\n{_paragraphs(section.note, 'note')}"
        case LineChart():
            notes = _paragraphs(section.note, "note") + _paragraphs(gaps_note(section), "note")
            return _plot(line_chart_html(section, key)) + notes + _numbers_html(line_chart_table(section))
        case BarChart():
            notes = _paragraphs(section.note, "note")
            return _plot(bar_chart_html(section, key)) + notes + _numbers_html(bar_chart_table(section))
        case Heatmap():
            return heatmap_html(section, with_title=False)
        case AttentionMaps():
            maps = "".join(heatmap_html(heatmap, with_title=True) for heatmap in section.maps)
            empty = "" if section.maps else '<p class="empty">No maps.</p>\n'
            return f'<div class="maps">\n{maps}{empty}</div>\n{_paragraphs(section.note, "note")}'
        case Examples():
            return _examples_html(section) + _paragraphs(section.note, "note")


def _plot(chart: str) -> str:
    # One box, so that print keeps a legend on the page of its chart.
    return f'<div class="plot">\n{chart}</div>\n'


def _paragraphs(text: str, kind: str = "") -> str:
    """Returns a `<p>` for each paragraph of the text, paragraphs being separated by blank lines."""
    attribute = f' class="{kind}"' if kind else ""
    paragraphs: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip():
            paragraphs[-1].append(line)
        else:
            paragraphs.append([])
    texts = ["\n".join(lines) for lines in paragraphs if lines]
    return "".join(f'<p{attribute} dir="{direction(text)}">{escape(text)}</p>\n' for text in texts)


def _numbers_html(table: Table | None) -> str:
    if table is None or not table.rows:
        return ""
    return f"<details>\n<summary>The numbers</summary>\n{html_table(table)}\n</details>\n"


def _examples_html(examples: Examples) -> str:
    head = "".join(f'<th scope="col" dir="auto">{escape(name)}</th>' for name in examples.columns)
    body = "".join(f"<tr>{''.join(_example_html(cell) for cell in row)}</tr>\n" for row in examples.rows)
    if not examples.rows:
        body = f'<tr><td class="empty" colspan="{max(1, len(examples.columns))}">No examples.</td></tr>\n'
    return (
        f'<div class="scroll"><table class="examples">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )


def _example_html(cell: str | Cell) -> str:
    if isinstance(cell, str):
        cell = Cell(cell)
    # The mark stands outside of the text, whose own first letters decide its direction.
    short = " short" if display_width(cell.text) <= _LONGEST_UNBROKEN else ""
    text = f'<span class="text{short}" dir="auto">{escape(cell.text)}</span>'
    if not cell.text.strip():
        text = '<span class="text empty">(empty)</span>'
    return f'<td><div class="example {_CLASSES[cell.good]}">{_MARKS[cell.good]}{text}</div></td>'


def _contents_html(report: Report) -> str:
    items = "".join(
        f'<li dir="{direction(section.title)}"><a href="#section-{n}">{escape(section.title)}</a></li>\n'
        for n, section in enumerate(report.sections, start=1)
        if section.title
    )
    return f'<nav aria-label="Contents">\n<ul>\n{items}</ul>\n</nav>\n'


def _facts_html(report: Report) -> str:
    if not report.facts:
        return ""
    items = "".join(
        f'<div><dt dir="auto">{escape(name)}</dt><dd dir="auto">{escape(value)}</dd></div>\n'
        for name, value in report.facts.items()
    )
    return f"<footer>\n<h2>How to repeat this</h2>\n<dl>\n{items}</dl>\n</footer>\n"
