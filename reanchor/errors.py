"""The one exception a user's mistake raises; stages print it as a single line."""


class ReanchorError(ValueError):
    """Something a user can put right: the message is one line that names the culprit,
    the value received, what is allowed and the remedy."""
