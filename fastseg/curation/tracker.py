"""Decisions about images, one a row: the reference's tracker files, read and written."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from fastseg.errors import Problems, ReadError
from fastseg.io.atomic import atomic_output

Mode: TypeAlias = Literal["sort", "merge"]

COLUMNS: Mapping[Mode, tuple[str, ...]] = MappingProxyType(
    {
        "sort": ("raw", "seg", "score", "mask"),
        "merge": ("raw", "seg1", "seg2", "score", "merging_mask", "excluding_mask"),
    }
)
"""The reference's columns."""

_SEGMENTATIONS: Mapping[Mode, tuple[str, ...]] = {"sort": ("seg",), "merge": ("seg1", "seg2")}
_EXCLUDING: Mapping[Mode, str] = {"sort": "mask", "merge": "excluding_mask"}
_SCORES = {"": None, "1": True, "1.0": True, "0": False, "0.0": False}
_QUOTE = "|"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Decision:
    """What is known and decided about an image.

    Attributes
    ----------
    raw : Path
    segmentations : tuple of Path
        One, or in merging the base and the patch version.
    score : bool or None
        Whether the image is good; None if nobody decided.
    merging_mask, excluding_mask : Path or None
    extra : mapping of str to str
        Further columns, by name.
    """

    raw: Path
    segmentations: tuple[Path, ...]
    score: bool | None = None
    merging_mask: Path | None = None
    excluding_mask: Path | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    def with_extra(self, **values: str) -> Decision:
        """The same with some further columns set."""
        return replace(self, extra={**self.extra, **values})


@dataclass(frozen=True)
class Tracker:
    """A tracker file.

    Attributes
    ----------
    mode : {"sort", "merge"}
    decisions : tuple of Decision
        In the order of the rows.
    spelling : mapping of Path to str
        How the file that was read spells its paths: they are written back as they were.
    """

    mode: Mode
    decisions: tuple[Decision, ...]
    spelling: Mapping[Path, str] = field(default_factory=dict)


