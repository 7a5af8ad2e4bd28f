"""The command ``fastseg``: its subcommands and global options."""

from __future__ import annotations

import gc
import sys
import warnings
from typing import Annotated

import typer

from fastseg import __version__
from fastseg.cli.curate import curate
from fastseg.cli.guard import EXIT_INTERRUPTED, settings
from fastseg.cli.info import info
from fastseg.cli.inspect import inspect
from fastseg.cli.models import models
from fastseg.cli.operators import operators
from fastseg.cli.plan import plan
from fastseg.cli.predict import predict
from fastseg.cli.segment import segment
from fastseg.cli.suggest import suggest
from fastseg.cli.sweep import sweep
from fastseg.cli.train import train
from fastseg.cli.workflows import workflows

_CONTEXT = {"help_option_names": ["-h", "--help"]}

# Plain help and errors: no boxes in logs, and no import of rich before it is needed.
app = typer.Typer(
    name="fastseg",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_CONTEXT,
)
app.command(context_settings=_CONTEXT)(segment)
app.command(context_settings=_CONTEXT)(plan)
app.command(context_settings=_CONTEXT)(predict)
app.command(context_settings=_CONTEXT)(train)
app.command(context_settings=_CONTEXT)(sweep)
app.command(context_settings=_CONTEXT)(suggest)
app.command(name="inspect", context_settings=_CONTEXT)(inspect)
app.add_typer(curate, name="curate")
app.add_typer(workflows, name="workflows")
app.add_typer(operators, name="operators")
app.add_typer(models, name="models")
app.command(context_settings=_CONTEXT)(info)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fastseg {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Segment 3D fluorescence microscopy, on CPUs and GPUs.

    fastseg segment cells/ -w lmnb1_interphase -o results --preview
    """
    settings.debug = debug


def run() -> None:
    """Entry point of the script ``fastseg``."""
    # Libraries make hundreds of thousands of objects while they load, and no garbage: looking for some takes a sixth of
    # a short command's time.
    gc.set_threshold(400_000, 10, 10)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A file name or a micro sign that the terminal's encoding lacks must not end a run.
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions and "--debug" not in sys.argv:
        # Warnings of libraries name source lines, not images; what concerns the user is said in notes.
        warnings.simplefilter("ignore")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    finally:
        # What is left goes with the process: taking it apart object by object would take another third of a second.
        gc.freeze()
