/* iris.c - learns to tell three species of iris by the length and width of their sepals and petals (Fisher 1936), keeps
 * the weights in a file, and reads them back; docs/embed/c.md says how to build it.
 *
 *     iris iris.csv iris.weights
 */
#include <cbp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 150, INPUTS = 4, SPECIES = 3, EPOCHS = 60, BATCH = 16, SEED = 1 };

typedef struct {
    int64_t n;
    double x[ROWS][INPUTS];
    int64_t label[ROWS];
} flowers;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "iris: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void check(cbp_status status) {
    if (status != CBP_OK) fail("cbp", cbp_message(status));
}

/* Zeroed memory, or the end of the program */
static void *zeros(size_t bytes) {
    void *p = calloc(1, bytes);
    if (!p) check(CBP_NO_MEMORY);
    return p;
}

/* Every fifth row is for the test, the others are for training */
static void read_flowers(const char *path, flowers *train, flowers *test) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path, "cannot be read");
    for (int row = 0; row < ROWS; row++) {
        flowers *const set = row % 5 == 0 ? test : train;
        double *const x = set->x[set->n];
        long label;
        if (fscanf(file, "%lf,%lf,%lf,%lf,%ld", x, x + 1, x + 2, x + 3, &label) != 5) fail(path, "is not what it was");
        set->label[set->n++] = label;
    }
    fclose(file);
}

/* The plan: 4 > 8 tanh > 3 softmax */
static cbp_net *new_plan(void) {
    const cbp_dense layers[] = {{.units = 8, .act = CBP_ACT_tanh}, {.units = SPECIES, .act = CBP_ACT_softmax}};
    const cbp_spec spec = {.dtype = CBP_FLOAT64,
                           .n_in = INPUTS,
                           .n_layers = 2,
                           .layers = layers,
                           .loss = CBP_LOSS_categorical_cross_entropy};
    cbp_net *net;
    check(cbp_net_new(&net, &spec));
    return net;
}

/* An optimiser with the defaults of its row */
static cbp_opt new_optimizer(cbp_optimizer kind) {
    const cbp_info *row = &cbp_table(CBP_OPTIMIZERS, NULL)[kind];
    cbp_opt opt = {.kind = kind};
    for (int i = 0; row->arg[i].name; i++) opt.arg[i] = row->arg[i].value;
    return opt;
}

/* theta := trained weights. The rows of an epoch come in an order of its own; threads share the work where there is
 * enough of it, and change no bit. */
static void train(const cbp_net *net, const flowers *set, double *theta) {
    const size_t vector = (size_t)cbp_n_params(net) * sizeof(double);
    const int n_slots = cbp_table(CBP_OPTIMIZERS, NULL)[CBP_OPT_adam].n_slots;
    cbp_mem mem = {.theta = theta,
                   .grad = zeros(vector),
                   .slots = zeros((size_t)n_slots * vector),
                   .work = zeros(cbp_work_bytes(net, BATCH, CBP_EPOCH))};
    check(cbp_pool_new(&mem.pool, cbp_cpus()));

    const cbp_initializer rule[] = {CBP_INIT_glorot_uniform, CBP_INIT_glorot_uniform};
    check(cbp_init(net, rule, NULL, SEED, theta));
    const cbp_data data = {.n = set->n, .x = set->x, .labels = set->label};
    cbp_opt adam = new_optimizer(CBP_OPT_adam);
    const double learning_rate = 0.01;
    int64_t order[ROWS];
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        cbp_report report;
        check(cbp_permutation(SEED, (uint64_t)epoch, set->n, order));
        check(cbp_epoch(net, &mem, &adam, &data, order, BATCH, &learning_rate, 1, &report));
        if ((epoch + 1) % 20 == 0) printf("epoch %d  loss %.4f\n", epoch + 1, report.loss);
    }
    cbp_pool_free(mem.pool);
    free(mem.grad), free(mem.slots), free(mem.work);
}

static void save(const char *path, const double *theta, size_t n) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(theta, sizeof *theta, n, file) != n || fclose(file)) fail(path, "cannot be written");
}

static void load(const char *path, double *theta, size_t n) {
    FILE *file = fopen(path, "rb");
    if (!file || fread(theta, sizeof *theta, n, file) != n || fgetc(file) != EOF) fail(path, "is not of this network");
    fclose(file);
}

/* How many flowers are of the species that gets the highest probability */
static int count_right(const cbp_net *net, double *theta, const flowers *set) {
    double p[ROWS][SPECIES];
    const cbp_mem mem = {.theta = theta, .work = zeros(cbp_work_bytes(net, set->n, CBP_PREDICT))};
    check(cbp_predict(net, &mem, set->n, set->x, p));
    free(mem.work);
    int right = 0;
    for (int64_t r = 0; r < set->n; r++) {
        int best = 0;
        for (int j = 1; j < SPECIES; j++)
            if (p[r][j] > p[r][best]) best = j;
        right += best == set->label[r];
    }
    return right;
}

int main(int argc, char **argv) {
    static flowers train_set, test_set;
    if (argc != 3) fail("usage", "iris iris.csv iris.weights");
    read_flowers(argv[1], &train_set, &test_set);

    cbp_net *const net = new_plan();
    const size_t n = (size_t)cbp_n_params(net);
    double *const theta = zeros(n * sizeof *theta);
    train(net, &train_set, theta);
    save(argv[2], theta, n);

    memset(theta, 0, n * sizeof *theta);
    load(argv[2], theta, n);
    printf("%d of %d flowers it has not seen are named rightly\n", count_right(net, theta, &test_set), (int)test_set.n);
    free(theta);
    cbp_net_free(net);
    return EXIT_SUCCESS;
}
