/* gemm.c - the three products of a layer, each with its last touch: nn with the activation, nt with the slope, tn with
 * 1/sum s, the layer's penalty and the optimiser's update.
 *
 * Called by net.c; calls limit.c. theta of a layer is (n_in + 1, n_out), row 0 the bias. Here is the place where work
 * is cut into parts for the pool: by columns where there are enough of them, so that a thread meets the same columns of
 * W again on the way up and in the update; by rows otherwise. Any cut keeps the bits, as long as one thread owns one
 * element.
 */
#include "net.h"

#include <string.h>

/* Less work than this is not worth the hand-over to another thread */
#define FLOPS_A_THREAD 1.5e6

/* Parts dealt to a thread, so that others can take some over if its processor is busy with something else; the fewest
 * rows of one */
#define PARTS_A_THREAD 2
#define FEWEST_ROWS 24

/* Weights up to which a single row does better without W turned round */
#define MOST_UNTURNED (1 << 16)

/* Blocks of C of at least this many bytes get their last touch one by one, while they are in the cache */
#define TOUCH_BYTES (32 * 1024)

/* ---- parts ---- */

typedef struct {
    int64_t row, rows, col, cols;
} rectangle;

cbp_cut cbp_cut_for(cbp_pool *pool, double flops) {
    if (flops < 2 * FLOPS_A_THREAD) return (cbp_cut){1, 1};
    const int most = (int)cbp_smaller(cbp_pool_size(pool), CBP_MAX_PARTS);
    const double wanted = flops / FLOPS_A_THREAD;
    const int threads = wanted >= most ? most : (int)wanted;
    return (cbp_cut){threads, threads};
}

/* The parts of a matrix (m, n): as many for every thread, if possible some. See part_of. */
cbp_cut cbp_cut_matrix(const cbp_net *net, cbp_cut cut, int64_t m, int64_t n) {
    const int64_t panels = n / net->k->panel, rows = m / FEWEST_ROWS;
    const int64_t most = (panels >= cut.threads ? panels : rows) / cut.threads;
    const int64_t each = cut.threads == 1 || most < 1 ? 1 : cbp_smaller(most, PARTS_A_THREAD);
    const int64_t parts = each * cut.threads;
    return (cbp_cut){cut.threads, (int)(parts < CBP_MAX_PARTS ? parts : cut.threads)};
}

void cbp_share(int64_t n, int64_t grain, int part, int parts, int64_t *first, int64_t *count) {
    *first = 0, *count = n;
    if (parts == 1) return;
    const int64_t grains = (n + grain - 1) / grain;
    const int64_t end = grains * (part + 1) / parts * grain;
    *first = grains * part / parts * grain;
    *count = cbp_smaller(end, n) - *first;
}

/* Part of a matrix (m, n): columns in whole vectors if every part gets a panel of two, else rows */
static rectangle part_of(const cbp_net *net, int64_t m, int64_t n, int part, int parts) {
    rectangle at = {0, m, 0, n};
    if (n >= net->k->panel * (int64_t)parts)
        cbp_share(n, net->k->panel / 2, part, parts, &at.col, &at.cols);
    else
        cbp_share(m, 1, part, parts, &at.row, &at.rows);
    return at;
}

/* ---- nn: a layer up ---- */

/* x := s x, s being the steepness */
static void steepen(const cbp_net *net, const cbp_stage *s, rectangle at, void *x) {
    if (s->steepness != 1) net->k->scale(at.rows, at.cols, s->steepness, x, s->n_out);
}

/* z -> g(z) in the rectangle that starts at z; d := g'(z), or log a for a row-wise activation, unless NULL */
static inline void apply_runs(const cbp_net *net, const cbp_stage *s, rectangle at, void *z, void *d) {
    for (int i = 0; i < s->n_runs; i++) {
        const cbp_run *run = &s->runs[i];
        const int64_t first = run->first > at.col ? run->first : at.col;
        const int64_t end = run->first + run->count < at.col + at.cols ? run->first + run->count : at.col + at.cols;
        if (first >= end) continue;
        net->k->act[run->act](at.rows, end - first, s->n_out, run->arg, cbp_at(net, z, first - at.col),
                              d ? cbp_at(net, d, first - at.col) : NULL);
    }
}

/* z -> g(s z); d := s g'(s z), or log a */
static void activate(const cbp_net *net, const cbp_stage *s, rectangle at, void *z, void *d) {
    steepen(net, s, at, z);
    apply_runs(net, s, at, z, d);
    if (d && !s->row_wise) steepen(net, s, at, d);
}

void cbp_activate(const cbp_net *net, const cbp_stage *s, int64_t m, void *z, void *d) {
    activate(net, s, (rectangle){0, m, 0, s->n_out}, z, d);
}

typedef struct {
    const cbp_net *net;
    const cbp_stage *s;
    int64_t m;
    const void *a, *theta;
    void *z, *d, *rooms;
    cbp_cut cut;
    int head;
    int64_t row, col; /* where the part starts, for the last touch */
} up_job;

