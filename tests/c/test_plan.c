/* The plan: offsets, sizes, and every status that a function of cbp.h can return. */
#include "sample.h"

#include <limits.h>

static const int WIDTH[] = {5, 7, 4, 0};
static const cbp_act ACT[] = {CBP_ACT_relu, CBP_ACT_softmax};

static sample ordinary(void) { return shape(CBP_FLOAT32, WIDTH, ACT, CBP_LOSS_categorical_cross_entropy); }

CASE(layers_follow_each_other_without_a_gap) {
    sample s = ordinary();
    CHECK(plan(&s, NULL) == CBP_OK);
    const cbp_block first = cbp_layer(s.net, 1), second = cbp_layer(s.net, 2);
    CHECK(first.offset == 0 && first.rows == 6 && first.cols == 7);
    CHECK(second.offset == 42 && second.rows == 8 && second.cols == 4);
    CHECK(cbp_n_params(s.net) == 74);
    CHECK(cbp_layer(s.net, 0).rows == 0 && cbp_layer(s.net, 3).rows == 0);
    cbp_net_free(s.net);
}

CASE(the_plan_remembers_precision_and_instruction_set) {
    for (int i = 0; cbp_isa_at(i); i++)
        for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++) {
            sample s = shape((cbp_dtype)dtype, WIDTH, ACT, CBP_LOSS_categorical_cross_entropy);
            CHECK(plan(&s, cbp_isa_at(i)) == CBP_OK);
            CHECK((int)cbp_net_dtype(s.net) == dtype && strcmp(cbp_net_isa(s.net), cbp_isa_at(i)) == 0);
            cbp_net_free(s.net);
        }
}

CASE(arrays_in_the_workspace_are_aligned_and_apart) {
    sample s = ordinary();
    CHECK(plan(&s, NULL) == CBP_OK);
    for (int64_t m = 1; m < 70; m += 3) {
        size_t end = 0;
        for (int array = CBP_A; array <= CBP_D; array++)
            for (int l = 1; l <= 2; l++) {
                const size_t start = cbp_offset(s.net, m, (cbp_array)array, l);
                CHECK(start >= end && start % CBP_ALIGN == 0);
                end = start + (size_t)m * (size_t)WIDTH[l] * sizeof(float);
            }
        CHECK(end <= cbp_work_bytes(s.net, m, CBP_TRAIN));
        CHECK(cbp_work_bytes(s.net, m, CBP_TRAIN) <= cbp_work_bytes(s.net, m, CBP_EPOCH));
    }
    cbp_net_free(s.net);
}

CASE(predicting_many_rows_needs_no_more_room_than_some) {
    sample s = ordinary();
    CHECK(plan(&s, NULL) == CBP_OK);
    CHECK(cbp_work_bytes(s.net, 1000000, CBP_PREDICT) == cbp_work_bytes(s.net, 100000, CBP_PREDICT));
    CHECK(cbp_work_bytes(s.net, 1000000, CBP_EVALUATE) == cbp_work_bytes(s.net, 10000, CBP_EVALUATE));
    CHECK(cbp_work_bytes(s.net, INT64_MAX, CBP_TRAIN) == 0 && cbp_work_bytes(s.net, INT64_MAX / 64, CBP_EPOCH) == 0);
    CHECK(cbp_work_bytes(s.net, -1, CBP_TRAIN) == 0);
    cbp_net_free(s.net);
}

/* ---- plans in memory of the caller's ---- */

static const int INPUTS[] = {0};
static const cbp_act MIXED[] = {CBP_ACT_identity, CBP_ACT_tanh, CBP_ACT_sigmoid};
static const cbp_dense LAYERS[] = {{.units = 7, .act = CBP_ACT_relu},
                                   {.units = 3, .unit_act = MIXED, .n_skips = 1, .skips = INPUTS}};
static const cbp_head HEADS[] = {{0, 1, CBP_LOSS_half_squared_error, 0, 1}, {1, 2, CBP_LOSS_log_cosh, 0, 2}};
static const cbp_spec SPEC = {
    .dtype = CBP_FLOAT32, .n_in = 5, .n_layers = 2, .layers = LAYERS, .n_heads = 2, .heads = HEADS};

