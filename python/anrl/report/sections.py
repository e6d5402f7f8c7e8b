"""Sections of a report page: tables, pictures, text."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from anrl.atomic_io import as_file_name


@dataclass
class Table:
    """A title, and rows of cells; the first row has the names of the columns."""

    title: str
    rows: list[list[str]]
    name: str = ""
    """Name of its files; by default the title."""


@dataclass
class Picture:
    """A figure, the name of its files, and its caption."""

    figure: Figure
    name: str
    caption: str

    @property
    def source(self) -> str:
        """The figure as a data URL."""
        stream = io.BytesIO()
        self.figure.savefig(stream, format="png", dpi=110)
        return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


@dataclass
class Section:
    """A section of the page."""

    title: str
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    code: list[str] = field(default_factory=list)

    def show(self, make: Callable[[], Figure], name: str, caption: str) -> None:
        """Add a figure to the section; a note, if the data have too few samples or classes to make it."""
        try:
            figure = make()
        except (ArithmeticError, IndexError, ValueError) as error:
            self.warnings.append(f"No figure {name}: {error}.")
        else:
            self.pictures.append(Picture(figure, as_file_name(name), caption))
