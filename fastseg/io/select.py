"""Choosing one scene, channel or time point among several: by index or by name, never by guessing."""

from __future__ import annotations

from collections.abc import Sequence

from fastseg.errors import SelectionError

_SHOWN = 12


def choose(path: str, what: str, option: str, names: Sequence[str], wanted: int | str | None) -> int:
    """Index of the item that `wanted` names.

    Parameters
    ----------
    path : str
        The file's name, for messages.
    what, option : str
        "channel" and "--channel", for messages.
    names : sequence of str
        A name for every item; empty strings for items without one.
    wanted : int, str or None
        An index, a name (exact, then without regard to case), or the digits of an index. None is enough when
        there is only one item.

    Raises
    ------
    SelectionError
        When nothing, or nothing that exists, or nothing unique is asked for. The message lists the choices.
    """
    count = len(names)
    if wanted is None:
        if count == 1:
            return 0
        raise SelectionError(
            f"{path} has {count} {what}s ({_listing(names)}) and none was chosen: choose one with {option}."
        )
    if isinstance(wanted, bool) or not isinstance(wanted, (int, str)):
        raise SelectionError(f"{option} {wanted!r} is neither an index nor a name.")
    if isinstance(wanted, str):
        by_name = _by_name(path, what, option, names, wanted)
        if by_name is not None:
            return by_name
        if not (wanted.isascii() and wanted.isdigit()):
            raise _missing(path, what, option, names, wanted)
        wanted = int(wanted)
    if not 0 <= wanted < count:
        raise _missing(path, what, option, names, wanted)
    return wanted


def _by_name(path: str, what: str, option: str, names: Sequence[str], wanted: str) -> int | None:
    if not wanted:
        return None
    for same in (lambda name: name == wanted, lambda name: name.casefold() == wanted.casefold()):
        found = [i for i, name in enumerate(names) if same(name)]
        if len(found) > 1:
            raise SelectionError(
                f"{path} has several {what}s named {wanted!r} ({_listing(names)}): choose one by its index "
                f"with {option}."
            )
        if found:
            return found[0]
    return None


def _missing(path: str, what: str, option: str, names: Sequence[str], wanted: int | str) -> SelectionError:
    count = len(names)
    return SelectionError(
        f"{path} has no {what} {wanted!r}: {option} takes "
        + (
            f"one of its {count} {what}s ({_listing(names)})."
            if count > 1
            else f"only {_listing(names)}, its one {what}."
        )
    )


def _listing(names: Sequence[str]) -> str:
    """``0: DAPI, 1: GFP, ...``, or the range of indices when nothing is named."""
    if not any(names):
        return ", ".join(map(str, range(len(names)))) if len(names) <= _SHOWN else f"0 to {len(names) - 1}"
    shown = [f"{i}: {name}" if name else str(i) for i, name in enumerate(names[:_SHOWN])]
    if len(names) > _SHOWN + 1:
        last = len(names) - 1
        shown += ["...", f"{last}: {names[last]}" if names[last] else str(last)]
    elif len(names) > _SHOWN:
        shown.append(f"{_SHOWN}: {names[_SHOWN]}")
    return ", ".join(shown)
