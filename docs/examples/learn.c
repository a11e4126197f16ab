/* learn.c - learns exclusive or where it runs.
 * cc -O2 learn.c xor_net.c -o learn */
#include "xor_net.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 4, STEPS = 500 };

int main(void) {
    const xor_net_input x[ROWS][XOR_NET_INPUTS] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    const xor_net_target y[ROWS][XOR_NET_TARGETS] = {{0}, {1}, {1}, {0}};
    xor_net_real params[XOR_NET_PARAMS], work[XOR_NET_TRAIN_WORK(ROWS)];
    memcpy(params, xor_net_initial, sizeof params);
    for (int step = 1; step <= STEPS; step++) {
        const double loss = xor_net_train_step(params, ROWS, x[0], y[0], 2.0, work);
        if (step % 100 == 0) printf("%d %.17g\n", step, loss);
    }
    return 0;
}
