"""Compares every library workflow with the reference's masks on the golden stacks and writes docs/fidelity.md.

    python -m bench.fidelity [--print]

Dice coefficient and voxel counts; five workflows, whose order of ties the reference leaves undefined, in the default
order and with the reference's ties (compat).
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import fastseg
from fastseg.errors import InputError
from fastseg.workflow.load import get_workflow, library_names
from fastseg.workflow.run import run_workflow
from tests.golden import STACKS, dice, mask, stack

UNDEFINED_ORDER = ("cetn2", "dsp", "polr2a_blob", "slc25a17", "st6gal1")
PAGE = Path(__file__).parents[1] / "docs" / "fidelity.md"


def compare(workflow: str, name: str, compat: bool) -> str:
    """Dice of one workflow on one stack, with both voxel counts where they differ."""
    image, ratio = stack(name)
    if workflow == "cetn2" and image.max() <= 1:
        image = image * np.float32(5100)
    expected = mask(name, workflow)
    try:
        found = run_workflow(get_workflow(workflow), image, rescale=ratio, compat=compat).result > 0
    except InputError:
        return "both refuse" if expected is None else "refused"
    if expected is None:
        return "reference refuses"
    ours, theirs = int(np.count_nonzero(found)), int(np.count_nonzero(expected))
    value = dice(found, expected)
    if ours == theirs == 0:
        return "both empty"
    return f"{value:.5f}" + ("" if ours == theirs else f" ({ours} / {theirs})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--print", action="store_true", help="only print, write nothing")
    options = parser.parse_args()
    lines = [
        "# Fidelity",
        "",
        "Dice coefficient of fastseg's masks and those of the reference implementation (aicssegmentation 0.5.3) on the",
        "golden stacks of `tests/data`; where the numbers of voxels differ, ours / the reference's follow.",
        "",
        f"fastseg {fastseg.__version__}, {datetime.now(UTC).date().isoformat()}, `make fidelity`.",
        "",
        "| workflow | " + " | ".join(STACKS) + " |",
        "|---|" + "---|" * len(STACKS),
    ]
    for workflow in library_names():
        for compat in (False, True) if workflow in UNDEFINED_ORDER[:-1] else (False,):
            label = f"{workflow} (compat)" if compat else workflow
            cells = [compare(workflow, name, compat) for name in STACKS]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    lines += [
        "",
        f"The reference leaves the order of ties undefined in {', '.join(UNDEFINED_ORDER)}: random numbers",
        "in the medial axis, an unstable sort of equal peaks, the layout of a heap for equal seeds. fastseg orders",
        "them by position, so that its results do not depend on tiles or processors; `--compat` restores the heap and",
        "the sort of the reference (the sort as on processors with AVX-512).",
        "",
        "`--compat` also restores what the reference exposes as `im_norm` in fbl_labelfree_4dn: the raw image after",
        "clipping, in place of the normalised one. The segmentation is the same.",
    ]
    if not options.print:
        PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"written to {PAGE.name}")


if __name__ == "__main__":
    main()
