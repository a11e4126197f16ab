/* main.c - the digits classifier on a Cortex-M: prints the bits of its outputs for some rows, and how much stack it
 * took. All memory is static. */
#include "digits.h"
#include "rows.h"
#include "start.h"

static digits_real y[DIGITS_OUTPUTS], work[DIGITS_WORK];

int main(void) {
    for (int row = 0; row < ROWS; row++) {
        digits_predict(rows[row], y, work);
        uint32_t words[sizeof y / 4];
        memcpy(words, y, sizeof y);
        for (unsigned i = 0; i < sizeof y / 4; i++) print_hex(words[i]);
        print("\n");
    }
    print("stack ");
    print_hex(stack_used());
    print("\n");
    return 0;
}
