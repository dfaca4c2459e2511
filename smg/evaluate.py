"""Scores a trained run: `python -m smg.evaluate --help`."""

import pathlib

from ml_collections import config_dict

from common import app


def main(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
  from common import trainer
  from smg import setup

  trainer.evaluate(setup.create_problem, config, workdir)


if __name__ == '__main__':
  app.run(main, section='sites')
