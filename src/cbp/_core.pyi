"""The compiled core: plans, memories, tables. Private; `cbp.Network` is the public face."""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from cbp._own_loss import OwnLoss
from cbp.scaling import Scaling

Real = NDArray[np.float32] | NDArray[np.float64]
Targets = Real | NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])

class Diverged(ArithmeticError):
    """Raised by Memory.epoch: message, batch, and the first layer, 1..L, that was not finite."""

    args: tuple[str, int, int]

class Plan:
    """Owns one immutable cbp_net. Thread-safe."""

    dtype: np.dtype[Any]
    isa: str
    n_params: int
    n_targets: int
    widths: tuple[int, ...]
    blocks: tuple[tuple[int, int, int], ...]
    own_loss: OwnLoss | None
    seed: int

    def __init__(
        self,
        dtype: str,
        n_in: int,
        layers: Sequence[tuple[Any, ...]],
        loss: str | OwnLoss | None,
        loss_arg: float = 0.0,
        reduction: str = "mean",
        isa: str | None = None,
        heads: Sequence[tuple[int, int, str, float, float]] = (),
        missing: bool = False,
        seed: int = 0,
        input_noise: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None: ...
    def init(self, rules: Sequence[str], args: Sequence[float], seed: int) -> Real: ...
    def first_nonfinite(self, x: Real) -> int: ...
    def predict(self, theta: Real, X: Real, out: Real) -> None: ...
    def evaluate(
        self, theta: Real, X: Real, y: Targets, weight: Real | None = None, noise: int | None = None
    ) -> float: ...

class Memory:
    """The numbers one network trains: parameters, gradient, optimiser slots, workspace. One user at a time."""

    plan: Plan
    theta: Real
    grad: Real
    optimizer: str | None
    slots: Real
    frozen: NDArray[np.uint8]
    mask: Real | None
    before: Real | None
    t: int
    scales: bool
    epochs: int
    batches: int
    cost: float
    weight: float
    forwarded: tuple[int, bool] | None

    def __init__(self, plan: Plan, theta: Real) -> None: ...
    def scale_by(self, inputs: Scaling | None, targets: Scaling | None) -> None: ...
    def forward(self, X: Real, single: bool = False, noise: int | None = None) -> Real: ...
    def backward(self, y: Targets, weight: Real | None = None) -> float: ...
    def gradient(
        self,
        X: Real,
        y: Targets,
        weight: Real | None = None,
        learning_rate: float | None = None,
        noise: int | None = None,
    ) -> float: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def begin_training(self) -> bool: ...
    def end_training(self) -> None: ...
    def begin_step(self) -> Real: ...
    def end_step(self) -> None: ...
    def seal(self) -> None: ...
    def descend(self, learning_rate: float) -> None: ...
    def freeze(self, layer: int, fixed: bool) -> None: ...
    def set_mask(self, mask: Real | None) -> None: ...
    def set_optimizer(
        self,
        name: str,
        args: Sequence[float],
        clip_value: float = 0.0,
        clip_norm: float = 0.0,
        average: float = 0.0,
        *,
        then: Callable[[], None] | None = None,
    ) -> None: ...
    def update(self, learning_rate: float) -> None: ...
    def epoch(
        self,
        X: Real,
        y: Targets,
        weight: Real | None,
        order: NDArray[np.int64] | None,
        batch_size: int,
        learning_rate: float | NDArray[np.float64],
        done: int = 0,
        last: bool = True,
        pause: Callable[[], None] | None = None,
        every: Sequence[int] = (),
    ) -> float: ...
    def activations(self) -> list[Real]: ...
    def deltas(self) -> list[Real | None]: ...

def curve(
    memory: Memory,
    theta: Real,
    X: Real,
    y: Targets,
    weight: Real | None = None,
    *,
    gradient: Real | None = None,
    matrix: Real | None = None,
    v: Real | None = None,
    hessian_v: Real | None = None,
    gauss_newton_v: Real | None = None,
) -> float: ...

class Surface:
    """The objective as a function of the parameters, on samples that are checked once."""

    def __init__(self, memory: Memory, X: Real, y: Targets, weight: Real | None = None) -> None: ...
    def gradient(self, theta: Real) -> tuple[float, Real]: ...
    def along(
        self, theta: NDArray[np.float64], direction: NDArray[np.float64], length: float
    ) -> tuple[float, float, NDArray[np.float64], NDArray[np.float64]]: ...

def release(memory: Memory) -> None: ...
def jacobian(memory: Memory, theta: Real, X: Real, out: Real, inputs: bool = False) -> None: ...

class Network:
    """Base of a network: holds the numbers, which the methods that `direct` makes, and those of C, find here."""

    _memory: Memory

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

def addresses(memory: Memory) -> dict[str, int]: ...
def capsule(memory: Memory, signature: str) -> Any: ...
def direct(function: F) -> F: ...

MAX_THREADS: int
CPUS: int

def threads(n: int = 0) -> int: ...
def table(kind: str) -> list[dict[str, Any]]: ...
def cholesky(a: NDArray[np.float64]) -> None: ...
def cholesky_solve(l: NDArray[np.float64], b: NDArray[np.float64]) -> None: ...
def damped(a: NDArray[np.float64], shift: float, work: NDArray[np.float64]) -> bool: ...
def damped_solve(
    a: NDArray[np.float64], shift: float, b: NDArray[np.float64], work: NDArray[np.float64]
) -> NDArray[np.float64] | None: ...
def cholesky_inverse(l: NDArray[np.float64]) -> NDArray[np.float64]: ...
def dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float: ...
def times(a: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]: ...
def updated(a: NDArray[np.float64], s: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]: ...

class Pairs:
    """The last steps of an L-BFGS."""

    def __init__(self, n: int, most: int) -> None: ...
    def __len__(self) -> int: ...
    def add(self, s: NDArray[np.float64], y: NDArray[np.float64]) -> bool: ...
    def clear(self) -> None: ...
    def times(self, d: NDArray[np.float64]) -> None: ...

def isa() -> str: ...
def isas() -> list[str]: ...
def version() -> str: ...
def permutation(seed: int, stream: int, n: int) -> NDArray[np.int64]: ...
def philox(counter: Sequence[int], key: Sequence[int]) -> tuple[int, int, int, int]: ...
