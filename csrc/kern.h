/* kern.h - the kernel table: what the driver may ask of an instruction set. One table per (instruction set, precision).
 *
 * Kernels see lengths and pointers, never a struct of the driver; `real` is the table's precision. Called by the files
 * of the driver; filled by kern/all.inc. Every table gives the same bits as every other of its precision.
 */
#ifndef CBP_KERN_H
#define CBP_KERN_H

#include "cbp.h"

#include <float.h>

/* fma only where it is written: no compiler may fuse a product and a sum on its own. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

_Static_assert(FLT_EVAL_METHOD == 0, "cbp needs float and double arithmetic without extra precision");

/* Philox4x32-10: a round with its key, which grows by two constants from round to round */
enum { CBP_PHILOX_ROUNDS = 10 };
#define CBP_PHILOX_KEY_0 0x9E3779B9u
#define CBP_PHILOX_KEY_1 0xBB67AE85u
static inline void cbp_philox_round(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3, uint32_t k0, uint32_t k1) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * *c0, p1 = (uint64_t)0xCD9E8D57u * *c2;
    *c0 = (uint32_t)(p1 >> 32) ^ *c1 ^ k0;
    *c2 = (uint32_t)(p0 >> 32) ^ *c3 ^ k1;
    *c1 = (uint32_t)p1;
    *c3 = (uint32_t)p0;
}

/* The elementary functions that are not activations; tests measure them through this. */
typedef enum { CBP_EXP, CBP_LOG, CBP_LOG1P, CBP_EXPM1, CBP_NORMAL_CDF, CBP_ERF, CBP_COS, CBP_N_MATH } cbp_math;

/* A matrix by strides: element (i, j) at at[i * row + j * col], one of row and col being 1 (or both 0: a constant) */
typedef struct {
    const void *at;
    int64_t row, col;
} cbp_strided;

/* The last touch of a product: rows `row` .. row + rows, columns `col` .. col + cols of C; c is the first of them */
typedef void cbp_finish(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t ldc);

typedef void cbp_loss_kernel(int64_t m, int64_t n, double arg, const void *y, const void *a, void *d, int times_slope,
                             double *c);
typedef void cbp_curve_kernel(int64_t m, int64_t n, double arg, const void *y, const void *a, const void *h, void *t);

enum {
    CBP_K_BLOCK = 512,    /* terms of a chain done at a time */
    CBP_SCATTERED = 4000, /* rows at least so many bytes apart fall on few places of a cache and many of its pages, */
    CBP_MANY = 64,        /* which matters to a product of at least so many rows */
    CBP_ROOM_B = CBP_K_BLOCK * 768 * 4,
    CBP_ROOM_A = CBP_K_BLOCK * 208 * 4,
    CBP_ROOM = CBP_ROOM_A + CBP_ROOM_B
};

/* Dense symmetric systems go by strips: so many rows at once, and at most so many terms of their chains */
enum { CBP_STRIP = 24, CBP_TERMS = 6 * CBP_STRIP };
typedef enum { CBP_BOTH_SIDES, CBP_LOWER, CBP_UPPER } cbp_side;

/* Consecutive units of one layer that share an activation */
typedef struct {
    int first, count;
    cbp_act act;
    double arg;
} cbp_run;

/* One layer as the whole-network routine sees it. Its parameters are a copy of their own: rows begin w_row or
 * turned_row reals apart, and zeros pad them to whole vectors of every instruction set; so do the rows a, d and s. */
typedef struct {
    int n_in, n_out, n_runs, row_wise;
    const cbp_run *runs;
    int64_t w_row, turned_row;
    void *w;        /* (n_in + 1, n_out), row 0 the bias */
    void *turned;   /* (n_out, n_in): W transposed, updated as W is; not in the first layer */
    void *a, *d;    /* n_out activations, and slopes or deltas */
    void *weighted; /* n_out deltas times their sample's weight */
} cbp_small_layer;

typedef struct {
    int n_layers;
    cbp_small_layer *layer; /* [1 .. n_layers] */
    cbp_loss loss;
    double loss_arg;
    int loss_is_head;
    cbp_reduction reduction;
    void *y, *e; /* targets made from a label; an error on its way down */
} cbp_small;

