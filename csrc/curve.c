/* curve.c - the objective and its first and second derivatives, for methods that look at all rows at once: gradient,
 * Jacobian of the outputs, Gauss-Newton matrix, products of a vector with that and with the Hessian,
 *     (H v)^l = [1 A]^T delta. + [0 A.]^T delta.
 *
 * Called by the front ends; calls along.c for the rows, limit.c and the kernel table. Rows are taken some hundred at a
 * time, so that the workspace does not grow with the data; threads share the rows of a block on the way up and down,
 * and then the parameters.
 */
#include "curve.h"
#include "prim.h"

#include <string.h>

/* ---- the Jacobian ---- */

/* One row of it, all parameters, from row r of the deltas; 0 for those that are fixed */
static void write_row(const cbp_chunk *b, int64_t r, void *row) {
    const cbp_net *net = b->net;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        void *const at = cbp_at(net, row, s->theta);
        if (cbp_is_frozen(b->mem, l))
            memset(at, 0, ((size_t)s->n_in + 1) * (size_t)s->n_out * net->real);
        else
            net->k->row_gradient(s->n_in, s->n_out, cbp_at(net, cbp_inputs(net, &b->f, b->data.x, l), r * s->n_in),
                                 cbp_at(net, cbp_frame_e(net, &b->t, l), r * s->n_out), at);
    }
    if (b->mem->mask) net->k->hold(net->n_params, b->mem->mask, NULL, row);
}

/* Derivatives of output j of a top into the rows of jac */
static void write_output(const cbp_chunk *b, const cbp_top *top, int j, int64_t first, int64_t m, void *room) {
    const cbp_net *net = b->net;
    const int64_t n = net->n_out, column = top->first + j;
    cbp_output_down(b, top, j, 0, &b->t, first, m, room);
    for (int64_t r = first; r < first + m; r++) {
        if (b->aim == CBP_FOR_INPUTS)
            cbp_copy_rows(net, 1, net->n_in, cbp_at(net, b->e0, r * net->n_in), 0,
                          cbp_at(net, b->jac, (r * n + column) * net->n_in), 0);
        else
            write_row(b, r, cbp_at(net, b->jac, (r * n + column) * net->n_params));
    }
}

static void write_outputs(const cbp_chunk *b, int64_t first, int64_t m, void *room) {
    for (int i = 0; i < cbp_n_tops(b->net); i++)
        for (int j = 0; j < b->net->top[i].units; j++) write_output(b, &b->net->top[i], j, first, m, room);
}

/* ---- a block: its rows, then sums over them ---- */

static void up_part(void *ctx, int part, int thread) {
    const cbp_chunk *b = ctx;
    void *const room = cbp_room(b->f.rooms, thread);
    int64_t first, m;
    cbp_share(b->f.m, 1, part, b->rows.parts, &first, &m);
    if (m == 0) return;
    cbp_rows_up(b, first, m, room);
    cbp_rows_down(b, first, m, room);
}

static void jacobian_part(void *ctx, int part, int thread) {
    const cbp_chunk *b = ctx;
    int64_t first, m;
    cbp_share(b->f.m, 1, part, b->rows.parts, &first, &m);
    if (m > 0) write_outputs(b, first, m, cbp_room(b->f.rooms, thread));
}

typedef struct {
    const cbp_net *net;
    void *at; /* of the sum, where the product's first element belongs */
    int64_t ld;
} place;

static void add_touch(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t ldc) {
    const place *p = ctx;
    p->net->k->add(rows, cols, c, ldc, cbp_at(p->net, p->at, row * p->ld + col), p->ld);
}

/* sum := sum + a^T delta for rows of theta[l]: `at` its first row there, m samples, inputs a strided */
static void add_product(const cbp_chunk *b, const cbp_stage *s, int64_t row, int64_t rows, cbp_strided a,
                        const void *delta, void *room) {
    const cbp_net *net = b->net;
    place to = {net, cbp_at(net, b->sum, s->theta + row * s->n_out), s->n_out};
    const cbp_strided right = {delta, s->n_out, 1};
    net->k->product(rows, s->n_out, b->f.m, a, right, NULL, to.at, s->n_out, 1, room, add_touch, &to);
}

