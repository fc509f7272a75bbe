"""What every tool has in common: how it ends.

    sys.exit(run(main))                       # the whole of a script in tools/

A command is a function ``main(arguments=None) -> int`` that parses its arguments, works, and returns an exit status.
``run`` adds the rest:

    UserError       one line on stderr, status 2 (argparse's own for wrong options)
    OSError         the same where it names a file, or where the disk is full: a path that cannot be read or written
    ImportError     the same where a library of the system is missing
    Ctrl-C          status 130, and the line that the command has for it (``when_stopped``)
    anything else   is a bug: its traceback, status 1
"""
from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UserError

#: errors of a disk, which name no file where an open one is written to
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def run(main: Callable[..., int], arguments: list[str] | None = None) -> int:
    """The exit status of ``main(arguments)``; None takes the arguments of this process."""
    name = Path(sys.argv[0]).stem
    try:
        return main(arguments)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise  # of a child process; nobody's path
    except OSError as error:
        if error.filename is None and error.errno not in _DISK:
            raise
        print(f"{name}: {words(error)}", file=sys.stderr)
        return 2
    except ImportError as error:
        if "cannot open shared object" not in str(error):
            raise
        print(f"{name}: {error}; a package needs this library of the system: bash tools/quickstart.sh  names or "
              "installs what is missing", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\n{name}: {stop.args[0] if stop.args else 'stopped'}", file=sys.stderr)
        return 130


def words(error: OSError) -> str:
    """"out/set: Permission denied", of an error that names a file or not."""
    what = error.strerror or str(error)
    return what if error.filename is None else f"{error.filename}: {what}"


def parser(description: str | None, **more) -> argparse.ArgumentParser:
    """A parser whose help shows ``description`` as it is written; more as for ``ArgumentParser``."""
    plain = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=plain, **more)


def end_as_ctrl_c() -> None:
    """From here on a request to end (SIGTERM, a scheduler's) takes the way of Ctrl-C, which tidies up."""
    import signal

    with suppress(ValueError):   # not in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def when_stopped(text: str) -> Iterator[None]:
    """Ctrl-C inside ends with ``text``: what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(text) from None
