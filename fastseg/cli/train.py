"""``fastseg train``: train a network on images with ground truth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastseg.cli.guard import guarded, settings
from fastseg.cli.options import CompatOption, DebugOption
from fastseg.cli.parsing import whole_triple
from fastseg.errors import UsageError

if TYPE_CHECKING:
    from fastseg.cli.train_progress import TrainReporter
    from fastseg.unet.training.settings import TrainSettings
    from fastseg.unet.training.train import Trained

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?|\.\d+")


@guarded
def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="Folder of NAME.ome.tif, NAME_GT.ome.tif and NAME_CM.ome.tif, or a CSV file with columns image and "
            "truth.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="RUN", help="Folder of the run; made if needed."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A configuration file, this program's or the reference's."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="See 'fastseg models list'; residual_unet by default.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|FILE", help="Start from the weights of a model or a checkpoint."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with a run that was stopped, as if it had not been."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="100 by default.")] = None,
    patch: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Input of the network; made for the images by default."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(metavar="N", help="Patches of a step, on all devices together; by memory by default."),
    ] = None,
    leaveout: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE|IDX|NAME,...",
            help="Images to validate with: a share, indices or names with commas; 'none'. A fifth by default.",
        ),
    ] = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            "--normalize",
            metavar="RECIPE",
            help="The recipe that the images were normalised with; the model tells prediction.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE", help="auto, cpu, cuda or cuda:N; auto takes the first GPU, else the CPU."
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(metavar="N", help="GPUs, or processes on the CPU, that share every step."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="auto, float32, tf32, bfloat16 or float16; auto mixes on GPUs."),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="0 by default.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="SECTION.KEY=VALUE", help="Change a setting (see --print-config); repeatable."
        ),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print the configuration with what every key means, and end."),
    ] = False,
    compat: CompatOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a network on images with ground truth.

    RUN then holds best.model (for 'fastseg predict --model RUN'), last.model, metrics.csv, training.html with curves
    and samples, and the state to go on from.

    Ctrl-C saves the state and ends; --resume RUN goes on.

    Exit code: 0 if the run is finished, 1 if it failed, 2 if the request was wrong, 130 after Ctrl-C.
    """
    settings.debug = settings.debug or debug
    given: dict[str, Any] = {
        "data.folder": data,
        "network": network,
        "init": init,
        "epochs": epochs,
        "patch": None if patch is None else list(whole_triple(patch, "--patch") or ()),
        "batch": batch,
        "data.leaveout": _leaveout(leaveout),
        "data.normalization": normalize,
        "device": device,
        "devices": devices,
        "precision": precision,
        "seed": seed,
    }
    options = {key: value for key, value in given.items() if value is not None}
    if resume is not None:
        _check_resume_alone({"--config": config, "--output": output, "--compat": compat or None})
        _finish(resume, lambda report: _resumed(resume, options, changes or [], report, print_config))
        return
    made, folder, notes = _settings(config, options, changes or [], compat)
    folder = output or folder
    if print_config:
        from fastseg.unet.training.config import describe

        typer.echo(describe(made), nl=False)
        return
    missing = [name for name, there in (("DATA", made.data.folder), ("--output", folder)) if not there]
    if missing or folder is None:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: give DATA and --output, "
            "--config, or --resume"
        )

    def begin(report: TrainReporter) -> Trained:
        from fastseg.unet.training.train import train as run

        return run(made, folder, report, notes)

    _finish(folder, begin)


def _settings(
    config: Path | None, options: dict[str, Any], changes: list[str], compat: bool
) -> tuple[TrainSettings, Path | None, tuple[str, ...]]:
    """Settings, the folder that a configuration of the reference names, and what to say about it."""
    from fastseg.unet.training.config import changed, parse_settings, placed
    from fastseg.unet.training.reference_config import is_reference_config, read_reference
    from fastseg.unet.yaml_file import read_yaml

    tree: dict[str, Any] = {}
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    if config is not None:
        tree = read_yaml(config)
        if is_reference_config(tree):
            asked = read_reference(tree, str(config), compat=compat)
            tree, folder, notes = (
                asked.settings.model_dump(mode="json", by_alias=True),
                asked.folder,
                asked.notes,
            )
            compat = False  # taken into account
    if compat:
        raise UsageError("--compat is for configuration files of the reference: give --config with it")
    return parse_settings(changed(placed(tree, options), changes), str(config or "options")), folder, notes


def _resumed(
    folder: Path, options: dict[str, Any], changes: list[str], report: TrainReporter, print_config: bool
) -> Trained | None:
    import json

    from fastseg.unet.training.train import resume

    if print_config:
        from fastseg.unet.training.config import describe
        from fastseg.unet.training.folder import RunFolder

        typer.echo(describe(RunFolder(folder).settings()), nl=False)
        return None
    given = [f"{key}={json.dumps(value)}" for key, value in options.items()]
    return resume(folder, [*given, *changes], report)


def _check_resume_alone(given: dict[str, Any]) -> None:
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise UsageError(f"{', '.join(named)}: the run decides this, leave it out beside --resume")


def _leaveout(text: str | None) -> list[float | str] | None:
    """Numbers and names; 'none' is an empty list. What is written unlike a number, such as 007 or 1e3, is a name."""
    if text is None or not text.strip():
        return None
    if text.strip() == "none":
        return []
    parts = [part.strip() for part in text.split(",")]
    return [float(part) if _NUMBER.fullmatch(part) else part for part in parts]


def _finish(folder: Path, run: Any) -> None:
    """Run, and say how it ended."""
    from fastseg.cli.console import amount, print_lines
    from fastseg.cli.train_progress import TrainReporter
    from fastseg.errors import FastsegError

    reporter = TrainReporter()
    hint = f"go on with: fastseg train --resume {folder}"
    try:
        with reporter:
            done = run(reporter)
    except KeyboardInterrupt as stop:
        if (folder / "state.pt").exists() and reporter.started:
            raise type(stop)(f"stopped: the state is saved; {hint}") from None
        raise
    except FastsegError as error:
        if reporter.started and (folder / "state.pt").exists() and error.exit_code != 2:
            raise type(error)(f"{error}; {hint}") from error
        raise
    if done is None:
        return
    best = "" if done.best is None else f", best epoch {done.best_epoch} with {done.best:.4f}"
    print_lines(
        f"{amount(done.epochs, 'epoch')} trained{best}: {done.model}",
        f"report: {done.folder / 'training.html'}",
    )
