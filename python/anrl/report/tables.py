"""Tables of a report as files: CSV for programs, LaTeX for papers."""

import csv
import io
from collections.abc import Sequence

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
}


def table_csv(rows: Sequence[Sequence[str]], remark: str = "") -> str:
    """Format a table as CSV; a remark is a line that begins with "#"."""
    stream = io.StringIO()
    if remark:
        stream.write(f"# {' '.join(remark.split())}\n")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def table_latex(title: str, rows: Sequence[Sequence[str]], remark: str = "") -> str:
    """Format a table as LaTeX, in the style of the package booktabs; the first row names the columns."""
    head, *body = [" & ".join(map(_escape, row)) + r" \\" for row in rows]
    caption = _escape(f"{title}. {remark}" if remark else title)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
