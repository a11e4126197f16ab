/* matrix.c - the Gauss-Newton matrix, to which a block of rows adds its share.
 *
 * Called by curve.c; calls along.c and the kernel table. A row r of the Jacobian of output k by theta[l] is a product,
 * in_i delta_j, `in` with a 1 for the bias before it; and so is a block of the matrix, of layers l and l':
 *     G[(i, j), (i', j')] = sum_r in_i in'_i' M[j, j'],     M[j, j'] = sum_k delta_kj beta'_kj'
 * where beta is to the Hessian of the loss times a seed what delta is to the seed. That is one product of matrices,
 * (pairs of inputs, rows) by (rows, pairs of units), in which the outputs are summed up before: their number does not
 * matter. Within a layer a pair is taken once, i <= i' and j <= j'.
 */
#include "curve.h"

#include <string.h>

/* Pairs of inputs at a time, if one input has no more; numbers of the pairs of units that a block may have */
enum { CHUNK = 128, MOST_NUMBERS = 1 << 22, FEWEST_ROWS = 16 };

static int n_in(const cbp_net *net, int l) { return net->stage[l].n_in + 1; }
static int n_out(const cbp_net *net, int l) { return net->stage[l].n_out; }

/* How many pairs the first j units of layer l make with those of layer k */
static int64_t pairs_before(const cbp_net *net, int l, int k, int64_t j) {
    return l == k ? j * n_out(net, l) - j * (j - 1) / 2 : j * n_out(net, k);
}
static int64_t unit_pairs(const cbp_net *net, int l, int k) { return pairs_before(net, l, k, n_out(net, l)); }

static int64_t all_pairs(const cbp_net *net) {
    int64_t sum = 0;
    for (int l = 1; l <= net->n_layers; l++)
        for (int k = l; k <= net->n_layers; k++) sum += unit_pairs(net, l, k);
    return sum;
}

/* ---- the workspace ---- */

int64_t cbp_matrix_rows(const cbp_net *net) {
    const int64_t rows = MOST_NUMBERS / (all_pairs(net) + 1);
    return rows < FEWEST_ROWS ? FEWEST_ROWS : cbp_smaller(rows, CBP_CURVE_ROWS);
}

/* Inputs of all layers, each with its 1, a row of them */
static int64_t ones_before(const cbp_net *net, int l) {
    int64_t sum = 0;
    for (int k = 1; k < l; k++) sum += n_in(net, k);
    return sum;
}

/* Pairs of inputs that a thread has room for */
static int64_t most_pairs(const cbp_net *net) {
    int most = CHUNK;
    for (int l = 1; l <= net->n_layers; l++) {
        most = n_in(net, l) > most ? n_in(net, l) : most;
        most = n_out(net, l) > most ? n_out(net, l) : most;
    }
    return most;
}

int64_t cbp_matrix_numbers(const cbp_net *net) { return all_pairs(net) + ones_before(net, net->n_layers + 1); }

size_t cbp_matrix_room(const cbp_net *net, int64_t m) {
    const size_t bytes = (size_t)most_pairs(net) * ((size_t)m * net->real + sizeof(int64_t));
    return (bytes + CBP_ALIGN - 1) / CBP_ALIGN * CBP_ALIGN;
}

static void *ones_at(const cbp_chunk *b, int l, int64_t row) {
    return cbp_at(b->net, b->pairs, ones_before(b->net, l) * b->f.m + row * n_in(b->net, l));
}

/* M of two layers, (m, unit_pairs) */
static void *units_at(const cbp_chunk *b, int l, int k, int64_t row) {
    const cbp_net *net = b->net;
    int64_t before = ones_before(net, net->n_layers + 1);
    for (int i = 1; i <= l; i++)
        for (int j = i; j <= net->n_layers && (i < l || j < k); j++) before += unit_pairs(net, i, j);
    return cbp_at(net, b->pairs, before * b->f.m + row * unit_pairs(net, l, k));
}

/* ---- what the rows say ---- */

/* Output j of a top, the first or another one, into M of all pairs of layers */
static void add_output(const cbp_chunk *b, const cbp_top *top, int j, int64_t first, int64_t m, void *room) {
    const cbp_net *net = b->net;
    const cbp_frame *beta = b->flat ? &b->f : &b->t;
    cbp_output_down(b, top, j, 0, &b->f, first, m, room);
    if (!b->flat) cbp_output_down(b, top, j, 1, &b->t, first, m, room);
    for (int l = 1; l <= net->n_layers; l++)
        for (int k = l; k <= net->n_layers; k++) {
            const int n = n_out(net, l), o = n_out(net, k);
            if (cbp_is_frozen(b->mem, l) || cbp_is_frozen(b->mem, k)) continue;
            net->k->pairs(m, n, o, l == k, top->first + j > 0, cbp_at(net, cbp_frame_e(net, &b->f, l), first * n), n,
                          cbp_at(net, cbp_frame_e(net, beta, k), first * o), o, units_at(b, l, k, first),
                          unit_pairs(net, l, k));
        }
}

