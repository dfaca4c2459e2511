"""The one exception that is the user's to mend."""


class InputError(ValueError):
  """A file, flag or config field that cannot be used.

  The message is one line that names the file or field, what was found and what
  is allowed. Binaries print it without a traceback and exit with code 2.
  """


def in_one_line(error: BaseException) -> str:
  """What another library said, shortened."""
  return ' '.join(str(error).split())[:120] or type(error).__name__
