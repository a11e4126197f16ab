"""What the processes of test_threads_among_others.py do: apart, for these need nothing else of a test."""

import numpy as np

import cbp


def trained(seed):
    """Bytes of the weights after a training that is worth sharing among threads, and how many it could have had."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(200, 300)), np.arange(200) % 10
    net = cbp.Network([300, 200, 10], activation="relu", output="softmax", seed=seed)
    net.fit(X, y, epochs=1, batch_size=64)
    return net.params.tobytes(), cbp.get_num_threads()
