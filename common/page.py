"""Self-contained HTML pages: style, tables, numbered figures."""

import base64
from collections.abc import Sequence
import html
import pathlib
from typing import Any, NamedTuple

import numpy as np

from common import figures

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b; margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
p.facts, figcaption, p.note { color: #555; font-size: 0.88rem; }
table { border-collapse: collapse; font-size: 0.88rem;
  font-variant-numeric: tabular-nums; }
div.wide { overflow-x: auto; }
th, td { padding: 0.2rem 0.5rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #333; border-top: 2px solid #333; }
tbody tr:last-child > * { border-bottom: 2px solid #333; }
tbody th { font-weight: 600; }
td.best { font-weight: 700; }
td.second > span { text-decoration: underline; }
td small { display: block; color: #555; font-weight: 400; }
figure { margin: 1.6rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; }
pre { font-size: 0.8rem; white-space: pre-wrap; background: #f6f6f6;
  padding: 0.8rem; }
@page { size: landscape; margin: 12mm; }
@media print {
  body { font-size: 10pt; margin: 0; max-width: none; }
  div.wide { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.1rem 0.3rem; white-space: normal; }
  tr { break-inside: avoid; }
  img { max-height: 84vh; }
}
"""


def render(title: str, body: str) -> str:
  """A page of its own."""
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{body}
</body>
</html>
"""


def details(title: str, text: str) -> str:
  """Preformatted text that opens on demand."""
  return f"""<details>
<summary>{html.escape(title)}</summary>
<pre>{html.escape(text)}</pre>
</details>"""


class Cell(NamedTuple):
  """A cell that stands out, `mark` '', 'best' or 'second', and a line below."""

  text: str
  mark: str = ''
  below: str = ''


def table(head: Sequence[str], rows: Sequence[Sequence[str | Cell]]) -> str:
  """Rows of a title and cells."""
  top = ''.join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
  body = ''.join(
    f'<tr><th scope="row">{html.escape(title)}</th>'
    + ''.join(map(_cell, cells))
    + '</tr>\n'
    for title, *cells in rows
  )
  return (
    f'<div class="wide"><table><thead><tr>{top}</tr></thead>\n'
    f'<tbody>\n{body}</tbody></table></div>'
  )


def _cell(cell: str | Cell) -> str:
  text, mark, below = cell if isinstance(cell, Cell) else Cell(cell)
  if not mark and not below:
    return f'<td>{html.escape(text)}</td>'
  kind = f' class="{mark}"' if mark else ''
  small = f'<small>{html.escape(below)}</small>' if below else ''
  return f'<td{kind}><span>{html.escape(text)}</span>{small}</td>'


def signed(value: Any) -> str:
  """A number with a true minus sign; a dash where the value is missing."""
  if not isinstance(value, (int, float)) or not np.isfinite(value):
    return '\N{EN DASH}'
  return figures.number(value).replace('-', '\N{MINUS SIGN}')


def figure(number: int, path: pathlib.Path, caption: str) -> str:
  """A PNG, kept within the page."""
  content = base64.b64encode(path.read_bytes()).decode('ascii')
  text = html.escape(caption)
  return (
    f'<figure><img src="data:image/png;base64,{content}" alt="{text}">\n'
    f'<figcaption>Figure {number}. {text}</figcaption></figure>'
  )
