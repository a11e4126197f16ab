"""Every error message about data, from the Python interface: the exception and its whole sentence."""

import numpy as np
from refusals import every, fit, fit_labels, inf, nan, net, no_write, refuses, softmax, with_element, zeros

SPARSE = type("csr_matrix", (), {"toarray": None})()

INPUTS = {
    "width": (lambda: net().predict(zeros(2, 4)), ValueError, "X has 4 features, the network expects 3"),
    "width of one": (lambda: net().predict([1, 2]), ValueError, "X has 2 features, the network expects 3"),
    "no columns": (lambda: net().predict(zeros(2, 0)), ValueError, "X has 0 features, the network expects 3"),
    "column": (
        lambda: net(1).predict([1, 2, 3]),
        ValueError,
        "X has shape (3,), which is one sample; for one feature write X[:, None]",
    ),
    "images": (
        lambda: net(4).predict(zeros(5, 2, 2)),
        ValueError,
        "X has 3 dimensions, expected (rows, 4) or (4,): write X.reshape(len(X), -1)",
    ),
    "number": (lambda: net().predict(1.0), ValueError, "X has 0 dimensions, expected (rows, 3) or (3,)"),
    "ragged": (
        lambda: net().predict([[1, 2, 3], [4, 5]]),
        ValueError,
        "X is not a rectangular table of numbers: its rows differ in length",
    ),
    "objects": (lambda: net().predict([[None, 1, 2]]), TypeError, "X has dtype object, expected real numbers"),
    "text": (
        lambda: net().predict([["a", "b", "c"]]),
        TypeError,
        "X has dtype <U1, expected real numbers; "
        "turn names into numbers first, as np.unique(X, return_inverse=True) does",
    ),
    "complex": (
        lambda: net().predict(np.zeros((1, 3), complex)),
        TypeError,
        "X has dtype complex128, expected real numbers; pass X.real and X.imag as columns",
    ),
    "dates": (
        lambda: net().predict(np.zeros((1, 3), "M8[s]")),
        TypeError,
        "X has dtype datetime64[s], expected real numbers",
    ),
    "sparse": (
        lambda: net().loss(SPARSE, [0.0]),
        TypeError,
        "X is a sparse matrix, which only fit, partial_fit and predict read; pass X.toarray()",
    ),
    "masked": (
        lambda: net().predict(np.ma.zeros((1, 3))),
        TypeError,
        "X is a masked array; fill it first: X.filled(value)",
    ),
    "nan": (lambda: net().predict(with_element((5, 3), (3, 2), nan)), ValueError, "X[3, 2] is nan"),
    "inf": (lambda: net().predict(with_element((5, 3), (3, 2), -inf, "f4")), ValueError, "X[3, 2] is -inf"),
    "nan of one": (lambda: net().predict([0, nan, 0]), ValueError, "X[1] is nan"),
    "too large": (lambda: net().predict([[0, 1e300, 0]]), ValueError, "X[0, 1] is 1e+300, which float32 cannot hold"),
    "nan in forward": (lambda: net().forward([0, nan, 0]), ValueError, "X[1] is nan"),
    "nan in train_step": (lambda: net().train_step([0, nan, 0], [0, 0], 0.1), ValueError, "X[1] is nan"),
    "nan in fit": (lambda: net().fit([[0, nan, 0]], [[0, 0]]), ValueError, "X[0, 1] is nan"),
    "no rows in fit": (lambda: net().fit(zeros(0, 3), zeros(0, 2)), ValueError, "X has no rows"),
    "no rows in forward": (lambda: net().forward(zeros(0, 3)), ValueError, "X has no rows"),
    "no rows in loss": (lambda: net().loss(zeros(0, 3), zeros(0, 2)), ValueError, "X has no rows"),
    "out as a list": (lambda: net().predict(zeros(1, 3), out=[]), TypeError, "out must be an ndarray, not list"),
    "out of another dtype": (
        lambda: net().predict(zeros(1, 3), out=np.zeros((1, 2))),
        TypeError,
        "out has dtype float64, the network computes in float32",
    ),
    "out of another shape": (
        lambda: net().predict(zeros(1, 3), out=zeros(2)),
        ValueError,
        "out has shape (2,), the outputs have (1, 2)",
    ),
    "out read-only": (
        lambda: net().predict(zeros(1, 3), out=no_write(zeros(1, 2))),
        ValueError,
        "out must be C-contiguous, aligned and writable",
    ),
    "out with strides": (
        lambda: net().predict(zeros(3, 3), out=zeros(2, 3).T),
        ValueError,
        "out must be C-contiguous, aligned and writable",
    ),
}

