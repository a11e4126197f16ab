/* make_fann_fixtures.c - networks of libfann and what it predicts with them, for tests/test_fann.py.
 *
 *     cc make_fann_fixtures.c -lfann -lm -o fixtures && ./fixtures make tests/data/fann
 *     cc -DDOUBLE make_fann_fixtures.c -ldoublefann -lm -o fixtures && ./fixtures make tests/data/fann
 *
 * writes .net files and, beside each, a .txt with a line of inputs and outputs for every row. The second line does so
 * for the library in double. Weights come from a generator of our own, so the files are the same whenever they are
 * made, except for `sparse`, whose connections libfann chooses at random, and `cascade`, whose first weights it does.
 *
 *     ./fixtures run FILE.net raw|scaled
 *
 * prints the outputs for rows of inputs that it reads: tests/test_fann_peers.py. Needs libfann 2.2 (Debian:
 * libfann-dev).
 */
#ifdef DOUBLE
#include <doublefann.h>
#define KIND "double"
#else
#include <floatfann.h>
#define KIND "float"
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 12, MOST = 16 };

static uint32_t state = 1;

/* From -2 to 2, with few binary places. */
static fann_type next(void) {
    state = state * 1664525u + 1013904223u;
    return (fann_type)((int)(state >> 20) - 2048) / 1024;
}

static void randomize(struct fann *net) {
    unsigned n = fann_get_total_connections(net);
    struct fann_connection *all = malloc(n * sizeof *all);
    fann_get_connection_array(net, all);
    for (unsigned i = 0; i < n; i++) all[i].weight = next();
    fann_set_weight_array(net, all, n);
    free(all);
}

static void predict(struct fann *net, fann_type *row, int scaled, FILE *to) {
    if (scaled) fann_scale_input(net, row);
    fann_type *outputs = fann_run(net, row);
    if (scaled) fann_descale_output(net, outputs);
    for (unsigned j = 0; j < fann_get_num_output(net); j++) fprintf(to, " %.17g", (double)outputs[j]);
    fprintf(to, "\n");
}

/* Saves the network as folder/name.net, and what it makes of some rows as folder/name.txt. */
static void keep(struct fann *net, const char *folder, const char *name, int scaled) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.net", folder, name);
    fann_save(net, path);
    snprintf(path, sizeof path, "%s/%s.txt", folder, name);
    FILE *file = fopen(path, "w");
    for (int r = 0; r < ROWS; r++) {
        fann_type row[MOST];
        for (unsigned i = 0; i < fann_get_num_input(net); i++)
            fprintf(file, " %.17g", (double)(row[i] = next() * (scaled ? 30 : 1)));
        predict(net, row, scaled, file);
    }
    fclose(file);
}

static void each_function(const char *folder) {
    for (unsigned number = 0; number <= FANN_COS; number++) {
        char name[64];
        snprintf(name, sizeof name, KIND "_%02u", number);
        state = 100 + number;
        struct fann *net = fann_create_standard(4, 3, 4, 3, 2);
        randomize(net);
        fann_set_activation_function_hidden(net, number);
        fann_set_activation_function_output(net, number);
        fann_set_activation_steepness_layer(net, 0.75, 1);
        fann_set_activation_steepness_layer(net, 0.5, 2);
        fann_set_activation_steepness_layer(net, 0.375, 3);
        keep(net, folder, name, 0);
        fann_destroy(net);
    }
}

/* Another function and steepness for every neuron. */
static void mix(struct fann *net) {
    static const int functions[] = {3, 8, 10, 5, 16, 11, 12, 7, 17, 13, 0, 15, 14};
    unsigned widths[MOST], k = 0;
    fann_get_layer_array(net, widths);
    for (unsigned layer = 1; layer < fann_get_num_layers(net); layer++)
        for (unsigned j = 0; j < widths[layer]; j++, k++) {
            fann_set_activation_function(net, functions[k % 13], (int)layer, (int)j);
            fann_set_activation_steepness(net, 0.125f * (1 + k % 7), (int)layer, (int)j);
        }
}

static void mixed(const char *folder) {
    state = 200;
    struct fann *net = fann_create_standard(4, 3, 7, 6, 3);
    randomize(net);
    mix(net);
    keep(net, folder, KIND "_mixed", 0);
    fann_destroy(net);

    net = fann_create_shortcut(4, 3, 4, 5, 2);
    randomize(net);
    mix(net);
    keep(net, folder, KIND "_shortcut", 0);
    fann_destroy(net);
}

#ifndef DOUBLE
static void sparse(const char *folder) {
    state = 300;
    struct fann *net = fann_create_sparse(0.4f, 4, 4, 8, 6, 3);
    randomize(net);
    fann_set_activation_function_hidden(net, FANN_ELLIOT);
    fann_set_activation_function_output(net, FANN_SIGMOID_SYMMETRIC);
    keep(net, folder, KIND "_sparse", 0);
    fann_destroy(net);
}

static struct fann_train_data *parabola(void) {
    struct fann_train_data *data = fann_create_train(40, 2, 1);
    for (unsigned r = 0; r < 40; r++) {
        data->input[r][0] = 10 + 20 * next();
        data->input[r][1] = 3 * next();
        data->output[r][0] = data->input[r][0] * data->input[r][1] / 60;
    }
    return data;
}

static void trained(const char *folder) {
    state = 400;
    struct fann_train_data *data = parabola();
    struct fann *net = fann_create_standard(3, 2, 6, 1);
    randomize(net);
    fann_set_activation_function_hidden(net, FANN_SIGMOID_SYMMETRIC);
    fann_set_activation_function_output(net, FANN_SIN);
    fann_set_scaling_params(net, data, -1, 1, 0.25f, 0.75f);
    struct fann_train_data *scaled = fann_duplicate_train_data(data);
    fann_scale_train(net, scaled);
    fann_train_on_data(net, scaled, 50, 0, 0.0f);
    keep(net, folder, KIND "_scaled", 1);
    fann_set_activation_function_hidden(net, FANN_SIGMOID);
    fann_set_activation_function_output(net, FANN_SIGMOID);
    char path[512];
    snprintf(path, sizeof path, "%s/fixed.net", folder);
    fann_save_to_fixed(net, path);
    keep(net, folder, "unfixed", 1);
    fann_destroy(net);

    net = fann_create_shortcut(2, 2, 1);
    fann_set_activation_function_output(net, FANN_LINEAR);
    fann_cascadetrain_on_data(net, data, 5, 0, 0.0f);
    keep(net, folder, KIND "_cascade", 0);
    fann_destroy(net);
    fann_destroy_train(data);
    fann_destroy_train(scaled);
}
#endif

static int run(const char *path, int scaled) {
    struct fann *net = fann_create_from_file(path);
    if (!net) return 1;
    for (;;) {
        fann_type row[MOST];
        double value;
        for (unsigned i = 0; i < fann_get_num_input(net); i++) {
            if (scanf("%lf", &value) != 1) return 0;
            row[i] = (fann_type)value;
        }
        predict(net, row, scaled, stdout);
    }
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "run") == 0) return run(argv[2], strcmp(argv[3], "scaled") == 0);
    if (argc != 3 || strcmp(argv[1], "make") != 0) return 2;
    each_function(argv[2]);
    mixed(argv[2]);
#ifndef DOUBLE
    sparse(argv[2]);
    trained(argv[2]);
#endif
    return 0;
}
