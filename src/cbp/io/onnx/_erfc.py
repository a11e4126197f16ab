"""The complementary error function in double, made of basic operators: no runtime has Erf in float64.

For x >= 0, exp(x**2) erfc(x) is t Q(2 t - 1) with t = 3 / (3 + x). The coefficients of the polynomial Q are those of
the Chebyshev expansion on 0 < t <= 1 of what is on the left, computed with 60 digits, in powers of 2 t - 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbp.io.onnx._builder import Builder

_POLE = 3.0
# fmt: off
_Q = [
    0.3580023023627799, 0.294464817723293, 0.19674278570136905, 0.10348908730032487,
    0.039842587095677014, 0.008942411537958437, -0.00040413887411009487, -0.0010113539579816233,
    -0.00018276991291403435, 9.225899997789508e-05, 3.585391740464576e-05, -1.0131578675156923e-05,
    -5.823839277695447e-06, 1.5801189369395156e-06, 9.225490949004146e-07, -3.2798388174368307e-07,
    -1.3718778405338225e-07, 7.241314802770536e-08, 1.662235757595342e-08, -1.3174436327282527e-08,
    -1.176637834482961e-09, 1.3433763579088608e-09,
]
# fmt: on


def erfc(x: str, builder: Builder) -> str:
    """Write erfc(x), to 1e-15 (1 + x**2) of its size, and return its name."""
    node, number = builder.node, builder.scalar
    size = node("Abs", x)
    t = node("Div", number(_POLE), node("Add", number(_POLE), size))
    u = node("Sub", node("Mul", number(2.0), t), number(1.0))
    q = number(_Q[-1])
    for coefficient in reversed(_Q[:-1]):
        q = node("Add", node("Mul", q, u), number(coefficient))
    bell = node("Exp", node("Neg", node("Mul", x, x)))
    upper = node("Mul", bell, node("Mul", t, q))
    return node("Where", node("Less", x, number(0.0)), node("Sub", number(2.0), upper), upper)
