"""Text files that people write with other programs."""

import codecs
from pathlib import Path

from anrl.errors import DataError


def read_text(file: str | Path) -> str:
    """Read a text file in UTF-8, with or without byte order mark.

    Raises:
        DataError: the file cannot be read, or is in another encoding.
    """
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{file}: is in UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, line {line}: is not UTF-8; save the file as UTF-8") from None
