/* Second derivatives: every row of the tables on every instruction set equals scalar code on bytes, over every tail and
 * without a touch beyond the end; curves are the differences of slopes, at infinity their limits.
 * test_curvature_rows.py compares the numbers with the rows' texts.
 */
#include "naive.h"

#include <float.h>

enum { LONGEST = 37, ROWS = 3 };

static const cbp_kern *k, *scalar;
static cbp_dtype dtype;

static const cbp_kern *next_kern(int i) {
    k = kern_at(i, &dtype);
    scalar = k ? cbp_kern_for("scalar", dtype) : NULL;
    return k;
}

static const cbp_info *act_row(int act) { return cbp_table(CBP_ACTIVATIONS, NULL) + act; }
static const cbp_info *loss_row(int loss) { return cbp_table(CBP_LOSSES, NULL) + loss; }

static void curve_equals_scalar(int act, int64_t rows, int64_t cols, int64_t ld) {
    static const double corner[] = {0, -0.0, 1, -1, 30, -30, 100, -100, 800, -800, 1e-30, -1e-30};
    NOTE("%s %s, %s: rows %d, cols %d, ld %d", k->isa, DTYPE_NAME[dtype], act_row(act)->name, (int)rows, (int)cols,
         (int)ld);
    const int64_t size = (rows - 1) * ld + cols;
    void *z = random_reals(dtype, size, -4, 4);
    for (int64_t i = 0; i < size; i += 3) put(dtype, z, i, corner[(i / 3) % 12]);
    void *want = copy_of(dtype, size, z);
    k->curve[act](rows, cols, ld, 0.3, z);
    for (int64_t r = 0; r < rows; r++)
        scalar->curve[act](1, cols, cols, 0.3, (char *)want + (size_t)(r * ld) * size_of(dtype));
    CHECK_BYTES(size, size_of(dtype), z, want);
    release_blocks();
}

CASE(every_curve_equals_scalar) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++)
            for (int64_t cols = 1; k->curve[act] && cols <= LONGEST; cols++)
                for (int shape = 0; shape < 4; shape++) curve_equals_scalar(act, 1 + shape, cols, cols + (shape & 2));
}

CASE(row_wise_activations_have_kernels_of_their_own) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++) {
            const int row_wise = act_row(act)->row_wise;
            CHECK(row_wise == !k->curve[act] && row_wise == (k->along[act] != NULL));
            CHECK(row_wise == (k->back_along[act] != NULL));
        }
}

CASE(every_row_wise_change_equals_scalar) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++)
            for (int64_t cols = 1; k->along[act] && cols <= LONGEST; cols++, release_blocks()) {
                NOTE("%s %s, %s: cols %d", k->isa, DTYPE_NAME[dtype], act_row(act)->name, (int)cols);
                const int64_t n = ROWS * cols;
                void *a = random_reals(dtype, n, -3, 3), *t = random_reals(dtype, n, -1, 1);
                void *u = random_reals(dtype, n, -1, 1), *u_dot = random_reals(dtype, n, -1, 1);
                void *want_t = copy_of(dtype, n, t), *want_u = copy_of(dtype, n, u_dot);
                scalar->act[act](ROWS, cols, cols, 0, a, NULL);
                k->along[act](ROWS, cols, a, t);
                scalar->along[act](ROWS, cols, a, want_t);
                CHECK_BYTES(n, size_of(dtype), t, want_t);
                k->back_along[act](ROWS, cols, a, t, u, u_dot);
                scalar->back_along[act](ROWS, cols, a, t, u, want_u);
                CHECK_BYTES(n, size_of(dtype), u_dot, want_u);
            }
}

/* Every third target is missing, if wished; h is NULL unless with_h */
static void loss_equals_scalar(int loss, int64_t n, int missing, int with_h) {
    NOTE("%s %s, %s: n %d, missing %d", k->isa, DTYPE_NAME[dtype], loss_row(loss)->name, (int)n, missing);
    const int64_t out = ROWS * n * (1 + (loss_row(loss)->pair[0] != 0));
    void *y = random_reals(dtype, ROWS * n, 0, 1), *a = random_reals(dtype, out, 0.01, 0.99);
    void *h = random_reals(dtype, out, -3, 0), *t = random_reals(dtype, out, -1, 1), *want = copy_of(dtype, out, t);
    for (int64_t e = 0; missing && e < ROWS * n; e += 3) put(dtype, y, e, NAN);
    (missing ? k->missing_loss_curve : k->loss_curve)[loss](ROWS, n, 0.3, y, a, with_h ? h : NULL, t);
    (missing ? scalar->missing_loss_curve : scalar->loss_curve)[loss](ROWS, n, 0.3, y, a, h, want);
    CHECK_BYTES(out, size_of(dtype), t, want);
    release_blocks();
}

CASE(every_curve_of_a_loss_equals_scalar) {
    for (int i = 0; next_kern(i); i++)
        for (int loss = 0; loss < CBP_N_LOSS; loss++)
            for (int64_t n = 1; n <= LONGEST; n++)
                for (int missing = 0; missing < 2; missing++) {
                    loss_equals_scalar(loss, n, missing, 1);
                    if (!loss_row(loss)->head) loss_equals_scalar(loss, n, missing, 0);
                }
}

