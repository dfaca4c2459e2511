"""All runs of a comparison on one page: `python -m common.report DIR ...`.

    python -m common.report runs/sweep --out=runs/report

takes every finished run in or below the folders and writes `report.html`, which
needs no other file, its figures as PNG and its numbers as CSV. Runs are grouped
by what their scores mean: sites, data, metrics. What cannot be compared is
named and left out.
"""

from collections.abc import Sequence
import pathlib

from common import app


def main(
  folders: Sequence[pathlib.Path], out: str, reference: str = ''
) -> None:
  """Writes the report, see `report_page.write`."""
  from common.comparison import report_page

  report_page.write(folders, app.require_out(out), reference)


if __name__ == '__main__':
  app.run_on_paths(
    main,
    options={
      'out': app.Option('Folder that the report is written to.'),
      'reference': app.Option('Method that others are tested against.'),
    },
  )