/* A share of the rows of every theta[l]: [1 A]^T delta, or [1 A]^T delta. + [0 A.]^T delta */
static void sum_part(void *ctx, int part, int thread) {
    const cbp_chunk *b = ctx;
    const cbp_net *net = b->net;
    const float one = 1;
    const double one_d = 1;
    const cbp_strided unit = {net->dtype == CBP_FLOAT32 ? (const void *)&one : (const void *)&one_d, 0, 0};
    void *const room = cbp_room(b->f.rooms, thread);
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        int64_t first, rows;
        cbp_share(s->n_in, 12, part, b->cut.parts, &first, &rows);
        const void *delta = cbp_frame_e(net, b->of_direction ? &b->t : &b->f, l);
        const void *a = cbp_inputs(net, &b->f, b->data.x, l), *moving = cbp_inputs(net, &b->t, b->still, l);
        if (cbp_is_frozen(b->mem, l)) continue;
        if (part == 0) add_product(b, s, 0, 1, unit, delta, NULL);
        if (rows <= 0) continue;
        add_product(b, s, first + 1, rows, (cbp_strided){cbp_at(net, a, first), 1, s->n_in}, delta, room);
        if (b->aim == CBP_FOR_HESSIAN && b->of_direction && s->sources[s->n_sources - 1] > 0)
            add_product(b, s, first + 1, rows, (cbp_strided){cbp_at(net, moving, first), 1, s->n_in},
                        cbp_frame_e(net, &b->f, l), room);
    }
}

static void run_sum(cbp_chunk *b, void *sum, int of_direction) {
    b->sum = sum;
    b->of_direction = of_direction;
    b->cut = cbp_cut_for(b->mem->pool, 2.0 * (double)b->f.m * (double)b->net->n_params);
    cbp_pool_run(b->mem->pool, b->cut, sum_part, b);
}

/* ---- the workspace ---- */

/* Rows of a block */
static int64_t rows_of(const cbp_net *net, int64_t n, cbp_mode mode) {
    return cbp_smaller(n, mode == CBP_MATRIX ? cbp_matrix_rows(net) : CBP_CURVE_ROWS);
}

/* The next `bytes` from offset *used of the workspace; NULL without one */
static void *take(char *work, size_t *used, size_t bytes) {
    char *const here = work ? work + *used : NULL;
    *used += (bytes + CBP_ALIGN - 1) / CBP_ALIGN * CBP_ALIGN;
    return here;
}

/* Where everything lies for blocks of m rows; returns the size of it all */
static size_t lay_out(cbp_chunk *b, const cbp_net *net, int64_t m, cbp_mode mode, char *work) {
    const size_t rows = (size_t)m, real = net->real;
    b->f = cbp_frame_at(net, m, mode, work);
    size_t used = b->f.bytes;
    b->t = cbp_frame_turned(net, m, work ? work + used : NULL);
    used += b->t.bytes;
    b->edge = take(work, &used, 6 * rows * (size_t)net->n_out * real);
    b->y = take(work, &used, rows * (size_t)net->n_targets * real);
    if (net->joined) b->still = take(work, &used, rows * (size_t)net->n_in * real);
    b->e0 = take(work, &used, rows * (size_t)net->n_in * real);
    b->v = take(work, &used, (size_t)net->n_params * real);
    if (mode == CBP_MATRIX) {
        b->pairs = take(work, &used, rows * (size_t)cbp_matrix_numbers(net) * real);
        b->places = take(work, &used, CBP_MAX_PARTS * cbp_matrix_room(net, m));
    }
    return used;
}

size_t cbp_curve_bytes(const cbp_net *net, int64_t n, cbp_mode mode) {
    const double rows = (double)rows_of(net, n, mode), matrix = mode == CBP_MATRIX;
    const double each_row = 16.0 * ((double)net->units + net->n_in + net->widest + (double)net->joined) + 256;
    const double more = matrix * ((double)cbp_matrix_numbers(net) + 64.0 * net->widest + 4096);
    cbp_chunk b = {.net = net};
    if (8 * (rows * (each_row + more) + (double)net->n_params) > (double)(SIZE_MAX / 4)) return 0;
    return lay_out(&b, net, rows_of(net, n, mode), mode, NULL);
}

/* A block for a purpose; `rows` at most in it */
static cbp_chunk new_chunk(const cbp_net *net, const cbp_mem *mem, cbp_aim aim, int64_t rows) {
    cbp_chunk b = {.net = net, .mem = mem, .aim = aim};
    lay_out(&b, net, rows, aim == CBP_FOR_MATRIX ? CBP_MATRIX : CBP_CURVE, mem->work);
    if (aim != CBP_FOR_INPUTS) b.e0 = NULL;
    if (b.still) memset(b.still, 0, (size_t)rows * (size_t)net->n_in * net->real);
    return b;
}

/* The block with m rows, for which it is laid out anew */
static void take_rows(cbp_chunk *b, const cbp_data *data, int64_t first, int64_t m) {
    b->data = cbp_rows(b->net, data, first, m);
    b->f.m = b->t.m = m;
}

/* ---- the calls ---- */

