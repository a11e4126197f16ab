/* fpmode.c - what a careless library does to the thread it runs in: for test_fp_modes.py. */
#include <stdint.h>

#ifdef _WIN32
#define SHOWN __declspec(dllexport)
#else
#define SHOWN
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
enum { FLUSH = 0x8040, UPWARD = 0x4000, FLAGS = 0x3f };
static uint64_t get(void) { return _mm_getcsr() & ~(unsigned)FLAGS; }
static void set(uint64_t mode) { _mm_setcsr((unsigned)mode); }
#elif defined(__aarch64__)
enum { FLUSH = 1 << 24, UPWARD = 1 << 22 };
static uint64_t get(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static void set(uint64_t mode) { __asm__ volatile("msr fpcr, %0" ::"r"(mode)); }
#else
#error "only processors with a floating-point mode register"
#endif

SHOWN uint64_t fp_get(void) { return get(); }
SHOWN void fp_set(uint64_t mode) { set(mode); }
SHOWN uint64_t fp_flush(void) { return FLUSH; }
SHOWN uint64_t fp_upward(void) { return UPWARD; }
SHOWN double fp_quotient(double a, double b) {
    volatile double x = a, y = b;
    return x / y;
}