CASE(every_curve_is_the_derivative_of_the_slope) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++, release_blocks()) {
            if (dtype != CBP_FLOAT64 || !k->curve[act]) continue;
            enum { n = 400 };
            const double h = 1e-5;
            double *z = random_reals(dtype, n, -2.9, 2.9), *up = reals(dtype, n), *down = reals(dtype, n);
            double *d_up = reals(dtype, n), *d_down = reals(dtype, n);
            const double *at = copy_of(dtype, n, z);
            for (int e = 0; e < n; e++) up[e] = z[e] + h, down[e] = z[e] - h;
            k->act[act](1, n, n, 0.3, up, d_up);
            k->act[act](1, n, n, 0.3, down, d_down);
            k->curve[act](1, n, n, 0.3, z);
            for (int e = 0; e < n; e++) {
                const int kink = fabs(at[e]) < 2 * h || fabs(fabs(at[e]) - 1) < 2 * h;
                CHECKF(kink || fabs((d_up[e] - d_down[e]) / (2 * h) - z[e]) < 1e-7, "%s at %g", act_row(act)->name,
                       at[e]);
            }
        }
}

/* sin has none, and is NaN there */
CASE(curves_reach_their_limits) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++, release_blocks()) {
            if (!k->curve[act]) continue;
            NOTE("%s %s, %s", k->isa, DTYPE_NAME[dtype], act_row(act)->name);
            enum { n = 9 };
            const double far = dtype == CBP_FLOAT32 ? (double)FLT_MAX : DBL_MAX;
            const double least = dtype == CBP_FLOAT32 ? 1.401298464324817e-45 : 4.9406564584124654e-324;
            const double at[n] = {INFINITY, -INFINITY, far, -far, 0, -0.0, least, -least, NAN};
            void *z = reals(dtype, n), *d = reals(dtype, n), *a = reals(dtype, n);
            for (int e = 0; e < n; e++) put(dtype, z, e, at[e]), put(dtype, a, e, at[e]);
            k->curve[act](1, n, n, 0.3, z);
            k->act[act](1, n, n, 0.3, a, d);
            for (int e = 0; e < 4; e++) {
                const double curve = get(dtype, z, e);
                if (act == CBP_ACT_sin)
                    CHECK(e < 2 ? isnan(curve) : curve == 0);
                else
                    CHECKF(curve == 0 || (act == CBP_ACT_exp && e % 2 == 0), "g''(%g) = %g", at[e], curve);
            }
            for (int e = 4; e < 8; e++) CHECK(isfinite(get(dtype, z, e)));
            CHECK(isnan(get(dtype, z, 8)) == isnan(get(dtype, d, 8)) || get(dtype, z, 8) == 0);
        }
}

/* One row of one output: t = 1 becomes the second derivative, in every precision */
static void bends_by(cbp_loss loss, double arg, double y, double a, double h, double curve) {
    for (int i = 0; next_kern(i); i++, release_blocks()) {
        void *ys = reals(dtype, 1), *as = reals(dtype, 1), *hs = reals(dtype, 1), *t = reals(dtype, 1);
        put(dtype, ys, 0, y), put(dtype, as, 0, a), put(dtype, hs, 0, h), put(dtype, t, 0, 1);
        k->loss_curve[loss](1, 1, arg, ys, as, hs, t);
        const double near = dtype == CBP_FLOAT32 ? 1e-6 : 1e-15;
        CHECKF(fabs(get(dtype, t, 0) - curve) <= near, "%s at a = %g, y = %g: %.17g, not %.17g", loss_row(loss)->name,
               a, y, get(dtype, t, 0), curve);
    }
}

CASE(curves_of_losses_are_the_books) {
    bends_by(CBP_LOSS_half_squared_error, 0, 0.25, 0.75, 9, 1);
    bends_by(CBP_LOSS_mean_squared_error, 0, 0.25, 0.75, 9, 2);
    bends_by(CBP_LOSS_binary_cross_entropy, 0, 1, 0.5, 0, 0.25);
    bends_by(CBP_LOSS_categorical_cross_entropy, 0.1, 1, 0.25, -1, 1);
    bends_by(CBP_LOSS_poisson, 0, 3, 0.5, log(0.5), 0.5);
    bends_by(CBP_LOSS_log_cosh, 0, 0.25, 0.25, 0, 1);
    bends_by(CBP_LOSS_focal, 0, 0, 0.5, 0, 0.25);
}

CASE(losses_are_flat_at_their_kinks) {
    bends_by(CBP_LOSS_huber, 0.5, 0, 0.25, 9, 1);
    bends_by(CBP_LOSS_huber, 0.5, 0, 0.5, 9, 0);
    bends_by(CBP_LOSS_huber, 0.5, 0, -0.75, 9, 0);
    bends_by(CBP_LOSS_mean_absolute_error, 0, 1, 1, 9, 0);
    bends_by(CBP_LOSS_quantile, 0.25, 1, 1, 9, 0);
    bends_by(CBP_LOSS_hinge, 0, 1, 1, 9, 0);
}

/* gaussian_nll at a = 3, y = 1: v = 2, and v at and below eps = 0.5 */
CASE(a_variance_below_the_least_does_not_bend) {
    static const double v[] = {2, 0.5, 0.25}, aa[] = {0.5, 2, 2}, av[] = {-0.5, 0, 0}, vv[] = {0.375, 0, 0};
    for (int i = 0; next_kern(i); i++)
        for (int e = 0; e < 3; e++, release_blocks()) {
            void *y = reals(dtype, 1), *a = reals(dtype, 2), *t = reals(dtype, 4);
            put(dtype, y, 0, 1), put(dtype, a, 0, 3), put(dtype, a, 1, v[e]);
            for (int column = 0; column < 2; column++) {
                put(dtype, t, 0, column == 0), put(dtype, t, 1, column == 1);
                k->loss_curve[CBP_LOSS_gaussian_nll](1, 1, 0.5, y, a, NULL, t);
                CHECK(get(dtype, t, 0) == (column ? av : aa)[e] && get(dtype, t, 1) == (column ? vv : av)[e]);
            }
        }
}
