"""A web service that learns while it serves: Flask, its threaded server, and cbp.

    pip install cbpnet flask
    python service.py --port 8000

    curl -H 'Content-Type: application/json' -d '{"X": [[0.1, 0.2]], "y": [[0.3]]}' localhost:8000/learn
    curl -H 'Content-Type: application/json' -d '{"X": [[0.1, 0.2]]}' localhost:8000/predict
    curl localhost:8000/model

One thread trains. The threads of the server answer from the last snapshot that it has published: they never wait for
it, and every answer is that of one published version, which it names.
"""

import argparse
import logging
import signal
import threading
from typing import NamedTuple

import numpy as np
from flask import Flask, abort, request
from werkzeug.serving import make_server

import cbp


class Version(NamedTuple):
    """What is served: never changed, only replaced as a whole."""

    number: int
    net: cbp.Network
    loss: float


class Learner:
    """A network, a buffer of samples, and the thread that trains the one on the other."""

    def __init__(self, net, capacity=1000, on_publish=None):
        self.net, self.on_publish = net, on_publish
        self.served = None  # the Version that answers are made of: one reference, read and replaced whole
        self._X = np.zeros((capacity, net.widths[0]))
        self._y = np.zeros((capacity, net.widths[-1]))
        self._added, self._ended = 0, False
        self._changed = threading.Condition()  # guards the buffer; no prediction ever waits for it
        self._thread = threading.Thread(target=self._run, name="learner")

    def start(self):
        self._thread.start()

    def stop(self):
        """End training after the epoch under way, and wait for it."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def add(self, X, y):
        """Put samples into the buffer, in the place of the oldest; return how many there are."""
        with self._changed:
            places = np.arange(self._added, self._added + len(X)) % len(self._X)
            self._X[places], self._y[places] = X, y
            self._added += len(X)
            self._changed.notify()
            return min(self._added, len(self._X))

    def _run(self):
        seen = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda seen=seen: self._added > seen or self._ended)
                if self._ended:
                    return
                seen = self._added
                X, y = self._X[:seen].copy(), self._y[:seen].copy()
            self._train(X, y)

    def _train(self, X, y):
        try:
            self.net.fit(X, y, epochs=20, batch_size=32, callbacks=[self._stop_early, cbp.Publish(self._publish)])
        except cbp.DivergenceError as error:
            logging.getLogger(__name__).warning("back to the last version: %s", error)
            if self.served is not None:
                self.net = self.served.net.copy()

    def _stop_early(self, state):
        state.stop = self._ended

    def _publish(self, snapshot, state):
        number = 1 if self.served is None else self.served.number + 1
        version = Version(number, snapshot, state.logs["loss"])
        if self.on_publish is not None:
            self.on_publish(version)
        self.served = version  # the swap: one assignment, seen whole by every thread


def create_app(learner):
    """Return the Flask application that serves what the learner publishes."""
    app = Flask(__name__)

    def rows(name, width):
        """Return the matrix of numbers that the request has under this name."""
        body = request.get_json()
        given = body.get(name) if isinstance(body, dict) else None
        try:
            array = np.asarray(given, float)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.ndim != 2 or array.shape[1] != width or len(array) == 0 or not np.isfinite(array).all():
            abort(400, f"{name} must be rows of {width} numbers")
        return array

    def version():
        return learner.served or abort(503, "there is no model yet: nothing was learned")

    @app.post("/predict")
    def predict():
        X, model = rows("X", learner.net.widths[0]), version()
        return {"version": model.number, "y": model.net.predict(X).tolist()}

    @app.post("/learn")
    def learn():
        X, y = rows("X", learner.net.widths[0]), rows("y", learner.net.widths[-1])
        if len(X) != len(y):
            abort(400, f"X has {len(X)} rows, y has {len(y)}")
        return {"samples": learner.add(X, y)}, 202

    @app.get("/model")
    def model():
        model = version()
        return {"version": model.number, "epoch": model.net.epoch, "loss": model.loss}

    @app.errorhandler(400)
    @app.errorhandler(503)
    def say(error):
        return {"error": error.description}, error.code

    return app


def main():
    parser = argparse.ArgumentParser(description="A web service that learns while it serves.")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    cbp.set_num_threads(1)  # there are enough threads
    net = cbp.Network(
        [2, 16, 1], activation="tanh", output="identity", scale_inputs="standard", scale_targets="standard"
    )
    learner = Learner(net)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for every request
    server = make_server("127.0.0.1", options.port, create_app(learner), threaded=True)

    def end(*_):
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    learner.start()
    print(f"serving on http://127.0.0.1:{server.port}", flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()
        learner.stop()


if __name__ == "__main__":
    main()
