/* The product behind forward pass, error propagation and gradient: equal on bytes to the textbook's chain of fma. */
#include "naive.h"

typedef struct {
    cbp_dtype dtype;
    void *c;
    int64_t ldc, cells;
} collector;

/* Keeps what a product hands to its last touch */
static void collect(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t ldc) {
    collector *all = ctx;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < cols; j++)
            put(all->dtype, all->c, (row + r) * all->ldc + col + j, get(all->dtype, c, r * ldc + j));
    all->cells += rows * cols;
}

/* The product once more, with B (n, k) turned round, room for copies, and C never kept, only shown block by block */
static void other_ways_equal(const cbp_kern *k, cbp_dtype dtype, int64_t m, int64_t n, int64_t terms, cbp_strided a,
                             const void *b, int64_t ldb, const void *init, const void *want, int64_t ldc) {
    const int64_t size = (m - 1) * ldc + n;
    static void *room; /* megabytes, which it would take long to fill every time */
    if (!room) CHECK((room = malloc(CBP_ROOM)) != NULL);
    void *const turned = reals(dtype, n * terms);
    for (int64_t e = 0; e < n * terms; e++) put(dtype, turned, e, get(dtype, b, e % terms * ldb + e / terms));
    collector all = {dtype, copy_of(dtype, size, want), ldc, 0};
    const cbp_strided direct = {b, ldb, 1}, by_columns = {turned, 1, terms};
    for (int way = 0; way < 2; way++, all.cells = 0) {
        for (int64_t i = 0; i < m * n; i++) put(dtype, all.c, i / n * ldc + i % n, -7);
        k->product(m, n, terms, a, way && terms ? by_columns : direct, init, copy_of(dtype, size, want), ldc,
                   terms <= CBP_K_BLOCK, room, collect, &all);
        CHECKF(all.cells == m * n, "every element is finished once");
        CHECK_BYTES(size, size_of(dtype), all.c, want);
    }
}

/* A (m, k) with any strides, B (k, n) rows ldb apart, C rows ldc apart: all of C, and nothing between its rows */
static void product_equals(const cbp_kern *k, cbp_dtype dtype, int64_t m, int64_t n, int64_t terms, int64_t a_row,
                           int64_t a_col, int64_t ldb, int64_t ldc, int with_init) {
    NOTE("%s %s: m %d, n %d, k %d, a_row %d, a_col %d, ldb %d, ldc %d, init %d", k->isa, DTYPE_NAME[dtype], (int)m,
         (int)n, (int)terms, (int)a_row, (int)a_col, (int)ldb, (int)ldc, with_init);
    const void *a = random_reals(dtype, (m - 1) * a_row + (terms > 0 ? terms - 1 : 0) * a_col + 1, -1, 1);
    const void *b = random_reals(dtype, terms > 0 ? (terms - 1) * ldb + n : 0, -1, 1);
    const void *init = with_init ? random_reals(dtype, n, -1, 1) : NULL;
    const int64_t size = (m - 1) * ldc + n;
    void *got = random_reals(dtype, size, -1, 1), *want = copy_of(dtype, size, got);
    const cbp_strided a_ = {a, a_row, a_col}, b_ = {b, ldb, 1};
    k->product(m, n, terms, a_, b_, init, got, ldc, 0, NULL, NULL, NULL);
    naive_product(dtype, m, n, terms, a, a_row, a_col, b, ldb, init, want, ldc);
    CHECK_BYTES(size, size_of(dtype), got, want);
    other_ways_equal(k, dtype, m, n, terms, a_, b, ldb, init, want, ldc);
    release_blocks();
}

static void shapes_equal(const int64_t *m, const int64_t *n, const int64_t *terms, int transposed) {
    const cbp_kern *k;
    cbp_dtype dtype;
    const int step = one_in(4);
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int im = 0; m[im]; im++)
            for (int in = 0; n[in]; in++)
                for (int it = 0; terms[it]; it++) {
                    if ((i + im + in + it) % step) continue;
                    const int64_t a_row = transposed ? 1 : terms[it], a_col = transposed ? m[im] : 1;
                    product_equals(k, dtype, m[im], n[in], terms[it], a_row, a_col, n[in], n[in], (im + in + it) % 2);
                }
}

