"""The networks of the prediction cases, with weights made by rule: the same in every process."""

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def model_of(network: str, settings: tuple[tuple[str, Any], ...]) -> Any:
    """A model (`fastseg.unet.model.Model`) whose weights come from a fixed seed."""
    import torch

    from fastseg.unet.model import make_model
    from fastseg.unet.module import Network
    from fastseg.unet.networks.registry import architecture

    arch = architecture(network, dict(settings))
    torch.manual_seed(0)
    return make_model(arch, Network(arch.graph).state_dict())


def model_for(network: str, params: dict[str, Any] | None) -> Any:
    """The same from parameters as cases hold them."""
    given = {
        name: tuple(value) if isinstance(value, list) else value for name, value in (params or {}).items()
    }
    return model_of(network, tuple(sorted(given.items())))
