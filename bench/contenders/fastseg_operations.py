"""fastseg's operations, for the CPU and for CUDA: whatever an array lives on, the functions are the same."""

from importlib.util import find_spec
from typing import Any

from bench.contenders.base import Operation


def operations(device: str) -> dict[str, Operation]:
    """Every operator, the composed cases, and workflows by name."""
    from fastseg.arrays import to_host
    from fastseg.operators.functions import function_of
    from fastseg.operators.registry import registry
    from fastseg.workflow.segment import segment

    def split_objects(image: Any, mask: Any) -> Any:
        return function_of("watershed_split")(mask, function_of("local_maxima")(image, mask))

    def workflow(image: Any, name: str) -> Any:
        return segment(image, name, device)

    def predict(
        image: Any,
        network: str,
        mode: str,
        params: dict[str, Any] | None = None,
        patch: list[int] | None = None,
        precision: str = "float32",
    ) -> Any:
        from bench.contenders.networks import model_for
        from fastseg.unet import predict as prediction

        size = None if patch is None else tuple(patch)
        model = model_for(network, params)
        settings = {"device": device, "mode": mode, "patch": size, "precision": precision}
        return prediction.predict(model, to_host(image), **settings).array()

    found = {name: function_of(name) for name in registry()}
    found |= {"split_objects": split_objects, "workflow": workflow}
    return found if find_spec("torch") is None else {**found, "predict": predict}
