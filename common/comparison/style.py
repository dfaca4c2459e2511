"""How a method looks in all figures of a study; what comes with a figure."""

from collections.abc import Mapping
import textwrap

from matplotlib import figure as mpl_figure

from common import figures

# Name of the file, figure, caption.
Drawn = tuple[str, mpl_figure.Figure, str]
Style = Mapping[str, str]
# Name of a row -> its look.
Styles = Mapping[str, Style]

_LINES = ('-', '--', ':')
_MARKERS = 'osD^vP*X'


def style(number: int) -> Style:
  """Colour, line and marker of the method of that number."""
  count = len(figures.PALETTE)
  return {
    'color': figures.PALETTE[number % count],
    'linestyle': _LINES[(number // count) % len(_LINES)],
    'marker': _MARKERS[number % len(_MARKERS)],
  }


def label(name: str) -> str:
  """The name of a row, which may be long, in lines of a legend or a title."""
  return textwrap.fill(figures.plain(name), 28, break_long_words=False)
