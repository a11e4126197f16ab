"""What exported C is made of: fused multiply-adds and roots of its own, exact in every case; formulas, as written."""

import math
from fractions import Fraction

import numpy as np
import pytest
from exported import compiled, needs
from helpers import DTYPES

import cbp
from cbp.io.c._library import library
from cbp.io.c._words import UnknownText, parse, statements
from cbp.io.c._writer import Writer, comment_of, wrapped

PROGRAM = """
#include <stdio.h>
#define MODEL_SOFT_FMA
#include "model.c"
int main(void) {{
    double a, b, c;
    char kind;
    while (scanf(" %c %lf %lf %lf", &kind, &a, &b, &c) == 4)
        printf("%a\\n", (double)(kind == 'f' ? model_fma(({real})a, ({real})b, ({real})c) : model_sqrt(({real})a)));
    return 0;
}}
"""


@pytest.fixture(params=DTYPES)
def arithmetic(request, tmp_path):
    """Return the dtype, and a function that computes with the exported arithmetic, without the instruction for it."""
    needs("gcc")
    dtype = np.dtype(request.param)
    cbp.Network([2, cbp.Dense(2, max_norm=1.0)], dtype=dtype, seed=0).export(tmp_path / "model.c", train=True)
    real = "float" if dtype == np.float32 else "double"

    def compute(kind, a, b, c):
        rows = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
        given = "\n".join(f"{kind} {x.hex()} {y.hex()} {z.hex()}" for x, y, z in rows)
        printed = compiled(tmp_path, PROGRAM.format(real=real), "-O1", run=True, given=given)
        return np.array([float.fromhex(word) for word in printed.split()], dtype)

    return dtype, compute


def triples(dtype, n):
    """Numbers whose a b + c is hard: products that nearly cancel, halves of units, ends of the range."""
    rng, limits = np.random.default_rng(11), np.finfo(dtype)
    least, most = limits.minexp - limits.nmant, limits.maxexp
    a, b, c = (
        np.ldexp(rng.uniform(0.5, 1, n), rng.integers(least, most, n)) * rng.choice([-1, 1], n) for _ in range(3)
    )
    third = n // 3
    a[third:] = np.ldexp(rng.integers(1, 2**9, n - third), rng.integers(least // 2, most // 2, n - third))
    b[third:] = np.ldexp(rng.integers(1, 2**9, n - third), rng.integers(least // 2, most // 2, n - third))
    a, b, c = (x.astype(dtype) for x in (a, b, c))
    with np.errstate(all="ignore"):
        near = a[third:] * b[third:]
        c[third:] = np.where(np.isfinite(near), -near, 1) * rng.choice(
            [1, 1, 1 + limits.eps, 0.5, 2.0**limits.nmant], n - third
        )
    places = np.flatnonzero(~np.isfinite(c))
    c[places] = 1
    return a, b, c


def rounded(exact, dtype):
    """A rational number rounded to the dtype, ties to even."""
    if exact == 0:
        return 0.0
    limits = np.finfo(dtype)
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, int(limits.minexp)) - int(limits.nmant))
    value = round(size / unit) * unit  # Python rounds half to even
    return (1 if exact > 0 else -1) * (float(value) if value <= int(limits.max) else math.inf)


def test_fma_is_rounded_once_in_every_case(arithmetic):
    dtype, compute = arithmetic
    a, b, c = triples(dtype, 6000)
    wanted = [rounded(Fraction(x) * Fraction(y) + Fraction(z), dtype)
              for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)]  # fmt: skip
    found = compute("f", a, b, c)
    wrong = np.flatnonzero(found != np.array(wanted, dtype))
    assert len(wrong) == 0, [(a[i].hex(), b[i].hex(), c[i].hex(), found[i], wanted[i]) for i in wrong[:3]]
    assert (np.abs(found[np.isfinite(found)]) < np.finfo(dtype).tiny).sum() > 30
    assert np.isinf(found).sum() > 30


def test_fma_of_what_is_special(arithmetic):
    dtype, compute = arithmetic
    values = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        np.inf,
        -np.inf,
        np.nan,
        float(np.finfo(dtype).max),
        float(np.finfo(dtype).smallest_subnormal),
    ]
    a, b, c = (x.ravel().astype(dtype) for x in np.meshgrid(values, values, values))
    exact = [np.nan if not np.isfinite([x, y, z]).all() else rounded(Fraction(x) * Fraction(y) + Fraction(z), dtype)
             for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)]  # fmt: skip
    with np.errstate(all="ignore"):
        wanted = np.where(np.isnan(exact), np.where(np.isfinite(a * 0 + b * 0), c, a.astype(float) * b + c), exact)
        signs = np.where(wanted == 0, np.where((a == 0) | (b == 0), np.signbit(a * b + c), np.signbit(wanted)), False)
    found = compute("f", a, b, c)
    assert np.array_equal(found, wanted.astype(dtype), equal_nan=True)
    zero = (wanted == 0) & ((a == 0) | (b == 0))
    assert np.array_equal(np.signbit(found[zero]), signs[zero].astype(bool))


