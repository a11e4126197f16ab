/* The loops over flat vectors, each against its one-line definition, over every tail. */
#include "naive.h"

enum { LONGEST = 70 };

static const cbp_kern *k;
static cbp_dtype dtype;

/* every table and every length 0..LONGEST */
#define EACH_LENGTH(n) \
    for (int i_ = 0; (k = kern_at(i_, &dtype)) != NULL; i_++) \
        for (int64_t n = 0; n <= LONGEST; n++, release_blocks())

CASE(multiply_is_elementwise) {
    EACH_LENGTH(n) {
        const void *e = random_reals(dtype, n, -2, 2);
        void *d = random_reals(dtype, n, -2, 2), *want = reals(dtype, n);
        for (int64_t i = 0; i < n; i++) put(dtype, want, i, mul_(dtype, get(dtype, e, i), get(dtype, d, i)));
        k->multiply(1, n, e, n, d, n);
        CHECK_BYTES(n, size_of(dtype), d, want);
    }
}

CASE(add_is_elementwise_and_leaves_gaps) {
    EACH_LENGTH(n) {
        enum { rows = 3 };
        const int64_t ld = n + 3, lde = n + 1, size = rows * ld;
        const void *e = random_reals(dtype, rows * lde, -2, 2);
        void *x = random_reals(dtype, size, -2, 2), *want = copy_of(dtype, size, x);
        for (int64_t i = 0; i < rows * n; i++) {
            const int64_t at = i / n * ld + i % n;
            put(dtype, want, at, add_(dtype, get(dtype, x, at), get(dtype, e, i / n * lde + i % n)));
        }
        k->add(rows, n, e, lde, x, ld);
        CHECK_BYTES(size, size_of(dtype), x, want);
    }
}

CASE(scale_rounds_the_factor_then_the_product) {
    EACH_LENGTH(n) {
        const double factor = 1.0 / 3;
        void *x = random_reals(dtype, n, -2, 2), *want = reals(dtype, n);
        for (int64_t i = 0; i < n; i++) put(dtype, want, i, mul_(dtype, to(dtype, factor), get(dtype, x, i)));
        k->scale(1, n, factor, x, n);
        CHECK_BYTES(n, size_of(dtype), x, want);
    }
}

/* Rows with gaps between them: the gaps stay as they are */
CASE(multiply_and_scale_rectangles) {
    EACH_LENGTH(n) {
        enum { rows = 3 };
        const int64_t ld = n + 3, lde = n + 1, size = rows * ld;
        const void *e = random_reals(dtype, rows * lde, -2, 2);
        void *d = random_reals(dtype, size, -2, 2), *want = copy_of(dtype, size, d);
        for (int64_t i = 0; i < rows * n; i++) {
            const int64_t at = i / n * ld + i % n;
            const double product = mul_(dtype, get(dtype, e, i / n * lde + i % n), get(dtype, d, at));
            put(dtype, want, at, mul_(dtype, to(dtype, 0.7), product));
        }
        k->multiply(rows, n, e, lde, d, ld);
        k->scale(rows, n, 0.7, d, ld);
        CHECK_BYTES(size, size_of(dtype), d, want);
    }
}

CASE(scale_rows_takes_one_weight_a_row) {
    EACH_LENGTH(n) {
        enum { m = 3 };
        const void *s = random_reals(dtype, m, 0, 2), *x = random_reals(dtype, m * n, -2, 2);
        void *got = reals(dtype, m * n), *want = reals(dtype, m * n);
        for (int64_t i = 0; i < m * n; i++) put(dtype, want, i, mul_(dtype, get(dtype, s, i / n), get(dtype, x, i)));
        k->scale_rows(m, n, s, x, got);
        CHECK_BYTES(m * n, size_of(dtype), got, want);
    }
}

CASE(one_hot_marks_the_label) {
    EACH_LENGTH(m) {
        enum { n = 5 };
        int64_t *label = block((size_t)m * sizeof *label);
        void *got = reals(dtype, m * n), *want = zeros(dtype, m * n);
        for (int64_t r = 0; r < m; r++) {
            label[r] = (int64_t)(random_bits() % n);
            put(dtype, want, r * n + label[r], 1);
        }
        k->one_hot(m, n, label, got);
        CHECK_BYTES(m * n, size_of(dtype), got, want);
    }
}

CASE(assign_rounds_once) {
    EACH_LENGTH(n) {
        const double factor = 0.7;
        double *u = random_reals(CBP_FLOAT64, n, -1, 1);
        void *got = reals(dtype, n), *want = reals(dtype, n);
        for (int64_t i = 0; i < n; i++) put(dtype, want, i, factor * u[i]);
        k->assign(n, factor, u, got);
        CHECK_BYTES(n, size_of(dtype), got, want);
    }
}

