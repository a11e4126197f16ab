/* Serving: threads that predict with one plan and one pool while another trains and publishes what it has learned. */
#include "os.h"

#include "naive.h"
#include "net.h"

enum { READERS = 8, SLOTS = READERS + 2, VERSIONS = 40, ROWS = 200, N_IN = 48, N_HIDDEN = 256, N_OUT = 5 };

/* So many rows are worth a pool: more than two threads, or just two */
static int64_t n_rows(void) { return many_or(ROWS, 128); }
static int n_readers(void) { return many_or(READERS, READERS / 2); }
static int n_versions(void) { return many_or(VERSIONS, 5); }

static cbp_net *net;
static int64_t n_params;
static void *x, *y, *start;
static float *expected[VERSIONS]; /* outputs (ROWS, N_OUT) of each version, by a training that was alone */

static void make_network(void) {
    static const cbp_dense layer[] = {{.units = N_HIDDEN, .act = CBP_ACT_tanh},
                                      {.units = N_OUT, .act = CBP_ACT_identity}};
    const cbp_spec spec = {
        .dtype = CBP_FLOAT32, .n_in = N_IN, .n_layers = 2, .layers = layer, .loss = CBP_LOSS_half_squared_error};
    CHECK(cbp_net_new(&net, &spec) == CBP_OK);
    n_params = cbp_n_params(net);
    start = random_reals(CBP_FLOAT32, n_params, -0.2, 0.2);
    x = random_reals(CBP_FLOAT32, n_rows() * N_IN, -1, 1);
    y = random_reals(CBP_FLOAT32, n_rows() * N_OUT, 0, 1);
}

static cbp_mem memory(cbp_pool *pool) {
    return (cbp_mem){.theta = copy_of(CBP_FLOAT32, n_params, start),
                     .grad = zeros(CBP_FLOAT32, n_params),
                     .work = block(cbp_work_bytes(net, n_rows(), CBP_TRAIN)),
                     .pool = pool};
}

static cbp_status step(const cbp_mem *mem) {
    const cbp_data data = {.n = n_rows(), .x = x, .y = y};
    double loss;
    return cbp_step(net, mem, &data, 0.05, &loss);
}

/* What each of n versions, the parameters after so many steps, makes of the rows */
static void expect_versions(int n) {
    const cbp_mem mem = memory(NULL);
    for (int v = 0; v < n; v++) {
        CHECK(v == 0 || step(&mem) == CBP_OK);
        expected[v] = reals(CBP_FLOAT32, n_rows() * N_OUT);
        CHECK(cbp_predict(net, &mem, n_rows(), x, expected[v]) == CBP_OK);
        CHECK(v == 0 || memcmp(expected[v], expected[v - 1], sizeof(float)) != 0);
    }
}

/* A pool of which steps and predictions of all rows take more than one thread */
static cbp_pool *pool_for_rows(void) {
    cbp_pool *pool;
    CHECK(cbp_pool_new(&pool, 3) == CBP_OK);
    CHECK(cbp_cut_for(pool, 2.0 * (double)n_rows() * N_IN * N_HIDDEN).threads > 1);
    return pool;
}

/* ---- what is published: a few vectors, of which one is current ---- */

typedef struct {
    cbp_atomic users; /* how many read it; -1: it is being written */
    int version;
    void *theta;
} slot;

static slot slots[SLOTS];
static cbp_atomic current;

static slot *borrow(void) {
    for (;;) {
        slot *const s = &slots[cbp_load(&current)];
        const int users = cbp_load(&s->users);
        if (users >= 0 && cbp_change(&s->users, users, users + 1)) return s;
        cbp_pause();
    }
}

static void give_back(slot *s) {
    for (int users; users = cbp_load(&s->users), !cbp_change(&s->users, users, users - 1);) cbp_pause();
}

/* Writes to a vector that nobody reads, and makes it the current one. */
static void publish(const void *theta, int version) {
    const int before = cbp_load(&current);
    int next = (before + 1) % SLOTS;
    while (next == before || !cbp_change(&slots[next].users, 0, -1)) {
        next = (next + 1) % SLOTS;
        cbp_yield();
    }
    memcpy(slots[next].theta, theta, (size_t)n_params * sizeof(float));
    slots[next].version = version;
    cbp_store(&slots[next].users, 0);
    cbp_store(&current, next);
}

static void publish_first(const void *theta) {
    cbp_store(&current, 0);
    for (int i = 0; i < SLOTS; i++) {
        slots[i].theta = copy_of(CBP_FLOAT32, n_params, theta);
        slots[i].version = 0;
        cbp_store(&slots[i].users, 0);
    }
}

/* ---- threads; they cannot CHECK, for a check that fails leaves its thread ---- */

typedef struct {
    cbp_thread thread;
    cbp_mem mem;
    float *out;
    int number, wrong, last;
    cbp_atomic begun;
} reader;

