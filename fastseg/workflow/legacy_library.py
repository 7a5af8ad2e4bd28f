"""The reference's prebuilt JSON workflows, which come with fastseg unchanged."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from fastseg.workflow.schema import Workflow

LEGACY_PREFIX = "json:"
"""Start of their names; the name alone is the structure workflow."""

_NO_SLICE_FILTER = (
    "the size filter of each plane and the repeated size filter of that workflow are missing here"
)

DIFFERENCES = {
    "atp2a2": _NO_SLICE_FILTER,
    "sec61b": _NO_SLICE_FILTER,
    "son": _NO_SLICE_FILTER,
    "npm1": "with compat, as in the reference, step 11 blanks planes 0 and 1 of the bright spots (step 5) instead of "
    "what lies outside the coarse mask",
    "smc1a": "spots are found by the 3-D filter instead of plane by plane",
    "lmnb1_interphase": "filaments are found in every plane instead of the middle one, seeds are centroids of filled "
    "bodies instead of their interiors, and boundaries are taken of labels",
}
"""How a prebuilt workflow differs from the structure workflow of its name, without rescaling."""


@lru_cache(maxsize=1)
def legacy_names() -> tuple[str, ...]:
    """Names of the prebuilt JSON workflows without their prefix, sorted."""
    folder = files("fastseg.workflow.library").joinpath("json")
    return tuple(sorted(i.name.removesuffix(".json") for i in folder.iterdir() if i.name.endswith(".json")))


def legacy_text(name: str) -> str:
    """The file of a prebuilt JSON workflow."""
    return files("fastseg.workflow.library").joinpath("json", f"{name}.json").read_text(encoding="utf-8")


def with_facts(workflow: Workflow, structure_workflow: Workflow) -> Workflow:
    """A prebuilt workflow with the title of its structure workflow, and a note on how the two differ."""
    name = structure_workflow.name
    notes = list(workflow.notes)
    if name in DIFFERENCES:
        notes.append(f"differs from the workflow {name}: {DIFFERENCES[name]}")
    return workflow.model_copy(
        update={
            "name": f"json_{name}",
            "title": structure_workflow.title,
            "structure": structure_workflow.structure,
            "source": structure_workflow.source + ", JSON workflow",
            "notes": notes,
        }
    )
