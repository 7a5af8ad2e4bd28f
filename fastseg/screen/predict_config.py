"""The reference's configuration files for prediction: checked as a whole, and turned into a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastseg.errors import Problems, UsageError
from fastseg.io.discover import natural_key
from fastseg.screen.predict_config_recipes import read_normalization
from fastseg.unet.model_info import Selection
from fastseg.unet.networks.registry import NETWORKS
from fastseg.unet.normalization import Recipe
from fastseg.unet.yaml_file import read_yaml

_KEYS = (
    *("model", "model_path", "nchannel", "nclass", "OutputCh", "size_in", "size_out", "OutputDir", "InputCh"),
    *("ResizeRatio", "Normalization", "Threshold", "RuntimeAug", "mode", "device"),
)
_MODEL_KEYS = ("name", "zoom_ratio")
_MODE_KEYS = {"file": ("name", "InputFile", "timelapse"), "folder": ("name", "InputDir", "DataType")}
_MISSING = object()


def read_config(path: str | Path, *, compat: bool = False) -> tuple[list[Path], dict[str, Any]]:
    """Read a configuration file.

    Parameters
    ----------
    path : path-like
        YAML. Its paths are relative to the current folder.
    compat : bool
        Keep what the reference does with the file: its patch sizes, recipe 0 that changes nothing, and in folder mode
        resizing before normalisation. Otherwise patch sizes are checked and not used, since results do not depend on
        them.

    Returns
    -------
    images : list of Path
    fields : dict
        Fields of `fastseg.screen.PredictRequest`.

    Raises
    ------
    ReadError
        If the file cannot be read.
    Problems
        Everything that is wrong with it: keys that are missing or unknown, values that are not allowed.
    UsageError
        If its folder holds no image of its type.
    """
    file = Path(path)
    config = _Config(read_yaml(file))
    fields = config.fields(compat)
    if config.problems:
        raise Problems(str(file), config.problems)
    return config.images(), fields


class _Config:
    """Takes a configuration apart and collects what is wrong with it."""

    def __init__(self, found: Mapping[Any, Any]) -> None:
        self.problems: list[str] = []
        self.found = found
        self.mode = self._part("mode")
        self._check_keys(found, _KEYS, "")

    def fields(self, compat: bool) -> dict[str, Any]:
        """Fields of a request; problems may have been found."""
        channels = self._channels()
        made = {
            **self._model(len(channels) if channels else 1),
            "model": self._text(self.found, "model_path"),
            "output": self._text(self.found, "OutputDir"),
            "channels": channels,
            "selections": self._selections(),
            "patch": self._patch() if self._sizes_are_right() and compat else None,
            "resize": self._resize(),
            "normalization": self._normalization(len(channels) if channels else 1, compat),
            "threshold": self._number(self.found, "Threshold"),
            "flips": "single" if (self._number(self.found, "RuntimeAug", 0) or 0) > 0 else "none",
            "device": self._text(self.found, "device", "auto"),
        }
        folder = self._mode_name() == "folder"
        made["timelapse"] = False if folder else self._truth(self.mode, "timelapse")
        made["resize_first"] = compat and folder
        if compat:
            made["mode"] = "compat"
        return made

    def images(self) -> list[Path]:
        """The images that the mode names."""
        if self.mode["name"] == "file":
            return [Path(self.mode["InputFile"])]
        folder, suffix = Path(self.mode["InputDir"]), str(self.mode["DataType"])
        try:
            found = [p for p in folder.iterdir() if p.name.endswith(suffix) and not p.name.startswith(".")]
        except OSError as error:
            raise UsageError(f"mode.InputDir {folder} cannot be read: {error.strerror or error}") from None
        if not found:
            raise UsageError(f"mode.InputDir {folder} holds no file whose name ends in {suffix}")
        return sorted(found, key=natural_key)

    def _check_keys(self, found: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
        for key in found:
            if key not in known:
                self.problems.append(f"{where}{key}: there is no such key (known: {', '.join(known)})")

    def _part(self, key: str) -> Mapping[Any, Any]:
        found = self.found.get(key, _MISSING)
        if isinstance(found, Mapping):
            return found
        if found is not _MISSING:
            self.problems.append(f"{key}: {found!r} is no mapping of keys to values")
        return {}

    def _value(self, part: Mapping[Any, Any], key: str, default: Any) -> Any:
        found = part.get(key, default)
        if found is _MISSING:
            where = "mode." if part is self.mode and part is not self.found else ""
            self.problems.append(f"{where}{key}: is missing")
            return None
        return found

    def _text(self, part: Mapping[Any, Any], key: str, default: Any = _MISSING) -> str | None:
        found = self._value(part, key, default)
        if found is not None and not (isinstance(found, str) and found):
            self.problems.append(f"{key}: {found!r} is no text")
            return None
        return found

    def _number(self, part: Mapping[Any, Any], key: str, default: Any = _MISSING) -> float | None:
        found = self._value(part, key, default)
        if found is not None and not isinstance(found, int | float):
            self.problems.append(f"{key}: {found!r} is no number")
            return None
        return found

    def _truth(self, part: Mapping[Any, Any], key: str) -> bool:
        found = part.get(key, False)
        if not isinstance(found, bool):
            self.problems.append(f"mode.{key}: {found!r} is neither true nor false")
            return False
        return found

    def _numbers(self, key: str, default: Any = _MISSING, count: int = 0, whole: bool = True) -> list[Any]:
        found = self._value(self.found, key, default)
        kinds: Any = int if whole else (int, float)
        if found is None:
            return []
        right = isinstance(found, list) and all(
            isinstance(n, kinds) and not isinstance(n, bool) for n in found
        )
        if not right or (count and len(found) not in (0, count)):
            many = f"{count} " if count else ""
            self.problems.append(f"{key}: {found!r} is no list of {many}{'whole ' if whole else ''}numbers")
            return []
        return list(found)

    def _mode_name(self) -> str:
        name = self.mode.get("name")
        if name not in _MODE_KEYS:
            if "mode" not in self.found:
                self.problems.append("mode: is missing")
            else:
                self.problems.append(f"mode.name: {name!r} is unknown (file or folder)")
            return ""
        self._check_keys(self.mode, _MODE_KEYS[name], "mode.")
        for key in _MODE_KEYS[name][1:]:
            if key != "timelapse":
                self._text(self.mode, key)
        return str(name)

    def _model(self, channels: int) -> dict[str, Any]:
        part = self._part("model")
        self._check_keys(part, _MODEL_KEYS, "model.")
        names = {spec.config_name: name for name, spec in NETWORKS.items() if spec.config_name}
        name = part.get("name")
        if name is not None and name not in names:
            self.problems.append(f"model.name: {name!r} is unknown ({' or '.join(names)})")
        params: dict[str, Any] = {}
        ratio = part.get("zoom_ratio")
        if ratio is not None and (not isinstance(ratio, int) or isinstance(ratio, bool) or ratio < 1):
            self.problems.append(f"model.zoom_ratio: {ratio!r} is no whole number above 0")
        elif name == "unet_xy_zoom":
            params["zoom_ratio"] = 3 if ratio is None else ratio
        count = self._number(self.found, "nchannel", channels)
        if "nchannel" in self.found and count != channels:
            self.problems.append(f"nchannel: {count} does not fit the {channels} entries of InputCh")
        params["channels"] = channels
        classes = self._numbers("nclass", [], 3)
        if classes:  # otherwise they are read off the checkpoint
            params["classes"] = tuple(classes)
        return {"network": names.get(name) if isinstance(name, str) else None, "network_params": params}

    def _channels(self) -> list[int]:
        return self._numbers("InputCh")

    def _selections(self) -> list[Selection] | None:
        pairs = self._numbers("OutputCh", [0, 1])
        if not pairs or len(pairs) % 2 or min(pairs) < 0:
            self.problems.append(f"OutputCh: {pairs} are no pairs of output and class")
            return None
        return [
            Selection.model_validate({"output": t, "class": c})
            for t, c in zip(pairs[::2], pairs[1::2], strict=True)
        ]

    def _sizes_are_right(self) -> bool:
        size_in, size_out = (self._numbers(key, [], 3) for key in ("size_in", "size_out"))
        name = self._part("model").get("name") if isinstance(self.found.get("model"), Mapping) else None
        if bool(size_in) != bool(size_out):
            self.problems.append("size_in, size_out: give both or none")
            return False
        if not size_in or name not in NETWORKS:
            return bool(size_in)
        arch = self._architecture()
        if arch is None:
            return False
        try:
            arch.sizes.check(tuple(size_in))
        except UsageError as error:
            self.problems.append(f"size_in: {error}")
            return False
        expected = list(arch.sizes.size_out(tuple(size_in)))
        if size_out != expected:
            self.problems.append(
                f"size_out: {size_out} does not belong to size_in {size_in}: it is {expected}"
            )
            return False
        return True

    def _architecture(self) -> Any:
        from fastseg.unet.networks.registry import architecture

        part = self.found["model"]
        ratio = part.get("zoom_ratio", 3)
        try:
            return architecture(part["name"], {"zoom_ratio": ratio} if "zoom" in part["name"] else {})
        except Problems:
            return None

    def _patch(self) -> tuple[int, ...]:
        return tuple(self.found["size_in"])

    def _resize(self) -> tuple[float, ...] | None:
        ratio = self._numbers("ResizeRatio", [], 3, whole=False)
        if any(not 0 < r <= 100 for r in ratio):
            self.problems.append(f"ResizeRatio: {ratio} are no ratios above 0, up to 100")
            return None
        return tuple(float(r) for r in ratio) if ratio else None

    def _normalization(self, channels: int, compat: bool) -> Recipe | list[Recipe] | None:
        found = self._value(self.found, "Normalization", _MISSING)
        if found is None:
            return None
        recipes, problems = read_normalization(found, channels, compat)
        self.problems += problems
        return recipes
