"""A prediction as programs of the tiling engine: normalise, run the network, stretch, threshold, clean up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fastseg.operators.registry import get_operator
from fastseg.tiling.program import Node, flatten
from fastseg.tiling.statistics import EXTREMA
from fastseg.unet.model import Model
from fastseg.unet.normalization import recipe_nodes
from fastseg.unet.rule import FIELD, NETWORK, Prediction
from fastseg.unet.settings import PredictSettings, limit_of, recipes_of
from fastseg.unet.threshold import ABOVE, COUNT, STRETCH


@dataclass(frozen=True)
class PredictProgram:
    """A prediction, or a part of one, as a program of the tiling engine.

    Attributes
    ----------
    nodes : tuple of Node
    inputs : tuple of str
        What the nodes call the volumes that come in.
    wanted : dict of str to str
        The node of each result, by the selection's name or that of the channel.
    ranges : dict of str to str
        Nodes that give the range of stretched maps, by the selection's name.
    facts : dict of str to str
        Nodes that say what is in a result: `Extrema` of a map, the number of foreground voxels of a mask.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    wanted: Mapping[str, str]
    ranges: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def goals(self) -> list[str]:
        """Names of all nodes whose results are needed."""
        return [*self.wanted.values(), *self.ranges.values(), *self.facts.values()]

    def goals_among(self, inputs: Iterable[str]) -> list[str]:
        """Those goals that are nodes: a program that does nothing to an input gives the input itself."""
        given = set(inputs)
        return [name for name in self.goals if name not in given]


def prediction_program(model: Model, params: Prediction, settings: PredictSettings) -> PredictProgram:
    """From the image to what is wanted, without a resize."""
    entry = normalization_program(model, settings)
    network = network_program(params, settings, tuple(entry.wanted.values()))
    return _joined(entry, network, finish_program(model, settings, network.wanted, thresholded=params.limit))


def normalization_program(model: Model, settings: PredictSettings) -> PredictProgram:
    """From the channels to what the network is shown; ``wanted`` names inputs where a recipe does nothing."""
    inputs = tuple(f"channel{number}" for number in range(model.architecture.params.channels))
    nodes: list[Node] = []
    wanted = {}
    for name, recipe in zip(inputs, recipes_of(model, settings), strict=True):
        own, wanted[name] = recipe_nodes(recipe, name, f"{name}:normalised")
        nodes += own
    return PredictProgram(tuple(nodes), inputs, wanted)


def unit_range_program(channels: int) -> PredictProgram:
    """Every channel stretched to the unit range, as the reference does with resized ones."""
    inputs = tuple(f"channel{number}" for number in range(channels))
    nodes: list[Node] = []
    for name in inputs:
        nodes.append(Node(f"{name}:extrema", EXTREMA, (name,), None, "stretch the resized image"))
        pair = (name, f"{name}:extrema")
        nodes.append(Node(f"{name}:unit", STRETCH, pair, 1, "stretch the resized image", 8.0))
    return PredictProgram(tuple(nodes), inputs, {name: f"{name}:unit" for name in inputs})


def network_program(
    params: Prediction, settings: PredictSettings, sources: tuple[str, ...]
) -> PredictProgram:
    """From what the network is shown to its maps, stretched if that is asked for; masks if `params` has a limit."""
    channels = len(sources)
    # what a tile needs beside blocks and result: the channels flipped and continued, record and maps
    scratch = 4.0 * (channels + 2 * len(params.selections))
    step = f"predict with {params.model.architecture.name}"
    nodes = [Node("network", NETWORK, sources, params, step, scratch)]
    wanted, ranges = {}, {}
    for selection in params.selections:
        found = "network"
        if len(params.selections) > 1:
            found = selection.name
            nodes.append(Node(found, FIELD, ("network",), selection.name, step))
        if settings.stretch:
            low_high, map_ = f"{selection.name}:range", f"{selection.name}:stretched"
            nodes.append(Node(low_high, EXTREMA, (found,), None, "range of the probabilities"))
            nodes.append(Node(map_, STRETCH, (found, low_high), channels, "stretch", 8.0))
            ranges[selection.name] = low_high
            found = map_
        wanted[selection.name] = found
    return PredictProgram(tuple(nodes), sources, wanted, ranges)


def finish_program(
    model: Model, settings: PredictSettings, maps: Mapping[str, str], thresholded: float | None = None
) -> PredictProgram:
    """From maps (or masks, if they are `thresholded`) to results: threshold, small objects, what is in them."""
    limit = limit_of(model, settings)
    nodes: list[Node] = []
    wanted, facts = {}, {}
    for name, source in maps.items():
        found = source
        if limit is not None and thresholded is None:
            found = f"{name}:mask"
            nodes.append(Node(found, ABOVE, (source,), limit, "threshold"))
        if limit is not None and settings.min_size > 1:
            spec = get_operator("remove_small_objects")
            size, _ = spec.check({"min_size": settings.min_size})
            step = "remove small objects"
            nodes += flatten(
                f"{name}:large", spec.rule, {"mask": found}, size, step=step, scratch=spec.scratch
            )
            found = f"{name}:large"
        facts[name] = f"{name}:content"
        nodes.append(
            Node(facts[name], EXTREMA if limit is None else COUNT, (found,), None, "describe the result")
        )
        wanted[name] = found
    return PredictProgram(tuple(nodes), tuple(maps.values()), wanted, {}, facts)


def _joined(first: PredictProgram, *others: PredictProgram) -> PredictProgram:
    """Programs of which each takes what those before it give."""
    programs = (first, *others)
    return PredictProgram(
        nodes=tuple(node for program in programs for node in program.nodes),
        inputs=first.inputs,
        wanted=programs[-1].wanted,
        ranges={name: node for program in programs for name, node in program.ranges.items()},
        facts=programs[-1].facts,
    )