static void rows_part(void *ctx, int part, int thread) {
    const cbp_chunk *b = ctx;
    const cbp_net *net = b->net;
    int64_t first, m;
    cbp_share(b->f.m, 1, part, b->rows.parts, &first, &m);
    if (m == 0) return;
    for (int l = 1; l <= net->n_layers; l++) {
        const int n = net->stage[l].n_in;
        net->k->prepend(m, n, cbp_at(net, cbp_inputs(net, &b->f, b->data.x, l), first * n), ones_at(b, l, first));
    }
    for (int i = 0; i < cbp_n_tops(net); i++)
        for (int j = 0; j < net->top[i].units; j++)
            add_output(b, &net->top[i], j, first, m, cbp_room(b->f.rooms, thread));
}

/* ---- the products ---- */

/* Inputs first .. end of layer l with those of layer k, and where in the matrix each pair of them begins */
typedef struct {
    const cbp_chunk *b;
    int l, k, first, end;
    int64_t width;
    int64_t *base;
} task;

/* Numbers of a row that input i makes: pairs with other inputs, or with the units where run_narrow is for them */
static int64_t pairs_of(const cbp_net *net, int l, int k, int i) {
    if (l == k) return n_in(net, l) - i;
    return n_out(net, k) == 1 ? n_out(net, l) : n_in(net, k);
}

/* Task number `wanted`, or their number if that is negative */
static int64_t find_task(const cbp_net *net, int64_t wanted, task *t) {
    int64_t number = 0;
    for (int l = 1; l <= net->n_layers; l++)
        for (int k = l; k <= net->n_layers; k++)
            for (int i = 0, end; i < n_in(net, l); i = end, number++) {
                int64_t width = pairs_of(net, l, k, i);
                for (end = i + 1; end < n_in(net, l) && width + pairs_of(net, l, k, end) <= CHUNK; end++)
                    width += pairs_of(net, l, k, end);
                if (number == wanted) t->l = l, t->k = k, t->first = i, t->end = end, t->width = width;
            }
    return number;
}

/* A block of the product, columns `col` .. col + cols of M, whose rows are pairs of inputs, added to the matrix */
static void scatter(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t ldc) {
    const task *t = ctx;
    const cbp_net *net = t->b->net;
    const int64_t n = net->n_params, o = n_out(net, t->k), end = col + cols;
    int64_t j = 0;
    while (pairs_before(net, t->l, t->k, j + 1) <= col) j++;
    for (int64_t at = col; at < end; j++) {
        const int64_t stop = cbp_smaller(pairs_before(net, t->l, t->k, j + 1), end), length = stop - at;
        const int64_t to = o - (pairs_before(net, t->l, t->k, j + 1) - at); /* j' */
        for (int64_t r = 0; r < rows; r++)
            net->k->add(1, length, cbp_at(net, c, r * ldc + at - col), length,
                        cbp_at(net, t->b->sum, t->base[row + r] + j * n + to), length);
        at = stop;
    }
}

static void place_pairs(const task *t) {
    const cbp_net *net = t->b->net;
    const cbp_stage *s = &net->stage[t->l], *other = &net->stage[t->k];
    int64_t at = 0;
    for (int i = t->first; i < t->end; i++)
        for (int k = t->l == t->k ? i : 0; k < n_in(net, t->k); k++, at++)
            t->base[at] = (s->theta + (int64_t)i * s->n_out) * net->n_params + other->theta + (int64_t)k * other->n_out;
}

/* Where a product goes: element (r, c) to `at` + r * row + c * col, of rows that are less than `rows` */
typedef struct {
    const cbp_net *net;
    void *at;
    int64_t row, col, rows;
} place;

/* Rows of a product in tiles of twelve: one or two more, which are dropped, take less time than tiles of one and two.
 * They are made of what follows a row of the inputs, that is the next one, or the pairs of units. */
static int64_t tiled(int64_t rows) { return rows % 12 >= 10 ? rows + 12 - rows % 12 : rows; }

