"""How every number of a comparison came about, written from the run folders.

    python -m common.reproducibility runs/sweep --out=REPRODUCIBILITY.md

For each table: the command of every row, the commit and the machine that it ran
on, how long, and what it found. Nothing in the file is typed by hand.
"""

from collections.abc import Sequence
import pathlib

from common import app


def main(folders: Sequence[pathlib.Path], out: str) -> None:
  """Writes the file `out`, see `provenance.write`."""
  from common.comparison import provenance

  provenance.write(folders, app.require_out(out))


if __name__ == '__main__':
  app.run_on_paths(main, options={'out': app.Option('File that is written.')})