def test_roots_are_rounded_once(arithmetic):
    dtype, compute = arithmetic
    rng, limits = np.random.default_rng(3), np.finfo(dtype)
    a = np.ldexp(rng.uniform(0.5, 1, 3000), rng.integers(limits.minexp - limits.nmant, limits.maxexp, 3000)).astype(
        dtype
    )
    a = np.concatenate([a, np.array([0, 1, 4, 2, limits.max, limits.tiny, limits.smallest_subnormal, np.inf], dtype)])
    assert np.array_equal(compute("s", a, a, a), np.sqrt(a))


# ---- formulas ----


def written(formula, letters=("z", "p"), dtype="float32"):
    writer = Writer("m", np.dtype(dtype))
    writer.row("row", formula, letters)
    return writer.text()


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("SUB(z, SUB(p, z))", "z - (p - z)"),
        ("SUB(SUB(z, p), z)", "z - p - z"),
        ("MUL(ADD(z, p), DIV(z, MUL(p, z)))", "(z + p) * (z / (p * z))"),
        ("ADD(MUL(z, p), z)", "m_rounded(z * p) + z"),
        ("FMA(z, p, MUL(z, z))", "m_fma(z, p, z * z)"),
        ("FNMA(z, ADD(p, z), ONE)", "m_fma(-z, p + z, 1.0f)"),
        ("SEL(LT(z, ZERO), SEL(EQ(p, z), z, p), MUL(p, z))", "z < 0.0f ? (p == z ? z : p) : p * z"),
        ("NEG(ABS(SUB(z, p)))", "-m_abs(z - p)"),
        ("OR(AND(z, BITS(SIGN)), ONE)", "m_real_of((m_bits_of(z) & 0x80000000u) | m_bits_of(1.0f))"),
        ("K(0x1p-1f, 3.0)", "0.5f"),
        ("MUL(z, K(FLT_MAX, DBL_MAX))", "z * 3.4028235e+38f"),
    ],
)
def test_words_become_operators(formula, text):
    assert f"return {text};" in written(formula)


def test_products_are_followed_through_variables_choices_and_calls():
    assert "1.0f + m_rounded(m_exp(z))" in written("ADD(ONE, EXP(z))")
    assert "m_softplus(m_rounded(z * p))" in written("SOFTPLUS(MUL(z, p))")
    assert "m_softplus(z + p)" in written("SOFTPLUS(ADD(z, p))")
    assert "m_rounded(z < p ? z * p : p) - z" in written("SUB(SEL(LT(z, p), MUL(z, p), p), z)")


def test_only_what_is_called_is_written():
    text = written("SIGMOID(z)")
    assert "m_sigmoids(" in text
    assert "m_log(" not in text
    assert "static const m_real m_log2_e = 1.442695f;" in text
    assert "m_turns" not in text


@pytest.mark.parametrize("dtype", DTYPES)
def test_decimal_constants_are_the_librarys(dtype):
    read = library(np.dtype(dtype))
    kind = np.dtype(dtype).type
    for name, node in read.constants.items():
        value = read.number(node)
        text = Writer("m", np.dtype(dtype)).literal(value)
        assert kind(text.rstrip("f")) == value, name
    assert read.number(read.constants["LOG2_E"]) == (
        kind(1.4426950408889634) if dtype == "float64" else kind("1.442695")
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("table", ["activations", "losses"])
def test_every_row_is_read(dtype, table):
    assert list(getattr(library(np.dtype(dtype)), table)) == list(getattr(cbp, table))


@pytest.mark.parametrize(
    "formula", ["NO_SUCH_WORD(z)", "N(no_such_function)(z)", "ADD(z", "z z", "ADD(z, q)", "#", "SIGMOID(z, p)"]
)
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises(UnknownText):
        written(formula)


def test_trees_and_statements():
    assert parse("a - b - c * d").args[0].text == "-"
    kinds = [s.kind for s in statements("V r, s = ADD(a, b); const V t = s; (void)p; s = t; *low = s; return s;")]
    assert kinds == ["declare", "declare", "let", "ignore", "set", "set", "return"]
    with pytest.raises(UnknownText, match="neither a value nor an assignment"):
        list(statements("for (int i = 0; i < n; i++) a[i] = 0;"))


def test_lines_break_where_they_may_and_comments_cannot_end():
    line = "double f(" + ", ".join(f"const double *argument_{i}" for i in range(9)) + ")"
    assert all(len(part) <= 110 and part.endswith((",", ")")) for part in wrapped(line).split("\n"))
    assert comment_of("a */ b /* c \\") == "/* a * / b / * c / */"
