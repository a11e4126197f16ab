/* solve.c - dense symmetric systems in double: Cholesky's factors, solution and inverse with them, products of vectors.
 *
 * Called from outside alone; calls the kernel table. Every element of a result is one chain of fma in index order (of a
 * vector's product: 32 of them), so the bits do not depend on the blocks, the instruction set or the threads. Matrices
 * are worked on by panels of CBP_TERMS columns and by strips of CBP_STRIP rows, which are turned round on the stack:
 * nothing is allocated. A strip belongs to one thread at a time.
 */
#include "net.h"
#include "prim.h"

#include <string.h>

/* What an element copied to the other side is worth, for cbp_cut_for */
#define MIRROR_FLOPS 8

typedef struct {
    const cbp_kern *k;
    int64_t n, at, end; /* the panel: columns at .. end */
    double *a;
    const double *l;
    int parts;
} matrix_job;

static int64_t strips(int64_t n) { return (n + CBP_STRIP - 1) / CBP_STRIP; }

/* Runs fn over parts of `n_strips` strips whose work is worth so many flops */
static void share_strips(matrix_job *job, cbp_pool *pool, int64_t n_strips, double flops, cbp_task *fn) {
    cbp_cut cut = cbp_cut_for(pool, flops);
    if (cut.threads > 1) cut.parts = (int)cbp_smaller(n_strips, CBP_MOST_PARTS);
    job->parts = cut.parts;
    if (n_strips > 0) cbp_pool_run(pool, cut, fn, job);
}

/* The rows first .. end that part `part` has of from .. n */
static void part_of(const matrix_job *job, int64_t from, int part, int64_t *first, int64_t *end) {
    cbp_share(job->n - from, CBP_STRIP, part, job->parts, first, end);
    *first += from;
    *end += *first;
}

/* ---- factors ---- */

/* Rows at .. end of the panel, up to the diagonal; each strip needs those above it */
static int factor_diagonal(const matrix_job *job) {
    double x[CBP_TERMS * CBP_STRIP];
    const int64_t n = job->n;
    for (int64_t i = job->at; i < job->end; i += CBP_STRIP) {
        const int64_t rows = cbp_smaller(CBP_STRIP, job->end - i), before = i - job->at;
        double *const row = job->a + i * n + job->at;
        job->k->to_strip(rows, before + rows, row, n, x);
        job->k->forward(before, job->a + job->at * n + job->at, n, x);
        if (!job->k->factor(before, rows, x)) return 0;
        job->k->from_strip(rows, before, x, CBP_STRIP, row, n, CBP_BOTH_SIDES);
        job->k->from_strip(rows, rows, x + before * CBP_STRIP, CBP_STRIP, row + before, n, CBP_LOWER);
    }
    return 1;
}

/* Some of the rows below: L[i] := A[i] L^-T, columns of the panel */
static void below_part(void *ctx, int part, int thread) {
    const matrix_job *job = ctx;
    double x[CBP_TERMS * CBP_STRIP];
    const int64_t n = job->n, terms = job->end - job->at;
    int64_t first, end;
    (void)thread;
    part_of(job, job->end, part, &first, &end);
    for (int64_t i = first; i < end; i += CBP_STRIP) {
        const int64_t rows = cbp_smaller(CBP_STRIP, end - i);
        double *const row = job->a + i * n + job->at;
        job->k->to_strip(rows, terms, row, n, x);
        job->k->forward(terms, job->a + job->at * n + job->at, n, x);
        job->k->from_strip(rows, terms, x, CBP_STRIP, row, n, CBP_BOTH_SIDES);
    }
}

/* Some of the columns on the right: A[i][j] -= sum_k L[i][k] L[j][k], k in the panel, i >= j */
static void right_part(void *ctx, int part, int thread) {
    const matrix_job *job = ctx;
    double x[CBP_TERMS * CBP_STRIP];
    const int64_t n = job->n, terms = job->end - job->at;
    int64_t first, end;
    (void)thread;
    part_of(job, job->end, part, &first, &end);
    for (int64_t j = first; j < end; j += CBP_STRIP) {
        const int64_t cols = cbp_smaller(CBP_STRIP, end - j);
        const cbp_strided l = {job->a + j * n + job->at, n, 1};
        job->k->to_strip(cols, terms, l.at, n, x);
        job->k->subtract(n - j, terms, l, x, cols, 1, job->a + j * n + j, n);
    }
}

