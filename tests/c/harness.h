/* harness.h - a C test program in one include, C11 on gcc, clang and MSVC.
 *
 *     CASE(name) { CHECK(1 + 1 == 2); }      registers itself; a failed check ends the case
 *
 * The program runs all cases, or those named, or with --but all others; --list prints the names. Its last line is
 * 'N passed, N failed'.
 */
#ifndef HARNESS_H
#define HARNESS_H

#if defined(_MSC_VER) && !defined(__clang__)
#define _CRT_SECURE_NO_WARNINGS
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    void (*run)(void);
} harness_case;

enum { HARNESS_CASES = 64, HARNESS_BLOCKS = 4096 };

static harness_case harness_cases[HARNESS_CASES];
static int harness_n_cases;
static jmp_buf harness_exit;
static char harness_note[512];
static void *harness_blocks[HARNESS_BLOCKS];
static int harness_n_blocks;

#if defined(_MSC_VER) && !defined(__clang__)
#pragma section(".CRT$XCU", read)
#define CASE(name) \
    static void name(void); \
    static void __cdecl name##_register(void) { harness_add(#name, name); } \
    __declspec(allocate(".CRT$XCU")) void(__cdecl * name##_registrar)(void) = name##_register; \
    static void name(void)
#define HARNESS_MAY_BE_UNUSED
#define HARNESS_PRINTF(text, first)
#else
#define CASE(name) \
    static void name(void); \
    __attribute__((constructor)) static void name##_register(void) { harness_add(#name, name); } \
    static void name(void)
#define HARNESS_MAY_BE_UNUSED __attribute__((unused))
#define HARNESS_PRINTF(text, first) __attribute__((format(printf, text, first)))
#endif
#define HELPER HARNESS_MAY_BE_UNUSED static

HELPER void harness_add(const char *name, void (*run)(void)) {
    if (harness_n_cases < HARNESS_CASES) harness_cases[harness_n_cases++] = (harness_case){name, run};
}

/* How many of a long list of like cases to pass over for one that is tried: n - 1 where CBP_QUICK is set, as it is
 * where sanitizers or an emulator take ten times as long, else none. `if (i % one_in(3)) continue;`
 */
HELPER int one_in(int n) {
    const char *quick = getenv("CBP_QUICK");
    return quick && *quick ? n : 1;
}

/* `many` of something, or `few` where CBP_QUICK is set */
HELPER int many_or(int many, int few) { return one_in(2) > 1 ? few : many; }

/* ---- checks ---- */

#define CHECK(condition) ((condition) ? (void)0 : harness_fail(__FILE__, __LINE__, "%s", #condition))
#define CHECKF(condition, ...) ((condition) ? (void)0 : harness_fail(__FILE__, __LINE__, __VA_ARGS__))
#define CHECK_BYTES(n, size, got, want) harness_bytes(__FILE__, __LINE__, n, size, got, want)
#define NOTE(...) ((void)snprintf(harness_note, sizeof harness_note, __VA_ARGS__))

HELPER HARNESS_PRINTF(3, 4) void harness_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    printf("%s:%d: ", file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf(harness_note[0] ? "\n    with %s\n" : "%s\n", harness_note);
    longjmp(harness_exit, 1);
}

/* n elements of `size` bytes (4: float, 8: double) are the same bytes */
HELPER void harness_bytes(const char *file, int line, int64_t n, size_t size, const void *got, const void *want) {
    for (int64_t i = 0; i < n; i++) {
        const char *g = (const char *)got + (size_t)i * size, *w = (const char *)want + (size_t)i * size;
        if (memcmp(g, w, size) == 0) continue;
        double value[2];
        float single[2];
        memcpy(single, g, sizeof(float)), memcpy(single + 1, w, sizeof(float));
        value[0] = single[0], value[1] = single[1];
        if (size == sizeof(double)) memcpy(value, g, size), memcpy(value + 1, w, size);
        harness_fail(file, line, "element %lld is %.17g (%a), expected %.17g (%a)", (long long)i, value[0], value[0],
                     value[1], value[1]);
    }
}

/* ---- memory of exactly the asked size, so that a sanitizer sees a step beyond it; freed after the case ---- */

HELPER void *block(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    CHECK(p && harness_n_blocks < HARNESS_BLOCKS);
    harness_blocks[harness_n_blocks++] = p;
    return memset(p, 0x5A, bytes);
}

HELPER void release_blocks(void) {
    while (harness_n_blocks > 0) free(harness_blocks[--harness_n_blocks]);
}

/* ---- numbers that look random: splitmix64 from a fixed seed, the same in every run ---- */

static uint64_t harness_state;

HELPER uint64_t random_bits(void) {
    uint64_t z = (harness_state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}
HELPER double uniform(double low, double high) { return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53; }

/* ---- the program ---- */

static int harness_run(const harness_case *one) {
    harness_note[0] = 0;
    harness_state = 20261122;
    const int failed = setjmp(harness_exit);
    if (!failed) one->run();
    release_blocks();
    printf("%s %s\n", failed ? "FAILED" : "ok    ", one->name);
    return failed;
}

static int harness_find(const char *name) {
    int i = 0;
    while (i < harness_n_cases && strcmp(harness_cases[i].name, name) != 0) i++;
    return i;
}

int main(int argc, char **argv) {
    char named[HARNESS_CASES + 1] = {0}; /* the last: a name that is none of a case */
    int n[2] = {0};                      /* passed, failed */
    const char *const order = argc > 1 ? argv[1] : "";
    const int list = strcmp(order, "--list") == 0, but = strcmp(order, "--but") == 0, first = 1 + but;
    for (int i = first; i < argc && !list; i++) {
        const int found = harness_find(argv[i]);
        named[found] = 1;
        if (found == harness_n_cases) printf("no such case: %s\n", argv[i]), n[1] = 1;
    }
    for (int i = 0; i < harness_n_cases; i++)
        if (list)
            printf("%s\n", harness_cases[i].name);
        else if (argc == first || named[i] != but)
            n[harness_run(harness_cases + i)]++;
    if (list) return 0;
    if (n[0] + n[1] == 0) printf("no case at all\n"), n[1] = 1;
    printf("%d passed, %d failed\n", n[0], n[1]);
    return n[1] > 0;
}

#endif
