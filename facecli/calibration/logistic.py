"""Fit logistic regression with equal class weights and a penalty on the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from facecli.types import BoolArray

Rows = npt.NDArray[np.float64]


def fit_logistic(
    features: npt.NDArray[np.floating[Any]], positive: BoolArray, *, penalty: float
) -> tuple[Rows, float]:
    """Return weights, float64 (d,), and bias of the log-odds of `positive` (n,) from rows (n, d).

    Both classes have the same weight in the loss, whatever their sizes, so the log-odds are those
    at a prior of one half. To the mean loss is added `penalty` times half the sum of the squared
    weights, for features scaled to unit variance: a normal prior around zero. Raises ValueError if
    a class is missing.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    number = np.array([(~positive).sum(), positive.sum()])
    if not number.all():
        raise ValueError("logistic regression needs both classes")
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    rows = (features - centre) / scale
    share = 0.5 / number[positive.astype(int)]
    sign = np.where(positive, 1.0, -1.0)

    def loss(parameters: Rows) -> tuple[float, Rows]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = sign * (rows @ weights + bias)
        wrong = share * sign * -expit(-margin)
        value = share @ np.logaddexp(0, -margin) + penalty / 2 * weights @ weights
        return float(value), np.append(wrong @ rows + penalty * weights, wrong.sum())

    found = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B").x
    weights = found[:-1] / scale
    return weights, float(found[-1] - weights @ centre)
