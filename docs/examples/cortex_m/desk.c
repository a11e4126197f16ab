/* desk.c - what programs written for a desk want of C's library and a board without one has not: puts by semihosting,
 * no environment, no clock. The linker refuses a program that wants more, malloc above all. */
#include "start.h"

int puts(const char *text);
char *getenv(const char *name);
unsigned long clock(void);

int puts(const char *text) {
    print(text);
    print("\n");
    return 0;
}

char *getenv(const char *name) { return (void)name, (char *)0; }

unsigned long clock(void) { return (unsigned long)-1; }