static void run_up(cbp_chunk *b) {
    const int by_outputs = b->aim == CBP_FOR_MATRIX || b->aim == CBP_FOR_OUTPUTS || b->aim == CBP_FOR_INPUTS;
    const double products = by_outputs ? 8.0 * b->net->n_out : cbp_is_along(b->aim) ? 12.0 : 4.0;
    b->cut = cbp_cut_for(b->mem->pool, products * (double)b->f.m * (double)b->net->n_params);
    if (b->net->own_loss) b->cut = (cbp_cut){1, 1}; /* in the thread that called */
    b->rows = b->cut;
    cbp_pool_run(b->mem->pool, b->rows, up_part, b);
}

static void run_outputs(cbp_chunk *b) { cbp_pool_run(b->mem->pool, b->rows, jacobian_part, b); }

static void clear_fixed(const cbp_net *net, const cbp_mem *mem, void *x) {
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        if (cbp_is_frozen(mem, l))
            memset(cbp_at(net, x, s->theta), 0, ((size_t)s->n_in + 1) * (size_t)s->n_out * net->real);
    }
    if (mem->mask) net->k->hold(net->n_params, mem->mask, NULL, x);
}

/* sum := the gradient, unless it is NULL, and `result` what the purpose makes, over all rows; adds to *total */
static void run_blocks(cbp_chunk *b, const cbp_data *data, void *gradient, void *result, cbp_sums *total) {
    const cbp_net *net = b->net;
    const size_t size = (size_t)net->n_params * net->real;
    const int64_t rows = b->f.m;
    if (gradient) memset(gradient, 0, size);
    if (result) memset(result, 0, b->aim == CBP_FOR_MATRIX ? size * (size_t)net->n_params : size);
    for (int64_t r = 0; r < data->n; r += rows) {
        take_rows(b, data, r, cbp_smaller(rows, data->n - r));
        run_up(b);
        net->k->weighted_sum(b->f.m, b->data.weight, b->f.c, &total->cost, &total->weight);
        if (gradient) run_sum(b, gradient, 0);
        if (cbp_is_along(b->aim)) run_sum(b, result, 1);
        if (b->aim == CBP_FOR_MATRIX) cbp_matrix_add(b, result);
    }
}

/* What the objective makes of a sum over the samples, and their number for its penalties */
static void factors(const cbp_net *net, cbp_sums sums, double *factor, double *penalty) {
    const int is_sum = net->reduction == CBP_SUM;
    *factor = is_sum ? 1 : sums.weight > 0 ? 1 / sums.weight : 0;
    *penalty = is_sum ? sums.weight : sums.weight > 0;
}

/* A vector of sums becomes that of the objective, penalties of w included, l1 only if `first` */
static void finish_vector(const cbp_net *net, const cbp_mem *mem, cbp_sums sums, const void *w, int first, void *x) {
    double factor, penalty;
    factors(net, sums, &factor, &penalty);
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const int64_t n = (int64_t)s->n_in * s->n_out;
        void *const bias = cbp_at(net, x, s->theta), *const weights = cbp_at(net, bias, s->n_out);
        if (factor != 1) net->k->scale(1, s->n_out, factor, bias, s->n_out);
        if (s->l1 > 0 || s->l2 > 0)
            net->k->penalize(1, n, factor, first ? s->l1 * penalty : 0, s->l2 * penalty,
                             cbp_at(net, w, s->theta + s->n_out), n, weights, n);
        else if (factor != 1)
            net->k->scale(1, n, factor, weights, n);
    }
    clear_fixed(net, mem, x);
}

/* Rows and columns of parameters that the mask fixes := 0 */
static void clear_crosses(const cbp_net *net, const cbp_mem *mem, void *matrix) {
    static const double zero = 0;
    const int64_t n = net->n_params;
    for (int64_t i = 0; i < n; i++) {
        void *const row = cbp_at(net, matrix, i * n);
        if (memcmp(cbp_at(net, mem->mask, i), &zero, net->real) == 0)
            memset(row, 0, (size_t)n * net->real);
        else
            net->k->hold(n, mem->mask, NULL, row);
    }
}

/* The sums in the upper triangle become the matrix of the objective; l2 stands on its diagonal */
static void finish_matrix(const cbp_net *net, const cbp_mem *mem, cbp_sums sums, void *matrix) {
    double factor, penalty;
    const float one = 1;
    const double one_d = 1;
    const void *unit = net->dtype == CBP_FLOAT32 ? (const void *)&one : (const void *)&one_d;
    const int64_t n = net->n_params;
    factors(net, sums, &factor, &penalty);
    if (factor != 1) net->k->scale(1, n * n, factor, matrix, n * n);
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const int64_t first = s->theta + s->n_out, count = (int64_t)s->n_in * s->n_out;
        if (s->l2 == 0 || cbp_is_frozen(mem, l)) continue;
        for (int64_t i = first; i < first + count; i++) {
            void *const diagonal = cbp_at(net, matrix, i * n + i);
            net->k->penalize(1, 1, 1, 0, s->l2 * penalty, unit, 1, diagonal, 1);
            if (mem->mask) net->k->hold(1, cbp_at(net, mem->mask, i), NULL, diagonal);
        }
    }
    cbp_matrix_complete(net, matrix);
    if (mem->mask) clear_crosses(net, mem, matrix);
}

