"""The one exception a user's mistake raises; stages print it as a single line."""


class ReanchorError(ValueError):
    """Something a user can put right: the message is one line that names the culprit,
    the value received, what is allowed and the remedy."""


class Skipped(Exception):
    """Raised by a training that has nothing to do here, before it writes anything; the message says why."""
