"""Output that reads well in 80 columns and in a pipe: one row a line there, never a name cut short."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Any

_LEAST_WRAPPED = 12
"""Columns that a wrapping column keeps at least, even if the terminal then breaks lines itself."""


def console() -> Any:
    """A rich console on standard output that takes every text literally and breaks no line by itself."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def on_terminal() -> bool:
    """Whether a person watches standard output on a terminal that can move its cursor."""
    return sys.stdout.isatty() and not console().is_dumb_terminal


def print_lines(*lines: str) -> None:
    """Print lines as they are."""
    out = console()
    for line in lines:
        out.print(line)


def print_prose(text: str, indent: str = "", hanging: str | None = None) -> None:
    """Print sentences: broken at words on a terminal, on one line elsewhere.

    Parameters
    ----------
    text : str
    indent, hanging : str
        Start of the first line, and of the others where it differs.
    """
    from textwrap import fill

    out = console()
    if sys.stdout.isatty():
        text = fill(
            text,
            width=max(out.width, 40),
            initial_indent=indent,
            subsequent_indent=indent if hanging is None else hanging,
        )
        out.print(text)
    else:
        out.print(indent + text)


def print_heading(text: str) -> None:
    """Print a heading."""
    console().print(text, style="bold")


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], wrap: Collection[str] = (), header: bool = True
) -> None:
    """Print an aligned table without borders.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequences of str
    wrap : collection of str
        Columns that may break into several lines on a terminal; all others are printed whole.
    header : bool
        Whether the headings are shown.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=header)
    widths = [
        max([cell_len(line) for row in rows for line in row[i].split("\n")] + [cell_len(name)])
        for i, name in enumerate(columns)
    ]
    room = out.width if sys.stdout.isatty() else sum(widths) + 2 * len(widths)
    least = sum(min(w, _LEAST_WRAPPED) if c in wrap else w for c, w in zip(columns, widths, strict=True))
    room = max(room, least + 2 * len(widths))
    for name in columns:
        table.add_column(name, no_wrap=name not in wrap, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # Rendered to segments first: rich pads every line to the full width.
    options = out.options.update_width(room)
    for line in out.render_lines(table, options, pad=False):
        out.print(_assembled(line), end="\n")


def _assembled(segments: Sequence[Any]) -> Any:
    from rich.text import Text

    text = Text.assemble(*((s.text, s.style or "") for s in segments if not s.control))
    text.rstrip()
    return text


def amount(count: int, noun: str, plural: str = "") -> str:
    """``1 image``, ``3 images``."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def gibibytes(count: int) -> str:
    """A number of bytes in GiB."""
    return f"{count / 2**30:.1f} GiB"