cbp_status cbp_cholesky(int64_t n, double *a, cbp_pool *pool) {
    const cbp_fpmode mode = cbp_fp_enter();
    matrix_job job = {.k = cbp_kern_for(NULL, CBP_FLOAT64), .n = n, .a = a};
    int positive = 1;
    for (; positive && job.at < n; job.at = job.end) {
        job.end = cbp_smaller(n, job.at + CBP_TERMS);
        const double terms = (double)(job.end - job.at), left = (double)(n - job.end);
        positive = factor_diagonal(&job);
        if (!positive || left == 0) continue;
        share_strips(&job, pool, strips(n - job.end), terms * terms * left, below_part);
        share_strips(&job, pool, strips(n - job.end), terms * left * left, right_part);
    }
    cbp_fp_leave(mode);
    return positive ? CBP_OK : CBP_NOT_POSITIVE;
}

/* ---- the inverse: M^T M transposed, M = l^-1 ----
 *
 * U = M^T stands above the diagonal of `inverse`, 1 / l's being its diagonal; then U U^T on and below it, which is
 * copied to above it at the end.
 */

/* x (to - from, STRIP) := columns from .. to of U's rows j .. j + rows, turned; from >= j */
static void turn_root(const matrix_job *job, int64_t j, int64_t rows, int64_t from, int64_t to, double *x) {
    const int64_t n = job->n, own = from == j ? rows : 0;
    const double *const u = job->a + j * n;
    if (own) job->k->upper_strip(rows, job->l + j * n + j, n, u + j, n, x);
    job->k->to_strip(rows, to - from - own, u + from + own, n, x + own * CBP_STRIP);
}

static int64_t end_of_panel(int64_t n, int64_t at) { return cbp_smaller(n, (at / CBP_TERMS + 1) * CBP_TERMS); }

/* Columns at .. end of U's rows j .. j + rows, from u l^T = e: those before are known */
static void solve_root(const matrix_job *job, int64_t j, int64_t rows, int64_t at, int64_t end) {
    double x[CBP_TERMS * CBP_STRIP] = {0}, before[CBP_TERMS * CBP_STRIP];
    const int64_t n = job->n, own = at == j ? rows : 0;
    double *const u = job->a + j * n + at;
    for (int64_t r = 0; r < own; r++) x[r * CBP_STRIP + r] = 1;
    for (int64_t from = j, to; from < at; from = to) {
        to = end_of_panel(n, from);
        turn_root(job, j, rows, from, to, before);
        const cbp_strided l = {job->l + at * n + from, n, 1};
        job->k->subtract(end - at, to - from, l, before, CBP_STRIP, CBP_STRIP, x, CBP_STRIP);
    }
    job->k->forward(end - at, job->l + at * n + at, n, x);
    job->k->from_strip(own, own, x, CBP_STRIP, u, n, CBP_UPPER);
    job->k->from_strip(rows, end - at - own, x + own * CBP_STRIP, CBP_STRIP, u + own, n, CBP_BOTH_SIDES);
}

static void root_part(void *ctx, int part, int thread) {
    const matrix_job *job = ctx;
    int64_t first, end;
    (void)thread;
    part_of(job, 0, part, &first, &end);
    for (int64_t j = first; j < end; j += CBP_STRIP)
        for (int64_t at = j; at < job->n; at = end_of_panel(job->n, at))
            solve_root(job, j, cbp_smaller(CBP_STRIP, end - j), at, end_of_panel(job->n, at));
}

/* Columns j .. j + cols of U U^T, on and below the diagonal: terms at .. end. x: those of U's rows j .. j + cols,
 * negative */
