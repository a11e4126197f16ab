"""scikit-learn: MLPClassifier and MLPRegressor, through partial_fit."""

import warnings

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from peers import Peer, Refusal


class Sklearn(Peer):
    """A pass is one call of partial_fit with shuffling, momentum and penalty turned off."""

    def versions(self):
        return {"scikit-learn": sklearn.__version__, "numpy": np.__version__}

    def build(self):
        p = self.problem
        self.regression = p.output == "identity"
        if p.loss == "half_squared_error" and not self.regression:
            raise Refusal("squared error needs an identity output there")
        self.model = (MLPRegressor if self.regression else MLPClassifier)(
            hidden_layer_sizes=p.widths[1:-1],
            activation={"sigmoid": "logistic"}.get(p.hidden, p.hidden),
            solver=p.optimizer,
            learning_rate_init=p.rate,
            batch_size=p.batch,
            alpha=0.0,
            momentum=0.0,
            nesterovs_momentum=False,
            shuffle=False,
        )
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        warnings.filterwarnings("ignore", category=UserWarning, message="Got `batch_size`")

    def hold(self, X, Y, labels):
        classes = {} if self.regression else {"classes": np.arange(max(2, self.problem.widths[-1]))}
        self.X, self.Y = X, (Y.ravel() if Y.shape[1] == 1 else Y) if self.regression else labels
        self.model.partial_fit(X[:1], self.Y[:1], **classes)
        if self.problem.single:
            self.pairs = [(X[i : i + 1], self.Y[i : i + 1]) for i in range(len(X))]

    def reset(self):
        self.model.coefs_ = [W.copy() for W, _ in self.start]
        self.model.intercepts_ = [b.copy() for _, b in self.start]
        if hasattr(self.model, "_optimizer"):
            del self.model._optimizer  # the next call makes a new one for these arrays

    def train(self, passes):
        for _ in range(passes):
            self.model.partial_fit(self.X, self.Y)

    def step(self, x, y):
        self.model.partial_fit(x, y)

    def predict(self, X):
        out = self.model.predict(X) if self.regression else self.model.predict_proba(X)
        return out if out.ndim == 2 else out[:, None]

    def predict_one(self, x):
        return self.predict(x)[0]

    def weights(self):
        return list(zip(self.model.coefs_, self.model.intercepts_, strict=True))
