"""Pictures of trainings, of networks, and of how outputs and targets agree. matplotlib is imported when one is drawn.

    curves        what a history holds: losses, metrics, learning rate, the state of a method
    diagram       a network as units and lines
    insides       activations, gradients and weights by layer; the weights of the first one as images
    regions       what a network says of every point of a plane
    agreement     outputs against targets
    classes       confusion, calibration of probabilities, ROC, precision and recall
    _axes         axes, colours and words that they share

Every function returns the axes that it has drawn on and takes axes of yours; without, it makes a figure of pyplot.
A network is only read.
"""

from cbp.history import STATE
from cbp.plot.agreement import calibration, error_histogram, regression
from cbp.plot.classes import confusion, precision_recall, reliability, roc
from cbp.plot.curves import learning_curve, training_state
from cbp.plot.diagram import network
from cbp.plot.insides import activations, filters, gradients, weights
from cbp.plot.regions import decision_regions

__all__ = [
    "learning_curve",
    "training_state",
    "network",
    "weights",
    "filters",
    "activations",
    "gradients",
    "decision_regions",
    "regression",
    "error_histogram",
    "calibration",
    "confusion",
    "reliability",
    "roc",
    "precision_recall",
    "STATE",
]