def read_tracker(path: str | os.PathLike[str]) -> Tracker:
    """Read a tracker: the reference's, fastseg's, or a table that a person made.

    Parameters
    ----------
    path : path-like
        CSV with a header. Quotes are ``|``; in a file without them, fields that begin with ``"`` are quoted by it, as
        spreadsheets do. Score and mask columns may be missing. Relative paths are taken from the folder of the file,
        and where they do not exist there from the current folder, which is what the reference means by them.

    Raises
    ------
    ReadError
        If the file cannot be read, or is empty.
    Problems
        Everything that is wrong with it, line by line.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), quotechar=_quote_of(text)) if row]
    if not rows:
        raise ReadError(f"{file} is empty: a header such as {','.join(COLUMNS['sort'])} is needed")
    header = [name.strip() for name in rows[0]]
    mode = _mode_of(file, header)
    return _Reader(file, mode, header).tracker(rows[1:])


def _quote_of(text: str) -> str:
    spreadsheet = _QUOTE not in text and any(
        cell.startswith('"') for line in text.splitlines() for cell in line.split(",")
    )
    return '"' if spreadsheet else _QUOTE


def _mode_of(file: Path, header: Sequence[str]) -> Mode:
    problems = [f"column '{name}' is there twice" for name in dict.fromkeys(header) if header.count(name) > 1]
    merging = "seg1" in header or "seg2" in header
    if merging and "seg" in header:
        problems.append("there are columns both of sorting (seg) and of merging (seg1, seg2)")
    mode: Mode = "merge" if merging else "sort"
    missing = [name for name in ("raw", *_SEGMENTATIONS[mode]) if name not in header]
    if missing:
        wanted = " or ".join(",".join(columns) for columns in COLUMNS.values())
        problems.append(f"column {' and '.join(missing)} is missing: a header such as {wanted} is needed")
    if problems:
        raise Problems(str(file), problems)
    return mode


class _Reader:
    """Takes rows apart and collects what is wrong with them."""

    def __init__(self, file: Path, mode: Mode, header: Sequence[str]) -> None:
        self.file = file
        self.mode = mode
        self.header = header
        self.problems: list[str] = []
        self.spelling: dict[Path, str] = {}

    def tracker(self, rows: Iterable[Sequence[str]]) -> Tracker:
        decisions: list[Decision] = []
        seen: dict[Path, int] = {}
        for number, row in enumerate(rows, 1):
            found = self._decision(row, f"row {number}")
            if found is None:
                continue
            if found.raw in seen:
                self.problems.append(f"row {number}: {found.raw} is in row {seen[found.raw]} already")
            seen.setdefault(found.raw, number)
            decisions.append(found)
        if self.problems:
            raise Problems(str(self.file), self.problems)
        return Tracker(self.mode, tuple(decisions), self.spelling)

    def _decision(self, row: Sequence[str], place: str) -> Decision | None:
        if len(row) != len(self.header):
            self.problems.append(
                f"{place}: {len(row)} fields where the header has {len(self.header)} "
                f"(fields that hold a comma are quoted with {_QUOTE})"
            )
            return None
        cells = {name: text.strip() for name, text in zip(self.header, row, strict=True)}
        needed = ("raw", *_SEGMENTATIONS[self.mode])
        missing = [name for name in needed if not cells[name]]
        if missing:
            self.problems.append(f"{place}: {' and '.join(missing)} is empty")
        score = cells.get("score", "")
        if score not in _SCORES:
            self.problems.append(f"{place}: score '{score}' is none: 1 is good, 0 is bad, empty is undecided")
        if missing or score not in _SCORES:
            return None
        masks = [cells.get(name, "") for name in ("merging_mask", _EXCLUDING[self.mode])]
        merging, excluding = (self._path(text) if text else None for text in masks)
        return Decision(
            raw=self._path(cells["raw"]),
            segmentations=tuple(self._path(cells[name]) for name in _SEGMENTATIONS[self.mode]),
            score=_SCORES[score],
            merging_mask=merging if self.mode == "merge" else None,
            excluding_mask=excluding,
            extra={name: text for name, text in cells.items() if name not in COLUMNS[self.mode]},
        )

    def _path(self, text: str) -> Path:
        found = _resolved(text, self.file.parent)
        self.spelling.setdefault(found, text)
        return found


def _resolved(text: str, folder: Path) -> Path:
    given = Path(text)
    if given.is_absolute():
        return given
    beside = Path(os.path.abspath(folder / given))
    return Path(os.path.abspath(given)) if not beside.exists() and given.exists() else beside


def write_tracker(path: str | os.PathLike[str], tracker: Tracker) -> Path:
    """Write a tracker that the reference can read, as a whole or not at all.

    Parameters
    ----------
    path : path-like
        An existing file is replaced.
    tracker : Tracker
        Paths of its spelling are written as they were read; others relative to the folder of the file if they lie in
        it, and absolute otherwise.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    file = Path(path)
    spell = _speller(file, tracker.spelling)
    extra = list(dict.fromkeys(name for decision in tracker.decisions for name in decision.extra))
    header = [*COLUMNS[tracker.mode], *extra]
    rows = [header]
    for decision in tracker.decisions:
        cells = dict(decision.extra)
        cells["raw"] = spell(decision.raw)
        for name, segmentation in zip(_SEGMENTATIONS[tracker.mode], decision.segmentations, strict=True):
            cells[name] = spell(segmentation)
        cells["score"] = {None: "", True: "1", False: "0"}[decision.score]
        cells[_EXCLUDING[tracker.mode]] = spell(decision.excluding_mask)
        if tracker.mode == "merge":
            cells["merging_mask"] = spell(decision.merging_mask)
        rows.append([cells.get(name, "") for name in header])
    data = _text_of(rows).encode("utf-8")
    with atomic_output(file, overwrite=True, needed=len(data)) as temporary:
        temporary.write_bytes(data)
    return file


def _text_of(rows: Sequence[Sequence[str]]) -> str:
    # Quotes everywhere keep a field that begins with another quote from being taken for a spreadsheet's.
    odd = any(cell.startswith('"') or "\r" in cell for row in rows for cell in row)
    stream = io.StringIO(newline="")
    csv.writer(
        stream, quotechar=_QUOTE, quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL, lineterminator="\n"
    ).writerows(rows)
    return stream.getvalue()


def _speller(file: Path, spelling: Mapping[Path, str]) -> Callable[[Path | None], str]:
    folder = Path(os.path.abspath(file.parent))

    def spell(path: Path | None) -> str:
        if path is None:
            return ""
        text = spelling.get(path)
        # A spelling holds where it leads to the same path; in another folder it may not.
        if text is not None and _resolved(text, folder) == path:
            return text
        absolute = Path(os.path.abspath(path))
        return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)

    return spell