/* Whether the Hessian of the loss is the identity, so that the Jacobian is its own product with that */
static int is_flat(const cbp_net *net) {
    int flat = !net->missing;
    for (int i = 0; i < cbp_n_tops(net); i++) flat &= net->top[i].is_flat && net->top[i].weight == 1;
    return flat;
}

/* One pass over the data: what it is made for, and the gradient unless that is NULL */
static cbp_sums run_purpose(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, cbp_aim aim, const void *v,
                            void *gradient, void *result) {
    const cbp_mode mode = aim == CBP_FOR_MATRIX ? CBP_MATRIX : CBP_CURVE;
    cbp_chunk b = new_chunk(net, mem, aim, rows_of(net, data->n, mode));
    cbp_sums sums = {0, 0};
    if (cbp_is_along(aim)) {
        memcpy(b.v, v, (size_t)net->n_params * net->real);
        clear_fixed(net, mem, b.v);
    }
    b.flat = !data->weight && is_flat(net);
    run_blocks(&b, data, gradient, result, &sums);
    if (gradient) finish_vector(net, mem, sums, mem->theta, 1, gradient);
    if (cbp_is_along(aim)) finish_vector(net, mem, sums, b.v, 0, result);
    if (aim == CBP_FOR_MATRIX) finish_matrix(net, mem, sums, result);
    return sums;
}

cbp_status cbp_curve(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, const cbp_curvature *wanted,
                     double *loss) {
    if (!net || !mem || !mem->theta || !mem->work || !data || !wanted || !loss) return CBP_NULL_ARGUMENT;
    if (!wanted->v && (wanted->hessian_v || wanted->gauss_newton_v)) return CBP_NULL_ARGUMENT;
    if (net->own_loss && (wanted->matrix || wanted->hessian_v || wanted->gauss_newton_v)) return CBP_NO_CURVATURE;
    const cbp_status status = cbp_check_data(net, data);
    if (status) return status;
    const cbp_fpmode mode = cbp_fp_enter();
    void *gradient = wanted->gradient;
    cbp_sums sums = {0, 0};
    if (wanted->matrix)
        sums = run_purpose(net, mem, data, CBP_FOR_MATRIX, NULL, gradient, wanted->matrix), gradient = NULL;
    if (wanted->hessian_v)
        sums = run_purpose(net, mem, data, CBP_FOR_HESSIAN, wanted->v, gradient, wanted->hessian_v), gradient = NULL;
    if (wanted->gauss_newton_v)
        sums = run_purpose(net, mem, data, CBP_FOR_GAUSS_NEWTON, wanted->v, NULL, wanted->gauss_newton_v);
    if (gradient || !(wanted->matrix || wanted->hessian_v || wanted->gauss_newton_v))
        sums = run_purpose(net, mem, data, CBP_FOR_GRADIENT, NULL, gradient, NULL);
    if (net->is_penalized) sums.cost += sums.weight * cbp_penalty(net, mem->theta);
    *loss = cbp_objective(net, sums);
    cbp_fp_leave(mode);
    return sums.weight > 0 ? CBP_OK : CBP_ZERO_WEIGHT;
}

cbp_status cbp_jacobian(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, cbp_variable by, void *jac) {
    if (!net || !mem || !mem->theta || !mem->work || (n > 0 && (!x || !jac))) return CBP_NULL_ARGUMENT;
    if (n < 0) return CBP_BAD_COUNT;
    const cbp_fpmode mode = cbp_fp_enter();
    const cbp_data data = {.n = n, .x = x};
    const int64_t rows = rows_of(net, n, CBP_CURVE), columns = by == CBP_BY_INPUTS ? net->n_in : net->n_params;
    if (n > 0) {
        cbp_chunk b = new_chunk(net, mem, by == CBP_BY_INPUTS ? CBP_FOR_INPUTS : CBP_FOR_OUTPUTS, rows);
        for (int64_t r = 0; r < n; r += rows) {
            take_rows(&b, &data, r, cbp_smaller(rows, n - r));
            b.jac = cbp_at(net, jac, r * net->n_out * columns);
            run_up(&b);
            run_outputs(&b);
        }
    }
    cbp_fp_leave(mode);
    return CBP_OK;
}
