"""Networks by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from fastseg.errors import UsageError
from fastseg.unet.graph import Graph
from fastseg.unet.networks.residual_unet import RESIDUAL_UNET
from fastseg.unet.networks.spec import NetworkParams, NetworkSpec, Shapes
from fastseg.unet.networks.unet_original import UNET_ORIGINAL
from fastseg.unet.networks.unet_xy import UNET_XY
from fastseg.unet.networks.unet_xy_zoom import UNET_XY_ZOOM
from fastseg.unet.sizes import SizeRule, size_rule

NETWORKS: Mapping[str, NetworkSpec] = {
    spec.name: spec for spec in (UNET_XY, UNET_XY_ZOOM, UNET_ORIGINAL, RESIDUAL_UNET)
}


@dataclass(frozen=True)
class Architecture:
    """A network with its parameters set.

    Attributes
    ----------
    spec : NetworkSpec
    params : NetworkParams
    """

    spec: NetworkSpec
    params: NetworkParams

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def graph(self) -> Graph:
        return _graph(self.spec.name, self.params)

    @property
    def folded(self) -> Graph:
        """The graph that predicts: every normalisation is part of the convolution before it."""
        return _folded(self.spec.name, self.params)

    @property
    def sizes(self) -> SizeRule:
        return _sizes(self.spec.name, self.params)

    def as_dict(self) -> dict[str, Any]:
        """Name and parameters, as model files hold them."""
        return {"name": self.name, **self.params.model_dump(mode="json")}

    def __reduce__(self) -> tuple[Any, ...]:
        return architecture, (self.name, self.params.model_dump())


@lru_cache(maxsize=64)
def _graph(name: str, params: NetworkParams) -> Graph:
    return NETWORKS[name].build(params)


@lru_cache(maxsize=64)
def _folded(name: str, params: NetworkParams) -> Graph:
    return _graph(name, params).without_norms()


@lru_cache(maxsize=64)
def _sizes(name: str, params: NetworkParams) -> SizeRule:
    return size_rule(_graph(name, params))


def get_network(name: str) -> NetworkSpec:
    """A network by name.

    Raises
    ------
    UsageError
        If there is none; the message names the nearest.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    near = get_close_matches(name, NETWORKS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NETWORKS)}"
    raise UsageError(f"network '{name}' is unknown: {hint}")


def architecture(name: str, params: Mapping[str, Any] | None = None) -> Architecture:
    """A network with parameters.

    Parameters
    ----------
    name : str
    params : mapping of str to value, optional
        ``channels``, ``classes`` and what the network adds; defaults otherwise.

    Raises
    ------
    UsageError
        If there is no such network.
    Problems
        If parameters are wrong.
    """
    spec = get_network(name)
    return Architecture(spec, spec.check(params or {}))


def recognise(shapes: Shapes) -> list[Architecture]:
    """The networks that tensors of these names and shapes may belong to."""
    found = []
    for spec in NETWORKS.values():
        params = spec.recognise(shapes)
        if params is not None:
            found.append(Architecture(spec, spec.check(params)))
    return found
