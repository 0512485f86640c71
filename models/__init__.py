"""The networks of the model: their architecture, their weights and how they are sampled and trained."""

import os

# ONNX Runtime otherwise reports its use, with an identifier of this machine that it keeps in the home folder. It reads
# this once, when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