/* At every address, in memory of exactly the bytes that were asked for, which a sanitizer watches */
CASE(a_plan_in_memory_of_the_callers_computes_the_same) {
    cbp_net *net;
    double want, got;
    CHECK(cbp_net_new(&net, &SPEC) == CBP_OK);
    const int64_t n = cbp_n_params(net);
    void *const theta = random_reals(SPEC.dtype, n, -1, 1), *const grad = reals(SPEC.dtype, n);
    const cbp_data data = {.n = 9, .x = random_reals(SPEC.dtype, 45, -1, 1), .y = random_reals(SPEC.dtype, 27, -1, 1)};
    cbp_mem mem = {.theta = theta, .grad = grad, .work = block(cbp_work_bytes(net, 9, CBP_TRAIN))};
    CHECK(cbp_gradient(net, &mem, &data, &want) == CBP_OK);
    cbp_net_free(net);
    const size_t bytes = cbp_net_bytes(&SPEC);
    for (size_t shift = 0; shift < 17; shift++) {
        char *const memory = (char *)block(bytes + shift) + shift;
        CHECK(cbp_net_in(&net, memory, bytes, &SPEC) == CBP_OK);
        CHECK((char *)net >= memory && (char *)net < memory + bytes);
        mem.grad = reals(SPEC.dtype, n);
        CHECK(cbp_gradient(net, &mem, &data, &got) == CBP_OK && got == want);
        CHECK_BYTES(n, sizeof(float), mem.grad, grad);
    }
}

CASE(too_little_memory_for_a_plan_is_refused) {
    const size_t bytes = cbp_net_bytes(&SPEC);
    char *const memory = block(bytes), *const untouched = block(bytes);
    cbp_net *net = (cbp_net *)memory;
    CHECK(bytes > 0 && cbp_net_in(&net, memory, bytes - 1, &SPEC) == CBP_NO_MEMORY && net == NULL);
    CHECK(cbp_net_in(&net, memory, 0, &SPEC) == CBP_NO_MEMORY);
    CHECK(memcmp(memory, untouched, bytes) == 0);
    CHECK(cbp_net_in(NULL, memory, bytes, &SPEC) == CBP_NULL_ARGUMENT);
    CHECK(cbp_net_in(&net, NULL, bytes, &SPEC) == CBP_NULL_ARGUMENT && net == NULL);
    CHECK(cbp_net_in(&net, memory, bytes, NULL) == CBP_NULL_ARGUMENT && net == NULL);
    cbp_spec wrong = SPEC;
    wrong.isa = "abacus";
    CHECK(cbp_net_bytes(&wrong) == 0 && cbp_net_bytes(NULL) == 0);
    CHECK(cbp_net_in(&net, memory, bytes, &wrong) == CBP_BAD_ISA && net == NULL);
}

CASE(freeing_nothing_is_fine) { cbp_net_free(NULL); }

/* ---- errors of cbp_net_new: one change to an ordinary network each ---- */

static void refused(sample s, const char *isa, cbp_status status) {
    s.net = (cbp_net *)&s;
    const cbp_status got = plan(&s, isa);
    CHECKF(got == status, "'%s' instead of '%s'", cbp_message(got), cbp_message(status));
    CHECK(s.net == NULL);
}

CASE(unknown_enumerators) {
    sample s = ordinary();
    s.dtype = CBP_N_DTYPE, refused(s, NULL, CBP_BAD_DTYPE), s = ordinary();
    s.dtype = (cbp_dtype)-1, refused(s, NULL, CBP_BAD_DTYPE), s = ordinary();
    s.act[1][3] = CBP_N_ACT, refused(s, NULL, CBP_BAD_ACTIVATION), s = ordinary();
    s.act[2][0] = (cbp_act)-1, refused(s, NULL, CBP_BAD_ACTIVATION), s = ordinary();
    s.loss = CBP_N_LOSS, refused(s, NULL, CBP_BAD_LOSS), s = ordinary();
    s.loss = (cbp_loss)-1, refused(s, NULL, CBP_BAD_LOSS), s = ordinary();
    refused(s, "abacus", CBP_BAD_ISA);
}

