/* atomic.h - integers and pointers that threads share without a lock: C11's, or what MSVC has in their place.
 *
 * What is written before a store or swap is seen after a load or swap that finds its value. Used by os.h, and by
 * the Python package, whose networks are used from threads that have no interpreter.
 */
#ifndef CBP_ATOMIC_H
#define CBP_ATOMIC_H

#if defined(_MSC_VER) && !defined(__clang__)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
typedef volatile LONG cbp_atomic;
static inline int cbp_load(const cbp_atomic *a) { return (int)ReadAcquire(a); }
static inline void cbp_store(cbp_atomic *a, int value) { WriteRelease(a, value); }
static inline int cbp_swap(cbp_atomic *a, int value) { return (int)InterlockedExchange(a, value); }
/* a := to if it is `from`; whether it was */
static inline int cbp_change(cbp_atomic *a, int from, int to) {
    return InterlockedCompareExchange(a, to, from) == from;
}
typedef void *volatile cbp_atomic_pointer;
static inline void *cbp_load_pointer(const cbp_atomic_pointer *a) { return ReadPointerAcquire(a); }
static inline void cbp_store_pointer(cbp_atomic_pointer *a, void *value) { WritePointerRelease(a, value); }
#else
#include <stdatomic.h>
typedef atomic_int cbp_atomic;
static inline int cbp_load(const cbp_atomic *a) { return atomic_load_explicit(a, memory_order_acquire); }
static inline void cbp_store(cbp_atomic *a, int value) { atomic_store_explicit(a, value, memory_order_release); }
static inline int cbp_swap(cbp_atomic *a, int value) {
    return atomic_exchange_explicit(a, value, memory_order_acq_rel);
}
/* a := to if it is `from`; whether it was */
static inline int cbp_change(cbp_atomic *a, int from, int to) {
    return atomic_compare_exchange_strong_explicit(a, &from, to, memory_order_acq_rel, memory_order_acquire);
}
typedef void *_Atomic cbp_atomic_pointer;
static inline void *cbp_load_pointer(const cbp_atomic_pointer *a) {
    return atomic_load_explicit(a, memory_order_acquire);
}
static inline void cbp_store_pointer(cbp_atomic_pointer *a, void *value) {
    atomic_store_explicit(a, value, memory_order_release);
}
#endif

#endif
