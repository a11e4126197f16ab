"""The parameters and attributes that classifier and regressor share, for their docstrings."""

from __future__ import annotations

import textwrap
from typing import Any

PARAMETERS = """
solver : str, optimiser or method, default "adam"
    "adam", "sgd" and "lbfgs" (SciPy's L-BFGS-B) are scikit-learn's. Beyond: the name of any other optimiser of cbp,
    whose learning rate is `learning_rate_init`; an object such as ``cbp.optimizers.AdamW(0.003)``, which has its own;
    or one of `cbp.methods` by name or as an object, which looks at all rows in every iteration and ends by rules of
    its own. ``cbp.methods.LBFGS()`` is cbp's own L-BFGS.
alpha : float, default 1e-4
    Penalty of the weights: a batch costs alpha / 2 * (sum of w**2), divided by its number of samples, more.
batch_size : int or "auto", default "auto"
    Rows per update; "auto" is 200, or all where there are fewer. Of no effect with "lbfgs" and methods.
learning_rate : {{"constant", "invscaling", "adaptive"}} or schedule, default "constant"
    "invscaling" divides `learning_rate_init` by (samples seen + 1) ** `power_t` after every epoch; "adaptive" divides
    the rate by 5 where training would stop, until it is 1e-6. Both are without effect with "adam". A schedule is one of
    `cbp.schedules`, or any function from the number of updates made to the rate of the next, with every optimiser.
learning_rate_init : float, default 0.001
    Learning rate at first, of every optimiser given by name.
power_t : float, default 0.5
    Exponent of "invscaling".
max_iter : int, default 200
    Epochs at most; iterations with "lbfgs" and methods.
shuffle : bool, default True
    Take the rows in a new random order in every epoch.
random_state : int, RandomState or None, default None
    A number is the seed of the network: it decides weights, order and noise, with the same bits everywhere, and the
    rows that early stopping holds out. Otherwise a seed is drawn from the generator.
tol : float, default 1e-4
    By how much loss or score must become better to count. With "lbfgs" the largest gradient to stop at; methods
    have their own.
verbose : bool or int, default False
    Print a line for every epoch.
warm_start : bool, default False
    A fit goes on with the weights of the last one.
momentum : float, default 0.9
    Of "sgd".
nesterovs_momentum : bool, default True
    Of "sgd": look ahead by the momentum.
early_stopping : bool, default False
    Hold out a share of the rows, in the proportions of the classes, and stop when their score does not become better;
    the best weights are kept. Of no effect with "lbfgs". See also `partial_fit`.
validation_fraction : float, default 0.1
    The share.
beta_1, beta_2, epsilon : float, default 0.9, 0.999, 1e-8
    Of "adam".
n_iter_no_change : int or inf, default 10
    Epochs without getting better that are waited for; one more, and training stops. Of optimisers, and of methods with
    `early_stopping`.
max_fun : int, default 15000
    Evaluations of the objective at most, with "lbfgs"."""

BEYOND = """
out_activation : str or row of `cbp.activations`, optional
    Activation of the output. Default: {output}.
dropout : float or sequence, default 0
    Share of the units that training leaves out, of all hidden layers or of each.
input_dropout, input_noise : float, default 0
    Share of the inputs left out, and standard deviation of the noise on them, while training: see `cbp.Network`.
init : str, row of `cbp.initializers`, function or None, default "auto"
    How the weights start. "auto" is scikit-learn's way, `glorot_biases`, with span 2 where `activation` is "logistic".
    None: as belongs to each layer's activation, with biases of 0.
scale_inputs : {{"standard", "minmax", "robust"}} or tuple, optional
    Scale the inputs within the network, so that it needs no scaler beside it: see `cbp.Network`.
callbacks : Callback, function, or list of them, optional
    Called after every epoch: see `cbp.Callback`. The figures val_loss and val_score are there where rows are held out.
dtype : {{"float32", "float64"}}, optional
    Type of the network. Default: float32 for float32 data, else float64."""

ATTRIBUTES = """
network_ : cbp.Network
    The network: save it, export it, draw it, go on with it.
coefs_, intercepts_ : list of ndarray
    Weights (n_in, n_out) and biases (n_out,) of each layer: views of the network's. Assign lists of arrays to change
    them; before a `fit` with `warm_start`, or a first `partial_fit`, to begin with them.
loss_ : float
    The loss of the last epoch, each row taken by the weights before its batch's update, or after the last iteration.
best_loss_ : float or None
    The least loss; None with `early_stopping`.
loss_curve_ : list of float
    The loss of every epoch or iteration.
validation_scores_, validation_loss_curve_ : list of float, or None
    Score and loss of the rows to validate with, after every epoch; None without such rows.
best_validation_score_ : float or None
    The best score with `early_stopping`, else None.
n_iter_ : int
    Epochs or iterations of the last training.
stopped_ : str
    Why it ended: "training loss" or "validation score" did not become better, a method's own reason, "converged" of
    "lbfgs", "callback", "divergence", "interrupt"; empty where `max_iter` or `partial_fit` ended it.
t_ : int
    Samples seen.
n_layers_, n_outputs_ : int
    Layers, inputs and outputs included; columns of the targets.
out_activation_ : str
    Activation of the output.
n_features_in_ : int
    Columns of the inputs.
feature_names_in_ : ndarray of str
    Their names, where they have any."""


def documented(**words: str) -> Any:
    """Put the shared parts in the place of {parameters}, {beyond} and {attributes} in a class's docstring."""
    parts = {"parameters": PARAMETERS.format(), "beyond": BEYOND.format(**words), "attributes": ATTRIBUTES}

    def decorate(cls: type) -> type:
        if cls.__doc__:
            for name, text in parts.items():
                cls.__doc__ = cls.__doc__.replace(f"    {{{name}}}", textwrap.indent(text.strip(), "    "))
        return cls

    return decorate
