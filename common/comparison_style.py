"""How a method looks in all figures of a study; what comes with a figure."""

from collections.abc import Mapping

from matplotlib import figure as mpl_figure

from common import figures

# Name of the file, figure, caption.
Drawn = tuple[str, mpl_figure.Figure, str]
Style = Mapping[str, str]
# Name of a row -> its look.
Styles = Mapping[str, Style]

_LINES = ('-', '--', ':')


def style(number: int) -> Style:
  """Colour and line of the method of that number."""
  count = len(figures.PALETTE)
  return {
    'color': figures.PALETTE[number % count],
    'linestyle': _LINES[(number // count) % len(_LINES)],
  }
