/* Activations, losses, optimisers: every row of the tables on every instruction set equals scalar code on bytes, over
 * every tail and without a touch beyond the end; scalar code in turn is measured against the row's plain definition.
 */
#include "naive.h"

#include <float.h>

enum { LONGEST = 37 };

static const cbp_kern *k, *scalar;
static cbp_dtype dtype;

static const cbp_kern *next_kern(int i) {
    k = kern_at(i, &dtype);
    scalar = k ? cbp_kern_for("scalar", dtype) : NULL;
    return k;
}

/* z with the values a formula could stumble on */
static void *arguments(int64_t n) {
    static const double corner[] = {0, -0.0, 1, -1, 30, -30, 100, -100, 800, -800, 1e-30, -1e-30};
    void *z = random_reals(dtype, n, -4, 4);
    for (int64_t i = 0; i < n; i += 3) put(dtype, z, i, corner[(i / 3) % 12]);
    return z;
}

static void act_equals_scalar(int act, int64_t rows, int64_t cols, int64_t ld, int with_d) {
    NOTE("%s %s, %s: rows %d, cols %d, ld %d, slope %d", k->isa, DTYPE_NAME[dtype],
         cbp_table(CBP_ACTIVATIONS, NULL)[act].name, (int)rows, (int)cols, (int)ld, with_d);
    const int64_t size = (rows - 1) * ld + cols;
    void *a = arguments(size), *d = random_reals(dtype, size, -1, 1);
    void *want_a = copy_of(dtype, size, a), *want_d = copy_of(dtype, size, d);
    k->act[act](rows, cols, ld, 0.3, a, with_d ? d : NULL);
    for (int64_t r = 0; r < rows; r++)
        scalar->act[act](1, cols, cols, 0.3, (char *)want_a + (size_t)(r * ld) * size_of(dtype),
                         with_d ? (char *)want_d + (size_t)(r * ld) * size_of(dtype) : NULL);
    CHECK_BYTES(size, size_of(dtype), a, want_a);
    CHECK_BYTES(size, size_of(dtype), d, want_d);
    release_blocks();
}

CASE(every_activation_equals_scalar) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++)
            for (int64_t cols = 1; cols <= LONGEST; cols++)
                for (int shape = 0; shape < 4; shape++)
                    act_equals_scalar(act, 1 + shape, cols, cols + (shape & 2), shape & 1);
}

CASE(every_row_wise_slope_equals_scalar) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++)
            for (int64_t cols = 1; k->act_back[act] && cols <= LONGEST; cols++, release_blocks()) {
                enum { rows = 3 };
                void *a = random_reals(dtype, rows * cols, -3, 3), *d = random_reals(dtype, rows * cols, -1, 1);
                void *want = copy_of(dtype, rows * cols, d);
                scalar->act[act](rows, cols, cols, 0, a, NULL);
                k->act_back[act](rows, cols, a, d);
                scalar->act_back[act](rows, cols, a, want);
                CHECK_BYTES(rows * cols, size_of(dtype), d, want);
            }
}

CASE(only_row_wise_activations_have_a_row_slope) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++)
            CHECK((k->act_back[act] != NULL) == cbp_table(CBP_ACTIVATIONS, NULL)[act].row_wise);
}

CASE(every_slope_is_the_derivative) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++, release_blocks()) {
            if (dtype != CBP_FLOAT64 || k->act_back[act]) continue;
            enum { n = 400 };
            const double h = 1e-5;
            double *z = random_reals(dtype, n, -3, 3), *d = reals(dtype, n);
            double *up = reals(dtype, n), *down = reals(dtype, n);
            for (int e = 0; e < n; e++) up[e] = z[e] + h, down[e] = z[e] - h;
            const double *at = copy_of(dtype, n, z);
            k->act[act](1, n, n, 0.3, z, d);
            k->act[act](1, n, n, 0.3, up, NULL);
            k->act[act](1, n, n, 0.3, down, NULL);
            for (int e = 0; e < n; e++)
                CHECKF(fabs(at[e]) < 2 * h || fabs((up[e] - down[e]) / (2 * h) - d[e]) < 1e-8, "%s at %g",
                       cbp_table(CBP_ACTIVATIONS, NULL)[act].name, at[e]);
        }
}

/* sin has none, and is NaN there */
CASE(values_and_slopes_at_infinity_are_the_limits) {
    for (int i = 0; next_kern(i); i++)
        for (int act = 0; act < CBP_N_ACT; act++, release_blocks()) {
            if (k->act_back[act]) continue;
            NOTE("%s %s, %s", k->isa, DTYPE_NAME[dtype], cbp_table(CBP_ACTIVATIONS, NULL)[act].name);
            enum { n = 4 };
            const double far = dtype == CBP_FLOAT32 ? (double)FLT_MAX : DBL_MAX;
            const double at[n] = {far, -far, INFINITY, -INFINITY};
            void *a = reals(dtype, n), *d = reals(dtype, n);
            for (int e = 0; e < n; e++) put(dtype, a, e, at[e]);
            k->act[act](1, n, n, 0.3, a, d);
            for (int e = 0; e < 2; e++) {
                const double value = get(dtype, a, e), limit = get(dtype, a, e + 2), slope = get(dtype, d, e + 2);
                const int grows = fabs(value) > 1e30;
                CHECK(!isnan(value) && isfinite(get(dtype, d, e)) | isinf(value));
                if (act == CBP_ACT_sin)
                    CHECK(isnan(limit) && isnan(slope));
                else
                    CHECKF((grows ? isinf(limit) && signbit(limit) == signbit(value) : fabs(limit - value) < 1e-30) &&
                               (slope == get(dtype, d, e) || fabs(slope - get(dtype, d, e)) < 1e-30),
                           "g(%g) = %g, slope %g; g(%g) = %g, slope %g", at[e], value, get(dtype, d, e), at[e + 2],
                           limit, slope);
            }
        }
}

