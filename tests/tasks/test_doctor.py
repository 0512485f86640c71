"""What `troupe doctor` finds out, on this machine and on broken ones."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import tasks.media.ffmpeg_process
from models.miniature import SHIPPED_WEIGHTS
from tasks import doctor as machine
from tasks.doctor import Finding, examine
from troupe.errors import FfmpegError, TroupeError

NAMES = {"python", "packages", "cpu", "memory", "gpu", "ffmpeg", "opencv", "ray", "prefect"} | {
    "temporary folder",
    "store",
    "weights",
    "detector",
    "signer",
}


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    found = {finding.name: finding for finding in findings}
    assert len(found) == len(findings)
    return found


def card(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine seem to have a driver whose tool prints that."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{answer}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.hip", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_this_machine_can_work(tmp_path: Path) -> None:
    findings = by_name(examine(str(tmp_path / "store"), SHIPPED_WEIGHTS, None, lambda: "answers"))
    assert set(findings) == NAMES
    for name in NAMES - {"gpu", "memory", "temporary folder", "weights", "packages"}:
        assert findings[name].state == "ok", findings[name]
    assert findings["weights"].state == "warn"
    assert all(finding.advice for finding in findings.values() if finding.state == "warn")
    assert not (tmp_path / "store").exists()


def _refused() -> str:
    raise TroupeError("the server does not answer")


def test_everything_wrong_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    findings = by_name(examine(str(tmp_path / "file/store"), tmp_path / "nothing", tmp_path / "no.onnx", _refused))
    assert {name for name, finding in findings.items() if finding.state == "bad"} >= {
        "store",
        "weights",
        "detector",
        "prefect",
    }
    assert str(tmp_path / "nothing") in findings["weights"].what
    assert str(tmp_path / "no.onnx") in findings["detector"].what


def test_store_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    assert machine._store(str(tmp_path / "store")).state == "ok"
    assert list((tmp_path / "store").iterdir()) == []


def test_a_store_that_takes_files_but_no_rows(tmp_path: Path) -> None:
    (tmp_path / "catalog").write_text("a file where the table belongs")
    finding = machine._run_check("store", lambda: machine._store(str(tmp_path)))
    assert finding.state == "bad"
    assert "cannot write and read a row" in finding.what


def test_failing_check_is_a_finding() -> None:
    def check() -> Finding:
        raise OSError("the floor is lava")

    assert machine._run_check("floor", check).what == "OSError: the floor is lava"
    assert machine._run_check("floor", check).state == "bad"


def test_opencv_without_system_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    finding = machine._opencv()
    assert finding.state == "bad"
    assert "libGL.so.1" in finding.what
    assert "libgl1" in finding.advice


def test_several_opencvs_in_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    several = {"cv2": ["opencv-python", "opencv-python-headless"]}
    monkeypatch.setattr(machine.metadata, "packages_distributions", lambda: several)
    assert machine._opencv().state == "warn"


def test_unmet_requirements_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=99", "pytest", "no-such-package>=1", "nor-this; extra == 'dev'", "nor-that; os_name == 'vms'"]
    monkeypatch.setattr(machine.metadata, "requires", lambda _: wanted)
    finding = machine._packages()
    assert finding.state == "bad"
    assert "troupe needs >=99" in finding.what
    assert "no-such-package is missing" in finding.what
    assert "nor-th" not in finding.what
    monkeypatch.setattr(machine.metadata, "requires", lambda _: ["pytest>=1"])
    assert machine._packages().state == "ok"


def test_limits_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"cpu.max": ["50000", "100000"], "memory.max": ["2000000000"]}
    monkeypatch.setattr(machine, "_limit", limits.__getitem__)
    assert machine._cpu().what.startswith("0.5 of ")
    assert machine._memory().what.startswith("2.0 of ")
    assert machine._memory().state == "warn"
    monkeypatch.setattr(machine, "_limit", lambda _: [])
    assert "container" not in machine._cpu().what + machine._memory().what


def test_card_that_a_cpu_torch_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card(tmp_path, "echo 'NVIDIA H200, 570.1'", monkeypatch)
    monkeypatch.setattr("torch.version.cuda", None)
    finding = machine._gpu()
    assert finding.state == "bad"
    assert "NVIDIA H200, driver 570.1" in finding.what
    assert "CPU build" in finding.what
    assert "CUDA build" in finding.advice


def test_card_with_a_driver_of_another_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card(tmp_path, "echo 'NVIDIA H200, 470.1'", monkeypatch)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    assert machine._gpu().state == "bad"
    assert "driver" in machine._gpu().advice
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine._gpu().state == "warn"


def test_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card(tmp_path, "echo 'no devices were found'; exit 6", monkeypatch)
    assert machine._gpu().what == "none"


@pytest.mark.parametrize(("memory", "state"), [(150 * 10**9, "ok"), (6 * 10**9, "warn")])
def test_card_that_can_be_used(memory: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card(tmp_path, "echo 'NVIDIA H200, 570.1'", monkeypatch)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr(
        "torch.cuda.get_device_properties", lambda _: SimpleNamespace(name="NVIDIA H200", total_memory=memory)
    )
    finding = machine._gpu()
    assert finding.state == state
    assert f"NVIDIA H200 with {memory / 1e9:.1f} GB" in finding.what
    assert "driver 570.1" in finding.what


def test_unusable_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise FfmpegError("no usable ffmpeg")

    monkeypatch.setattr(tasks.media.ffmpeg_process, "ffmpeg_binary", missing)
    assert machine._run_check("ffmpeg", machine._ffmpeg) == Finding("ffmpeg", "bad", "no usable ffmpeg")


def test_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    for free, total, state in ((10**9, 10**12, "warn"), (10**10, 10**12, "warn"), (10**11, 10**12, "ok")):
        fake = usage._replace(free=free, total=total)
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, fake=fake: fake)
        assert machine._scratch().state == state
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nothing"))
    assert machine._run_check("temporary folder", machine._scratch).state == "bad"
