"""What of the command line meets PyTorch: `cbp bench` trains a network of its."""

import pytest
from command_tables import learns

pytest.importorskip("torch")


def test_pytorch_learns_in_the_bench():
    learns("torch")
