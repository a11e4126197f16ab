/* Dense symmetric systems: factors, solutions, inverses and products of vectors equal the textbook's loops of fma on
 * bytes, with every instruction set and any number of threads.
 */
#define _POSIX_C_SOURCE 200112L
#include "naive.h"

enum { SMALL = 70, MOST_THREADS = 4 };

static const int64_t LARGER[] = {96, 121, 143, 144, 145, 169, 200};
static const int64_t FOR_THREADS[] = {313, 432}; /* large enough to be dealt out */
enum { N_LARGER = sizeof LARGER / sizeof *LARGER, N_FOR_THREADS = sizeof FOR_THREADS / sizeof *FOR_THREADS };

static void set_isa(const char *name) {
#ifdef _WIN32
    _putenv_s("CBP_ISA", name);
#else
    setenv("CBP_ISA", name, 1);
#endif
    NOTE("%s", name);
}

/* Each instruction set in turn, and at the end the best again */
#define EACH_ISA(i) for (int i = 0; set_isa(cbp_isa_at(i) ? cbp_isa_at(i) : ""), cbp_isa_at(i); i++)

static double *doubles(int64_t n) { return reals(CBP_FLOAT64, n); }
static double *copied(int64_t n, const double *x) { return copy_of(CBP_FLOAT64, n, x); }

/* Positive definite in its lower triangle; what is in the upper one is never a number that could be used */
static double *matrix(int64_t n) {
    double *const a = doubles(n * n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) a[i * n + j] = j > i ? NAN : i == j ? 1 + 0.3 * (double)n : uniform(-1, 1);
    return a;
}

/* ---- the textbook ---- */

static double fused(double a, double b, double c) { return fma_(CBP_FLOAT64, a, b, c); }

static void naive_cholesky(int64_t n, double *a) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (int64_t k = 0; k < j; k++) sum = fused(-a[i * n + k], a[j * n + k], sum);
            a[i * n + j] = i == j ? sqrt(sum) : sum * (1 / a[j * n + j]);
        }
}

static double naive_dot(int64_t n, const double *x, const double *y) {
    double chain[32] = {0};
    for (int64_t i = 0; i < (n + 31) / 32 * 32; i++)
        chain[i % 32] = fused(i < n ? x[i] : 0, i < n ? y[i] : 0, chain[i % 32]);
    for (int half = 16; half > 0; half /= 2)
        for (int c = 0; c < half; c++) chain[c] += chain[c + half];
    return chain[0];
}

static void naive_solve(int64_t n, const double *l, double *b) {
    for (int64_t i = 0; i < n; i++) b[i] = (b[i] - naive_dot(i, l + i * n, b)) / l[i * n + i];
    for (int64_t i = n - 1; i >= 0; i--) {
        b[i] /= l[i * n + i];
        for (int64_t j = 0; j < i; j++) b[j] = fused(-l[i * n + j], b[i], b[j]);
    }
}

/* inverse := M^T M, M = l^-1 */
static void naive_inverse(int64_t n, const double *l, double *inverse) {
    double *const m = zeros(CBP_FLOAT64, n * n);
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = j; i < n; i++) {
            double sum = i == j;
            for (int64_t k = j; k < i; k++) sum = fused(-l[i * n + k], m[k * n + j], sum);
            m[i * n + j] = sum * (1 / l[i * n + i]);
        }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t k = i; k < n; k++) sum = fused(m[k * n + i], m[k * n + j], sum);
            inverse[i * n + j] = inverse[j * n + i] = sum;
        }
}

/* ---- against it ---- */

/* Factor, solution and inverse of one matrix, by every instruction set with `threads` threads and fewer */
static void system_equals(int64_t n, cbp_pool *pool, int threads) {
    const double *const a = matrix(n), *const b = random_reals(CBP_FLOAT64, n, -1, 1);
    double *const l = copied(n * n, a), *const x = copied(n, b), *const inverse = doubles(n * n);
    naive_cholesky(n, l);
    naive_solve(n, l, x);
    naive_inverse(n, l, inverse);
    double *const got = doubles(n * n), *const got_x = doubles(n), *const got_inverse = doubles(n * n);
    EACH_ISA(i)
    for (int t = 1; t <= threads; t += one_in(3)) {
        NOTE("%s, n %d, %d threads", cbp_isa(), (int)n, t);
        if (pool) CHECK(cbp_pool_resize(pool, t) == CBP_OK);
        memcpy(got, a, (size_t)(n * n) * sizeof *a);
        memcpy(got_x, b, (size_t)n * sizeof *b);
        for (int64_t e = 0; e < n * n; e++) got_inverse[e] = NAN;
        CHECK(cbp_cholesky(n, got, pool) == CBP_OK);
        CHECK_BYTES(n * n, sizeof *got, got, l);
        cbp_cholesky_solve(n, got, got_x);
        CHECK_BYTES(n, sizeof *got_x, got_x, x);
        cbp_cholesky_inverse(n, got, got_inverse, pool);
        CHECK_BYTES(n * n, sizeof *got_inverse, got_inverse, inverse);
        CHECK_BYTES(n * n, sizeof *got, got, l);
    }
    release_blocks();
}

CASE(small_systems_equal_the_textbook) {
    for (int64_t n = 0; n <= SMALL; n += one_in(3)) system_equals(n, NULL, 1);
}

CASE(larger_systems_equal_the_textbook) {
    for (int i = 0; i < N_LARGER; i += one_in(3)) system_equals(LARGER[i], NULL, 1);
}

