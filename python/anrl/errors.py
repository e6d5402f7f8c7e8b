"""Exceptions of the package; every message says what was wrong, where, and what to do."""


class AnrlError(Exception):
    """Base class of the exceptions that are for the user to read."""


class DataError(AnrlError):
    """A pack, a sample, an image, a list or a score file cannot be used.

    Args:
        reason: The problem and its remedy.
        path: The file.
        key: The sample's key in the pack.
    """

    def __init__(self, reason: str, *, path: str | None = None, key: str | None = None) -> None:
        self.reason, self.path, self.key = reason, path, key
        place = f"{path}: " if path is not None else ""
        place += f"key '{key}': " if key is not None else ""
        super().__init__(place + reason)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep path and key when the error travels between processes."""
        return _data_error, (self.reason, self.path, self.key)


class DivergedError(DataError, FloatingPointError):
    """A network's weights or scores are no finite numbers."""

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the class, too."""
        return _diverged_error, (self.reason, self.path, self.key)


class ConfigError(AnrlError, ValueError):
    """A configuration cannot be used.

    Args:
        reason: The problem and its remedy.
        key: The configuration's key, with dots.
    """

    def __init__(self, reason: str, *, key: str | None = None) -> None:
        self.reason, self.key = reason, key
        super().__init__(f"{key}: {reason}" if key is not None else reason)


class Interrupted(AnrlError):
    """Training was stopped by Ctrl-C or SIGTERM; everything done so far is saved."""


class ProcessLostError(AnrlError, RuntimeError):
    """Another process of a distributed job ended."""


def _diverged_error(reason: str, path: str | None, key: str | None) -> DataError:
    return DivergedError(reason, path=path, key=key)


def _data_error(reason: str, path: str | None, key: str | None) -> DataError:
    return DataError(reason, path=path, key=key)
