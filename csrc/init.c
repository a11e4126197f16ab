/* init.c - initial weights, by the rows of init.def.
 *
 * All of it is made in double from the numbers of rng.c, with + - * / and sqrt, in an order that does not depend on the
 * machine, and rounded once to the plan's precision. Called by the front ends; uses the kernel table for exp, log and
 * the rounding.
 */
#include "net.h"
#include "prim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 256, /* numbers at a time on the stack */
    PANEL = 16   /* columns made orthonormal before they are taken out of the others; weights depend on it */
};

/* One layer to be filled: n weights at w, in rows of n_out, behind the biases, which are zero */
typedef struct {
    const cbp_net *net;
    const cbp_kern *k64; /* scalar kernels of double */
    cbp_stream stream;
    double size;
    int64_t n_in, n_out;
    char *bias, *w;
} layer;

typedef cbp_status way(const layer *);

/* weights first .. first + n := factor * u, rounded */
static void put(const layer *s, int64_t first, int64_t n, double factor, const double *u) {
    s->net->k->assign(n, factor, u, cbp_at(s->net, s->w, first));
}

/* ---- independent numbers; size is the variance ---- */

static cbp_status way_uniform(const layer *s) {
    double u[BLOCK];
    const double end = sqrt(3 * s->size);
    for (int64_t first = 0, n = s->n_in * s->n_out; first < n; first += BLOCK) {
        const int64_t count = cbp_smaller(n - first, BLOCK);
        for (int64_t i = 0; i < count; i++) u[i] = 2 * cbp_uniform(&s->stream, (uint64_t)(first + i)) - 1;
        put(s, first, count, end, u);
    }
    return CBP_OK;
}

/* Number n_in * n_out + j of the stream belongs to bias j */
static cbp_status way_everywhere(const layer *s) {
    double u[BLOCK];
    for (int64_t first = 0, n = s->n_in * s->n_out; first < s->n_out; first += BLOCK) {
        const int64_t count = cbp_smaller(s->n_out - first, BLOCK);
        for (int64_t j = 0; j < count; j++) u[j] = 2 * cbp_uniform(&s->stream, (uint64_t)(n + first + j)) - 1;
        s->net->k->assign(count, sqrt(3 * s->size), u, cbp_at(s->net, s->bias, first));
    }
    return way_uniform(s);
}

static cbp_status way_normal(const layer *s) {
    double u[BLOCK];
    const double deviation = sqrt(s->size);
    for (int64_t first = 0, n = s->n_in * s->n_out; first < n; first += BLOCK) {
        const int64_t count = cbp_smaller(n - first, BLOCK);
        for (int64_t i = 0; i < count; i++) u[i] = cbp_normal(&s->stream, (uint64_t)(first + i), s->k64);
        put(s, first, count, deviation, u);
    }
    return CBP_OK;
}

/* ---- the same number everywhere ---- */

static cbp_status way_same(const layer *s) {
    double u[BLOCK];
    for (int i = 0; i < BLOCK; i++) u[i] = 1;
    for (int64_t first = 0, n = s->n_in * s->n_out; first < n; first += BLOCK)
        put(s, first, cbp_smaller(n - first, BLOCK), s->size, u);
    return CBP_OK;
}

/* ---- random directions of length size ---- */

static double signed_uniform(const layer *s, int64_t i) { return 2 * cbp_uniform(&s->stream, (uint64_t)i) - 1; }

/* Number i * n_out + j of the stream belongs to weight (i, j). A column's length is needed before its first element is
 * known, so the numbers are made twice instead of kept. */
static cbp_status way_directions(const layer *s) {
    double u[BLOCK], length[BLOCK];
    for (int64_t first = 0; first < s->n_out; first += BLOCK) {
        const int64_t count = cbp_smaller(s->n_out - first, BLOCK);
        for (int64_t j = 0; j < count; j++) {
            double sum = 0;
            for (int64_t i = 0; i < s->n_in; i++) {
                const double x = signed_uniform(s, i * s->n_out + first + j);
                sum += x * x;
            }
            length[j] = sqrt(sum);
        }
        for (int64_t i = 0; i < s->n_in; i++) {
            const int64_t at = i * s->n_out + first;
            for (int64_t j = 0; j < count; j++) u[j] = signed_uniform(s, at + j) / length[j];
            put(s, at, count, s->size, u);
        }
        for (int64_t j = 0; j < count; j++) u[j] = signed_uniform(s, s->n_in * s->n_out + first + j);
        s->net->k->assign(count, s->size, u, cbp_at(s->net, s->bias, first));
    }
    return CBP_OK;
}

/* ---- orthonormal vectors ---- */

/* Columns first .. last of a (rows, cols), which have been made orthonormal, taken out of columns from .. to:
 * x := x - Q (Q^T x). Inner loops run along outputs. */
static void take_out(int64_t rows, int64_t cols, double *a, int64_t first, int64_t last, int64_t from, int64_t to) {
    double d[PANEL][BLOCK];
    for (int64_t c = first; c < last; c++)
        for (int64_t j = from; j < to; j++) d[c - first][j - from] = 0;
    for (int64_t r = 0; r < rows; r++) {
        const double *q = a + r * cols, *x = q + from;
        for (int64_t c = first; c < last; c++)
            for (int64_t j = 0; j < to - from; j++) d[c - first][j] += q[c] * x[j];
    }
    for (int64_t r = 0; r < rows; r++) {
        double *q = a + r * cols, *x = q + from;
        for (int64_t c = first; c < last; c++)
            for (int64_t j = 0; j < to - from; j++) x[j] -= q[c] * d[c - first][j];
    }
}