CASE(weighted_sum_goes_in_order_in_double) {
    EACH_LENGTH(m) {
        const double *c = random_reals(CBP_FLOAT64, m, 0, 3);
        const void *weights = random_reals(dtype, m, 0, 2);
        for (int weighted = 0; weighted < 2; weighted++) {
            double sc = 0.1, ss = 0.2, want_sc = 0.1, want_ss = 0.2;
            for (int64_t r = 0; r < m; r++) {
                const double s = weighted ? get(dtype, weights, r) : 1;
                want_sc += s * c[r];
                want_ss += s;
            }
            k->weighted_sum(m, weighted ? weights : NULL, c, &sc, &ss);
            CHECK_BYTES(1, sizeof(double), &sc, &want_sc);
            CHECK_BYTES(1, sizeof(double), &ss, &want_ss);
        }
    }
}

CASE(first_nonfinite_finds_each_place) {
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    EACH_LENGTH(n) {
        void *x = random_reals(dtype, n, -2, 2);
        if (n > 1) put(dtype, x, n - 2, dtype == CBP_FLOAT32 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023);
        CHECK(k->first_nonfinite(n, x) == -1);
        for (int64_t at = n - 1; at >= 0; at--) {
            put(dtype, x, at, bad[at % 3]);
            CHECKF(k->first_nonfinite(n, x) == at, "length %d, expected at %d", (int)n, (int)at);
        }
    }
}

CASE(first_nonfinite_in_a_long_vector) {
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        enum { n = 5000 };
        void *x = zeros(dtype, n);
        put(dtype, x, n - 1, NAN);
        put(dtype, x, 4097, INFINITY);
        CHECK(k->first_nonfinite(n, x) == 4097);
    }
}

CASE(mirror_turns_what_is_above_the_diagonal) {
    EACH_LENGTH(n) {
        const int64_t size = n > 40 ? 40 : n, ld = size + 3;
        void *a = random_reals(dtype, size * ld, -2, 2), *want = copy_of(dtype, size * ld, a);
        for (int64_t r = 0; r < size; r++)
            for (int64_t c = 0; c < r; c++) put(dtype, want, r * ld + c, get(dtype, want, c * ld + r));
        k->mirror(size, a, ld);
        CHECK_BYTES(size * ld, size_of(dtype), a, want);
    }
}

CASE(prepend_puts_a_one_before_each_row) {
    EACH_LENGTH(n) {
        const void *a = random_reals(dtype, 3 * n, -2, 2);
        void *got = reals(dtype, 3 * (n + 1)), *want = reals(dtype, 3 * (n + 1));
        for (int64_t i = 0; i < 3 * (n + 1); i++)
            put(dtype, want, i, i % (n + 1) == 0 ? 1 : get(dtype, a, i / (n + 1) * n + i % (n + 1) - 1));
        k->prepend(3, n, a, got);
        CHECK_BYTES(3 * (n + 1), size_of(dtype), got, want);
    }
}

/* Two rows, some reals between them that stay */
CASE(pairs_are_all_products_of_two_rows) {
    EACH_LENGTH(n) {
        if (n > 40) continue;
        for (int i = 0; i < 8; i++) {
            const int upper = i & 1, add = i & 2;
            const int64_t na = i & 4 ? (n + 1) / 2 : n, nb = upper || !(i & 4) ? n : 1;
            const int64_t width = upper ? na * nb - na * (na - 1) / 2 : na * nb, ldo = width + 2;
            const void *a = random_reals(dtype, 2 * (na + 1), -2, 2), *b = random_reals(dtype, 2 * (nb + 1), -2, 2);
            void *got = random_reals(dtype, 2 * ldo, -2, 2), *want = copy_of(dtype, 2 * ldo, got);
            for (int64_t r = 0; r < 2; r++)
                for (int64_t j = 0, at = r * ldo; j < na; j++)
                    for (int64_t q = upper ? j : 0; q < nb; q++, at++) {
                        const double x = get(dtype, a, r * (na + 1) + j), y = get(dtype, b, r * (nb + 1) + q);
                        put(dtype, want, at, fma_(dtype, x, y, add ? get(dtype, want, at) : 0));
                    }
            k->pairs(2, na, nb, upper, add, a, na + 1, b, nb + 1, got, ldo);
            CHECK_BYTES(2 * ldo, size_of(dtype), got, want);
        }
    }
}
