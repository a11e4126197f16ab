"""PyTorch on the CPU, eager: autograd, and the fused optimisers of torch.optim."""

import numpy as np
import torch
import torch.nn.functional as F

from peers import Peer

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softmax": lambda z: torch.softmax(z, dim=-1),
}


class Torch(Peer):
    """Functional layers on plain tensors: what nn.Linear does, without the calls through nn.Module."""

    def versions(self):
        return {"torch": torch.__version__, "numpy": np.__version__}

    def build(self):
        torch.set_num_threads(self.threads)
        p = self.problem
        self.hidden, self.output = ACTIVATIONS[p.hidden], ACTIVATIONS[p.output]
        self.from_logits = p.loss != "half_squared_error"  # torch takes the net inputs then

    def hold(self, X, Y, labels):
        self.X = torch.from_numpy(X)
        self.Y = torch.from_numpy(labels if self.problem.output == "softmax" else Y)
        if self.problem.single:
            rows = self.X if self.problem.kind == "predict one" else self.X[:, None]
            self.pairs = list(zip(rows, self.Y[:, None], strict=True))

    def reset(self):
        self.layers = [
            (torch.from_numpy(W.T.copy()).requires_grad_(), torch.from_numpy(b.copy()).requires_grad_())
            for W, b in self.start
        ]
        optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[self.problem.optimizer]
        self.optimizer = optimizer([t for layer in self.layers for t in layer], lr=self.problem.rate, fused=True)

    def logits(self, A):
        for W, b in self.layers[:-1]:
            A = self.hidden(F.linear(A, W, b))
        return F.linear(A, *self.layers[-1])

    def loss(self, z, Y):
        if self.problem.loss == "categorical_cross_entropy":
            return F.cross_entropy(z, Y)
        if self.problem.loss == "binary_cross_entropy":
            return F.binary_cross_entropy_with_logits(z, Y, reduction="sum") / len(z)
        return F.mse_loss(self.output(z), Y, reduction="sum") / (2 * len(z))

    def step(self, x, y):
        self.optimizer.zero_grad()
        self.loss(self.logits(x), y).backward()
        self.optimizer.step()

    def train(self, passes):
        for _ in range(passes):
            for x, y in zip(self.X.split(self.problem.batch), self.Y.split(self.problem.batch), strict=True):
                self.step(x, y)

    @torch.inference_mode()
    def predict(self, X):
        return self.output(self.logits(X))

    predict_one = predict

    def weights(self):
        return [(W.detach().numpy().T, b.detach().numpy()) for W, b in self.layers]
