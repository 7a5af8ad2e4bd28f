"""A run that was stopped goes on after its last finished stage, and gives the result of one that was not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from fastseg.errors import InputError
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.journal import Journal, Progress
from fastseg.tiling.scratch import Scratch
from fastseg.types import Box
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import run_workflow
from fastseg.workflow.run_tiled import StageEvent, TiledOutcome, plan_workflow, run_tiled
from tests.support import assert_identical, image

TILE = (4, 10, 9)
SHAPE = (8, 20, 18)


def stack() -> np.ndarray:
    return 1000 * image("blobs", SHAPE, 3)


class Stopped(Exception):
    pass


def run(
    name: str, parent: Path, stop_at: int | None = None, resume: bool = True
) -> tuple[np.ndarray, TiledOutcome]:
    """Run in scratch below `parent`; stop as if by a crash before a stage."""

    def on_stage(event: StageEvent) -> None:
        if event.number == stop_at:
            raise Stopped

    with Scratch(parent, key="work", resume=resume) as scratch:
        engine = Engine(TILE, storage=scratch)
        found = run_tiled(
            get_workflow(name), ArrayVolume(stack()), engine, on_stage=on_stage, journal=scratch.journal
        )
        return np.asarray(found.result.read(Box.whole(found.result.shape))), found


@pytest.mark.parametrize("name", ["cetn2", "npm1", "ubtf"])
def test_every_stage_is_a_place_to_go_on_from(name: str, tmp_path: Path) -> None:
    expected = run_workflow(get_workflow(name), stack()).result
    total = len(plan_workflow(get_workflow(name), SHAPE, tile=TILE).stages)
    for stage in range(1, total, 1 if name == "cetn2" else 5):
        with pytest.raises(Stopped):
            run(name, tmp_path, stage)
        assert len(list(tmp_path.iterdir())) == 1
        result, found = run(name, tmp_path)
        assert_identical(result, expected)
        assert found.resumed == stage
        assert len(found.seconds) == total - stage
        assert found.notes == [f"stages 1 to {stage} were finished by an earlier run"]
        assert found.foreground == np.count_nonzero(expected)
        assert list(tmp_path.iterdir()) == []


def test_a_run_stopped_several_times_goes_on_each_time(tmp_path: Path) -> None:
    for stage in (2, 3, 5):
        with pytest.raises(Stopped):
            run("cetn2", tmp_path, stage)
    result, found = run("cetn2", tmp_path)
    assert found.resumed == 5
    assert_identical(result, run_workflow(get_workflow("cetn2"), stack()).result)


def test_what_an_interrupted_stage_left_is_removed(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run("cetn2", tmp_path, 3)
    (folder,) = tmp_path.iterdir()
    (folder / "77.zarr").mkdir()
    (folder / "78.shelf").mkdir()
    with pytest.raises(Stopped):
        run("cetn2", tmp_path, 4)
    names = {path.name for path in folder.iterdir()}
    assert not names & {"77.zarr", "78.shelf"}
    assert Journal(folder).read().stages == 4


def test_a_process_that_was_killed(tmp_path: Path) -> None:
    script = f"""
        import os, signal
        from tests.workflow import test_resume
        class Killed(Exception):
            def __init__(self):
                os.kill(os.getpid(), signal.SIGKILL)
        test_resume.Stopped = Killed
        test_resume.run("cetn2", test_resume.Path({str(tmp_path)!r}), 6, resume=False)
    """
    done = subprocess.run([sys.executable, "-c", dedent(script)], check=False)
    assert done.returncode == -9
    result, found = run("cetn2", tmp_path)
    assert found.resumed == 6
    assert_identical(result, run_workflow(get_workflow("cetn2"), stack()).result)
    assert list(tmp_path.iterdir()) == []


def test_without_resume_nothing_is_left_and_nothing_is_taken_over(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run("cetn2", tmp_path, 4, resume=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Stopped):
        run("cetn2", tmp_path, 4)
    _, found = run("cetn2", tmp_path, resume=False)
    assert found.resumed == 0
    assert len(list(tmp_path.iterdir())) == 1


def interrupted(parent: Path, stages: int, key: str = "work") -> Path:
    """What a run leaves that was stopped after some stages."""
    scratch = Scratch(parent, key, resume=True)
    scratch.journal.write(Progress(stages))
    scratch.__exit__(Stopped, Stopped(), None)
    return scratch.folder


def test_the_furthest_run_of_the_same_work_is_taken_over(tmp_path: Path) -> None:
    folders = [Path(tmp_path / f"fastseg-scratch-work-{n}") for n in range(3)]
    for folder, stages in zip(folders, (2, 5, 3), strict=True):
        folder.mkdir(mode=0o700)
        Journal(folder).write(Progress(stages))
    interrupted(tmp_path, 9, key="other")
    with Scratch(tmp_path, "work", resume=True) as scratch:
        assert scratch.folder == folders[1]


def test_a_folder_in_use_is_not_taken_over(tmp_path: Path) -> None:
    folder = interrupted(tmp_path, 4)
    with Scratch(tmp_path, "work", resume=True) as first, Scratch(tmp_path, "work", resume=True) as second:
        assert first.folder == folder
        assert second.folder != folder


def test_a_folder_that_others_may_write_to_is_not_taken_over(tmp_path: Path) -> None:
    folder = interrupted(tmp_path, 4)
    os.chmod(folder, 0o777)
    with Scratch(tmp_path, "work", resume=True) as scratch:
        assert scratch.folder != folder


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"not a pickle", b"\x80\x04N."])
def test_a_damaged_journal_is_no_journal(content: bytes, tmp_path: Path) -> None:
    folder = interrupted(tmp_path, 4)
    Journal(folder).path.write_bytes(content)
    with Scratch(tmp_path, "work", resume=True) as scratch:
        assert scratch.folder != folder
        assert scratch.journal.read() == Progress()


def test_an_image_that_cannot_be_segmented_fails_in_the_same_way_again(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            pytest.raises(InputError, match="constant"),
            Scratch(tmp_path, "work", resume=True) as scratch,
        ):
            run_tiled(
                get_workflow("cetn2"),
                ArrayVolume(np.zeros(SHAPE, np.float32)),
                Engine(TILE, storage=scratch),
                journal=scratch.journal,
            )