static void up_touch(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t ldc) {
    const up_job *job = ctx;
    const rectangle at = {job->row + row, rows, job->col + col, cols};
    activate(job->net, job->s, at, c, job->d ? cbp_at(job->net, job->d, at.row * ldc + at.col) : NULL);
}

static void up_part(void *ctx, int part, int thread) {
    up_job job = *(const up_job *)ctx;
    const cbp_net *net = job.net;
    const int64_t n_in = job.s->n_in, n_out = job.s->n_out;
    const rectangle at = part_of(net, job.m, n_out, part, job.cut.parts);
    const cbp_strided a = {cbp_at(net, job.a, at.row * n_in), n_in, 1};
    const cbp_strided w = {cbp_at(net, job.theta, n_out + at.col), n_out, 1};
    void *const z = cbp_at(net, job.z, at.row * n_out + at.col);
    const int later = job.head || job.s->row_wise; /* rows_part */
    const int by_block = !later && (size_t)(at.rows * at.cols) * net->real >= TOUCH_BYTES;
    job.row = at.row;
    job.col = at.col;
    net->k->product(at.rows, at.cols, n_in, a, w, cbp_at(net, job.theta, at.col), z, n_out, 0,
                    cbp_room(job.rooms, thread), by_block ? up_touch : NULL, &job);
    if (!by_block && !later) activate(net, job.s, at, z, job.d ? cbp_at(net, job.d, at.row * n_out + at.col) : NULL);
}

/* The same for each of several heads, whose losses may as well start from g' */
static void activate_heads(const cbp_net *net, const cbp_stage *s, rectangle at, void *z, void *d) {
    for (int i = 0; i < net->n_heads; i++) {
        const cbp_top *top = &net->top[i];
        const int keep = top->starts_from_z && !top->row_wise;
        const rectangle head = {at.row, at.rows, top->first, top->units};
        void *const zh = cbp_at(net, z, top->first), *const dh = cbp_at(net, d, top->first);
        if (keep) cbp_copy_rows(net, at.rows, top->units, zh, s->n_out, dh, s->n_out);
        apply_runs(net, s, head, zh, keep ? NULL : dh);
        if (!keep && !top->row_wise) steepen(net, s, head, dh);
    }
}

/* What the loss starts from: d keeps h, which is s z, or log a for a row-wise activation */
static void activate_head(const cbp_net *net, const cbp_stage *s, rectangle at, void *z, void *d) {
    steepen(net, s, at, z);
    if (net->n_heads) {
        activate_heads(net, s, at, z, d);
        return;
    }
    if (!s->row_wise) memcpy(d, z, (size_t)(at.rows * at.cols) * net->real);
    apply_runs(net, s, at, z, s->row_wise ? d : NULL);
}

/* A share of whole rows, after the product */
static void rows_part(void *ctx, int part, int thread) {
    const up_job *job = ctx;
    rectangle at = {0, 0, 0, job->s->n_out};
    (void)thread;
    cbp_share(job->m, 1, part, job->cut.parts, &at.row, &at.rows);
    const int64_t start = at.row * at.cols;
    (job->head ? activate_head : activate)(job->net, job->s, at, cbp_at(job->net, job->z, start),
                                           job->d ? cbp_at(job->net, job->d, start) : NULL);
}

/* One row: product and activation at once where the layer has one activation, unit by unit */
static void single_up(const up_job *job) {
    const cbp_stage *s = job->s;
    const int simple = s->n_runs == 1 && !s->row_wise && s->steepness == 1 && !(job->head && job->net->n_heads);
    const cbp_run *run = simple ? s->runs : NULL;
    job->net->k->row_up(s->n_in, s->n_out, job->a, job->theta, run, job->head, job->z, job->d);
    if (!run) (job->head ? activate_head : activate)(job->net, s, (rectangle){0, 1, 0, s->n_out}, job->z, job->d);
}

void cbp_up(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *theta, void *z, void *d,
            void *rooms, int head, cbp_pool *pool) {
    up_job job = {net, s, m, a, theta, z, d, rooms, {1, 1}, head, 0, 0};
    if (m == 1 && net->single_rows) {
        single_up(&job);
        return;
    }
    job.cut = cbp_cut_matrix(net, cbp_cut_for(pool, 2.0 * (double)m * s->n_in * s->n_out), m, s->n_out);
    cbp_pool_run(pool, job.cut, up_part, &job);
    if (s->row_wise || head) cbp_pool_run(pool, job.cut, rows_part, &job);
}

/* ---- nt: an error down ---- */

typedef struct {
    const cbp_net *net;
    const cbp_stage *s;
    int64_t m;
    const void *delta, *theta;
    void *e, *d, *rooms;
    cbp_cut cut;
    int64_t row, col;
} down_job;

/* d, which holds g'(z), becomes delta */
static void down_touch(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *c, int64_t ldc) {
    const down_job *job = ctx;
    const int64_t n_in = job->s->n_in;
    void *const d = cbp_at(job->net, job->d, (job->row + row) * n_in + job->col + col);
    job->net->k->multiply(rows, cols, c, ldc, d, n_in);
}

