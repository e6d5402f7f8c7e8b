"""CSV with a header, as spreadsheets and programs write it, and where in the file every row stands."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from anrl.errors import DataError

_SEPARATORS = ",;\t"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Row(dict[str, str]):
    """The fields of a row by the names of their columns, without space around them."""

    def __init__(self, fields: dict[str, str], where: str) -> None:
        super().__init__(fields)
        self.where = where
        """File and line at which the row begins."""


def read_table(file: Path) -> tuple[list[str], list[Row]]:
    """Read a CSV file whose first line names the columns.

    Fields are separated by commas, semicolons or tabs, whichever the header has most of; a field in quotes
    may hold separators and line breaks. Names of columns are read in lower case. Blank lines are skipped, and
    lines before the header that begin with ``#``.

    Returns:
        The names of the columns, and the rows.

    Raises:
        DataError: the file cannot be read, is no UTF-8, repeats a column, or a row has more or fewer fields
            than the header. The message names the line.
    """
    lines = _Lines(_text(file))
    separator = max(_SEPARATORS, key=lines.first.count)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    columns: list[str] = []
    rows = []
    while True:
        lines.begin_record(is_header=not columns)
        try:
            fields = [field.strip() for field in next(reader)]
        except StopIteration:
            break
        except csv.Error as error:
            raise DataError(f"{file}:{lines.record}: {error}; is a quote missing?") from None
        where = f"{file}:{lines.record}"
        if not columns:
            columns = [name.lower() for name in fields]
            if repeated := [name for name, count in Counter(columns).items() if count > 1]:
                raise DataError(f"{where}: there are two columns {repeated[0]!r}; rename one")
            continue
        if len(fields) != len(columns):
            raise DataError(
                f"{where}: {len(fields)} fields, where the header names {len(columns)} columns; a field that "
                "holds the separator needs quotes"
            )
        rows.append(Row(dict(zip(columns, fields, strict=True)), where))
    if not columns:
        raise DataError(f"{file}: the file has no lines")
    return columns, rows


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None
    if content.startswith(_UTF16):
        raise DataError(f"{file}: the file is UTF-16; save it as CSV UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}:{line}: the line is no UTF-8; save the file as CSV UTF-8") from None


class _Lines:
    """The lines of a text for the reader: without comments and blank lines, but whole within a field."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="").readlines()
        self._next = 0
        self.record = 0
        """Number of the line at which the current record begins."""
        self.first = next((line for line in self._lines if not _is_skipped(line, True)), "")
        self.begin_record(True)

    def begin_record(self, is_header: bool) -> None:
        self._between_records, self._is_header = True, is_header

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while self._next < len(self._lines):
            line = self._lines[self._next]
            self._next += 1
            if not self._between_records or not _is_skipped(line, self._is_header):
                if self._between_records:
                    self.record = self._next
                self._between_records = False
                return line
        raise StopIteration


def _is_skipped(line: str, is_header: bool) -> bool:
    return not line.strip() or (is_header and line.startswith("#"))
