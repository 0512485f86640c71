"""Libraries that would report their use to others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from models.miniature import SHIPPED_WEIGHTS

DETECT = f"""
from pathlib import Path
from models.faces.arcface import ArcFace
from models.faces import open_detector

open_detector(Path({str(SHIPPED_WEIGHTS)!r}, "detector.onnx"), "cpu")
ArcFace(Path({str(SHIPPED_WEIGHTS)!r}, "arcface.onnx"))
"""


def test_onnx_runtime_reports_nothing(tmp_path: Path) -> None:
    """It creates the identifier that it would send, and a queue beside it, when it is imported."""
    home = {
        name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    command = [sys.executable, "-c", DETECT]
    subprocess.run(command, check=True, env=home | {"HOME": str(tmp_path)}, cwd=Path(__file__).parents[3])
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]
