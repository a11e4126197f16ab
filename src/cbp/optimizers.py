"""The optimisers: SGD and one class for every other row of the core's table (Adam, ...).

An optimiser says how a step is made; the state of it (momentum and the like) lives with the network that is
trained. The classes are generated from the rows, with names, defaults and signatures: see `cbp.optimizers.__all__`.
"""

from __future__ import annotations

import textwrap
import types
from typing import TYPE_CHECKING, Any

from cbp import tables
from cbp._arguments import positive, real
from cbp._configured import Configured
from cbp.errors import unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from cbp._typing import OptimizerLike
    from cbp.methods import Method
    from cbp.network import Network

    def __getattr__(name: str) -> type[Optimizer]: ...


# Arguments by name: what they may be at least, what they must be less than, what they do
_ARGUMENTS: dict[str, tuple[float, float | None, str]] = {
    "learning_rate": (0.0, None, "Step length."),
    "momentum": (0.0, 1.0, "Share of the last step that is made again."),
    "beta1": (0.0, 1.0, "Share of the past in a running mean, from 0 to less than 1."),
    "beta2": (0.0, 1.0, "Share of the past in a running mean, from 0 to less than 1."),
    "rho": (0.0, 1.0, "Share of the past in a running mean, from 0 to less than 1."),
    "eps": (0.0, None, "What keeps a divisor from zero."),
    "weight_decay": (0.0, None, "Pull of all parameters, biases too, towards zero."),
    "eta_minus": (0.0, 1.0, "Factor of a step length where the gradient has changed its sign, less than 1."),
    "eta_plus": (1.0, None, "Factor of a step length where it has not, at least 1."),
    "step_min": (0.0, None, "Least step length."),
    "step_max": (0.0, None, "Greatest step length."),
    "mu": (0.0, None, "How many times as long as the last one a step may be."),
}
# What every optimiser takes beside its arguments, by name only
_LIMITS = {
    "clip_value": "Greatest absolute value of an entry of the gradient: larger ones are cut off before a step.",
    "clip_norm": "Greatest length of the whole gradient: a longer one is shortened before a step, after `clip_value`.",
    "average": "Keep an average of the parameters, and this share of it in every step: see `Network.averaged`.",
}
_ANY = (0.0, None, "Argument of the formula below.")

# What else to know about a row
_FULL = "It is for the whole data as one batch, ``batch_size=len(X)``."
_RPROP = (
    "Of a gradient the sign alone counts. Each parameter has a step length of its own, at first the learning rate, "
    f"which means nothing after the first step. {_FULL}"
)
_REMARKS = {
    "adam_hat": "Adam in the order of operations of scikit-learn and Keras: `eps` is added to the root before the "
    "correction for the start, so it counts for more in the first steps.",
    "adamw": "The decay of a step is `learning_rate` times `weight_decay`, as in PyTorch and Keras.",
    "amsgrad": "Adam with the largest running mean so far; corrected for the start as Adam is, which the paper omits.",
    "nadam": "The momentum rises from half of `beta1` to all of it, as the paper recommends.",
    "radam": "Rectified Adam: without the running mean of squares as long as that tells too little.",
    "rmsprop": "`eps` is added to the root, as in PyTorch; Keras adds it to the mean.",
    "lion": "All steps are equally long, so a good learning rate is three to ten times smaller than Adam's.",
    "rprop_minus": f"Rprop without backtracking. {_RPROP}",
    "irprop_minus": f"Improved Rprop without backtracking; PyTorch's Rprop. {_RPROP}",
    "irprop_plus": "Improved Rprop with backtracking: where the sign changed and the loss grew, the last step is taken "
    f"back. {_RPROP} The loss is that of `fit`, or for `step` that of the last `gradient` or `backward`.",
    "quickprop": f"{_FULL} The steps are bounded and started as in Fahlman's own program.",
}
# Names of classes whose capitals do not follow from the row's name
_SPELLING = {
    "adamw": "AdamW",
    "amsgrad": "AMSGrad",
    "nadam": "NAdam",
    "radam": "RAdam",
    "rmsprop": "RMSprop",
    "irprop_minus": "IRpropMinus",
    "irprop_plus": "IRpropPlus",
}


