from ..errors import UserError


class CheckpointError(UserError, ValueError):
    """A file or folder that cannot be used as weights.  The message names the file, what was expected, what was
    found and, where there is one, the way out."""
