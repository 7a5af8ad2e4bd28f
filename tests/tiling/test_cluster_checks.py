"""What is asked of the workers of a cluster before a run: the same code, and the same files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="workers need dask and distributed")

from fastseg.errors import UsageError, WriteError
from fastseg.tiling import cluster_checks
from fastseg.tiling.cluster import ClusterExecutor, local_workers
from fastseg.tiling.cluster_checks import check_paths, check_workers, versions
from fastseg.version import __version__


@pytest.fixture(scope="module")
def executor() -> Iterator[ClusterExecutor]:
    with local_workers(2, cores=2) as found:
        yield found


class Answering:
    """A client whose workers give these answers."""

    def __init__(self, answers: dict[str, Any] | None) -> None:
        self.answers = answers

    def run(self, function: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        if self.answers is None:
            raise ValueError("no workers")
        return self.answers


class Local:
    """A client whose single worker looks at the files itself, after something has happened to them."""

    def __init__(self, change: Any = None, host: str = "node7") -> None:
        self.change, self.host = change, host

    def run(self, function: Any, *arguments: Any) -> dict[str, Any]:
        if self.change is not None:
            self.change()
        return {"tcp://1": (self.host, function(*arguments)[1])}


def test_workers_of_this_installation_are_taken(executor: ClusterExecutor) -> None:
    check_workers(executor.client, "here")
    own = versions()
    assert own["fastseg"] == __version__
    assert own["zarr"] == "3"
    assert "none" not in own.values()


@pytest.mark.parametrize("name", ["fastseg", "numpy", "scipy", "scikit-image", "numba", "zarr"])
def test_workers_whose_results_could_differ_are_refused(name: str) -> None:
    own = versions()
    with pytest.raises(UsageError) as caught:
        check_workers(Answering({"w1": own, "w2": {**own, name: "0.0.1"}}), "here")
    kind = "major version " if name == "zarr" else ""
    assert str(caught.value) == (
        f"worker w2 runs {name} {kind}0.0.1, this is {own[name]}: install the same version"
    )


def test_workers_without_fastseg_and_clusters_without_workers_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        check_workers(Answering({"w1": ImportError("fastseg")}), "here")
    assert (
        str(caught.value) == f"worker w1 has no fastseg {__version__} that starts: install the same version"
    )
    nobody: list[dict[str, Any] | None] = [{}, None]
    for answers in nobody:
        with pytest.raises(UsageError) as caught:
            check_workers(Answering(answers), "here")
        assert str(caught.value) == "scheduler here has no workers: start some first"


def test_shared_files_are_found_and_nothing_is_left_behind(executor: ClusterExecutor, tmp_path: Path) -> None:
    image = tmp_path / "image.tif"
    image.touch()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    executor.check_paths(scratch, [image, tmp_path])
    assert list(scratch.iterdir()) == []


def test_an_input_that_a_worker_does_not_see_is_named(executor: ClusterExecutor, tmp_path: Path) -> None:
    import socket

    missing = tmp_path / "image.tif"
    with pytest.raises(UsageError) as caught:
        executor.check_paths(tmp_path, [tmp_path, missing])
    assert str(caught.value) == (
        f"the worker on {socket.gethostname()} cannot read {missing}: choose a place on a disk that all workers and "
        "this process share"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_same_name_on_another_disk_is_noticed(tmp_path: Path) -> None:
    def elsewhere() -> None:  # the worker's folder is there, without what was just written
        for path in tmp_path.iterdir():
            path.unlink()

    with pytest.raises(UsageError) as caught:
        check_paths(Local(elsewhere), tmp_path, [])
    assert str(caught.value).startswith(
        f"the worker on node7 does not see the scratch folder {tmp_path}: choose"
    )


def test_what_workers_write_must_arrive_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_checks, "_look", lambda *_: ("", None))  # writes nothing, at least not here
    with pytest.raises(UsageError) as caught:
        check_paths(Local(), tmp_path, [])
    assert str(caught.value).startswith(
        f"what workers on node7 write to the scratch folder {tmp_path} does not"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_to_by_a_worker_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        check_paths(Local(lambda: tmp_path.chmod(0o500)), tmp_path, [])
    tmp_path.chmod(0o700)
    assert "node7 cannot write to the scratch folder" in str(caught.value)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WriteError) as caught:
        check_paths(Local(), tmp_path / "none", [])
    assert (
        str(caught.value) == f"scratch folder {tmp_path / 'none'} cannot be used: No such file or directory"
    )
