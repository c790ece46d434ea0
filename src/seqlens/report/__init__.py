"""Reports: sections in, one HTML file out that opens with no network. Knows no model."""

from seqlens.report.page import render_report
from seqlens.report.picture import chart_svg
from seqlens.report.sections import (
    AttentionMaps,
    BarChart,
    Bars,
    Cell,
    Examples,
    Heatmap,
    Interval,
    LineChart,
    Prose,
    Report,
    Section,
    Series,
    Table,
)
from seqlens.report.tables import markdown_table, render_terminal_table
from seqlens.report.text import isolate
from seqlens.report.write import write_report, write_svg

__all__ = [
    "AttentionMaps",
    "BarChart",
    "Bars",
    "Cell",
    "Examples",
    "Heatmap",
    "Interval",
    "LineChart",
    "Prose",
    "Report",
    "Section",
    "Series",
    "Table",
    "chart_svg",
    "isolate",
    "markdown_table",
    "render_report",
    "render_terminal_table",
    "write_report",
    "write_svg",
]
