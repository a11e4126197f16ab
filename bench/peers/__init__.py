"""The libraries that are measured. Each is a module with one class, imported by its worker only.

To add one: a module with a subclass of `Peer`, and a line in PEERS.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from problems import Problem, start

# name: how it is called in tables, module, class
PEERS = {
    "cbp": ("cbp", "network", "Cbp"),
    "numpy": ("NumPy", "numpy_loop", "NumPy"),
    "torch": ("PyTorch", "pytorch", "Torch"),
    "jax": ("JAX", "jax_scan", "Jax"),
    "sklearn": ("scikit-learn", "scikit", "Sklearn"),
    "onnxruntime": ("ONNX Runtime", "onnx_session", "OnnxRuntime"),
    "fann": ("FANN", "libfann", "Fann"),
}


class Refusal(Exception):
    """The library has no such thing; the text says what."""


class Peer:
    """One library. The worker calls `load`, then `reset` and `train`, or what else the problem's kind is about.

    Data are kept in the library's own containers: what converts them is not measured.
    """

    parallel = True

    def versions(self) -> dict[str, Any]:
        """Return what belongs in the report: versions, how it was built."""
        return {}

    def load(self, problem: Problem, threads: int, X: np.ndarray, Y: np.ndarray, labels: np.ndarray) -> None:
        """Take a problem, its data, and how many threads may be used; raise Refusal if it cannot be done."""
        if threads > 1 and not self.parallel:
            raise Refusal("one thread only")
        self.problem, self.threads = problem, threads
        self.start = start(problem)
        self.build()
        self.hold(X, Y, labels)
        self.reset()

    def build(self) -> None:
        """Make the network of `self.problem`."""
        raise NotImplementedError

    def hold(self, X: np.ndarray, Y: np.ndarray, labels: np.ndarray) -> None:
        """Keep the data: `self.X`, `self.Y`; for a problem of single rows `self.pairs` = [(x, y), ...]."""
        raise NotImplementedError

    def reset(self) -> None:
        """Go back to the start weights, with an optimiser that has not seen a step."""
        raise NotImplementedError

    def train(self, passes: int) -> None:
        """Train so many times on all rows, in their order."""
        raise NotImplementedError

    def step(self, x: Any, y: Any) -> Any:
        """Train on one row."""
        raise NotImplementedError

    def predict(self, X: Any) -> Any:
        """Return the outputs for all rows."""
        raise NotImplementedError

    def predict_one(self, x: Any) -> Any:
        """Return the outputs for one row."""
        raise NotImplementedError

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the weights as they are now."""
        raise NotImplementedError


def load(name: str) -> Peer:
    """Import a library and return its Peer."""
    _, module, cls = PEERS[name]
    return getattr(importlib.import_module(f"peers.{module}"), cls)()
