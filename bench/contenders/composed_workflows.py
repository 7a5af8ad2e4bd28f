"""Whole workflows composed of array calls, as a careful user of NumPy or CuPy writes them; see `cases.RESIDENT`."""

from collections.abc import Callable
from typing import Any

from bench.contenders.base import Operation
from bench.contenders.composition import Composition


class ComposedWorkflows(Composition):
    """Workflows by name over one pair of array libraries; see `Composition`."""

    def operations(self) -> dict[str, Operation]:
        """Everything there is, under fastseg's names."""
        return {**super().operations(), "workflow": self.workflow}

    def workflow(self, image: Any, name: str) -> Any:
        """The mask of a workflow; NotImplementedError if it is none of those here."""
        known: dict[str, Callable[[Any], Any]] = {
            "rab5a": self._spots,
            "tjp1": self._filaments,
            "tomm20": self._filaments_by_plane,
            "actb": self._edge_preserving,
            "sec61b": self._edge_preserving_by_plane,
        }
        if name not in known:
            raise NotImplementedError(f"no composition of {name}")
        return known[name](image)

    def _spots(self, counts: Any) -> Any:
        smooth = self.gaussian(self._stretched_below(counts, 1000), (0, 1, 1))
        filled = self.fill_holes(self.spots(smooth, 1) > 0.03, 0, 81, True)
        return self.remove_small(filled, 3)

    def _filaments(self, counts: Any) -> Any:
        smooth = self.gaussian(self.normalize(counts, [3, 17]), 1)
        return self.remove_small(self.filaments(smooth, [1.5]) > 0.2, 15)

    def _filaments_by_plane(self, counts: Any) -> Any:
        smooth = self.gaussian(self.normalize(counts, [3.5, 15]), 1)
        return self.remove_small(self.filaments_by_plane(smooth, [1.5]) > 0.16, 10)

    def _edge_preserving(self, counts: Any) -> Any:
        smooth = self.diffuse(self.normalize(counts, [3, 15]))
        found = (self.filaments(smooth, [2]) > 0.1) | (self.filaments(smooth, [1]) > 0.04)
        return self.remove_small(found, 15)

    def _edge_preserving_by_plane(self, counts: Any) -> Any:
        smooth = self.diffuse(self.normalize(counts, [2.5, 7.5]))
        found = self.remove_small(self.filaments_by_plane(smooth, [1]) > 0.15, 15)
        return self.remove_small(self.remove_small_by_plane(found, 3), 15)

    def _stretched_below(self, image: Any, bound: float) -> Any:
        """Stretch to the unit range after voxels above a bound became the minimum."""
        xp = self.xp
        low = xp.float32(float(image.min()))
        kept = xp.where(image > xp.float32(bound), low, image)
        return (kept - low + xp.float32(1e-8)) / xp.float32(float(kept.max()) - float(low) + 1e-8)