TARGETS = {
    "rows": (
        lambda: net().loss(zeros(4, 3), zeros(3, 2)),
        ValueError,
        "y has shape (3, 2), the network expects (4, 2)",
    ),
    "columns": (lambda: net().loss(zeros(4, 3), zeros(4)), ValueError, "y has shape (4,), the network expects (4, 2)"),
    "single output": (
        lambda: net(3, 1).loss(zeros(4, 3), zeros(3)),
        ValueError,
        "y has shape (3,), the network expects (4, 1) or (4,)",
    ),
    "single sample": (
        lambda: net().loss(zeros(3), zeros(1, 3)),
        ValueError,
        "y has shape (1, 3), the network expects (2,)",
    ),
    "of backward": (
        lambda: (lambda n: (n.forward(zeros(4, 3)), n.backward(zeros(3, 2))))(net()),
        ValueError,
        "Y has shape (3, 2), the network expects (4, 2)",
    ),
    "labels as fractions": (
        lambda: softmax().loss(zeros(2, 2), [0.0, 1.0]),
        ValueError,
        "y has shape (2,), the network expects (2, 3); class labels must be integers",
    ),
    "labels as a column": (
        lambda: softmax().loss(zeros(2, 2), [[0], [1]]),
        ValueError,
        "y has shape (2, 1), the network expects (2, 3); class labels have shape (2,)",
    ),
    "labels for fewer rows": (
        lambda: softmax().loss(zeros(3, 2), [0, 1]),
        ValueError,
        "y has 2 labels, but X has 3 rows",
    ),
    "label too large": (
        lambda: softmax(10).loss(zeros(8, 2), [0] * 7 + [12]),
        ValueError,
        "y[7] is 12, but the network has 10 classes (0 to 9)",
    ),
    "label too small": (
        lambda: softmax().loss(zeros(2, 2), [0, -1]),
        ValueError,
        "y[1] is -1, but the network has 3 classes (0 to 2)",
    ),
    "names": (
        lambda: softmax().loss(zeros(2, 2), ["cat", "dog"]),
        TypeError,
        "y has dtype <U3, expected real numbers; "
        "turn names into numbers first, as np.unique(y, return_inverse=True) does",
    ),
    "nan": (lambda: net().loss(zeros(2, 3), [[0, 0], [0, nan]]), ValueError, "y[1, 1] is nan"),
    "nan in a column": (lambda: net(3, 1).loss(zeros(2, 3), [0, inf]), ValueError, "y[1] is inf"),
    "nan as a number": (lambda: net(3, 1).loss(zeros(3), nan), ValueError, "y is nan"),
    "beyond sigmoid": (
        lambda: net(3, 2, output="sigmoid").loss(zeros(2, 3), [[0, 0], [0, 1.5]]),
        ValueError,
        "y[1, 1] is 1.5, but binary_cross_entropy needs targets from 0 to 1",
    ),
    "beyond sigmoid in a column": (
        lambda: net(3, 1, output="sigmoid").loss(zeros(2, 3), [0, 2]),
        ValueError,
        "y[1] is 2, but binary_cross_entropy needs targets from 0 to 1",
    ),
    "no distribution": (
        lambda: softmax().loss(zeros(2, 2), [[0, 1, 0], [1, 1, 0.0]]),
        ValueError,
        "row 1 of y is no distribution over the classes: it needs values from 0 that sum to 1",
    ),
    "negative share": (
        lambda: softmax().loss(zeros(1, 2), [[2, -1, 0.0]]),
        ValueError,
        "row 0 of y is no distribution over the classes: it needs values from 0 that sum to 1",
    ),
}

WEIGHTS = {
    "shape": (
        lambda: fit(sample_weight=[1, 2]),
        ValueError,
        "sample_weight has shape (2,), expected (4,): one weight per row",
    ),
    "negative": (
        lambda: fit(sample_weight=[1, 2, 3, -1]),
        ValueError,
        "sample_weight[3] is -1, but weights must not be negative",
    ),
    "nan": (lambda: fit(sample_weight=[1, nan, 3, 1]), ValueError, "sample_weight[1] is nan"),
    "all zero": (lambda: fit(sample_weight=zeros(4)), ValueError, "sample_weight: all weights are zero"),
    "class weight": (
        lambda: fit_labels(class_weight=2.0),
        TypeError,
        "class_weight must be a dict or 'balanced', not 2.0",
    ),
    "class weight of no class": (
        lambda: fit_labels(class_weight={3: 1.0}),
        ValueError,
        "class_weight has a weight for 3, but the classes are 0 to 2",
    ),
    "negative class weight": (
        lambda: fit_labels(class_weight={1: -1.0}),
        ValueError,
        "class_weight[1] must be at least 0, not -1",
    ),
    "class weight without classes": (
        lambda: fit_labels(np.full((4, 3), 1 / 3), class_weight="balanced"),
        ValueError,
        "class_weight needs targets that name a class: labels, 0 and 1, or rows with a single 1",
    ),
    "class weights all zero": (
        lambda: fit_labels(class_weight={0: 0, 1: 0, 2: 0}),
        ValueError,
        "class_weight: all weights are zero",
    ),
}


@every({"inputs": INPUTS, "targets": TARGETS, "weights": WEIGHTS})
def test_sentence(act, error, sentence):
    refuses(act, error, sentence)
