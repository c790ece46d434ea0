"""One chart as an SVG file that stands alone: for a README or a paper, where no page gives it colours and a legend."""

import re
from importlib.resources import files

from seqlens.report.bar_chart import bar_chart_html
from seqlens.report.line_chart import line_chart_html
from seqlens.report.sections import BarChart, LineChart
from seqlens.report.text import escape

_MARGIN = 16
_TITLE_HEIGHT = 30
_LEGEND_HEIGHT = 24
_SWATCH_WIDTH = 26
_SVG = re.compile(r"<svg([^>]*)>(.*?)</svg>", re.DOTALL)
_VARIABLE = re.compile(r'(fill|stroke)="var\(--([a-z0-9-]+)\)"')
_SIZE = re.compile(r'(width|height)="([\d.]+)"')


def chart_svg(chart: LineChart | BarChart) -> str:
    """Returns the chart with title and legend as an SVG document; colours follow the viewer's light or dark scheme."""
    html = line_chart_html(chart, "chart") if isinstance(chart, LineChart) else bar_chart_html(chart, "chart")
    _, _, drawing = html.partition('<div class="chart')
    found = _SVG.search(drawing)
    if found is None:
        raise ValueError(f"chart '{chart.title}' has no values to draw")
    sizes = {name: float(value) for name, value in _SIZE.findall(found[1])}
    legend = "".join(_legend(chart, html))
    top = _MARGIN + _TITLE_HEIGHT + _LEGEND_HEIGHT * len(chart.series)
    width, height = sizes["width"] + 2 * _MARGIN, top + sizes["height"] + _MARGIN
    light, dark = _colours()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img">\n'
        f"<title>{escape(chart.title)}</title>\n<style>{_style(light, dark)}</style>\n"
        f'<rect fill="{light["page"]}" width="{width:g}" height="{height:g}"/>\n'
        f'<text class="title" fill="{light["ink"]}" x="{_MARGIN}" y="{_MARGIN + 14}">{escape(chart.title)}</text>\n'
        + _coloured(f'{legend}<svg x="{_MARGIN}" y="{top}"{found[1]}>{found[2]}</svg>\n</svg>\n', light)
    )


def _legend(chart: LineChart | BarChart, html: str) -> list[str]:
    """One line a series: its swatch as on a page, and its name."""
    swatches = re.findall(r'<li><svg width="26"[^>]*>(.*?)</svg>', html)
    lines = []
    for place, (name, swatch) in enumerate(zip([series.name for series in chart.series], swatches, strict=True)):
        y = _MARGIN + _TITLE_HEIGHT + _LEGEND_HEIGHT * place
        lines.append(
            f'<g transform="translate({_MARGIN},{y})">{swatch}'
            f'<text class="name" fill="var(--ink)" x="{_SWATCH_WIDTH + 8}" y="10">{escape(name)}</text></g>\n'
        )
    return lines


def _coloured(drawing: str, light: dict[str, str]) -> str:
    """The drawing with the light scheme's colours as they are: not every program that draws SVG knows variables."""
    return _VARIABLE.sub(lambda match: f'{match[1]}="{light[match[2]]}"' if match[2] in light else match[0], drawing)


def _colours() -> tuple[dict[str, str], dict[str, str]]:
    """The page's colours by name, light and dark."""
    style = files("seqlens.report").joinpath("style.css").read_text(encoding="utf-8")
    names = ["page", "ink", "muted", "grid", "axis", *(f"series-{number}" for number in range(1, 7))]
    schemes = [dict(re.findall(r"--([a-z0-9-]+):\s*([^;]+);", part)) for part in style.split("@media", 2)[:2]]
    light, dark = ({name: scheme[name] for name in names} for scheme in schemes)
    return light, dark


def _style(light: dict[str, str], dark: dict[str, str]) -> str:
    """Fonts, and what stands for each of the light colours in a dark scheme."""
    darker = "".join(
        f'[{part}="{colour}"]{{{part}:{dark[name]}}}' for name, colour in light.items() for part in ("fill", "stroke")
    )
    return (
        "text{font-family:system-ui,sans-serif}.name{font-size:12px}.title{font-size:15px;font-weight:600}"
        f"@media (prefers-color-scheme: dark){{{darker}}}"
    )
