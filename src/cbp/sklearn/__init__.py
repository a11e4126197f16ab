"""Estimators for scikit-learn: what its multi-layer perceptrons can do, under the same names, and all that cbp can.

>>> from cbp.sklearn import CBPClassifier
>>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "no"]
>>> model = CBPClassifier(hidden_layer_sizes=8, activation="tanh", solver="lbfgs", random_state=1).fit(X, y)
>>> model.predict(X)
array(['no', 'yes', 'yes', 'no'], dtype='<U3')
"""

from cbp.sklearn.classifier import CBPClassifier
from cbp.sklearn.regressor import CBPRegressor

__all__ = ["CBPClassifier", "CBPRegressor"]
