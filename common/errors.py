"""The one exception that is the user's to mend."""


class InputError(ValueError):
  """A file, flag or config field that cannot be used.

  The message is one line that names the file or field, what was found and what
  is allowed. Binaries print it without a traceback and exit with code 2.
  """