class Optimizer(Configured):
    """Base of all optimisers; its subclasses differ in their attributes only.

    Two of them are equal if they are of one class and have equal attributes. The attributes cannot be changed,
    but for `learning_rate`.

    All of them can clip the gradient, by `clip_value` and `clip_norm` (Pascanu, Mikolov and Bengio, ICML 2013), and
    keep an average of the parameters (Polyak and Juditsky, SIAM Journal on Control and Optimization 30, 1992): after
    update t, average = w for t = 1, and then average += (1 - share) * (w - average).
    """

    limits_by_name = tuple(_LIMITS)
    changeable = ("learning_rate",)
    kind = "an optimiser"
    learning_rate: float
    clip_value: float | None
    clip_norm: float | None
    average: float | None

    def __init_subclass__(cls, fields: dict[str, float] | None = None) -> None:
        if fields is not None:
            cls.fields = fields
            cls._describe()

    def _check(self) -> None:
        """Refuse arguments that do not go together."""
        least, most = (self.__dict__.get(name) for name in ("step_min", "step_max"))
        if least is not None and most is not None and least > most:
            raise ValueError(f"step_min must be at most step_max, {most:g}, not {least:g}")

    def _checked(self, name: str, value: Any) -> float | None:
        if name in _LIMITS:
            return None if value is None else positive(value, name, below=1.0 if name == "average" else None)
        if isinstance(self.fields[name], bool):
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, not {value!r}")
            return value
        low, below, _ = _ARGUMENTS.get(name, _ANY)
        return real(value, name, low=low, below=below)

    @property
    def row(self) -> str:
        """Name of the row of the core's table that makes the step."""
        raise NotImplementedError

    @property
    def args(self) -> tuple[float, ...]:
        """Arguments of that row, in its order."""
        return tuple(getattr(self, name) for name in tables.optimizers[self.row].args)

    @property
    def limits(self) -> tuple[float, float, float]:
        """clip_value, clip_norm and average, 0 for none."""
        return self.clip_value or 0.0, self.clip_norm or 0.0, self.average or 0.0

    def step(self, net: Network) -> None:
        """Make one update of the network's parameters from its gradient, `net.grad`.

        The first step with an optimiser that the network does not use yet starts it anew. One that clips leaves the
        clipped gradient in `net.grad`.

        Parameters
        ----------
        net : Network
            What to update. `net.gradient` or `net.backward` come before.

        Examples
        --------
        >>> import cbp
        >>> net = cbp.Network([2, 3, 1], seed=0)
        >>> optimizer = cbp.optimizers.Adam(learning_rate=0.01)
        >>> for _ in range(3):
        ...     loss = net.gradient([[0, 1], [1, 1]], [1, 0])
        ...     optimizer.step(net)
        """
        if net._optimizer is not self:
            net._use(self)
        net._memory.update(self.learning_rate)


class SGD(
    Optimizer,
    fields={"learning_rate": tables.optimizers["sgd"].learning_rate, "momentum": 0.0, "nesterov": False},
):
    """Stochastic gradient descent, with momentum if wanted.

    Parameters
    ----------
    learning_rate : float, default 0.01
        Step length.
    momentum : float, default 0
        Share of the last step that is made again, from 0 to less than 1 (Polyak, 1964).
    nesterov : bool, default False
        Look ahead by the momentum (Sutskever, Martens, Dahl and Hinton, ICML 2013). It needs a momentum.
    clip_value : float, optional
        Greatest absolute value of an entry of the gradient: larger ones are cut off before a step.
    clip_norm : float, optional
        Greatest length of the whole gradient: a longer one is shortened before a step, after `clip_value`.
    average : float, optional
        Keep an average of the parameters, and this share of it in every step: see `Network.averaged`.

    Examples
    --------
    >>> import cbp
    >>> cbp.optimizers.SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    >>> cbp.optimizers.SGD(0.1) == cbp.optimizers.SGD(0.1, nesterov=True, momentum=0.9)
    False
    """

    momentum: float
    nesterov: bool

    def _check(self) -> None:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True needs a momentum greater than 0")

    @property
    def row(self) -> str:
        """Name of the row of the core's table that makes the step."""
        if not self.momentum:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"


_DOCUMENTATION = """{title} ({source}).

Parameters
----------
{parameters}
{limits}

Notes
-----
With the gradient g, the parameters w, t = 1, 2, ..., and all state zero at the start::

    {formula}
{remark}
Examples
--------
>>> import cbp
>>> cbp.optimizers.{title}()
{example}
"""


