"""``fastseg workflows``: the library of named workflows, and users' own definition files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastseg.cli.console import amount, print_heading, print_lines, print_prose, print_table
from fastseg.cli.guard import guarded, say_error
from fastseg.cli.options import complete_workflow
from fastseg.errors import EXIT_USAGE

if TYPE_CHECKING:
    from fastseg.workflow.schema import Step, Workflow

workflows = typer.Typer(
    help="List, show, check and convert workflows.", no_args_is_help=True, rich_markup_mode=None
)

_CORE = ("spots", "filaments", "thresholds", "splitting")
"""Categories of the operators that find the structure; the others prepare and clean up."""


@workflows.command("list")
@guarded
def list_() -> None:
    """List the workflows that come with fastseg."""
    from fastseg.workflow.legacy_library import DIFFERENCES, LEGACY_PREFIX, legacy_names
    from fastseg.workflow.load import get_workflow, library_names

    found = [get_workflow(name) for name in library_names()]
    rows = [
        (w.name, w.title, w.structure, ", ".join(core_kinds(w)), "yes" if w.rescale == "supported" else "no")
        for w in found
    ]
    print_table(("name", "title", "structure", "core", "rescale"), rows, wrap=("title", "structure", "core"))
    print_lines("")
    print_lines("The reference's JSON workflows, without rescaling:")
    legacy = [
        (LEGACY_PREFIX + name, DIFFERENCES.get(name, f"same segmentation as {name}"))
        for name in legacy_names()
    ]
    print_table(
        ("name", "compared with the workflow of that name"),
        legacy,
        wrap=("compared with the workflow of that name",),
    )


@workflows.command()
@guarded
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A workflow's name or definition file.",
            autocompletion=complete_workflow,
        ),
    ],
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the definition file, to start an own one from.")
    ] = False,
) -> None:
    """Show one workflow: its steps and their parameters."""
    from fastseg.workflow.dump import dump_yaml
    from fastseg.workflow.legacy_library import LEGACY_PREFIX
    from fastseg.workflow.load import get_workflow, library_names, library_text

    workflow = get_workflow(name)
    if as_yaml and name.lower().startswith(LEGACY_PREFIX):
        sys.stdout.write(dump_yaml(workflow))
        return
    if as_yaml:
        library = {n.lower(): n for n in library_names()}
        path = Path(name)
        is_file = path.suffix.lower() in (".yaml", ".yml", ".json") or name.lower() not in library
        sys.stdout.write(path.read_text(encoding="utf-8") if is_file else library_text(library[name.lower()]))
        return
    print_heading(f"{workflow.name}" + (f": {workflow.title}" if workflow.title else ""))
    ignored = "" if workflow.rescale == "supported" else " (a ratio has no effect)"
    facts = [
        ("structure", workflow.structure),
        ("source", workflow.source),
        ("rescale", f"{workflow.rescale}{ignored}"),
        ("input", ", ".join(workflow.inputs)),
    ]
    print_table(("", ""), [fact for fact in facts if fact[1]], wrap=("",), header=False)
    print_lines("")
    rows = [(s.id, s.operator, ", ".join(s.inputs), parameters_text(s)) for s in workflow.steps]
    print_table(("step", "operator", "inputs", "parameters"), rows, wrap=("inputs", "parameters"))
    result = workflow.result
    print_lines("", f"result: {result.step}, foreground {result.foreground} ({result.dtype})")
    if workflow.exposes:
        print_prose(f"exposes: {', '.join(exposed_texts(workflow))}")
    for note in workflow.notes:
        print_prose(f"note: {note}")
    for step in workflow.steps:
        if step.note:
            print_prose(f"note on {step.id}: {step.note}")


@workflows.command()
@guarded
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Definition files (.yaml, .json).")],
) -> None:
    """Check definition files and report every problem."""
    from fastseg.errors import UsageError
    from fastseg.workflow.load import load_file

    bad = 0
    for file in files:
        try:
            workflow = load_file(file)
        except UsageError as error:
            bad += 1
            say_error(str(error))
        else:
            print_lines(f"OK {file}: {workflow.name}, {amount(len(workflow.steps), 'step')}")
    if bad:
        raise typer.Exit(EXIT_USAGE)


@workflows.command()
@guarded
def new(
    target: Annotated[Path, typer.Argument(metavar="NEW.yaml", help="The file to write.")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="The workflow to start from.",
            autocompletion=complete_workflow,
        ),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Start a definition file of your own from another workflow."""
    from fastseg.workflow.edit import new_definition

    workflow = new_definition(source, target, overwrite=overwrite)
    print_lines(f"{target}: {workflow.name}, {amount(len(workflow.steps), 'step')}")


@workflows.command()
@guarded
def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="OLD",
            help="A definition file, or a workflow's name.",
            autocompletion=complete_workflow,
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(metavar="NEW", help="The file to write: .yaml, or .json for the reference's format."),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace NEW if it exists.")] = False,
) -> None:
    """Convert the reference's JSON workflows to YAML definitions, and back."""
    from fastseg.errors import UsageError
    from fastseg.io.atomic import atomic_output, check_absent
    from fastseg.workflow.dump import dump_yaml
    from fastseg.workflow.legacy_export import legacy_json, to_legacy
    from fastseg.workflow.load import get_workflow

    suffix = target.suffix.lower()
    if suffix not in (".yaml", ".yml", ".json"):
        raise UsageError(f"{target} has no suffix that names a format: use .yaml, .yml or .json")
    check_absent(target, overwrite)
    workflow = get_workflow(source)
    text = legacy_json(to_legacy(workflow)) if suffix == ".json" else dump_yaml(workflow)
    data = text.encode("utf-8")
    with atomic_output(target, overwrite=overwrite, needed=len(data)) as temporary:
        temporary.write_bytes(data)
    print_lines(f"{target}: {workflow.name}")
    if suffix == ".json" and any(step.when == "rescale" for step in workflow.steps):
        print_lines("note: the optional rescaling is left out, a JSON workflow has none")


def core_kinds(workflow: Workflow) -> list[str]:
    """Categories of the steps that find the structure, in the order of the steps, each once."""
    from fastseg.operators.registry import registry

    known = registry()
    found = [known[s.operator].category for s in workflow.ordered()]
    return [c for c in dict.fromkeys(found) if c in _CORE]


def exposed_texts(workflow: Workflow) -> list[str]:
    """The exposed names, each with its step where that has another id, and with the one that --compat exposes."""
    texts = []
    for name, step in workflow.exposes.items():
        steps = [] if step == name else [f"step {step}"]
        if (other := workflow.exposes_compat.get(name, step)) != step:
            steps.append(f"with --compat step {other}")
        texts.append(f"{name} ({', '.join(steps)})" if steps else name)
    return texts


def parameters_text(step: Step) -> str:
    """A step's parameters in one line."""
    parts = [f"{name}={_value(value)}" for name, value in step.parameters.items()]
    parts += [f"{name} times the ratio" for name in step.times_ratio]
    if step.when == "rescale":
        parts.append("only with a rescale ratio")
    return ", ".join(parts)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
