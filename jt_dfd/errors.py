"""What a user can put right, and how it is told from a bug.

Everything that a user can fix (a file that is missing or damaged, a wrong option, a package that is not installed) is a
``UserError``: the tools print its message in one line (``cli.run``) and the window shows it.  Any other exception is a
bug and keeps its traceback.  There is a class of its own only where some caller treats it differently.
"""
from __future__ import annotations


class UserError(Exception):
    """Something that the user can fix.  The message is all that is shown: it names the file or the option, what was
    expected, what was found and, where there is one, the next step."""


class InputError(UserError, ValueError):
    """A value that was asked for and cannot be used; the message names it.  Also a ``ValueError``, as Python's are."""