static void down_part(void *ctx, int part, int thread) {
    down_job job = *(const down_job *)ctx;
    const cbp_net *net = job.net;
    const int64_t n_in = job.s->n_in, n_out = job.s->n_out;
    const rectangle at = part_of(net, job.m, n_in, part, job.cut.parts);
    const cbp_strided delta = {cbp_at(net, job.delta, at.row * n_out), n_out, 1};
    const cbp_strided turned = {cbp_at(net, job.theta, n_out + at.col * n_out), 1, n_out};
    const int passing = job.d && n_out <= CBP_K_BLOCK;
    void *const e = cbp_at(net, passing ? job.d : job.e, at.row * n_in + at.col);
    job.row = at.row;
    job.col = at.col;
    net->k->product(at.rows, at.cols, n_out, delta, turned, NULL, e, n_in, passing, cbp_room(job.rooms, thread),
                    job.d ? down_touch : NULL, &job);
}

void cbp_down(const cbp_net *net, const cbp_stage *s, int64_t m, const void *delta, const void *theta, void *e, void *d,
              void *rooms, cbp_pool *pool) {
    if (m == 1 && net->single_rows && (int64_t)s->n_in * s->n_out <= MOST_UNTURNED) {
        net->k->row_down(s->n_in, s->n_out, delta, theta, e, d);
        return;
    }
    down_job job = {net, s, m, delta, theta, e, d, rooms, {1, 1}, 0, 0};
    job.cut = cbp_cut_matrix(net, cbp_cut_for(pool, 2.0 * (double)m * s->n_in * s->n_out), m, s->n_in);
    cbp_pool_run(pool, job.cut, down_part, &job);
}

/* ---- tn: the gradient, and what becomes of it ---- */

typedef struct {
    const cbp_tn_job *tn;
    int64_t row, col; /* of theta[l] where the product starts */
} tn_place;

static void tn_touch(void *ctx, int64_t row, int64_t col, int64_t rows, int64_t cols, void *g, int64_t ldg) {
    const tn_place *place = ctx;
    const cbp_tn_job *tn = place->tn;
    const cbp_net *net = tn->net;
    const int64_t at = tn->s->theta + (place->row + row) * tn->s->n_out + place->col + col;
    const cbp_use *use = tn->use;
    cbp_use complete;
    if (tn->s->l1 > 0 || tn->s->l2 > 0) {
        cbp_penalize(tn, place->row + row, at, rows, cols, g, ldg);
        complete = (cbp_use){use->opt, use->learning_rate, 1, 0};
        use = &complete;
    }
    if (use->opt) {
        cbp_move(net, tn->mem, use, at, rows, cols, tn->s->n_out, g, ldg);
        return;
    }
    if (use->factor != 1) net->k->scale(rows, cols, use->factor, g, ldg);
    for (int64_t r = 0; tn->mem->mask && r < rows; r++)
        net->k->hold(cols, cbp_at(net, tn->mem->mask, at + r * tn->s->n_out), NULL, cbp_at(net, g, r * ldg));
}

/* Rows and columns `at` of theta[l]'s gradient; row 0, the bias's, has the input 1 in every sample */
static void tn_product(const cbp_tn_job *tn, rectangle at, cbp_strided a, void *room) {
    const cbp_net *net = tn->net;
    const int64_t n_out = tn->s->n_out;
    const cbp_strided delta = {cbp_at(net, tn->delta, at.col), n_out, 1};
    tn_place place = {tn, at.row, at.col};
    const int passing = tn->use->opt && tn->m <= CBP_K_BLOCK;
    void *const g = cbp_at(net, passing ? tn->mem->theta : tn->mem->grad, tn->s->theta + at.row * n_out + at.col);
    net->k->product(at.rows, at.cols, tn->m, a, delta, NULL, g, n_out, passing, room, tn_touch, &place);
}

void cbp_tn_part(const cbp_tn_job *tn, int part, int parts) {
    const cbp_net *net = tn->net;
    const float one = 1;
    const double one_d = 1;
    if (tn->m == 1 && parts == 1 && net->single_rows) {
        tn_place whole = {tn, 0, 0};
        void *const g = cbp_at(net, tn->mem->grad, tn->s->theta);
        net->k->row_gradient(tn->s->n_in, tn->s->n_out, tn->a, tn->delta, g);
        tn_touch(&whole, 0, 0, tn->s->n_in + 1, tn->s->n_out, g, tn->s->n_out);
        return;
    }
    const cbp_strided unit = {net->dtype == CBP_FLOAT32 ? (const void *)&one : (const void *)&one_d, 0, 0};
    rectangle at = part_of(net, tn->s->n_in, tn->s->n_out, part, parts);
    const cbp_strided a = {cbp_at(net, tn->a, at.row), 1, tn->s->n_in};
    const int by_rows = at.cols == tn->s->n_out;
    if (part == 0 || !by_rows) tn_product(tn, (rectangle){0, 1, at.col, at.cols}, unit, NULL);
    at.row++;
    tn_product(tn, at, a, tn->room);
}