CASE(softmax_sums_to_one_and_survives_large_inputs) {
    for (int i = 0; next_kern(i); i++, release_blocks()) {
        enum { rows = 2, cols = 11 };
        void *a = random_reals(dtype, rows * cols, -1, 1), *log_a = reals(dtype, rows * cols);
        for (int e = 0; e < cols; e++) put(dtype, a, e, e == 4 ? 1e30 : -1e30);
        k->act[CBP_ACT_softmax](rows, cols, cols, 0, a, log_a);
        double sum = 0;
        for (int e = 0; e < cols; e++) {
            CHECK(get(dtype, a, e) == (e == 4));
            sum += get(dtype, a, cols + e);
            CHECK(fabs(exp(get(dtype, log_a, cols + e)) - get(dtype, a, cols + e)) < 1e-6);
        }
        CHECK(fabs(sum - 1) < 1e-6);
    }
}

CASE(every_loss_equals_scalar) {
    for (int i = 0; next_kern(i); i++)
        for (int loss = 0; loss < CBP_N_LOSS; loss++)
            for (int64_t n = 1; n <= LONGEST; n++)
                for (int times_slope = 0; times_slope < 2; times_slope++, release_blocks()) {
                    enum { m = 3 };
                    NOTE("%s %s, %s: n %d, times slope %d", k->isa, DTYPE_NAME[dtype],
                         cbp_table(CBP_LOSSES, NULL)[loss].name, (int)n, times_slope);
                    const int64_t out = m * n * (1 + (cbp_table(CBP_LOSSES, NULL)[loss].pair[0] != 0));
                    void *y = random_reals(dtype, m * n, 0, 1), *a = random_reals(dtype, out, 0.01, 0.99);
                    for (int missing = 0; missing < 2; missing++) {
                        void *d = random_reals(dtype, out, -3, 0), *want_d = copy_of(dtype, out, d);
                        double c[m], want_c[m];
                        (missing ? k->missing_loss : k->loss)[loss](m, n, 0.3, y, a, d, times_slope, c);
                        (missing ? scalar->missing_loss : scalar->loss)[loss](m, n, 0.3, y, a, want_d, times_slope,
                                                                              want_c);
                        CHECK_BYTES(out, size_of(dtype), d, want_d);
                        CHECK_BYTES(m, sizeof(double), c, want_c);
                        for (int64_t e = 0; e < m * n; e += 3) put(dtype, y, e, NAN);
                    }
                }
}

/* One row: C of the kernel against the textbook's C in double; h is what the output layer keeps beside a */
static void cost_is(cbp_loss loss, double y, double a, double h, double cost, double delta) {
    for (int i = 0; next_kern(i); i++, release_blocks()) {
        void *ys = reals(dtype, 1), *as = reals(dtype, 1), *d = reals(dtype, 1);
        put(dtype, ys, 0, y), put(dtype, as, 0, a), put(dtype, d, 0, h);
        const double near = dtype == CBP_FLOAT32 ? 1e-6 : 1e-15;
        double c;
        k->loss[loss](1, 1, 0, ys, as, d, 0, &c);
        CHECKF(fabs(c - cost) <= near * (1 + fabs(cost)), "C(a = %g, y = %g) = %.17g, not %.17g", a, y, c, cost);
        CHECKF(fabs(get(dtype, d, 0) - delta) <= near, "delta(a = %g, y = %g)", a, y);
    }
}

CASE(half_squared_error_is_the_books) { cost_is(CBP_LOSS_half_squared_error, 0.25, 0.75, 9, 0.125, 0.5); }

CASE(binary_cross_entropy_is_the_books_and_never_overflows) {
    static const double z[] = {0, 0.75, 1.5, -1.5, -2.5};
    for (int i = 0; i < 5; i++)
        for (double y = 0; y <= 1; y += 0.25) {
            const double a = 1 / (1 + exp(-z[i]));
            cost_is(CBP_LOSS_binary_cross_entropy, y, a, z[i], -(y * log(a) + (1 - y) * log(1 - a)), a - y);
        }
    cost_is(CBP_LOSS_binary_cross_entropy, 0, 1, 1e30, 1e30, 1);
    cost_is(CBP_LOSS_binary_cross_entropy, 1, 0, -1e30, 1e30, -1);
    cost_is(CBP_LOSS_binary_cross_entropy, 1, 1, 1e30, 0, 0);
}

CASE(categorical_cross_entropy_is_the_books_and_zero_targets_cost_nothing) {
    cost_is(CBP_LOSS_categorical_cross_entropy, 1, 0.25, log(0.25), -log(0.25), -0.75);
    cost_is(CBP_LOSS_categorical_cross_entropy, 0.5, 0.25, log(0.25), -0.5 * log(0.25), -0.25);
    cost_is(CBP_LOSS_categorical_cross_entropy, 0, 0, -INFINITY, 0, 0);
}
