/* The rows of the .def files as data: complete, without doubles, and agreeing with each other. */
#include "harness.h"

#include "cbp.h"

enum { N_KINDS = CBP_STATUSES + 1 };

static const int SIZES[N_KINDS] = {CBP_N_ACT, CBP_N_LOSS, CBP_N_OPT, CBP_N_INIT, CBP_N_STATUS};

static const cbp_info *find(cbp_kind kind, const char *name) {
    for (int i = 0; i < SIZES[kind]; i++)
        if (strcmp(cbp_table(kind, NULL)[i].name, name) == 0) return cbp_table(kind, NULL) + i;
    return NULL;
}

CASE(every_row_of_the_enums_is_there) {
    for (int kind = 0; kind < N_KINDS; kind++) {
        int n = -1;
        CHECK(cbp_table((cbp_kind)kind, &n) != NULL);
        CHECKF(n == SIZES[kind], "table %d has %d rows, the enum %d", kind, n, SIZES[kind]);
        CHECK(cbp_table((cbp_kind)kind, NULL) == cbp_table((cbp_kind)kind, &n));
    }
}

CASE(rows_stand_at_their_enum) {
    CHECK(strcmp(cbp_table(CBP_ACTIVATIONS, NULL)[CBP_ACT_softmax].name, "softmax") == 0);
    CHECK(strcmp(cbp_table(CBP_LOSSES, NULL)[CBP_LOSS_binary_cross_entropy].name, "binary_cross_entropy") == 0);
    CHECK(strcmp(cbp_table(CBP_OPTIMIZERS, NULL)[CBP_OPT_adam].name, "adam") == 0);
    CHECK(strcmp(cbp_table(CBP_INITIALIZERS, NULL)[CBP_INIT_he_normal].name, "he_normal") == 0);
    CHECK(strcmp(cbp_table(CBP_STATUSES, NULL)[CBP_DIVERGED].name, "DIVERGED") == 0);
}

CASE(no_text_is_null_and_every_name_differs) {
    for (int kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < SIZES[kind]; i++) {
            const cbp_info *row = cbp_table((cbp_kind)kind, NULL) + i;
            NOTE("table %d, row %d", kind, i);
            CHECK(row->name && row->name[0] && row->formula && row->formula[0]);
            CHECK(row->partner && row->slope && row->curvature && row->onnx && row->exception && row->source);
            CHECK(find((cbp_kind)kind, row->name) == row);
        }
}

CASE(arguments_have_names_of_their_own_and_an_end) {
    for (int kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < SIZES[kind]; i++) {
            const cbp_info *row = cbp_table((cbp_kind)kind, NULL) + i;
            NOTE("%s", row->name);
            int n = 0;
            for (; n < CBP_MAX_ARGS && row->arg[n].name; n++) {
                CHECK(row->arg[n].name[0]);
                for (int a = 0; a < n; a++) CHECK(strcmp(row->arg[a].name, row->arg[n].name) != 0);
            }
            CHECK(row->arg[n].name == NULL);
        }
}

static void has_argument(const cbp_info *row, int i, const char *name, double value) {
    NOTE("%s, argument %d", row->name, i);
    CHECK(row->arg[i].name && strcmp(row->arg[i].name, name) == 0);
    CHECK(row->arg[i].value == value);
}

CASE(defaults_are_those_of_the_papers) {
    const cbp_info *adam = find(CBP_OPTIMIZERS, "adam"), *sgd = find(CBP_OPTIMIZERS, "sgd");
    has_argument(adam, 0, "beta1", 0.9);
    has_argument(adam, 1, "beta2", 0.999);
    has_argument(adam, 2, "eps", 1e-8);
    has_argument(find(CBP_ACTIVATIONS, "leaky_relu"), 0, "alpha", 0.01);
    CHECK(adam->n_slots == 2 && adam->learning_rate == 0.001);
    CHECK(sgd->n_slots == 0 && sgd->arg[0].name == NULL);
}

CASE(defaults_of_losses_are_in_their_range) {
    has_argument(find(CBP_LOSSES, "huber"), 0, "delta", 1);
    has_argument(find(CBP_LOSSES, "quantile"), 0, "tau", 0.5);
    has_argument(find(CBP_LOSSES, "focal"), 0, "gamma", 2);
    has_argument(find(CBP_LOSSES, "categorical_cross_entropy"), 0, "label_smoothing", 0);
    for (int i = 0; i < CBP_N_LOSS; i++) {
        const cbp_info *row = cbp_table(CBP_LOSSES, NULL) + i;
        NOTE("%s", row->name);
        CHECK(row->targets.low < row->targets.high && row->arg_range.low < row->arg_range.high);
        if (row->arg[0].name)
            CHECK(row->arg[0].value >= row->arg_range.low && row->arg[0].value <= row->arg_range.high);
    }
}

CASE(partners_exist) {
    for (int i = 0; i < CBP_N_ACT; i++)
        CHECK(find(CBP_INITIALIZERS, cbp_table(CBP_ACTIVATIONS, NULL)[i].partner) != NULL);
    for (int i = 0; i < CBP_N_LOSS; i++) CHECK(find(CBP_ACTIVATIONS, cbp_table(CBP_LOSSES, NULL)[i].partner) != NULL);
}

CASE(flags_mark_softmax_and_the_cross_entropies) {
    CHECK(find(CBP_ACTIVATIONS, "softmax")->row_wise && !find(CBP_ACTIVATIONS, "tanh")->row_wise);
    CHECK(find(CBP_LOSSES, "categorical_cross_entropy")->head && find(CBP_LOSSES, "binary_cross_entropy")->head);
    CHECK(!find(CBP_LOSSES, "half_squared_error")->head);
    CHECK(strcmp(find(CBP_LOSSES, "gaussian_nll")->pair, "softplus") == 0);
    for (int i = 0; i < CBP_N_LOSS; i++) {
        const cbp_info *row = cbp_table(CBP_LOSSES, NULL) + i;
        CHECK(!row->pair[0] || (!row->head && find(CBP_ACTIVATIONS, row->pair) != NULL));
    }
}

CASE(each_status_has_its_sentence) {
    CHECK(CBP_OK == 0);
    for (int i = 0; i < CBP_N_STATUS; i++)
        CHECK(strcmp(cbp_message((cbp_status)i), cbp_table(CBP_STATUSES, NULL)[i].formula) == 0);
    CHECK(strcmp(find(CBP_STATUSES, "NO_MEMORY")->exception, "MemoryError") == 0);
}

CASE(what_is_no_status_still_has_a_sentence) {
    CHECK(cbp_message((cbp_status)CBP_N_STATUS) && cbp_message((cbp_status)CBP_N_STATUS)[0]);
    CHECK(cbp_message((cbp_status)-1) && cbp_message((cbp_status)-1)[0]);
}

CASE(the_library_is_the_header) { CHECK(strcmp(cbp_version(), CBP_VERSION) == 0); }

CASE(the_version_is_text_and_a_number) {
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", CBP_VERSION_MAJOR, CBP_VERSION_MINOR, CBP_VERSION_PATCH);
    CHECK(strcmp(CBP_VERSION, text) == 0);
    CHECK(CBP_VERSION_MINOR < 100 && CBP_VERSION_PATCH < 100);
    CHECK(CBP_VERSION_NUMBER == 10000 * CBP_VERSION_MAJOR + 100 * CBP_VERSION_MINOR + CBP_VERSION_PATCH);
#if CBP_VERSION_NUMBER < 100
    CHECK(0);
#endif
}