CASE(arguments_of_losses_beyond_their_range) {
    const cbp_dense layer = {.units = 2};
    for (int loss = 0; loss < CBP_N_LOSS; loss++) {
        const cbp_info *row = cbp_table(CBP_LOSSES, NULL) + loss;
        if (row->head) continue;
        const double low = row->arg_range.low, high = row->arg_range.high,
                     beyond[] = {low - 1, high + 1, NAN, row->arg[0].value};
        for (int i = 0; i < 4; i++) {
            cbp_net *net;
            const cbp_spec spec = {
                .n_in = 1, .n_layers = 1, .layers = &layer, .loss = (cbp_loss)loss, .loss_arg = beyond[i]};
            const int good = !row->arg[0].name || (beyond[i] >= low && beyond[i] <= high);
            CHECKF(cbp_net_new(&net, &spec) == (good ? CBP_OK : CBP_BAD_LOSS_ARG), "%s(%g)", row->name, beyond[i]);
            cbp_net_free(net);
        }
    }
}

CASE(shapes_without_inputs_layers_or_units) {
    sample s = ordinary();
    s.width[0] = 0, refused(s, NULL, CBP_BAD_SHAPE), s = ordinary();
    s.width[1] = 0, refused(s, NULL, CBP_BAD_SHAPE), s = ordinary();
    s.width[2] = -4, refused(s, NULL, CBP_BAD_SHAPE), s = ordinary();
    s.n_layers = 0, refused(s, NULL, CBP_BAD_SHAPE);
}

CASE(softmax_is_for_the_whole_output_alone) {
    sample s = ordinary();
    for (int j = 0; j < WIDTH[1]; j++) s.act[1][j] = CBP_ACT_softmax;
    refused(s, NULL, CBP_ROW_HIDDEN), s = ordinary();
    s.act[2][1] = CBP_ACT_identity;
    refused(s, NULL, CBP_ROW_HIDDEN);
}

CASE(cross_entropies_need_their_output) {
    sample s = ordinary();
    s.loss = CBP_LOSS_binary_cross_entropy;
    refused(s, NULL, CBP_LOSS_NEEDS_OUTPUT), s = ordinary();
    for (int j = 0; j < WIDTH[2]; j++) s.act[2][j] = CBP_ACT_sigmoid;
    refused(s, NULL, CBP_LOSS_NEEDS_OUTPUT);
}

CASE(networks_beyond_the_address_space) {
    const cbp_dense wide[] = {{.units = INT_MAX}, {.units = INT_MAX}, {.units = INT_MAX}};
    const cbp_spec spec = {.n_in = INT_MAX, .n_layers = 3, .layers = wide};
    cbp_net *net;
    CHECK(cbp_net_new(&net, &spec) == CBP_TOO_LARGE && net == NULL);
}

CASE(a_layer_has_no_more_rows_of_parameters_than_an_int_counts) {
    const cbp_dense one[] = {{.units = 1}};
    cbp_spec spec = {.n_in = INT_MAX, .n_layers = 1, .layers = one};
    cbp_net *net;
    CHECK(cbp_net_new(&net, &spec) == CBP_TOO_LARGE && net == NULL);
    spec.n_in--;
    CHECK(cbp_net_new(&net, &spec) == CBP_OK && cbp_layer(net, 1).rows == INT_MAX);
    cbp_net_free(net);
}

CASE(null_pointers) {
    const cbp_spec empty = {.n_in = 1, .n_layers = 1};
    cbp_net *net;
    CHECK(cbp_net_new(NULL, &empty) == CBP_NULL_ARGUMENT);
    CHECK(cbp_net_new(&net, NULL) == CBP_NULL_ARGUMENT && net == NULL);
    CHECK(cbp_net_new(&net, &empty) == CBP_BAD_SHAPE && net == NULL);
}

/* ---- errors of the functions that compute ---- */

static const double RATE = 0.1;

static cbp_status gradient(const sample *s) {
    double loss;
    return cbp_gradient(s->net, &s->mem, &s->data, &loss);
}
static cbp_status evaluate(const sample *s) {
    double loss;
    return cbp_evaluate(s->net, &s->mem, &s->data, &loss);
}
static cbp_status epoch(const sample *s) {
    cbp_opt sgd = {.kind = CBP_OPT_sgd};
    cbp_report report;
    return cbp_epoch(s->net, &s->mem, &sgd, &s->data, NULL, 2, &RATE, 1, &report);
}

/* gradient, evaluate and epoch check their data alike */
static void data_refused(sample s, cbp_status status) {
    CHECK(gradient(&s) == status);
    CHECK(evaluate(&s) == status);
    CHECK(epoch(&s) == status);
}

