"""The benchmark on tiny arrays: every contender answers, and the answers agree. Nothing is timed or written."""

from collections.abc import Mapping
from dataclasses import replace

from bench.cases import Case, more_operators, objects, operators, small_networks, workflows
from bench.lineup import FASTSEG
from bench.protocol import Worker
from bench.runner import Effort, Runner

SHAPE = (12, 48, 56)
WORKFLOWS = ("sec61b", "tomm20", "npm1")
# Nothing repeated, weighed or compiled anew.
EFFORT = Effort(repeats=0, memory=False, first=False)


def cases() -> list[Case]:
    """Every operator, the objects that fit, one workflow of each kind, and a small network."""
    few = [replace(case, name=f"{case.name} (few)") for case in objects(SHAPE)]
    return (
        operators(SHAPE)
        + more_operators(SHAPE)
        + few
        + workflows(SHAPE, list(WORKFLOWS))
        + small_networks(SHAPE)
    )


def smoke(workers: Mapping[str, Worker], only: str = "") -> list[str]:
    """Compare the answers of all contenders.

    Returns
    -------
    list of str
        One sentence for every answer that differs or is missing; empty if all is well.
    """
    runner = Runner(workers, EFFORT)
    problems = []
    compared = 0
    try:
        for case in cases():
            if only not in case.key:
                continue
            for name, entry in runner.measure(case)["contenders"].items():
                if "error" in entry:
                    problems.append(f"{case.name}: {name}: {entry['error']}")
                elif not entry["agrees"]:
                    problems.append(f"{case.name}: {name} answers differently: {entry['agreement']}")
                compared += name != FASTSEG
    finally:
        runner.close()
    print(f"{compared} answers compared with fastseg's, {len(problems)} problems")
    return problems
