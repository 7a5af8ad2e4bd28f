"""The command as a process of its own: exit codes, signals, start-up, and output without a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.screen.stacks import files_in, stack, write_stack, write_workflow
from tests.support import interrupts_heeded


def fastseg(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_good_and_bad_files(tmp_path: Path) -> None:
    workflow = write_workflow(tmp_path)
    good = write_stack(tmp_path / "good.tif")
    data = good.read_bytes()
    (tmp_path / "bad.tif").write_bytes(data[: len(data) // 2])
    done = fastseg("segment", good, "-w", workflow, "-o", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    done = fastseg("segment", tmp_path / "*.tif", "-w", workflow, "-o", tmp_path / "out", "--overwrite")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "bad.tif") in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert files_in(tmp_path / "out") == ["good_struct_segmentation.tiff"]
    done = fastseg("segment", good, "-w", "nothing_like_it", "-o", tmp_path / "out2")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: workflow 'nothing_like_it' is unknown")


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    code = """
import sys
from fastseg.cli import main
heavy = {"numba", "numpy", "scipy", "skimage", "zarr", "tifffile", "bioio", "dask", "pydantic", "rich", "cupy"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_half_done(tmp_path: Path, number: signal.Signals) -> None:
    """The process stops itself inside the writer, when a temporary file is there."""
    workflow = write_workflow(tmp_path)
    for name in ("a.tif", "b.tif"):
        write_stack(tmp_path / "in" / name)
    code = f"""
import os, signal, sys
import tifffile
from fastseg.cli import main
real = tifffile.TiffWriter.write
calls = []
def write(self, *args, **options):
    real(self, *args, **options)
    calls.append(1)
    if len(calls) == 2:
        assert any(name.endswith(".part") for name in os.listdir(sys.argv[-1]))
        os.kill(os.getpid(), {int(number)})
tifffile.TiffWriter.write = write
main.run()
"""
    arguments = ("segment", tmp_path / "in", "-w", workflow, "-o", tmp_path / "out")
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=interrupts_heeded)
    assert done.returncode == 128 + number
    assert done.stderr == "stopped: 1 of 2 images are finished, nothing half-written is left\n"
    assert files_in(tmp_path / "out") == ["a_struct_segmentation.tiff"]


def test_output_survives_any_encoding(tmp_path: Path) -> None:
    workflow = write_workflow(tmp_path)
    path = write_stack(tmp_path / "zellkern_\u00e4\u03b1.tif")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = fastseg("segment", path, "-w", workflow, "-o", tmp_path / "out", env=environment)
    assert done.returncode == 0, done.stderr
    assert "zellkern_" in done.stdout


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m fastseg operators list | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("category")
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="pseudo-terminals exist on POSIX only")
class TestOnATerminal:
    def test_bars_and_lines(self, tmp_path: Path) -> None:
        workflow = write_workflow(tmp_path)
        for name in ("[red]a.tif", "b.tif"):
            write_stack(tmp_path / "in" / name, stack(1, (8, 64, 64)))
        code, text = _on_terminal(
            tmp_path, "segment", tmp_path / "in", "-w", workflow, "-o", tmp_path / "out"
        )
        assert code == 0
        assert "workflow bright on cpu, 2 images" in text
        assert "[1/2] [red]a.tif: " in text
        assert "2 images segmented in" in text
        assert "\u2501" in text  # a bar
        assert "\x1b[?25h" in text.rsplit("\x1b[?25l", 1)[1]  # the cursor is shown again

    def test_colour_is_the_users_choice(self, tmp_path: Path) -> None:
        assert "\x1b[1m" in _on_terminal(tmp_path, "operators", "list")[1]
        text = _on_terminal(tmp_path, "operators", "list", NO_COLOR="1")[1]
        assert "\x1b[3" not in text

    @pytest.mark.parametrize(
        "command",
        [
            ("workflows", "list"),
            ("workflows", "show", "lamp1"),
            ("operators", "list"),
            ("operators", "show", "local_maxima"),
            ("info",),
        ],
    )
    def test_tables_fit_80_columns(self, tmp_path: Path, command: tuple[str, ...]) -> None:
        code, text = _on_terminal(tmp_path, *command, TERM="dumb")
        assert code == 0
        lines = text.replace("\r", "").split("\n")
        longest = max(lines, key=len)
        assert all(len(line) <= 80 or line.startswith(("python", "system")) for line in lines), longest
        assert "\u2026" not in text


def _on_terminal(folder: Path, *arguments: object, **variables: str) -> tuple[int, str]:
    """Exit code and everything printed, by a process whose output is a terminal of 80 columns."""
    import fcntl
    import struct
    import termios

    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fastseg", *map(str, arguments)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=kept | {"TERM": "xterm-256color"} | variables,
    )
    os.close(follower)
    chunks = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            data = os.read(leader, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not data:
            break
        chunks.append(data)
    os.close(leader)
    return process.wait(timeout=60), b"".join(chunks).decode()