static reader readers[READERS]; /* a failed check leaves them running, on memory that stays */
static cbp_atomic done;

/* All rows, which is worth a pool, or one of them, which is not: as many bytes as they should be? */
static int predicts(reader *me, int turn, const void *theta, int version) {
    const int all = turn % 4 == 0;
    const int64_t from = all ? 0 : turn % n_rows(), n = all ? n_rows() : 1;
    me->mem.theta = (void *)theta;
    const cbp_status status = cbp_predict(net, &me->mem, n, (const float *)x + from * N_IN, me->out);
    return status == CBP_OK && !memcmp(me->out, expected[version] + from * N_OUT, (size_t)(n * N_OUT) * sizeof(float));
}

CBP_THREAD_MAIN(read_published, arg) {
    reader *const me = arg;
    for (int turn = me->number, left = 4; left; turn++) {
        left -= cbp_load(&done); /* some more of them when all is done */
        slot *const s = borrow();
        me->wrong += s->version < me->last || !predicts(me, turn, s->theta, s->version);
        me->last = s->version;
        give_back(s);
        cbp_store(&me->begun, 1);
    }
    return 0;
}

static void start_readers(cbp_pool *pool) {
    cbp_store(&done, 0);
    for (int i = 0; i < n_readers(); i++) {
        readers[i] = (reader){.number = i, .out = reals(CBP_FLOAT32, n_rows() * N_OUT)};
        readers[i].mem = (cbp_mem){.work = block(cbp_work_bytes(net, n_rows(), CBP_PREDICT)), .pool = pool};
        cbp_store(&readers[i].begun, 0);
        CHECK(cbp_thread_start(&readers[i].thread, read_published, &readers[i]));
    }
    for (int i = 0; i < n_readers(); i++)
        while (!cbp_load(&readers[i].begun)) cbp_yield();
}

static void stop_readers(int last) {
    cbp_store(&done, 1);
    for (int i = 0; i < n_readers(); i++) {
        NOTE("reader %d", i);
        cbp_thread_join(readers[i].thread);
        CHECKF(readers[i].wrong == 0, "%d predictions were of no version", readers[i].wrong);
        CHECKF(readers[i].last == last, "the last version seen is %d", readers[i].last);
    }
}

enum { PUBLISHED = 25 }; /* times that every version is: training is slow, swapping quick */

CASE(readers_see_whole_versions_while_one_thread_trains_and_swaps) {
    make_network();
    expect_versions(n_versions());
    cbp_pool *const pool = pool_for_rows();
    const cbp_mem mem = memory(pool);
    publish_first(mem.theta);
    start_readers(pool);
    for (int v = 1; v < n_versions(); v++) {
        CHECK(step(&mem) == CBP_OK);
        for (int again = 0; again < PUBLISHED; again++) publish(mem.theta, v);
    }
    stop_readers(n_versions() - 1);
    cbp_pool_free(pool);
    cbp_net_free(net);
}

CASE(readers_of_one_vector_share_a_plan_and_a_pool_that_changes_its_size) {
    make_network();
    expect_versions(1);
    cbp_pool *const pool = pool_for_rows();
    publish_first(start);
    start_readers(pool);
    for (int change = 0; change < 40; change++) CHECK(cbp_pool_resize(pool, 1 + change % 4) == CBP_OK);
    stop_readers(0);
    cbp_pool_free(pool);
    cbp_net_free(net);
}

/* ---- trainers ---- */

enum { TRAINERS = 4 };

typedef struct {
    cbp_thread thread;
    cbp_mem mem;
    cbp_status status;
} trainer;

static trainer trainers[TRAINERS];

CBP_THREAD_MAIN(train_some, arg) {
    trainer *const me = arg;
    for (int v = 1; v < n_versions() && me->status == CBP_OK; v++) me->status = step(&me->mem);
    return 0;
}

CASE(memories_of_one_plan_train_at_once_with_one_pool) {
    float *const out = reals(CBP_FLOAT32, n_rows() * N_OUT);
    make_network();
    expect_versions(n_versions());
    cbp_pool *const pool = pool_for_rows();
    for (trainer *t = trainers; t < trainers + TRAINERS; t++) {
        *t = (trainer){.mem = memory(pool)};
        CHECK(cbp_thread_start(&t->thread, train_some, t));
    }
    for (trainer *t = trainers; t < trainers + TRAINERS; t++) {
        cbp_thread_join(t->thread);
        CHECK(t->status == CBP_OK && cbp_predict(net, &t->mem, n_rows(), x, out) == CBP_OK);
        CHECK_BYTES(n_rows() * N_OUT, sizeof(float), out, expected[n_versions() - 1]);
    }
    cbp_pool_free(pool);
    cbp_net_free(net);
}