CASE(threads_change_no_bit) {
    cbp_pool *pool;
    CHECK(cbp_pool_new(&pool, 1) == CBP_OK);
    for (int i = 0; i < N_FOR_THREADS; i += one_in(2)) system_equals(FOR_THREADS[i], pool, MOST_THREADS);
    cbp_pool_free(pool);
}

/* A pivot that is nothing, less, or no number, wherever it is */
CASE(a_matrix_that_is_not_positive_definite_is_refused) {
    static const double bad[] = {0, -0.0, -1, NAN, INFINITY};
    EACH_ISA(i)
    for (int64_t n = 1; n < 200; n = 2 * n + 3)
        for (int64_t at = 0; at < n; at += one_in(5))
            for (int b = 0; b < 5; b++, release_blocks()) {
                double *const a = matrix(n);
                for (int64_t j = 0; j < at; j++) a[at * n + j] = 0;
                a[at * n + at] = bad[b];
                CHECKF(cbp_cholesky(n, a, NULL) == CBP_NOT_POSITIVE, "n %d, pivot %d: %g", (int)n, (int)at, bad[b]);
            }
}

CASE(no_factor_has_an_element_that_is_not_a_number) {
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e200};
    EACH_ISA(i)
    for (int b = 0; b < 4; b++)
        for (int64_t n = 2; n < 60; n += 7, release_blocks()) {
            double *const a = matrix(n);
            a[n / 2 * n + n / 3] = bad[b];
            CHECK(cbp_cholesky(n, a, NULL) == CBP_NOT_POSITIVE);
        }
}

/* The largest and the least numbers that a pivot can be */
CASE(extreme_pivots) {
    static const double pivot[] = {DBL_MAX, DBL_MIN, 0x1p-1074};
    EACH_ISA(i)
    for (int p = 0; p < 3; p++) {
        double a = pivot[p], b = sqrt(pivot[p]);
        CHECK(cbp_cholesky(1, &a, NULL) == CBP_OK && a == sqrt(pivot[p]));
        cbp_cholesky_solve(1, &a, &b);
        CHECK(b == 1 / a);
    }
}

CASE(dot_is_32_chains_halved) {
    EACH_ISA(i)
    for (int64_t n = 0; n < 1000; n = n < 100 ? n + 1 : n + 123, release_blocks()) {
        const double *x = random_reals(CBP_FLOAT64, n, -1, 1), *y = random_reals(CBP_FLOAT64, n, -1, 1);
        const double got = cbp_dot(n, x, y), want = naive_dot(n, x, y);
        CHECK_BYTES(1, sizeof got, &got, &want);
    }
}

/* Products that vanish on the negative side leave a negative zero, which the zeros behind the last term make positive
 */
CASE(dot_of_products_too_small_for_a_number) {
    EACH_ISA(i)
    for (int64_t n = 1; n < 130; n++, release_blocks()) {
        double *const x = doubles(n), *const y = doubles(n);
        for (int64_t k = 0; k < n; k++) x[k] = 1e-300, y[k] = -1e-300;
        const double got = cbp_dot(n, x, y), want = naive_dot(n, x, y);
        CHECK_BYTES(1, sizeof got, &got, &want);
    }
}

CASE(times_is_a_dot_product_for_each_row) {
    EACH_ISA(i)
    for (int64_t n = 0; n <= SMALL; n += 3, release_blocks()) {
        const double *a = random_reals(CBP_FLOAT64, n * n, -1, 1), *x = random_reals(CBP_FLOAT64, n, -1, 1);
        double *const got = doubles(n), *const want = doubles(n);
        for (int64_t r = 0; r < n; r++) want[r] = naive_dot(n, a + r * n, x);
        cbp_times(n, a, x, got);
        CHECK_BYTES(n, sizeof *got, got, want);
    }
}

/* The recursion written out in Nocedal and Wright's words; y is s and a little, so that products are positive */
CASE(lbfgs_is_the_two_loops) {
    enum { PAIRS = 5 };
    EACH_ISA(i)
    for (int64_t n = 1; n < 300; n = n < 70 ? n + 1 : n + 61, release_blocks())
        for (int pairs = 0; pairs <= PAIRS; pairs++) {
            cbp_pair pair[PAIRS];
            double share[PAIRS], alpha[PAIRS], *const got = doubles(n), *const want = doubles(n);
            const double *g = random_reals(CBP_FLOAT64, n, -1, 1);
            for (int p = 0; p < pairs; p++) {
                const double *s = random_reals(CBP_FLOAT64, n, 0.5, 1);
                double *const y = doubles(n);
                for (int64_t k = 0; k < n; k++) y[k] = (2 + p) * s[k] + 0.1 * g[k];
                pair[p] = (cbp_pair){s, y, naive_dot(n, s, y)};
            }
            for (int64_t k = 0; k < n; k++) got[k] = want[k] = g[k];
            for (int p = pairs - 1; p >= 0; p--) {
                alpha[p] = naive_dot(n, pair[p].s, want) / pair[p].product;
                for (int64_t k = 0; k < n; k++) want[k] = fused(-alpha[p], pair[p].y[k], want[k]);
            }
            for (int64_t k = 0; k < n && pairs; k++) {
                const double *const y = pair[pairs - 1].y;
                want[k] *= pair[pairs - 1].product / naive_dot(n, y, y);
            }
            for (int p = 0; p < pairs; p++) {
                const double beta = naive_dot(n, pair[p].y, want) / pair[p].product;
                for (int64_t k = 0; k < n; k++) want[k] = fused(alpha[p] - beta, pair[p].s[k], want[k]);
            }
            cbp_lbfgs(n, pairs, pair, share, got);
            CHECK_BYTES(n, sizeof *got, got, want);
        }
}