static void put(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t ldc) {
    const place *p = ctx;
    void *const at = cbp_at(p->net, p->at, row * p->row + col * p->col);
    rows = cbp_smaller(rows, p->rows - row);
    if (p->col == 1) {
        p->net->k->add(rows, cols, c, ldc, at, p->row);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        p->net->k->add(cols, 1, cbp_at(p->net, c, r * ldc), 1, cbp_at(p->net, at, r * p->row), p->col);
}

/* Inputs of t's layer l with a layer k of a single unit: [1 A^k]^T times the pairs of inputs and M, turned */
static void run_narrow(const task *t, void *x, void *room) {
    const cbp_chunk *b = t->b;
    const cbp_net *net = b->net;
    const int64_t n = net->n_params, m = b->f.m, inputs = t->end - t->first, units = unit_pairs(net, t->l, t->k);
    const int64_t row = net->stage[t->l].theta + t->first * n_out(net, t->l), width = inputs * units;
    place to = {net, cbp_at(net, b->sum, row * n + net->stage[t->k].theta), 1, n, n_in(net, t->k)};
    const cbp_strided left = {ones_at(b, t->k, 0), 1, n_in(net, t->k)}, right = {x, width, 1};
    net->k->pairs(m, inputs, units, 0, 0, cbp_at(net, ones_at(b, t->l, 0), t->first), n_in(net, t->l),
                  units_at(b, t->l, t->k, 0), units, x, width);
    net->k->product(tiled(n_in(net, t->k)), width, m, left, right, NULL, to.at, 0, 1, room, put, &to);
}

/* The last layer with itself, if it has a single unit: [1 A]^T times [1 A], its rows times M */
static void run_single(const cbp_chunk *b, int l, void *x, void *room) {
    const cbp_net *net = b->net;
    const int64_t n = n_in(net, l), theta = net->stage[l].theta;
    place to = {net, cbp_at(net, b->sum, theta * net->n_params + theta), net->n_params, 1, n};
    const cbp_strided left = {ones_at(b, l, 0), 1, n}, right = {x, n, 1};
    net->k->scale_rows(b->f.m, n, units_at(b, l, l, 0), ones_at(b, l, 0), x);
    net->k->product(tiled(n), n, b->f.m, left, right, NULL, to.at, 0, 1, room, put, &to);
}

static void run_task(const cbp_chunk *b, int64_t number, int thread) {
    const cbp_net *net = b->net;
    char *const mine = (char *)b->places + (size_t)thread * cbp_matrix_room(net, b->f.m);
    void *const x = mine + (size_t)most_pairs(net) * sizeof(int64_t);
    task t = {.b = b, .base = (int64_t *)mine};
    find_task(net, number, &t);
    if (cbp_is_frozen(b->mem, t.l) || cbp_is_frozen(b->mem, t.k)) return;
    if (n_out(net, t.k) == 1) {
        void *const room = cbp_room(b->f.rooms, thread);
        if (t.l < t.k)
            run_narrow(&t, x, room);
        else if (t.first == 0)
            run_single(b, t.l, x, room);
        return;
    }
    const int n = n_in(net, t.l), o = n_in(net, t.k), from = t.l == t.k ? t.first : 0;
    place_pairs(&t);
    net->k->pairs(b->f.m, t.end - t.first, o - from, t.l == t.k, 0, cbp_at(net, ones_at(b, t.l, 0), t.first), n,
                  cbp_at(net, ones_at(b, t.k, 0), from), o, x, t.width);
    const int64_t cols = unit_pairs(net, t.l, t.k);
    const cbp_strided left = {x, 1, t.width}, right = {units_at(b, t.l, t.k, 0), cols, 1};
    net->k->product(t.width, cols, b->f.m, left, right, NULL, b->sum, 0, 1, cbp_room(b->f.rooms, thread), scatter, &t);
}

static void task_part(void *ctx, int part, int thread) {
    const cbp_chunk *b = ctx;
    const int64_t tasks = find_task(b->net, -1, NULL);
    for (int64_t i = part; i < tasks; i += b->cut.parts) run_task(b, i, thread);
}

void cbp_matrix_add(cbp_chunk *b, void *matrix) {
    const cbp_net *net = b->net;
    const double n = (double)net->n_params, rows = (double)b->f.m;
    b->sum = matrix;
    cbp_pool_run(b->mem->pool, b->rows, rows_part, b);
    b->cut = cbp_cut_for(b->mem->pool, rows * n * n);
    b->cut.parts = (int)cbp_smaller(find_task(net, -1, NULL), b->cut.threads > 1 ? CBP_MOST_PARTS : 1);
    if (b->cut.parts < b->cut.threads) b->cut.threads = b->cut.parts;
    cbp_pool_run(b->mem->pool, b->cut, task_part, b);
}

void cbp_matrix_complete(const cbp_net *net, void *matrix) {
    const int64_t n = net->n_params;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const int64_t o = s->n_out;
        for (int64_t i = 0; o > 1 && i <= s->n_in; i++)
            for (int64_t k = i + 1; k <= s->n_in; k++)
                net->k->mirror(o, cbp_at(net, matrix, (s->theta + i * o) * n + s->theta + k * o), n);
    }
    net->k->mirror(n, matrix, n);
}
