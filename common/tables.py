"""Comma-separated files, read with errors that name the row."""

import csv
import pathlib

from common import errors


def read_rows(path: pathlib.Path) -> list[list[str]]:
  """The rows of a comma-separated file that are not blank.

  Raises:
    InputError: the file is missing, is no UTF-8 text or is empty.
  """
  try:
    with open(path, newline='', encoding='utf-8-sig') as file:
      rows = [[c.strip() for c in row] for row in csv.reader(file)]
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise errors.InputError(
      f'{path}: file: found {type(error).__name__},'
      ' allowed a comma-separated text file'
    ) from error
  rows = [row for row in rows if any(row)]
  if not rows:
    raise errors.InputError(f'{path}: rows: found none, allowed one or more')
  return rows


def read_columns(
  path: pathlib.Path, required: tuple[str, ...] | list[str]
) -> list[dict[str, str]]:
  """Rows of a comma-separated file with a header.

  Raises:
    InputError: as `read_rows`; a required column is missing; a row is too
      short or too long.
  """
  header, *rows = read_rows(path)
  missing = [name for name in required if name not in header]
  if missing:
    raise errors.InputError(
      f'{path}: columns: found {header}, allowed those with {missing}'
    )
  for number, row in enumerate(rows, 1):
    if len(row) != len(header):
      raise errors.InputError(
        f'{path}: row {number}: found {len(row)} values,'
        f' allowed {len(header)}, one for each column'
      )
  return [dict(zip(header, row, strict=True)) for row in rows]
