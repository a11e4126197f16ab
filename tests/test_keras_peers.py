"""The tests of Keras's models again, with PyTorch for its backend: in a process of their own, which has one backend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="Keras's backend torch needs torch, which `make test-peers` brings")
pytest.importorskip("h5py", reason="Keras needs h5py")

HERE = Path(__file__).parent


def test_models_on_pytorch_predict_the_same():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", str(HERE / "test_io_keras.py")]
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(
        command, env=environment, cwd=HERE.parent, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
