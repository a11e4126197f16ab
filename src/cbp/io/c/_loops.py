"""Loops of an exported file: products, activations of a whole row, and what training does to errors and weights.

They are written for the prefix ``model``. A loop is written out where another part names it; those for whole rows are
known by the kernels that the rows of act.def name. Used by _writer.py.
"""

from __future__ import annotations

LOOPS = {
    "product": """\
/* z := z + x W, W (inputs, outputs): every sum is one chain of fused multiply-adds in the order of the inputs */
static void model_product(int inputs, int outputs, const model_real *x, const model_real *w, model_real *z) {
    int i, j;
    for (i = 0; i < inputs; i++, w += outputs)
        for (j = 0; j < outputs; j++) z[j] = model_fma(x[i], w[j], z[j]);
}
""",
    "product_8": """\
/* z := z + x W, W (inputs, outputs) being whole numbers, each times the scale of the unit it leads to */
static void model_product_8(int inputs, int outputs, const model_real *x, const signed char *w,
                            const model_real *scale, model_real *z) {
    int i, j;
    for (i = 0; i < inputs; i++, w += outputs)
        for (j = 0; j < outputs; j++) z[j] = model_fma(x[i], (model_real)w[j] * scale[j], z[j]);
}
""",
    "row_softmax": """\
/* a := softmax of a */
static void model_row_softmax(int n, model_real *a) {
    model_real most = a[0], sum = 0;
    int j;
    for (j = 1; j < n; j++) most = a[j] > most ? a[j] : most;
    for (j = 0; j < n; j++) {
        a[j] = model_exp(a[j] - most);
        sum += model_rounded(a[j]);
    }
    for (j = 0; j < n; j++) a[j] /= sum;
}
""",
    "row_log_softmax": """\
/* a := log softmax of a */
static void model_row_log_softmax(int n, model_real *a) {
    model_real most = a[0], sum = 0;
    int j;
    for (j = 1; j < n; j++) most = a[j] > most ? a[j] : most;
    for (j = 0; j < n; j++) {
        a[j] -= most;
        sum += model_rounded(model_exp(a[j]));
    }
    sum = model_log(sum);
    for (j = 0; j < n; j++) a[j] -= sum;
}
""",
    "row_softmax_log": """\
/* h := log softmax of a, a := softmax of a */
static void model_row_softmax_log(int n, model_real *a, model_real *h) {
    memcpy(h, a, (size_t)n * sizeof *h);
    model_row_softmax(n, a);
    model_row_log_softmax(n, h);
}
""",
    "row_log_softmax_log": """\
/* h := a := log softmax of a */
static void model_row_log_softmax_log(int n, model_real *a, model_real *h) {
    model_row_log_softmax(n, a);
    memcpy(h, a, (size_t)n * sizeof *h);
}
""",
    "row_softmax_back": """\
/* d, the derivatives by a = softmax z, become those by z */
static void model_row_softmax_back(int n, const model_real *a, model_real *d) {
    model_real inner = 0;
    int j;
    for (j = 0; j < n; j++) inner = model_fma(a[j], d[j], inner);
    for (j = 0; j < n; j++) d[j] = a[j] * (model_rounded(d[j]) - inner);
}
""",
    "row_log_softmax_back": """\
/* d, the derivatives by a = log softmax z, become those by z */
static void model_row_log_softmax_back(int n, const model_real *a, model_real *d) {
    model_real total = 0;
    int j;
    for (j = 0; j < n; j++) total += model_rounded(d[j]);
    for (j = 0; j < n; j++) d[j] = model_fma(-model_exp(a[j]), total, d[j]);
}
""",
    "scale": """\
/* x := factor x */
static void model_scale(int n, model_real factor, model_real *x) {
    int j;
    for (j = 0; j < n; j++) x[j] = model_rounded(factor * x[j]);
}
""",
    "multiply": """\
/* d := e d */
static void model_multiply(int n, const model_real *e, model_real *d) {
    int j;
    for (j = 0; j < n; j++) d[j] = model_rounded(e[j] * d[j]);
}
""",
    "errors": """\
/* e := delta W^T, W (inputs, outputs); add: e + delta W^T */
static void model_errors(int inputs, int outputs, const model_real *delta, const model_real *w, int add,
                         model_real *e) {
    int i, j;
    for (i = 0; i < inputs; i++, w += outputs) {
        model_real sum = 0;
        for (j = 0; j < outputs; j++) sum = model_fma(delta[j], w[j], sum);
        e[i] = add ? e[i] + sum : sum;
    }
}
""",
    "descend": """\
/* W (inputs, outputs) goes a step down its gradient, the sum over the samples times factor. The inputs of a sample are
 * a_row, its deltas delta_row numbers away from those of the one before; g[outputs] is scratch. */
static void model_descend(int rows, int inputs, int outputs, const model_real *a, int a_row, const model_real *delta,
                          int delta_row, model_real factor, model_real rate, model_real *g, model_real *w) {
    int r, i, j;
    for (i = 0; i < inputs; i++, w += outputs) {
        const model_real *x = a + i, *d = delta;
        for (j = 0; j < outputs; j++) g[j] = 0;
        for (r = 0; r < rows; r++, x += a_row, d += delta_row)
            for (j = 0; j < outputs; j++) g[j] = model_fma(*x, model_rounded(d[j]), g[j]);
        for (j = 0; j < outputs; j++) w[j] = model_fma(-rate, factor * g[j], w[j]);
    }
}
""",
    "descend_held": """\
/* The same with penalties l1 and l2, and only where kept, unless NULL, is not 0 */
static void model_descend_held(int rows, int inputs, int outputs, const model_real *a, int a_row,
                               const model_real *delta, int delta_row, model_real factor, model_real rate,
                               model_real *g, model_real *w, int penalized, model_real l1, model_real l2,
                               const unsigned char *kept) {
    int r, i, j;
    for (i = 0; i < inputs; i++, w += outputs) {
        const model_real *x = a + i, *d = delta;
        for (j = 0; j < outputs; j++) g[j] = 0;
        for (r = 0; r < rows; r++, x += a_row, d += delta_row)
            for (j = 0; j < outputs; j++) g[j] = model_fma(*x, model_rounded(d[j]), g[j]);
        for (j = 0; j < outputs; j++) {
            const model_real sign = (model_real)(0 < w[j] ? 1 : w[j] < 0 ? -1 : 0);
            model_real step = factor * g[j];
            if (penalized) step = model_fma(l1, sign, model_fma(l2, w[j], step));
            if (!kept || kept[i * outputs + j]) w[j] = model_fma(-rate, step, w[j]);
        }
    }
}
""",
    "penalty": """\
/* l1 sum |w| + l2 / 2 sum w^2 of w[n], each sum in 32 chains, of which chain c has w[c], w[c + 32] ... */
static double model_penalty(int n, const model_real *w, double l1, double l2) {
    double absolute[32] = {0}, square[32] = {0}, all = 0, squares = 0;
    volatile double product, other; /* rounded before they are added */
    int i;
    for (i = 0; i < n; i++) {
        const double v = (double)w[i];
        absolute[i % 32] += v < 0 ? -v : v;
        product = v * v;
        square[i % 32] += product;
    }
    for (i = 0; i < 32; i++) {
        all += absolute[i];
        squares += square[i];
    }
    product = l1 * all;
    other = l2 / 2 * squares;
    return product + other;
}
""",
    "sqrt": """\
/* The square root of a number that is not negative, rounded: bit by bit */
static model_real model_sqrt(model_real x) {
    const int places = @MANTISSA@, bias = @BIAS@;
    const @U@ one = 1;
    @U@ m = model_bits_of(x) & ((one << places) - 1), r = one << (places + 1), q = 0, s = 0;
    int e = (int)(model_bits_of(x) >> places);
    if (x == 0 || !(x - x == 0)) return x;
    if (e > 0) m |= one << places;
    for (e += e == 0; m >> places == 0; e--) m <<= 1;
    e -= bias;
    if (e & 1) {
        m <<= 1;
        e--;
    }
    for (m <<= 1; r; r >>= 1, m <<= 1)
        if (s + r <= m) {
            m -= s + r;
            s += r << 1;
            q += r;
        }
    if (m) q += q & 1;
    return model_real_of((q >> 1) + ((@U@)(e / 2 + bias - 1) << places));
}
""",
    "shorten": """\
/* Columns of W (inputs, outputs) that are longer than most get that length, but for what is not kept */
static void model_shorten(int inputs, int outputs, model_real most, model_real *w, const unsigned char *kept) {
    int i, j;
    for (j = 0; j < outputs; j++) {
        model_real square = 0, length, factor;
        for (i = 0; i < inputs; i++) square = model_fma(w[i * outputs + j], w[i * outputs + j], square);
        length = model_sqrt(square);
        factor = length < @LONGEST@ ? most / length : 1;
        if (!(most < length)) continue;
        for (i = 0; i < inputs; i++)
            if (!kept || kept[i * outputs + j]) w[i * outputs + j] = factor * w[i * outputs + j];
    }
}
""",
}


ROW_WISE = ("row_softmax", "row_log_softmax")
"""The kernels for whole rows that a row of act.def may name; with _log and _back for training."""


def loop(name: str, double: bool) -> str:
    """Return a loop, in one precision."""
    changes = {
        "@U@": "uint64_t" if double else "uint32_t",
        "@MANTISSA@": "52" if double else "23",
        "@BIAS@": "1023" if double else "127",
        "@LONGEST@": "1e300" if double else "1e30f",
    }
    text = LOOPS[name]
    for mark, word in changes.items():
        text = text.replace(mark, word)
    return text