static const int64_t ROWS[] = {1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 19, 0};
static const int64_t COLUMNS[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 31, 32, 33, 49, 0};
static const int64_t TERMS[] = {1, 2, 3, 7, 17, 0};

CASE(every_small_shape) { shapes_equal(ROWS, COLUMNS, TERMS, 0); }
CASE(every_small_shape_with_a_read_by_columns) { shapes_equal(ROWS, COLUMNS, TERMS, 1); }

CASE(sums_longer_than_a_block) {
    static const int64_t m[] = {1, 4, 7, 0}, n[] = {1, 10, 16, 37, 0}, terms[] = {255, 256, 257, 511, 513, 784, 0};
    shapes_equal(m, n, terms, 0);
    shapes_equal(m, n, terms, 1);
}

CASE(rows_further_apart_than_they_are_long) {
    const cbp_kern *k;
    cbp_dtype dtype;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int64_t n = 1; n < 40; n += 3) {
            product_equals(k, dtype, 9, n, 300, 303, 1, n + 5, n + 3, 1);
            product_equals(k, dtype, 9, n, 300, 2, 20, n + 1, n + 7, 0);
        }
}

CASE(no_terms_leave_the_start) {
    const cbp_kern *k;
    cbp_dtype dtype;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int with_init = 0; with_init < 2; with_init++) product_equals(k, dtype, 5, 11, 0, 0, 1, 11, 11, with_init);
}

CASE(not_a_number_and_infinity_travel) {
    const cbp_kern *k;
    cbp_dtype dtype;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        enum { m = 7, n = 19, terms = 5 };
        void *a = random_reals(dtype, m * terms, -1, 1), *b = random_reals(dtype, terms * n, -1, 1);
        void *c = reals(dtype, m * n);
        put(dtype, a, 2 * terms + 3, NAN);
        put(dtype, b, 1 * n + 17, INFINITY);
        const cbp_strided a_ = {a, terms, 1}, b_ = {b, n, 1};
        k->product(m, n, terms, a_, b_, NULL, c, n, 0, NULL, NULL, NULL);
        for (int64_t e = 0; e < m * n; e++)
            CHECKF(isfinite(get(dtype, c, e)) == (e / n != 2 && e % n != 17), "element %d", (int)e);
        release_blocks();
    }
}

/* Rows of B or columns of A a cache's page apart: both are copied first, A in more than one block of rows */
CASE(operands_that_lie_badly_in_the_cache) {
    const cbp_kern *k;
    cbp_dtype dtype;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        const int64_t far = CBP_SCATTERED / (int64_t)size_of(dtype) + 1, n = many_or(131, 37);
        product_equals(k, dtype, 67, 130, 21, 21, 1, far, 130, 1);
        product_equals(k, dtype, 203, n, 20, 1, far, n, n + 2, 0);
        product_equals(k, dtype, 203, n, 521, 1, far, far, n, 0);
    }
}

CASE(transpose_of_every_shape) {
    const cbp_kern *k;
    cbp_dtype dtype;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int64_t m = 1; m < 40; m += 3)
            for (int64_t n = 1; n < 40; n += 2) {
                const int64_t ld = 48, vector = k->panel / 2;
                const void *a = random_reals(dtype, m * n, -1, 1);
                void *got = random_reals(dtype, n * ld, -1, 1), *want = copy_of(dtype, n * ld, got);
                for (int64_t r = 0; r < n; r++)
                    for (int64_t c = 0; c < (m + vector - 1) / vector * vector; c++)
                        put(dtype, want, r * ld + c, c < m ? get(dtype, a, c * n + r) : 0);
                k->transpose(m, n, a, got, ld);
                CHECK_BYTES(n * ld, size_of(dtype), got, want);
                release_blocks();
            }
}
