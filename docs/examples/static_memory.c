/* static_memory.c - a sensor learns while it measures, and all memory is static: no malloc, no threads, no files.
 *
 * The sensor reads low when it is warm, and its curve is bent. A reference says what is true, and the network makes one
 * step of training for each reading. Prints by puts alone; docs/embed/c.md builds it for a desk and for a Cortex-M7.
 */
#include <cbp.h>
#include <stdio.h>
#include <string.h>

enum { INPUTS = 2, HIDDEN = 6, PARAMS = (INPUTS + 1) * HIDDEN + HIDDEN + 1, STEPS = 4000 };

/* What it knows when it leaves the factory: next to nothing, but no two units the same. In flash. */
static const float factory[PARAMS] = {
    0.0f,  0.1f,  -0.1f, 0.2f,  -0.2f, 0.0f,       /* biases */
    0.7f,  -0.4f, 0.5f,  -0.8f, 0.3f,  0.6f,       /* from the reading */
    -0.5f, 0.6f,  0.4f,  0.2f,  -0.7f, 0.8f,       /* from the temperature */
    0.0f,  0.4f,  -0.3f, 0.5f,  -0.4f, 0.3f, 0.2f, /* bias and weights of the output */
};

/* All that the program ever uses. cbp_net_bytes and cbp_work_bytes say how much is needed; start checks that. */
static float theta[PARAMS], grad[PARAMS];
static char plan[768];
static _Alignas(CBP_ALIGN) char work[2048];
static cbp_net *net;
static cbp_mem mem;

static cbp_status start(void) {
    const cbp_dense layers[] = {{.units = HIDDEN, .act = CBP_ACT_tanh}, {.units = 1, .act = CBP_ACT_identity}};
    const cbp_spec spec = {
        .dtype = CBP_FLOAT32, .n_in = INPUTS, .n_layers = 2, .layers = layers, .loss = CBP_LOSS_half_squared_error};
    const cbp_status status = cbp_net_in(&net, plan, sizeof plan, &spec);
    if (status) return status;
    if (cbp_n_params(net) != PARAMS) return CBP_BAD_SHAPE;
    if (cbp_work_bytes(net, 1, CBP_TRAIN) > sizeof work) return CBP_NO_MEMORY;
    mem = (cbp_mem){.theta = theta, .grad = grad, .work = work};
    memcpy(theta, factory, sizeof theta);
    return CBP_OK;
}

/* ---- the world: numbers that look random, and a sensor with its faults ---- */

/* -1 .. 1, of so few bits that products below are exact: a compiler that fuses them with sums changes nothing */
static float uniform(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 20) * 0x1p-11f - 1;
}

static float truth(uint32_t *state, float x[INPUTS]) {
    const float value = uniform(state), temperature = uniform(state);
    x[0] = value - 0.25f * temperature - 0.125f * value * value;
    x[1] = temperature;
    return value;
}

/* ---- output ---- */

/* label, n >= 0 */
static void show(const char *label, unsigned long n) {
    static char text[64];
    char digits[20];
    size_t end = strlen(label);
    int count = 0;
    memcpy(text, label, end);
    do digits[count++] = (char)('0' + n % 10);
    while (n /= 10);
    while (count) text[end++] = digits[--count];
    text[end] = 0;
    puts(text);
}

/* Bits of all weights (FNV-1a): the same on every processor */
static unsigned long hash(void) {
    uint32_t h = 2166136261u;
    for (int i = 0; i < PARAMS; i++) {
        uint32_t bits;
        memcpy(&bits, &theta[i], sizeof bits);
        for (int byte = 0; byte < 4; byte++) h = (h ^ (bits >> 8 * byte & 255)) * 16777619u;
    }
    return h;
}

int main(void) {
    if (start() != CBP_OK) return 1;
    uint32_t state = 1;
    double sum = 0;
    for (int step = 1; step <= STEPS; step++) {
        float x[INPUTS];
        const float y = truth(&state, x);
        const cbp_data sample = {.n = 1, .x = x, .y = &y};
        double loss;
        if (cbp_step(net, &mem, &sample, 0.05, &loss) != CBP_OK) return 1;
        sum += loss;
        if (step % 1000 == 0) {
            show("mean loss in millionths: ", (unsigned long)(sum * 1000));
            sum = 0;
        }
    }
    show("hash of the weights: ", hash());
    return 0;
}
