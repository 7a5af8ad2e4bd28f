"""Valid patch sizes of a network and how patches relate to the volume, axis by axis."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fastseg.errors import UsageError
from fastseg.unet.graph import INPUT, Graph, SizeError, Triple, length_after

_LONGEST = 512
_LONGEST_PERIODS = 32
"""Sizes are tried up to these many voxels and pooling periods: the published networks need less than 12 periods."""

_NAMES = "ZYX"


@dataclass(frozen=True)
class AxisRule:
    """The patch sizes that go through a network along one axis.

    Attributes
    ----------
    period : int
        Pooling stride. Shifting a patch by a multiple of it shifts the result and changes nothing else. Valid input
        sizes are `smallest`, `smallest` + `period`, and so on.
    smallest : int
        Smallest valid input size.
    margin : int
        Output voxel o of a patch lies at input voxel o + margin; the output is 2 margins smaller than the input.
    """

    period: int
    smallest: int
    margin: int

    @property
    def smallest_output(self) -> int:
        return self.smallest - 2 * self.margin

    @property
    def halo(self) -> int:
        """Voxels on each side of a box that its prediction can depend on, wherever the box begins."""
        return self.margin + self.period - 1

    def is_valid(self, size_in: int) -> bool:
        return size_in >= self.smallest and (size_in - self.smallest) % self.period == 0

    def output_for(self, length: int) -> int:
        """The smallest valid output size of at least `length`."""
        steps = max(0, -(-(length - self.smallest_output) // self.period))
        return self.smallest_output + steps * self.period

    def nearest(self, size_in: int) -> tuple[int, ...]:
        """The valid input sizes on both sides of `size_in`."""
        if size_in <= self.smallest:
            return (self.smallest,)
        below = self.smallest + (size_in - self.smallest) // self.period * self.period
        return (below,) if below == size_in else (below, below + self.period)


@dataclass(frozen=True)
class SizeRule:
    """The rules of the three axes (z, y, x)."""

    axes: tuple[AxisRule, AxisRule, AxisRule]

    @property
    def period(self) -> Triple:
        return self._each("period")

    @property
    def margin(self) -> Triple:
        return self._each("margin")

    @property
    def halo(self) -> Triple:
        return self._each("halo")

    @property
    def smallest(self) -> Triple:
        return self._each("smallest")

    def _each(self, name: str) -> Triple:
        z, y, x = (getattr(axis, name) for axis in self.axes)
        return z, y, x

    def size_out(self, size_in: Triple) -> Triple:
        z, y, x = (n - 2 * axis.margin for n, axis in zip(size_in, self.axes, strict=True))
        return z, y, x

    def size_in(self, size_out: Triple) -> Triple:
        z, y, x = (n + 2 * axis.margin for n, axis in zip(size_out, self.axes, strict=True))
        return z, y, x

    def check(self, size_in: Triple) -> None:
        """Refuse a patch that does not go through the network.

        Raises
        ------
        UsageError
            With the nearest valid sizes of every axis that is wrong.
        """
        wrong = [
            f"{n} along {name} (nearest valid: {' and '.join(map(str, axis.nearest(n)))})"
            for n, axis, name in zip(size_in, self.axes, _NAMES, strict=True)
            if not axis.is_valid(n)
        ]
        if wrong:
            raise UsageError(
                f"patch {','.join(map(str, size_in))} does not go through the network: {'; '.join(wrong)}"
            )


def size_rule(graph: Graph) -> SizeRule:
    """The valid sizes of a graph, found by trying them: no formula can then contradict the layers."""
    z, y, x = (_axis_rule(graph, axis) for axis in range(3))
    return SizeRule((z, y, x))


def _axis_rule(graph: Graph, axis: int) -> AxisRule:
    period = prod(layer.stride[axis] for layer in graph.layers if layer.kind == "pool")
    for length in range(1, _LONGEST_PERIODS * period + _LONGEST):
        out = _output_length(graph, axis, length)
        if out is not None:
            return AxisRule(period, length, (length - out) // 2)
    raise AssertionError("no patch size goes through the network")


def _output_length(graph: Graph, axis: int, length: int) -> int | None:
    found = {INPUT: length}
    try:
        for layer in graph.layers:
            found[layer.name] = length_after(layer, [found[n] for n in layer.inputs], axis)
    except SizeError:
        return None
    lengths = {found[n] for n in graph.outputs}
    return lengths.pop() if len(lengths) == 1 else None
