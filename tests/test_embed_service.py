"""The web service of docs/examples: real requests over loopback by many clients while it trains."""

import http.client
import itertools
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

import cbp

SCRIPT = Path(__file__).resolve().parents[1] / "docs/examples/web_service/service.py"
CLIENTS, REQUESTS, VERSIONS = 6, 25, 4


class Quiet(WSGIRequestHandler):
    """Keeps a connection for many requests, and writes no line for each."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


class Client:
    """One connection, kept open."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, method, path, body=None):
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        self.connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


def wait_until(condition):
    """Wait some seconds at most."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def samples(rng, m):
    X = rng.uniform(-1, 1, (m, 2))
    return {"X": X.tolist(), "y": (X[:, :1] * X[:, 1:]).tolist()}


class Service:
    """The service in this process, with all versions it ever published."""

    def __enter__(self):
        self.versions, example = {}, runpy.run_path(str(SCRIPT), run_name="service")
        options = {"scale_inputs": "standard", "scale_targets": "standard", "seed": 7}
        net = cbp.Network([2, 48, 1], activation="tanh", output="identity", **options)
        self.learner = example["Learner"](
            net, on_publish=lambda version: self.versions.update({version.number: version})
        )
        app = example["create_app"](self.learner)
        self.server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.learner.start()
        self.thread.start()
        self.port = self.server.port
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.learner.stop()
        self.thread.join()


def predict_and_learn(port, seed, answers):
    """A client: most of its requests are for predictions, some bring new samples. It goes on until it has seen some."""
    rng, client, end = np.random.default_rng(seed), Client(port), time.monotonic() + 60
    for i in itertools.count():
        if i >= REQUESTS and len({body["version"] for _, body in answers}) >= VERSIONS:
            break
        assert time.monotonic() < end, "it does not train meanwhile"
        if i % 8 == 3:
            assert client.ask("POST", "/learn", samples(rng, 40))[0] == 202
        X = rng.uniform(-1, 1, (1 + i % 5, 2))
        status, body = client.ask("POST", "/predict", {"X": X.tolist()})
        assert status == 200
        answers.append((X, body))
    client.connection.close()


def test_every_answer_is_that_of_one_published_version():
    answers, failures = [[] for _ in range(CLIENTS)], []

    def run(seed):
        try:
            predict_and_learn(service.port, seed, answers[seed])
        except BaseException as failure:
            failures.append(failure)

    with Service() as service:
        client = Client(service.port)
        assert client.ask("POST", "/predict", {"X": [[0, 0]]}) == (
            503,
            {"error": "there is no model yet: nothing was learned"},
        )
        client.ask("POST", "/learn", samples(np.random.default_rng(99), 800))
        wait_until(lambda: client.ask("GET", "/model")[0] == 200)
        clients = [threading.Thread(target=run, args=(seed,)) for seed in range(CLIENTS)]
        for each in clients:
            each.start()
        for each in clients:
            each.join()
        status, model = client.ask("GET", "/model")
        client.connection.close()
    if failures:
        raise failures[0]

    assert sorted(service.versions) == list(range(1, len(service.versions) + 1))
    last = service.versions[model["version"]]
    assert (status, model["epoch"], model["loss"]) == (200, last.net.epoch, last.loss)
    for of_client in answers:
        numbers = [body["version"] for _, body in of_client]
        assert numbers == sorted(numbers), "no client ever goes back to an older version"
        for X, body in of_client:
            assert body["y"] == service.versions[body["version"]].net.predict(X).tolist()
    assert not service.thread.is_alive()
    assert not service.learner._thread.is_alive()


WRONG = {
    "no JSON": ("/predict", "{", 400),
    "no rows": ("/predict", {}, 400),
    "a list": ("/predict", [1], 400),
    "wrong width": ("/predict", {"X": [[1, 2, 3]]}, 400),
    "ragged": ("/predict", {"X": [[1, 2], [3]]}, 400),
    "words": ("/predict", {"X": [["a", "b"]]}, 400),
    "infinite": ("/predict", '{"X": [[1, 1e999]]}', 400),
    "other rows": ("/learn", {"X": [[1, 2]], "y": [[1], [2]]}, 400),
}


def test_wrong_requests_are_answered_with_a_sentence():
    with Service() as service:
        client = Client(service.port)
        answers = {name: client.ask("POST", path, body) for name, (path, body, _) in WRONG.items()}
        client.connection.close()
    for name, (status, body) in answers.items():
        assert status == WRONG[name][2], name
        assert body["error"], name
    assert answers["wrong width"][1] == {"error": "X must be rows of 2 numbers"}


def test_training_that_diverges_goes_back_to_the_last_version():
    rng = np.random.default_rng(3)
    with Service() as service:
        learner, client = service.learner, Client(service.port)
        client.ask("POST", "/learn", samples(rng, 100))
        wait_until(lambda: learner.served is not None and learner.served.net.epoch == 20)
        good, net = learner.served, learner.net
        net.params[:] = np.inf
        client.ask("POST", "/learn", samples(rng, 10))
        wait_until(lambda: learner.net is not net)
        status, body = client.ask("POST", "/predict", {"X": [[0.5, 0.5]]})
        client.connection.close()
    assert status == 200
    assert body["y"] == service.versions[body["version"]].net.predict([[0.5, 0.5]]).tolist()
    assert good.number in service.versions


@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM")
def test_the_script_ends_when_it_is_told_to(tmp_path):
    # In a folder of its own: it needs nothing but what is installed
    script = tmp_path / "service.py"
    script.write_bytes(SCRIPT.read_bytes())
    command = [sys.executable, "-W", "error", str(script), "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        port = int(process.stdout.readline().rpartition(":")[2])
        client = Client(port)
        assert client.ask("POST", "/learn", samples(np.random.default_rng(1), 500)) == (202, {"samples": 500})
        wait_until(lambda: Client(port).ask("GET", "/model")[0] == 200)
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=30)[0]
    assert (process.returncode, rest) == (0, "")