static void add_square(const matrix_job *job, int64_t j, int64_t cols, int64_t at, int64_t end, const double *x) {
    const int64_t n = job->n;
    double own[CBP_STRIP * CBP_STRIP], *const c = job->a + j * n + j;
    job->k->subtract(at - j, end - at, (cbp_strided){job->a + j * n + at, n, 1}, x, cols, 1, c, n);
    for (int64_t i = at, next; i < end; i = next) {
        next = cbp_smaller(end, i + CBP_STRIP);
        const int64_t rows = next - i, first = i - j + 1;
        const cbp_strided triangle = {own, 1, CBP_STRIP}, rest = {job->a + i * n + next, n, 1};
        double *const row = c + (i - j) * n;
        for (int64_t r = 0; r < rows; r++) memset(row + r * n, 0, (size_t)cbp_smaller(cols, r + first) * sizeof *row);
        job->k->upper_strip(rows, job->l + i * n + i, n, job->a + i * n + i, n, own);
        job->k->subtract(rows, rows, triangle, x + (i - at) * CBP_STRIP, cols, first, row, n);
        job->k->subtract(rows, end - next, rest, x + (next - at) * CBP_STRIP, cols, first, row, n);
    }
}

static void square_part(void *ctx, int part, int thread) {
    const matrix_job *job = ctx;
    double x[CBP_TERMS * CBP_STRIP];
    const int64_t n = job->n;
    int64_t first, last;
    (void)thread;
    part_of(job, 0, part, &first, &last);
    for (int64_t j = first; j < last; j += CBP_STRIP) {
        const int64_t cols = cbp_smaller(CBP_STRIP, last - j);
        for (int64_t at = j, end; at < n; at = end) {
            end = cbp_smaller(n, at + CBP_TERMS);
            turn_root(job, j, cols, at, end, x);
            job->k->scale(1, (end - at) * CBP_STRIP, -1, x, (end - at) * CBP_STRIP);
            add_square(job, j, cols, at, end, x);
        }
    }
}

/* What stands below the diagonal, to above it */
static void mirror_part(void *ctx, int part, int thread) {
    const matrix_job *job = ctx;
    const int64_t n = job->n;
    int64_t first, end;
    (void)thread;
    part_of(job, 0, part, &first, &end);
    for (int64_t j = first; j < end; j += CBP_STRIP) {
        const int64_t rows = cbp_smaller(CBP_STRIP, end - j), after = j + rows;
        double *const own = job->a + j * n + j;
        job->k->from_strip(rows, rows, own, n, own, n, CBP_UPPER);
        job->k->from_strip(rows, n - after, own + rows * n, n, own + rows, n, CBP_BOTH_SIDES);
    }
}

void cbp_cholesky_inverse(int64_t n, const double *l, double *inverse, cbp_pool *pool) {
    const cbp_fpmode mode = cbp_fp_enter();
    matrix_job job = {.k = cbp_kern_for(NULL, CBP_FLOAT64), .n = n, .a = inverse, .l = l};
    const double squares = (double)n * (double)n, cubes = squares * (double)n / 3;
    share_strips(&job, pool, strips(n), cubes, root_part);
    share_strips(&job, pool, strips(n), cubes, square_part);
    share_strips(&job, pool, strips(n), MIRROR_FLOPS * squares, mirror_part);
    cbp_fp_leave(mode);
}

/* ---- vectors ---- */

void cbp_cholesky_solve(int64_t n, const double *l, double *b) {
    const cbp_fpmode mode = cbp_fp_enter();
    cbp_kern_for(NULL, CBP_FLOAT64)->solve(n, l, b);
    cbp_fp_leave(mode);
}

double cbp_dot(int64_t n, const double *x, const double *y) {
    const cbp_fpmode mode = cbp_fp_enter();
    const double sum = cbp_kern_for(NULL, CBP_FLOAT64)->dot(n, x, y);
    cbp_fp_leave(mode);
    return sum;
}

void cbp_times(int64_t n, const double *a, const double *x, double *out) {
    const cbp_fpmode mode = cbp_fp_enter();
    const cbp_kern *k = cbp_kern_for(NULL, CBP_FLOAT64);
    for (int64_t i = 0; i < n; i++) out[i] = k->dot(n, a + i * n, x);
    cbp_fp_leave(mode);
}