CASE(data_that_cannot_be_used) {
    enum { m = 3 };
    sample s = ordinary();
    fill(&s, NULL, m);
    const cbp_data good = s.data;
    int64_t label[m] = {0, 3, 4};
    s.data.n = 0, data_refused(s, CBP_BAD_COUNT), s.data = good;
    s.data.n = -1, data_refused(s, CBP_BAD_COUNT), s.data = good;
    s.data.x = NULL, data_refused(s, CBP_NULL_ARGUMENT), s.data = good;
    s.data.y = NULL, data_refused(s, CBP_NULL_ARGUMENT), s.data = good;
    s.data.labels = label, data_refused(s, CBP_BAD_LABEL);
    label[2] = -1, data_refused(s, CBP_BAD_LABEL);
    label[2] = 2, CHECK(gradient(&s) == CBP_OK), s.data = good;
    s.data.weight = zeros(CBP_FLOAT32, m);
    CHECK(gradient(&s) == CBP_ZERO_WEIGHT && evaluate(&s) == CBP_ZERO_WEIGHT);
    cbp_net_free(s.net);
}

CASE(arrays_that_are_missing) {
    sample s = ordinary();
    fill(&s, NULL, 3);
    const cbp_mem good = s.mem;
    s.mem.theta = NULL, data_refused(s, CBP_NULL_ARGUMENT), s.mem = good;
    s.mem.work = NULL, data_refused(s, CBP_NULL_ARGUMENT), s.mem = good;
    s.mem.grad = NULL, CHECK(gradient(&s) == CBP_NULL_ARGUMENT && epoch(&s) == CBP_NULL_ARGUMENT), s.mem = good;
    CHECK(cbp_predict(s.net, &s.mem, 3, NULL, s.mem.grad) == CBP_NULL_ARGUMENT);
    CHECK(cbp_predict(s.net, &s.mem, 3, s.data.x, NULL) == CBP_NULL_ARGUMENT);
    CHECK(cbp_predict(s.net, &s.mem, -1, s.data.x, s.mem.grad) == CBP_BAD_COUNT);
    CHECK(cbp_predict(s.net, &s.mem, 0, NULL, NULL) == CBP_OK);
    CHECK(cbp_forward(s.net, &s.mem, 0, s.data.x) == CBP_BAD_COUNT);
    CHECK(cbp_forward(s.net, &s.mem, 3, NULL) == CBP_NULL_ARGUMENT);
    cbp_net_free(s.net);
}

CASE(optimizers_that_cannot_step) {
    sample s = ordinary();
    fill(&s, NULL, 3);
    cbp_opt opt = {.kind = CBP_N_OPT};
    CHECK(cbp_update(s.net, &s.mem, &opt, RATE) == CBP_BAD_OPTIMIZER);
    opt.kind = CBP_OPT_adam;
    CHECK(cbp_update(s.net, &s.mem, &opt, RATE) == CBP_NULL_ARGUMENT);
    CHECK(cbp_update(s.net, &s.mem, NULL, RATE) == CBP_NULL_ARGUMENT);
    cbp_net_free(s.net);
}

CASE(epochs_that_cannot_run) {
    sample s = ordinary();
    fill(&s, NULL, 3);
    cbp_opt sgd = {.kind = CBP_OPT_sgd};
    cbp_report report;
    const int64_t beyond[] = {0, 1, 3}, below[] = {0, -1, 2};
    CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, beyond, 2, &RATE, 1, &report) == CBP_BAD_COUNT);
    CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, below, 2, &RATE, 1, &report) == CBP_BAD_COUNT);
    CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, NULL, 0, &RATE, 1, &report) == CBP_BAD_COUNT);
    CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, NULL, 2, NULL, 1, &report) == CBP_NULL_ARGUMENT);
    CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, NULL, 2, &RATE, 1, NULL) == CBP_NULL_ARGUMENT);
    CHECK(sgd.t == 0);
    cbp_net_free(s.net);
}

CASE(initialisers_that_do_not_exist) {
    sample s = ordinary();
    fill(&s, NULL, 3);
    const cbp_initializer rule[] = {CBP_INIT_he_uniform, CBP_N_INIT};
    CHECK(cbp_init(s.net, rule, NULL, 0, s.mem.theta) == CBP_BAD_INITIALIZER);
    CHECK(cbp_init(s.net, NULL, NULL, 0, s.mem.theta) == CBP_NULL_ARGUMENT);
    CHECK(cbp_init(s.net, rule, NULL, 0, NULL) == CBP_NULL_ARGUMENT);
    cbp_net_free(s.net);
}