static void normalize(int64_t rows, int64_t cols, double *a, int64_t c) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) sum += a[r * cols + c] * a[r * cols + c];
    const double length = sqrt(sum);
    for (int64_t r = 0; r < rows; r++) a[r * cols + c] /= length;
}

/* The columns of a (rows, cols), rows >= cols, made orthonormal by modified Gram and Schmidt: column by column within a
 * panel, panel by panel beyond it, so that a large matrix is read once a panel and not once a column */
static void orthonormalize(int64_t rows, int64_t cols, double *a) {
    for (int64_t first = 0; first < cols; first += PANEL) {
        const int64_t last = cbp_smaller(first + PANEL, cols);
        for (int64_t c = first; c < last; c++) {
            normalize(rows, cols, a, c);
            take_out(rows, cols, a, c, c + 1, c + 1, last);
        }
        for (int64_t from = last; from < cols; from += BLOCK)
            take_out(rows, cols, a, first, last, from, cbp_smaller(from + BLOCK, cols));
    }
}

/* Weights (n_in, n_out) := size * a, or size * a^T where the vectors are the rows */
static void put_orthonormal(const layer *s, const double *a) {
    if (s->n_in >= s->n_out) {
        put(s, 0, s->n_in * s->n_out, s->size, a);
        return;
    }
    double u[BLOCK];
    for (int64_t i = 0; i < s->n_in; i++)
        for (int64_t first = 0; first < s->n_out; first += BLOCK) {
            const int64_t count = cbp_smaller(s->n_out - first, BLOCK);
            for (int64_t j = 0; j < count; j++) u[j] = a[(first + j) * s->n_in + i];
            put(s, i * s->n_out + first, count, s->size, u);
        }
}

/* Gram and Schmidt of normal numbers is the Q of a QR whose R has a positive diagonal: uniform among all such Q. The
 * second time takes out what cancellation left of earlier columns in later ones. */
static cbp_status way_orthogonal(const layer *s) {
    const int64_t rows = s->n_in >= s->n_out ? s->n_in : s->n_out, cols = cbp_smaller(s->n_in, s->n_out);
    const uint64_t n = (uint64_t)(rows * cols);
    double *a = n > SIZE_MAX / sizeof *a ? NULL : malloc((size_t)n * sizeof *a);
    if (!a) return CBP_NO_MEMORY;
    for (uint64_t i = 0; i < n; i++) a[i] = cbp_normal(&s->stream, i, s->k64);
    for (int time = 0; time < 2; time++) orthonormalize(rows, cols, a);
    put_orthonormal(s, a);
    free(a);
    return CBP_OK;
}

/* ---- the rows of the table ---- */

static way *way_of(cbp_initializer rule) {
    static way *const ways[] = {
#define INIT(name, argument, default_value, way, ...) [CBP_INIT_##name] = way_##way,
#include "init.def"
    };
    return ways[rule];
}

static double nth_root(double x, double n, const cbp_kern *k64) {
    double y;
    k64->math[CBP_LOG](1, &x, &y);
    y /= n;
    k64->math[CBP_EXP](1, &y, &x);
    return x;
}

static double size_of(cbp_initializer rule, double fan_in, double fan_out, double p, const cbp_kern *k64) {
#define ROOT(x, n) nth_root(x, n, k64)
    const double size[] = {
#define INIT(name, argument, default_value, way, size, ...) [CBP_INIT_##name] = size,
#include "init.def"
    };
#undef ROOT
    return size[rule];
}

static cbp_status fill(const cbp_net *net, int l, cbp_initializer rule, const double *arg, uint64_t seed, void *theta) {
    const cbp_stage *stage = &net->stage[l];
    void *const bias = cbp_at(net, theta, stage->theta);
    const double p = arg ? arg[l - 1] : cbp_table(CBP_INITIALIZERS, NULL)[rule].arg[0].value;
    const cbp_kern *k64 = cbp_kern_for("scalar", CBP_FLOAT64);
    const layer s = {.net = net,
                     .k64 = k64,
                     .stream = {seed, (uint64_t)l, CBP_WEIGHTS},
                     .size = size_of(rule, stage->n_in, stage->n_out, p, k64),
                     .n_in = stage->n_in,
                     .n_out = stage->n_out,
                     .bias = bias,
                     .w = cbp_at(net, bias, stage->n_out)};
    memset(bias, 0, (size_t)stage->n_out * net->real);
    return way_of(rule)(&s);
}

cbp_status cbp_init(const cbp_net *net, const cbp_initializer *rule, const double *arg, uint64_t seed, void *theta) {
    if (!net || !rule || !theta) return CBP_NULL_ARGUMENT;
    for (int l = 1; l <= net->n_layers; l++)
        if ((int)rule[l - 1] < 0 || rule[l - 1] >= CBP_N_INIT) return CBP_BAD_INITIALIZER;
    const cbp_fpmode mode = cbp_fp_enter();
    cbp_status status = CBP_OK;
    for (int l = 1; l <= net->n_layers && status == CBP_OK; l++) status = fill(net, l, rule[l - 1], arg, seed, theta);
    cbp_fp_leave(mode);
    return status;
}
