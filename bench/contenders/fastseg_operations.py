"""fastseg's operations, for the CPU and for CUDA: whatever an array lives on, the functions are the same."""

from typing import Any

from bench.contenders.base import Operation


def operations(device: str) -> dict[str, Operation]:
    """Every operator, the composed cases, and workflows by name."""
    from fastseg.operators.functions import function_of
    from fastseg.operators.registry import registry
    from fastseg.workflow.segment import segment

    def split_objects(image: Any, mask: Any) -> Any:
        return function_of("watershed_split")(mask, function_of("local_maxima")(image, mask))

    def workflow(image: Any, name: str) -> Any:
        return segment(image, name, device)

    found = {name: function_of(name) for name in registry()}
    return {**found, "split_objects": split_objects, "workflow": workflow}