def _from_row(row: tables.Row) -> type[Optimizer]:
    """Return the class of a row: attributes and defaults are the row's."""
    title = _SPELLING.get(row.name, row.name.title().replace("_", ""))
    fields = {"learning_rate": row.learning_rate, **row.args}
    document = _DOCUMENTATION.format(
        title=title,
        source=row.source,
        parameters="\n".join(
            f"{name} : float, default {value:g}\n    {_ARGUMENTS.get(name, _ANY)[2]}" for name, value in fields.items()
        ),
        limits="\n".join(f"{name} : float, optional\n    {text}" for name, text in _LIMITS.items()),
        formula=row.formula.replace("; ", "\n    "),
        remark=f"\n{textwrap.fill(_REMARKS[row.name], 110)}\n" if row.name in _REMARKS else "",
        example=f"{title}({', '.join(f'{name}={value!r}' for name, value in fields.items())})",
    )
    body = {"__doc__": document, "__module__": __name__, "row": row.name}
    return types.new_class(title, (Optimizer,), {"fields": fields}, lambda namespace: namespace.update(body))


# By name as in the table: what makes the optimiser. The three rows of gradient descent are one class.
_GRADIENT_DESCENT: dict[str, Callable[[], Optimizer]] = {
    "sgd": SGD,
    "momentum": lambda: SGD(momentum=tables.optimizers["momentum"].args["momentum"]),
    "nesterov": lambda: SGD(momentum=tables.optimizers["nesterov"].args["momentum"], nesterov=True),
}
_GENERATED = {row.name: _from_row(row) for row in tables.optimizers.values() if row.name not in _GRADIENT_DESCENT}
_MAKERS: dict[str, Callable[[], Optimizer]] = {**_GRADIENT_DESCENT, **_GENERATED}
_CLASSES: dict[str, type[Optimizer]] = {"SGD": SGD, **{cls.__name__: cls for cls in _GENERATED.values()}}

globals().update(_CLASSES)
__all__ = ["Optimizer", "get", *_CLASSES]


def get(wanted: OptimizerLike | dict[str, Any]) -> Optimizer | Method:
    """Return an optimiser or a full-batch method: the object, one of a class, of a name, or of a configuration.

    Parameters
    ----------
    wanted : Optimizer, Method, class, str or dict
        A name is one of the table's, sgd, momentum, nesterov, adam, adamw ..., or that of one of `cbp.methods`, and
        means the defaults; a dict is what `get_config` returns.

    Raises
    ------
    ValueError
        Unknown name.
    TypeError
        Something else.

    Examples
    --------
    >>> import cbp
    >>> cbp.optimizers.get("momentum")
    SGD(learning_rate=0.01, momentum=0.9, nesterov=False)
    >>> cbp.optimizers.get("levenberg_marquardt") == cbp.methods.LevenbergMarquardt()
    True
    """
    if isinstance(wanted, Optimizer):
        return wanted
    if isinstance(wanted, type) and issubclass(wanted, Optimizer) and wanted is not Optimizer:
        return wanted()
    if isinstance(wanted, str) and wanted in _MAKERS:
        return _MAKERS[wanted]()
    if isinstance(wanted, dict) and wanted.get("name") in _CLASSES:
        return _CLASSES[wanted["name"]](**{name: value for name, value in wanted.items() if name != "name"})
    return _method(wanted)


_ELSEWHERE = {
    "lm": "levenberg_marquardt",
    "trainlm": "levenberg_marquardt",
    "trainbr": "bayesian_regularization",
    "trainscg": "scg",
    **dict.fromkeys(("cg", "traincgb", "traincgf", "traincgp"), "conjugate_gradient"),
    "trainbfg": "bfgs",
    "newton": "truncated_newton",
    **dict.fromkeys(("rprop", "trainrp"), "irprop_plus"),
    "traingd": "sgd",
    "traingdm": "momentum",
}
"""What MATLAB and others call them, in small letters."""


def _method(wanted: Any) -> Method:
    """Return a full-batch method, as `get` does: they are imported when one is asked for."""
    from cbp import methods

    if isinstance(wanted, methods.Method):
        return wanted
    if isinstance(wanted, type) and issubclass(wanted, methods.Method) and wanted is not methods.Method:
        return wanted()
    if isinstance(wanted, str):
        if wanted not in methods.by_name:
            raise unknown("optimiser", wanted, [*_MAKERS, *methods.by_name], _ELSEWHERE)
        return methods.by_name[wanted]()
    classes = {cls.__name__: cls for cls in methods.by_name.values()}
    if isinstance(wanted, dict) and wanted.get("name") in classes:
        return classes[wanted["name"]](**{name: value for name, value in wanted.items() if name != "name"})
    raise TypeError(f"optimizer must be a name or one of cbp.optimizers or cbp.methods, not {wanted!r}")


def n_slots(optimizer: Optimizer) -> int:
    """Return how many vectors of state, each as long as the parameters, an optimiser keeps."""
    return tables.optimizers[optimizer.row].n_slots + (optimizer.average is not None)
