/* start.c - the least that a Cortex-M needs to run a program: vector table, start of main, and semihosting, by which a
 * debugger or an emulator prints for it. There is no C library; memcpy, which compilers may ask for, is here. */
#include "start.h"

extern uint32_t stack_top, stack_bottom; /* of cortex.ld */

int main(void);

/* ---- semihosting ---- */

/* A request to the debugger: its number and its argument */
static void semihost(int request, const void *argument) {
    register int r0 __asm__("r0") = request;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void print(const char *text) { semihost(0x04, text); } /* SYS_WRITE0 */

void stop(int status) {
    const uint32_t reason[2] = {0x20026, (uint32_t)status}; /* SYS_EXIT_EXTENDED, ADP_Stopped_ApplicationExit */
    semihost(0x20, reason);
    for (;;) {
    }
}

void print_hex(uint32_t u) {
    char text[9];
    for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[u >> (28 - 4 * i) & 15];
    text[8] = 0;
    print(text);
}

/* ---- stack ---- */

#define PAINT 0xC0FFEE00u

uint32_t stack_used(void) {
    const uint32_t *p = &stack_bottom;
    while (p < &stack_top && *p == PAINT) p++;
    return (uint32_t)((const char *)&stack_top - (const char *)p);
}

static void paint_stack(void) {
    uint32_t *here = (uint32_t *)__builtin_frame_address(0) - 16;
    for (uint32_t *p = &stack_bottom; p < here; p++) *p = PAINT;
}

/* ---- start ---- */

static void reset(void) {
#if defined(__ARM_FP)
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: the floating-point unit is off at first */
    __asm__ volatile("dsb\n isb");
#endif
    paint_stack();
    stop(main());
}

static void fault(void) { stop(1); }

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};

void *memcpy(void *to, const void *from, size_t n) {
    char *t = to;
    for (const char *f = from; n; n--) *t++ = *f++;
    return to;
}
