"""cbp, through its public interface."""

import numpy as np

import cbp
from peers import Peer


class Cbp(Peer):
    """`fit` for whole passes, `train_step` for single rows, `predict`; all with the checks that they do by default."""

    def versions(self):
        return {"cbp": cbp.__version__, "numpy": np.__version__, "isa": cbp.isa()}

    def build(self):
        p = self.problem
        cbp.set_num_threads(self.threads)
        self.net = cbp.Network(list(p.widths), activation=p.hidden, output=p.output, loss=p.loss, dtype=p.dtype, seed=0)
        self.optimizer = {"sgd": cbp.optimizers.SGD, "adam": cbp.optimizers.Adam}[p.optimizer]

    def hold(self, X, Y, labels):
        self.X, self.Y = X, labels if self.problem.output == "softmax" else Y
        if self.problem.single:
            self.pairs = list(zip(X, Y, strict=True))

    def reset(self):
        for layer, (W, b) in zip(self.net.layers, self.start, strict=True):
            layer.W[:], layer.b[:] = W, b

    def train(self, passes):
        p = self.problem
        settings = {"epochs": passes, "batch_size": p.batch, "optimizer": self.optimizer(p.rate)}
        self.net.fit(self.X, self.Y, shuffle=False, progress=False, **settings)

    def step(self, x, y):
        self.net.train_step(x, y, self.problem.rate)

    def predict(self, X):
        return self.net.predict(X)

    predict_one = predict

    def weights(self):
        return [(layer.W.copy(), layer.b.copy()) for layer in self.net.layers]
