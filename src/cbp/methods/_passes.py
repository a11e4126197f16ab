"""The passes of a full-batch method: one pass is one step. `fit` makes them as it makes those of an optimiser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cbp import _core
from cbp._passes import ArrayPasses
from cbp._samples import Samples, split
from cbp._sources import is_mapped, is_sparse
from cbp.errors import DivergenceError
from cbp.methods._objective import Objective

if TYPE_CHECKING:
    from cbp._spec import Spec
    from cbp._typing import Array
    from cbp.methods._method import Method, MethodState
    from cbp.training import Trainer


class MethodPasses(ArrayPasses):
    """Steps of a method on samples in memory."""

    def __init__(self, net: Trainer, method: Method, samples: Samples, held_out: Samples | None) -> None:
        super().__init__(net, samples, len(samples.X), False, None)
        self.method, self.held_out = method, held_out if method.max_fail is not None else None
        self.best: Array | None = None
        self.fails, self.smallest = 0, math.inf

    def begin(self, resume: bool) -> None:
        """Prepare the method for its first step; there is no pass that was left within."""
        super().begin(resume=False)
        net = self.net
        self.objective = Objective(net, self.samples)
        assert net._method_state is not None
        self.state = net._method_state.begun()
        with np.errstate(all="ignore"):
            loss = self.method.begin(self.objective, self.state)
        if not math.isfinite(loss):
            raise DivergenceError(_first_nonfinite(net, self.samples), start=True)
        if self.held_out is not None:
            self._judge(self._held_out_loss(self.held_out))

    def one(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Make one step, or none at all where it is broken off; return J after it, and what the method has to tell."""
        memory, before, epochs = self.net._memory, self.state, self.net._memory.epochs
        state, params = before.following(), memory.begin_step()
        try:
            with np.errstate(all="ignore"):
                loss = self.method.step(self.objective, state)
            state.iterations += 1
            self._keep(state, epochs + 1)
        except BaseException:
            memory.theta[:] = params
            self._keep(before, epochs)
            raise
        finally:
            memory.end_step()
        return loss, state.figures

    def _keep(self, state: MethodState, epochs: int) -> None:
        """Let the step be over, in one moment for whoever takes a snapshot or copies."""
        with self.net._memory as memory:
            self.state = self.net._method_state = state
            memory.t, memory.epochs, memory.before = state.iterations, epochs, None

    def over(self, logs: dict[str, float]) -> str:
        """Return why there is no point in another step, or ""; `logs` has the figures of the last."""
        if self.state.stop or self.held_out is None:
            return self.state.stop
        self._judge(logs["val_loss"])
        assert self.method.max_fail is not None
        return "validation" if self.fails >= self.method.max_fail else ""

    def end(self, reason: str) -> None:
        """Go back to the parameters that were best, if validation ended the training, with a new state; free memory."""
        if reason == "validation" and self.best is not None:
            with self.net._memory as memory:
                memory.theta[:] = self.best
                self.net._method_state = type(self.state)(self.state.iterations)
        self.state.cache.clear()
        _core.release(self.net._memory)

    def _judge(self, loss: float) -> None:
        """Note a loss of the validation, and the parameters if it is the smallest."""
        if loss < self.smallest:
            self.smallest, self.fails, self.best = loss, 0, self.net.params.copy()
        else:
            self.fails += 1

    def _held_out_loss(self, samples: Samples) -> float:
        return self.net._plan.evaluate(self.net.params, *samples)


def method_passes(
    net: Trainer,
    method: Method,
    X: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    validation: Any,
    check_finite: bool,
) -> tuple[MethodPasses, Samples | None]:
    """Return the passes of a method, and the samples held out for validation."""
    reader = net._reader.prepared(X, y, validation, net.seed, check_finite)
    samples = Samples(*reader.batch(X, y, sample_weight, check_finite))
    train_on, held_out = split(samples, validation, reader, net.seed, check_finite)
    run = MethodPasses(net, method, train_on.weighted(class_weight, reader), held_out)
    run.reader = reader
    return run, held_out


def check_method(spec: Spec, method: Method, X: Any, y: Any, schedule: Any, drop_last: bool) -> None:
    """Refuse a network whose objective differs from pass to pass, or that limits its weights; and parts of the rows."""
    who = type(method).__name__
    noisy = {"input_noise": spec.input_noise, "input_dropout": spec.input_dropout}
    noisy["dropout"] = max(layer.dropout for layer in spec.layers)
    for name, value in noisy.items():
        if value:
            raise ValueError(f"{who} needs the same objective in every step, and {name}={value:g} makes another of it")
    if any(layer.max_norm for layer in spec.layers):
        raise ValueError(f"{who} knows no max_norm: use l2, or one of cbp.optimizers")
    if schedule is not None:
        raise ValueError(f"{who} has no learning rate: leave schedule out")
    if y is None and (hasattr(X, "__array__") or is_sparse(X)):
        raise TypeError("y is missing")
    if drop_last or y is None:
        wrong = "leave drop_last out" if drop_last else "give X and y, not batches"
        raise ValueError(f"{who} looks at all rows in every step: {wrong}")
    if is_sparse(X) or is_mapped(X):
        inside = "X.toarray()" if is_sparse(X) else "np.array(X)"
        raise TypeError(f"{who} looks at all rows in every step, in memory: pass {inside}")


def _first_nonfinite(net: Trainer, samples: Samples) -> int:
    """Return the first layer, 1 to L, with an output that is not finite; L where it is the loss alone."""
    net._memory.forward(samples.X)
    for number, activations in enumerate(net._memory.activations()[1:], 1):
        if net._plan.first_nonfinite(activations) >= 0:
            return number
    return len(net.layers)
