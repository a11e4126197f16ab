/* classify.c - reads the pixels of digits from standard input, and says which digits they are.
 * cc -O2 classify.c digits.c -o classify */
#include "digits.h"

#include <stdio.h>

int main(void) {
    digits_input x[DIGITS_INPUTS];
    digits_real y[DIGITS_OUTPUTS], work[DIGITS_WORK];
    int n = 0;
    while (scanf("%lf", &x[n]) == 1) { /* the network scales its inputs: they are double */
        if (++n < DIGITS_INPUTS) continue;
        n = 0;
        digits_predict(x, y, work);
        int best = 0;
        for (int j = 1; j < DIGITS_OUTPUTS; j++)
            if (y[j] > y[best]) best = j;
        printf("%s with probability %.9g\n", digits_classes[best], y[best]);
    }
    return 0;
}
