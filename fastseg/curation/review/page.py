"""The page itself: assets, styles and the data of the batch put together into one HTML file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from fastseg.curation.review.item import data_of

SCRIPTS = (
    "csv.js",
    "polygons.js",
    "masks.js",
    "colours.js",
    "camera.js",
    "loader.js",
    "session.js",
    "panel.js",
    "pen.js",
    "list.js",
    "polygon_list.js",
    "files.js",
    "keys.js",
    "main.js",
)
"""Assets in the order in which they build on each other."""

# In the order in which they stand in index.html.
_MARKS = {
    "title": "<!-- title -->",
    "style": "/* style */",
    "command": "<!-- command -->",
    "page": "<!-- page -->",
    "items": "<!-- items -->",
    "scripts": "/* scripts */",
}


def page_key(names: Iterable[str]) -> str:
    """What a browser keeps decisions under: the same for the same files, wherever the page lies."""
    return hashlib.sha256("\n".join(names).encode("utf-8")).hexdigest()[:16]


def write_page(
    stream: IO[str], page: Mapping[str, Any], title: str, command: str, inlined: Iterable[str] = ()
) -> None:
    """Write the HTML of a page.

    Parameters
    ----------
    stream : text file
    page : mapping
        The data of the batch, as ``main.js`` reads it.
    title : str
    command : str
        What the export shows as the next command.
    inlined : iterable of str
        Elements that hold the data of images, one after another; none where they are files.
    """
    simple = {
        "title": html.escape(title),
        "style": asset("style.css"),
        "command": html.escape(command),
        "page": script_text(page),
        "scripts": "\n".join(asset(name) for name in SCRIPTS),
    }
    template = asset("index.html")
    for name, mark in _MARKS.items():
        before, _, template = template.partition(mark)
        stream.write(before)
        if name == "items":
            stream.writelines(inlined)
        else:
            stream.write(simple[name])
    stream.write(template)


def asset(name: str) -> str:
    """The text of an asset."""
    return (files("fastseg.curation.review") / "assets" / name).read_text(encoding="utf-8")


def script_text(value: Any) -> str:
    """JSON that may stand inside a script element, whatever texts are in it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def inlined_item(index: int, folder: Path, data: str, picture: str) -> str:
    """An element that holds the data and the picture of an image."""
    found = data_of((folder / data).read_text(encoding="utf-8"))
    found["picture"] = data_uri(folder / picture)
    return f'<script type="application/json" id="item-{index}">{script_text(found)}</script>\n'


def data_uri(path: Path) -> str:
    """A picture as text."""
    kind = "png" if path.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
