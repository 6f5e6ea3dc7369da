"""The one kind of bad news the launcher of the development services gives."""


class DevServiceError(Exception):
    """A development service cannot be started or reached; the text is one readable line."""