typedef struct {
    const char *isa;
    int panel; /* columns of a product that belong together: threads take whole panels */

    /* C (m, n) := init + A B, each element one chain of fma in the order of p = 0..k-1. init: n reals added to every
     * row, or NULL for zeros. C: row i at c + i * ldc. finish, if not NULL, gets every block of C once it is complete.
     * passing: finish alone gets C, a block at a time, and c is where finish is going to work; k <= CBP_K_BLOCK only.
     * room: CBP_ROOM bytes, where operands that lie badly in the cache are copied to, or NULL. */
    void (*product)(int64_t m, int64_t n, int64_t k, cbp_strided a, cbp_strided b, const void *init, void *c,
                    int64_t ldc, int passing, void *room, cbp_finish *finish, void *ctx);

    void (*mirror)(int64_t n, void *a, int64_t ld); /* a (n, n): below the diagonal := what is above it */
    /* Pairs (matrix.c). prepend: out (rows, n + 1) := [1 a]. pairs: each row of out, ldo reals apart, := a_0 b, a_1 b,
     * .. one after the other, where a[na] and b[nb] are rows of their matrices, lda and ldb reals apart; `upper`: a_j
     * times b from b_j on, na <= nb; add: fma to what is there. */
    void (*prepend)(int64_t rows, int64_t n, const void *a, void *out);
    void (*pairs)(int64_t rows, int64_t na, int64_t nb, int upper, int add, const void *a, int64_t lda, const void *b,
                  int64_t ldb, void *out, int64_t ldo);
    /* at (n, m), ld reals from row to row, := a (m, n) transposed; zeros as far as the last vector of a row goes */
    void (*transpose)(int64_t m, int64_t n, const void *a, void *at, int64_t ld);

    /* a (rows, cols) with ld reals from row to row holds z and becomes g(z). d, if not NULL, laid out the same, becomes
     * g'(z); for a row-wise activation it becomes the logarithm of the probabilities instead. */
    void (*act[CBP_N_ACT])(int64_t rows, int64_t cols, int64_t ld, double arg, void *a, void *d);
    /* Row-wise activations, others NULL: d (rows, cols) holds dC/da and becomes delta; a (rows, cols) = g(z). */
    void (*act_back[CBP_N_ACT])(int64_t rows, int64_t cols, const void *a, void *d);

    /* c[r] := C of row r, summed in double in index order; d (m, n) becomes delta (LOSS_HEAD: d held h), or dC/da times
     * what d held (LOSS, times_slope), or dC/da (LOSS, not times_slope). y (m, n); a (m, n), or (m, 2n) like d for
     * LOSS_PAIR. missing_loss: what a y that is NaN costs, and the element of d, are 0 */
    cbp_loss_kernel *loss[CBP_N_LOSS], *missing_loss[CBP_N_LOSS];

    /* Second derivatives (curve.c).
     * curve: z (rows, cols), ld reals from row to row, := g''(z); NULL for row-wise activations. These have along: t
     * (rows, cols) := how a = g(z) changes as z changes by t; and back_along: u_dot := how act_back's delta changes as
     * a changes by a_dot, and dC/da, which is u, by u_dot. loss_curve: t (m, n), or (m, 2n) for LOSS_PAIR, := the
     * second derivative of C by a, times t; for LOSS_HEAD that by z, or, where the output is row-wise, how delta
     * changes as a changes by t. y and a as above, h: what d held. */
    void (*curve[CBP_N_ACT])(int64_t rows, int64_t cols, int64_t ld, double arg, void *z);
    void (*along[CBP_N_ACT])(int64_t rows, int64_t cols, const void *a, void *t);
    void (*back_along[CBP_N_ACT])(int64_t rows, int64_t cols, const void *a, const void *a_dot, const void *u,
                                  void *u_dot);
    cbp_curve_kernel *loss_curve[CBP_N_LOSS], *missing_loss_curve[CBP_N_LOSS];

    /* w (rows, cols), ld reals from row to row := one step of the optimiser from factor * g, g being ldg reals from row
     * to row; slot i lies like w, from slots + i * n on. t = 1, 2, ... counts the updates; loss: J where g was taken */
    void (*opt[CBP_N_OPT])(int64_t rows, int64_t cols, int64_t ld, const double *arg, double lr, int64_t t, double loss,
                           void *w, double factor, const void *g, int64_t ldg, void *slots, int64_t n);

    /* d (rows, cols) := e * d; x := x + e; x := factor * x; rows ld or lde reals apart */
    void (*multiply)(int64_t rows, int64_t cols, const void *e, int64_t lde, void *d, int64_t ld);
    void (*add)(int64_t rows, int64_t cols, const void *e, int64_t lde, void *x, int64_t ld);
    void (*scale)(int64_t rows, int64_t cols, double factor, void *x, int64_t ld);
    void (*scale_rows)(int64_t m, int64_t n, const void *s, const void *x, void *out); /* out (m, n) := s[r] * x[r] */
    void (*one_hot)(int64_t m, int64_t n, const int64_t *label, void *y); /* y (m, n) := 1 at label[r], else 0 */
    void (*assign)(int64_t n, double factor, const double *u, void *w);   /* w[n] := factor * u[n], rounded to real */
    int64_t (*first_nonfinite)(int64_t n, const void *x);                 /* its index, or -1 */
    /* *sc += s[r] c[r] and *ss += s[r], r = 0 .. m - 1; s may be NULL, which means 1 */
    void (*weighted_sum)(int64_t m, const void *s, const double *c, double *sc, double *ss);

    /* What noise does (noise.c).
     * drop: x[n], and d[n] unless it is NULL, become factor times each number whose word is at least `limit`, and 0
     * elsewhere. Number i takes word first + i of a stream, four words to a block: counter is that of its block 0.
     * disturb: out[n] := x + deviation * u, in double, rounded once. */
    void (*drop)(int64_t n, const uint32_t counter[4], const uint32_t key[2], uint64_t first, uint32_t limit,
                 double factor, void *x, void *d);
    void (*disturb)(int64_t n, double deviation, const double *u, const void *x, void *out);

    /* What holds an update back (limit.c).
     * penalize: g (rows, cols) := factor g + l2 w + l1 sign(w), one fma each; w's rows ld, g's ldg reals apart.
     * norms: the sums of |x| and of x^2, x[n], in double, in 32 interleaved chains. clip: x[n] within -limit ..
     * limit. hold: x[n] := old, or 0 for NULL, where mask is 0. shorten: columns of w (rows, cols), ld reals from row
     * to row, longer than limit become that long, except where mask, laid out the same or NULL, is 0. average: a[n] +=
     * share (w - a). */
    void (*penalize)(int64_t rows, int64_t cols, double factor, double l1, double l2, const void *w, int64_t ld,
                     void *g, int64_t ldg);
    void (*norms)(int64_t n, const void *x, double *absolute, double *square);
    void (*clip)(int64_t n, double limit, void *x);
    void (*hold)(int64_t n, const void *mask, const void *old, void *x);
    void (*shorten)(int64_t rows, int64_t cols, int64_t ld, double limit, void *w, const void *mask);
    void (*average)(int64_t n, double share, const void *w, void *a);

    /* A batch of one row, layer by layer; theta (k + 1, n), row 0 the bias, and W below it.
     * up: z (n) := bias + a W, a (k); with a run (not row-wise) then z := g(z), and d (n), if not NULL, := g'(z), or
     * the net input with keep_z. down: d (k) := (delta W^T) * d, e (k) is scratch; d NULL: e := delta W^T. gradient: g
     * (k + 1, n) := [1 a]^T delta. */
    void (*row_up)(int64_t k, int64_t n, const void *a, const void *theta, const cbp_run *run, int keep_z, void *z,
                   void *d);
    void (*row_down)(int64_t k, int64_t n, const void *delta, const void *theta, void *e, void *d);
    void (*row_gradient)(int64_t k, int64_t n, const void *a, const void *delta, void *g);

    /* Plain gradient descent, one row at a time: rows order[0..n-1] (or 0..n-1) of the data, rate[i] (or rate[0]). Adds
     * to *cost and *weight. Returns how many rows it made: fewer than n when the cost of the next is not finite. */
    int64_t (*online)(const cbp_small *net, const cbp_data *data, const int64_t *order, int64_t n, const double *rate,
                      int one_rate, double *cost, double *weight);
    void (*math[CBP_N_MATH])(int64_t n, const void *x, void *out); /* out[n] := f(x[n]) */

    /* Dense symmetric systems (solve.c), in the tables of double alone. A strip x (k, CBP_STRIP), without gaps, is
     * `rows` <= CBP_STRIP rows of a matrix turned round. Matrices have ld reals from row to row.
     * to_strip: x (k, CBP_STRIP) := a (rows, k) turned, zeros in the other columns. from_strip: a (rows, k) := x
     * turned, ldx reals from row to row; CBP_LOWER: where column <= row only, CBP_UPPER: column > row. upper_strip: x
     * (rows, CBP_STRIP) := a (rows, rows) turned where column > row, on the diagonal 1 / l's, else zeros. subtract: c
     * (m, cols), of row r the first r + first columns at most, := c - a x, a (m, k), k <= CBP_TERMS, x a strip.
     * forward: x (k, CBP_STRIP) := l^-1 x, k <= CBP_TERMS. factor: rows k .. k + rows of x become those of the factor,
     * as the first k are; 0 where a pivot is not a positive number. Room in x: whole strips of rows. dot: in 32
     * interleaved chains, halved until one is left. add_times: y[n] += f x. solve: b[n] := (l l^T)^-1 b. */
    void (*to_strip)(int64_t rows, int64_t k, const double *a, int64_t lda, double *x);
    void (*from_strip)(int64_t rows, int64_t k, const double *x, int64_t ldx, double *a, int64_t lda, cbp_side side);
    void (*upper_strip)(int64_t rows, const double *l, int64_t ldl, const double *a, int64_t lda, double *x);
    void (*subtract)(int64_t m, int64_t k, cbp_strided a, const double *x, int64_t cols, int64_t first, double *c,
                     int64_t ldc);
    void (*forward)(int64_t k, const double *l, int64_t ldl, double *x);
    int (*factor)(int64_t k, int64_t rows, double *x);
    double (*dot)(int64_t n, const double *x, const double *y);
    void (*add_times)(int64_t n, double f, const double *x, double *y);
    void (*solve)(int64_t n, const double *l, double *b);
} cbp_kern;

/* The table of the named instruction set, or of the best (CBP_ISA respected) for NULL; NULL if there is none (cpu.c).
 */
const cbp_kern *cbp_kern_for(const char *isa, cbp_dtype dtype);

extern const cbp_kern cbp_kern_scalar_f32, cbp_kern_scalar_f64;
extern const cbp_kern cbp_kern_avx2_f32, cbp_kern_avx2_f64;
extern const cbp_kern cbp_kern_avx512_f32, cbp_kern_avx512_f64;
extern const cbp_kern cbp_kern_neon_f32, cbp_kern_neon_f64;

#endif
