/* tables.c - the rows of the .def files as data: names, defaults, the text of each formula. */
#include "cbp.h"

#include <float.h>
#include <math.h>

/* The name of the one argument of an activation, loss or initialiser, or NULL where the row writes `none`: END_none
 * brings a second word of its own, END_alpha does not */
#define SECOND_(first, second, ...) second
#define SECOND(...) SECOND_(__VA_ARGS__, )
#define END_none ~, NULL
#define ARG_OF(argument, default_value) {SECOND(END_##argument, #argument), default_value}

#define ACT_INFO(name_, argument, default_, init, onnx_, formula_, slope_, curvature_, source_, row_wise_) \
    {.name = #name_, \
     .arg = {ARG_OF(argument, default_)}, \
     .row_wise = row_wise_, \
     .partner = #init, \
     .pair = "", \
     .formula = formula_, \
     .slope = slope_, \
     .curvature = curvature_, \
     .onnx = onnx_, \
     .exception = "", \
     .source = source_},
#define ACT(name, argument, default_, init, value, slope, curve, onnx, formula, slope_text, curve_text, source) \
    ACT_INFO(name, argument, default_, init, onnx, formula, slope_text, curve_text, source, 0)
#define ACT_ROW(name, argument, default_, init, row, back, along, back_along, onnx, formula, slope_text, curve_text, \
                source) \
    ACT_INFO(name, argument, default_, init, onnx, formula, slope_text, curve_text, source, 1)
static const cbp_info activations[] = {
#include "act.def"
};

/* What the argument or the targets of a loss may be */
#define RANGE_ANY {-INFINITY, INFINITY}
#define RANGE_POSITIVE {FLT_MIN, INFINITY} /* in either precision */
#define RANGE_NOT_NEGATIVE {0, INFINITY}
#define RANGE_UNIT {0, 1}
#define RANGE_SIGN {-1, 1}

#define LOSS_INFO(name_, argument, default_, range, output, targets_, formula_, slope_, curvature_, source_, head_, \
                  pair_) \
    {.name = #name_, \
     .arg = {ARG_OF(argument, default_)}, \
     .arg_range = RANGE_##range, \
     .targets = RANGE_##targets_, \
     .head = head_, \
     .partner = #output, \
     .pair = pair_, \
     .formula = formula_, \
     .slope = slope_, \
     .curvature = curvature_, \
     .onnx = "", \
     .exception = "", \
     .source = source_},
#define LOSS(name, argument, default_, range, output, targets, value, slope, curve, formula, slope_text, curve_text, \
             source) \
    LOSS_INFO(name, argument, default_, range, output, targets, formula, slope_text, curve_text, source, 0, "")
#define LOSS_HEAD(name, argument, default_, range, output, targets, value, slope, curve, formula, slope_text, \
                  curve_text, source) \
    LOSS_INFO(name, argument, default_, range, output, targets, formula, slope_text, curve_text, source, 1, "")
#define LOSS_PAIR(name, argument, default_, range, output, second, targets, value, slope, v_slope, aa, av, vv, \
                  formula, slope_text, curve_text, source) \
    LOSS_INFO(name, argument, default_, range, output, targets, formula, slope_text, curve_text, source, 0, #second)
static const cbp_info losses[] = {
#include "loss.def"
};

#define ARG(name, default_) {#name, default_},
#define OPT(name_, slots, rate, args, steps, body, formula_, source_) \
    {.name = #name_, \
     .arg = {args{NULL, 0}}, \
     .learning_rate = rate, \
     .n_slots = slots, \
     .partner = "", \
     .pair = "", \
     .formula = formula_, \
     .slope = "", \
     .curvature = "", \
     .onnx = "", \
     .exception = "", \
     .source = source_},
static const cbp_info optimizers[] = {
#include "opt.def"
};

#define INIT(name_, argument, default_, way, size, formula_, source_) \
    {.name = #name_, \
     .arg = {ARG_OF(argument, default_)}, \
     .partner = "", \
     .pair = "", \
     .formula = formula_, \
     .slope = "", \
     .curvature = "", \
     .onnx = "", \
     .exception = "", \
     .source = source_},
static const cbp_info initializers[] = {
#include "init.def"
};

#define STATUS(name_, exception_, sentence) \
    {.name = #name_, \
     .partner = "", \
     .pair = "", \
     .formula = sentence, \
     .slope = "", \
     .curvature = "", \
     .onnx = "", \
     .exception = #exception_, \
     .source = ""},
static const cbp_info statuses[] = {
#include "status.def"
};

static const struct {
    const cbp_info *rows;
    int n;
} tables[] = {
    [CBP_ACTIVATIONS] = {activations, CBP_N_ACT}, [CBP_LOSSES] = {losses, CBP_N_LOSS},
    [CBP_OPTIMIZERS] = {optimizers, CBP_N_OPT},   [CBP_INITIALIZERS] = {initializers, CBP_N_INIT},
    [CBP_STATUSES] = {statuses, CBP_N_STATUS},
};

const cbp_info *cbp_table(cbp_kind kind, int *n) {
    const int known = (int)kind >= 0 && kind <= CBP_STATUSES;
    if (n) *n = known ? tables[kind].n : 0;
    return known ? tables[kind].rows : NULL;
}

const char *cbp_message(cbp_status status) {
    const int known = (int)status >= 0 && status < CBP_N_STATUS;
    return known ? statuses[status].formula : "unknown status";
}

const char *cbp_version(void) { return CBP_VERSION; }
