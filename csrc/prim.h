/* prim.h - all that depends on the processor, and nothing else; what depends on the operating system is in os.h.
 *
 * Here: the floating-point mode of the calling thread, the pause of a waiting loop, and what the CPU can do. Called by
 * the driver files.
 */
#ifndef CBP_PRIM_H
#define CBP_PRIM_H

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#define CBP_X86_64 1
#include <immintrin.h>
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(__aarch64__) || defined(_M_ARM64)
#define CBP_AARCH64 1
#if defined(_MSC_VER) && !defined(__clang__)
#include <arm64_neon.h>
#include <intrin.h>
#else
#include <arm_neon.h>
#endif
#endif

/* ---- floating-point mode: round to nearest, subnormals kept, nothing trapped (rule 5 of "same bits everywhere") ----
 */

#if defined(CBP_X86_64)
#define CBP_FP_DEFAULT 0x1F80u
#define CBP_FP_FLAGS 0x003Fu /* sticky exception flags: not a mode */
typedef unsigned cbp_fpmode;
static inline cbp_fpmode cbp_fp_get(void) { return _mm_getcsr() & ~CBP_FP_FLAGS; }
static inline void cbp_fp_set(cbp_fpmode mode) { _mm_setcsr(mode); }
#elif defined(CBP_AARCH64) && (defined(__clang__) || !defined(_MSC_VER))
#define CBP_FP_DEFAULT 0u
typedef uint64_t cbp_fpmode;
static inline cbp_fpmode cbp_fp_get(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void cbp_fp_set(cbp_fpmode mode) { __asm__ volatile("msr fpcr, %0" ::"r"(mode)); }
#elif defined(CBP_AARCH64)
#define CBP_FP_DEFAULT 0u
typedef uint64_t cbp_fpmode;
static inline cbp_fpmode cbp_fp_get(void) { return (uint64_t)_ReadStatusReg(ARM64_FPCR); }
static inline void cbp_fp_set(cbp_fpmode mode) { _WriteStatusReg(ARM64_FPCR, (int64_t)mode); }
#else /* processors without such a mode that a library could have changed */
#define CBP_FP_DEFAULT 0u
typedef unsigned cbp_fpmode;
static inline cbp_fpmode cbp_fp_get(void) { return CBP_FP_DEFAULT; }
static inline void cbp_fp_set(cbp_fpmode mode) { (void)mode; }
#endif

/* Every public function that computes starts with enter and ends with leave(what enter returned). */
static inline cbp_fpmode cbp_fp_enter(void) {
    cbp_fpmode mode = cbp_fp_get();
    if (mode != CBP_FP_DEFAULT) cbp_fp_set(CBP_FP_DEFAULT);
    return mode;
}
static inline void cbp_fp_leave(cbp_fpmode mode) {
    if (mode != CBP_FP_DEFAULT) cbp_fp_set(mode);
}

/* ---- a breath in a loop that waits for another thread: leaves the core to its twin, and saves power ---- */

#if defined(CBP_X86_64)
static inline void cbp_pause(void) { _mm_pause(); }
#elif defined(__aarch64__)
static inline void cbp_pause(void) { __asm__ volatile("isb"); } /* yield is over at once on most */
#elif defined(_M_ARM64)
static inline void cbp_pause(void) { __isb(_ARM64_BARRIER_SY); }
#else
static inline void cbp_pause(void) {}
#endif

/* ---- what this CPU and its operating system can run ---- */

/* The processor is asked itself: __builtin_cpu_supports of a compiler with a runtime library of its own, such as zig's,
 * may know nothing. macOS saves the registers of AVX-512 once they have been used, and names them only then. */
#if defined(CBP_X86_64)
#if defined(_MSC_VER)
static inline void cbp_cpuid(int leaf, int r[4]) { __cpuidex(r, leaf, 0); }
#else
static inline void cbp_cpuid(int leaf, int r[4]) { __cpuid_count(leaf, 0, r[0], r[1], r[2], r[3]); }
#endif
#if defined(_MSC_VER) && !defined(__clang__)
static inline unsigned cbp_saved(void) { return (unsigned)_xgetbv(0); }
#else
static inline unsigned cbp_saved(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
#if defined(__APPLE__)
    low |= 0xE0;
#endif
    return low;
}
#endif
/* FMA, the bits `wanted` of register ebx of leaf 7, and a system that saves the registers which `saved` names */
static inline int cbp_cpu_has(int wanted, unsigned saved) {
    int leaf0[4], leaf1[4], leaf7[4];
    cbp_cpuid(0, leaf0);
    if (leaf0[0] < 7) return 0;
    cbp_cpuid(1, leaf1);
    cbp_cpuid(7, leaf7);
    const int fma = (leaf1[2] >> 12) & 1, osxsave = (leaf1[2] >> 27) & 1;
    return fma && osxsave && (leaf7[1] & wanted) == wanted && (cbp_saved() & saved) == saved;
}
static inline int cbp_has_avx2(void) { return cbp_cpu_has(1 << 5, 0x06); }
static inline int cbp_has_avx512(void) { return cbp_has_avx2() && cbp_cpu_has(1 << 16 | 1 << 17, 0xE6); }
#endif

#endif
