"""The public face: `Network`. The steps of the textbook come from textbook.py, `fit` from training.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from cbp._arguments import draw
from cbp._core import direct
from cbp._data import check_out
from cbp._sources import Inputs, is_mapped, is_sparse
from cbp._spec import Spec
from cbp._uncertainty import Uncertain
from cbp.curvature import Curvature
from cbp.layers import Dense, Layer
from cbp.textbook import Textbook
from cbp.training import Trainer

if TYPE_CHECKING:
    from cbp._typing import (
        ActivationLike,
        Array,
        ArrayLike,
        DTypeLike,
        HeadsLike,
        InitLike,
        LossLike,
        Path,
        ScalingLike,
    )
    from cbp.pointers import Pointers
    from cbp.trace import Trace

__all__ = ["Dense", "Layer", "Network"]


class Network(Textbook, Trainer, Curvature, Uncertain):
    """A fully connected neural network.

    Parameters
    ----------
    layers : list
        First the number of inputs, then for every layer its number of units or a `Dense`.
    activation : str or row of `cbp.activations`, default "sigmoid"
        For the layers given by their number, except the last.
    output : str or row of `cbp.activations`, optional
        For a last layer given by its number. Default: `activation`; with the loss gaussian_nll, identity for the first
        half of the outputs, the means, and softplus for the second, the variances.
    loss : str, row of `cbp.losses` or function, optional
        A function ``my_loss(y, a)`` gets targets and outputs of some rows, (m, n_L), and returns the cost of each,
        (m,), and dC/da, (m, n_L). Default: the one that belongs to the output, that is half_squared_error for
        identity, binary_cross_entropy for sigmoid, categorical_cross_entropy for softmax, negative_log_likelihood for
        log_softmax, poisson for exp, and half_squared_error for all others.
    heads : list of `Head`, or of tuples (slice, activation, loss, weight), optional
        Parts of the output layer, in order and without a gap, each with an activation and a loss of its own. The cost
        of a sample is the sum of theirs, each times its weight. Targets are those of all heads side by side, or a tuple
        with the targets, or class labels, of each.
    reduction : "mean" or "sum", default "mean"
        The objective J: the weighted mean of the samples' costs, or their weighted sum.
    missing_targets : bool, default False
        A target may be NaN, which costs nothing and teaches nothing; where targets are distributions, a whole row or
        its class label. A loss of your own gets the NaN itself.
    scale_inputs, scale_targets : str or tuple, optional
        Scale every column: x' = (x - center) / scale. "standard": mean and standard deviation (divisor n); "minmax": to
        0 to 1, or ("minmax", low, high); "robust": median and interquartile range. They are learned from the training
        rows of the first `fit` or `partial_fit`, unweighted, and kept then; or numbers of your own, (center, scale),
        each one for all columns or one a column. Data are passed in units of their own and predictions returned in
        them; losses, `forward`, `activations` and `trace` are those of the scaled numbers. See `learn_scaling`,
        `input_scaling`, `target_scaling`.
    input_noise : float, default 0
        Standard deviation of the normal numbers that training adds to the inputs, the scaled ones if they are, drawn
        anew for every sample and update. Small noise acts like a penalty on the slope of the outputs (Bishop, Neural
        Computation 7, 1995).
    input_dropout : float, default 0
        Share of the inputs that training leaves out, as `Dense` has it for the units of a layer; after the noise.
    init : str, row of `cbp.initializers`, or function, optional
        How the weights start, where a `Dense` says nothing else; biases start at zero, but for nguyen_widrow and
        glorot_biases. Default: for every layer the one that its activation's row names. A function of
        (fan_in, fan_out, seed) returns the weights of one layer, shape (fan_in, fan_out); it acts at once and is not
        part of the configuration.
    seed : int, optional
        From 0 to 2**64 - 1. Decides the weights, every shuffle and all noise. Default: drawn anew, and kept in `seed`.
    dtype : "float32" or "float64", default "float32"
        Type of parameters and outputs; data are converted to it.

    Raises
    ------
    ValueError
        A name is unknown, or widths, activations and loss do not fit together.
    TypeError
        An argument is of no use at all.
    MemoryError
        The network is too large.

    Notes
    -----
    With layers 0 to L, n_l units in layer l, and a batch X of m rows: A^0 = X, Z^l = b^l + A^(l-1) W^l,
    A^l = g_l(Z^l). With skip connections the outputs of all layers that feed layer l stand side by side in the place of
    A^(l-1); with a steepness s, A^l = g_l(s Z^l). The letters are those of the documentation's page on
    back-propagation.

    Predicting may be done from any number of threads at once; training by one at a time. To do both at once predict
    with a `snapshot`.

    Examples
    --------
    >>> import cbp
    >>> net = cbp.Network([64, 128, 10], activation="relu", output="softmax", seed=0)
    >>> print(net)
    Network(64 > 128 relu > 10 softmax, categorical_cross_entropy, float32): 9,610 parameters
    """

    def __init__(
        self,
        layers: Sequence[int | Dense],
        *,
        activation: ActivationLike | Sequence[ActivationLike] = "sigmoid",
        output: ActivationLike | Sequence[ActivationLike] | None = None,
        loss: LossLike | None = None,
        heads: HeadsLike | None = None,
        reduction: str = "mean",
        missing_targets: bool = False,
        scale_inputs: ScalingLike | None = None,
        scale_targets: ScalingLike | None = None,
        input_noise: float = 0.0,
        input_dropout: float = 0.0,
        init: InitLike | None = None,
        seed: int | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        spec = Spec(
            layers,
            activation=activation,
            output=output,
            loss=loss,
            heads=heads,
            reduction=reduction,
            missing_targets=missing_targets,
            scale_inputs=scale_inputs,
            scale_targets=scale_targets,
            input_noise=input_noise,
            input_dropout=input_dropout,
            init=init,
            seed=seed,
            dtype=dtype,
        )
        plan = spec.plan()
        self._setup(spec, plan, spec.initial(plan))

    @overload
    def predict(
        self, X: ArrayLike, out: Array | None = None, *, check_finite: bool = True, return_std: Literal[False] = False
    ) -> Array: ...

    @overload
    def predict(
        self,
        X: ArrayLike,
        out: Array | None = None,
        *,
        check_finite: bool = True,
        return_std: Literal[True, "observation", "mean"],
    ) -> tuple[Array, Array]: ...

    @direct
    def predict(
        self, X: ArrayLike, out: Array | None = None, *, check_finite: bool = True, return_std: bool | str = False
    ) -> Array | tuple[Array, Array]:
        """Return the outputs for `X`, and how sure they are where that is wanted.

        Parameters
        ----------
        X : array_like, shape (m, n_0) or (n_0,)
            Rows, or a single one. m = 0 is fine. A memory map or a sparse matrix of SciPy's is read some megabytes at a
            time.
        out : ndarray, shape (m, n_L) or (n_L,), optional
            Where to put them: of the network's dtype, C-contiguous, writable.
        check_finite : bool, default True
            Refuse NaN and infinity.
        return_std : bool, "observation" or "mean", default False
            Return standard deviations beside the outputs, after `learn_uncertainty`. True or "observation": of a new
            observation, its noise included; "mean": of what is expected of it. Where the outputs are probabilities,
            counts or their logarithms the two are the same, and are those of the output.

        Returns
        -------
        outputs : ndarray, shape (m, n_L) or (n_L,)
            `out` if it was given, else a new array of the network's dtype.
        std : ndarray, of the same shape and dtype
            Only with `return_std`.

        Raises
        ------
        ValueError, TypeError
            `X` or `out` does not fit.
        RuntimeError
            The scaling is not learned yet; with `return_std` also: no uncertainty is, or the network has changed since.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 1], seed=0)
        >>> net.params[:] = 0
        >>> net.predict([[1, 2], [3, 4], [5, 6]])
        array([[0.5],
               [0.5],
               [0.5]], dtype=float32)
        >>> net.predict([1, 2])
        array([0.5], dtype=float32)
        """
        if return_std:
            std = self._std(X, return_std, check_finite)
            return Network.predict(self, X, out, check_finite=check_finite), std
        if is_sparse(X) or (is_mapped(X) and np.ndim(X) == 2):
            return self._predict_rows(Inputs(X, self._reader, check_finite), out)
        X, single = self._reader.inputs(X, check_finite)
        shape = self._plan.widths[-1:] if single else (len(X), self._plan.widths[-1])
        if out is None:
            out = np.empty(shape, self._spec.dtype)
        else:
            X = check_out(out, shape, X)
        self._plan.predict(self._params, X, out.reshape(1, -1) if single else out)
        self._reader.restore(out)
        return out

    def _predict_rows(self, inputs: Inputs, out: Array | None) -> Array:
        """Return the outputs for rows that are read some megabytes at a time."""
        shape = (len(inputs), self._plan.widths[-1])
        if out is None:
            out = np.empty(shape, self._spec.dtype)
        else:
            check_out(out, shape, np.empty((0, self._reader.n_in), self._spec.dtype))
        for start, end in inputs.spans():
            self._plan.predict(self._params, inputs.read(slice(start, end)), out[start:end])
            self._reader.restore(out[start:end])
        return out

    def loss(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        check_finite: bool = True,
        noise: int | None = None,
    ) -> float:
        """Return the objective J of the samples, that of the scaled targets if they are; nothing is changed.

        Parameters
        ----------
        X, y, sample_weight, check_finite
            As for `fit`; one sample may be given as (n_0,) and (n_L,), or a number.
        noise : int, optional
            The number of a draw, from 0 to 2**64 - 1: the pass has the network's dropout and input noise, the same for
            the same seed and number. None: no noise.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            The data do not fit the network.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 1], output="identity", seed=0)
        >>> net.params[:] = 0
        >>> net.loss([[1, 2], [3, 4]], [2, 4])
        5.0
        """
        data = self._reader.batch(X, y, sample_weight, check_finite)
        return self._plan.evaluate(self._params, *data, noise=draw(noise))

    def trace(
        self,
        X: ArrayLike,
        y: ArrayLike,
        learning_rate: float = 0.5,
        dialect: str | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Trace:
        """Show one update as the textbook writes it: every number with its formula. The network is not changed.

        Parameters
        ----------
        X, y, sample_weight
            One sample or a small batch, as for `loss`.
        learning_rate : float, default 0.5
            Step length of the update, as for `update`. It is one without noise; penalties, fixed parameters and
            max_norm take part.
        dialect : {"cbp", "A", "B", "C", "D", "E"}, default "cbp"
            Whose names, order of indices and habits: cbp's own, which can express every network, or those of one of
            the five derivations of the documentation, in corrected form.

        Returns
        -------
        Trace
            Print it, or let a notebook show it. `records()`, `to_dataframe()`, `to_html()` and `plot()` give the same
            in other forms. Deltas and gradients come with a numeric check.

        Raises
        ------
        ValueError, TypeError
            The data do not fit the network, or the dialect cannot express it: the message says what does not fit.
        DivergenceError
            The objective is not finite.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 2], output="identity", dtype="float64", seed=0)
        >>> net.params[:] = [0.1, 0.2, 1, 2, 3, 4]
        >>> trace = net.trace([1, 0.5], [2.5, 4], learning_rate=0.1, dialect="D")
        >>> trace.records()[-1]["symbol"], trace.records()[-1]["numbers"]
        ('ω̂_22^L1', '4 - 0.1·0.2·0.5')
        """
        from cbp.trace import Trace

        return Trace(self, X, y, sample_weight, learning_rate, dialect)

    def plot(self, x: ArrayLike | None = None, ax: Any = None, **options: Any) -> Any:
        """Draw the network as units and lines: see `cbp.plot.network`.

        Parameters
        ----------
        x : array_like, shape (n_0,), optional
            A sample, whose activations are shown in the units.
        ax : matplotlib Axes, optional
            Where to draw; default: new axes.
        **options
            Names of inputs and outputs, and how many units are drawn: see `cbp.plot.network`.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError
            The sample or the names do not fit.
        ImportError
            matplotlib is not installed.

        Examples
        --------
        >>> import cbp
        >>> ax = cbp.Network([4, 6, 3], output="softmax", seed=0).plot([1, 2, 3, 4])  # doctest: +SKIP
        >>> ax.figure.savefig("network.svg")  # doctest: +SKIP
        """
        from cbp.plot import network

        return network(self, x, ax, **options)

    def pointers(self) -> Pointers:
        """Return the network as addresses, for ctypes, cffi, Numba and SciPy: see `cbp.pointers.Pointers`.

        Returns
        -------
        Pointers
            It keeps the network alive.

        Examples
        --------
        >>> import cbp
        >>> at = cbp.Network([2, 3, 1], seed=0).pointers()
        >>> at.handle != 0 and at.predict != at.step
        True
        """
        from cbp.pointers import Pointers

        return Pointers(self)

    def _repr_html_(self) -> str:
        from cbp import notebook

        return notebook.network(self)

    def save(self, path: Path) -> None:
        """Write the network to a file: see `cbp.io.save`.

        Parameters
        ----------
        path : str or path-like
            A name that ends in .npz or .safetensors.

        Raises
        ------
        ValueError
            The ending is not that of a known format, or `metadata` is so large that `cbp.load` would refuse it.
        TypeError
            `metadata` holds something that JSON cannot, or the loss is a function of your own.
        OSError
            The file cannot be written; one that was there before is untouched.

        Examples
        --------
        >>> import cbp, os, tempfile
        >>> net = cbp.Network([2, 3, 1], seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.npz")
        ...     net.save(path)
        ...     cbp.load(path) == net
        True
        """
        from cbp import io

        io.save(self, path)

    def export(self, path: Path, **options: Any) -> None:
        """Write what the network computes for other programs: see `cbp.io.export`.

        Parameters
        ----------
        path : str or path-like
            A name that ends in .onnx, .c, .net, .mat or .m.
        **options
            What the format has: see `cbp.io.onnx.export`, `cbp.io.c.export`, `cbp.io.fann.export`,
            `cbp.io.matlab.export`.

        Raises
        ------
        ValueError
            The ending is not that of a known format, or the format cannot express the network.
        ImportError
            A package that the format needs is not installed.
        OSError
            The file cannot be written; one that was there before is untouched.
        """
        from cbp import io

        io.export(self, path, **options)


def network_of(model: Any) -> Network:
    """Return a network, or that of a fitted estimator of cbp.sklearn; anything else is refused."""
    net = getattr(model, "network_", model)
    if not isinstance(net, Network):
        raise TypeError(f"this takes a network, or an estimator of cbp.sklearn that is fitted, not {model!r:.200}")
    return net
