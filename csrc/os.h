/* os.h - all that depends on the operating system, and nothing else: POSIX threads, Win32, or neither.
 *
 * Here: locks, threads, the clock, fork, and the processors a process may run on. Used by pool.c and processors.c,
 * which include it before any other header.
 */
#ifndef CBP_OS_H
#define CBP_OS_H

#ifdef CBP_NO_THREADS
#include <time.h>
#elif defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#else
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#endif

#include <stdint.h>

#include "atomic.h"

enum { CBP_STACK = 1 << 20 }; /* bytes of stack for a thread of the pool, the same on every system */

#ifdef CBP_NO_THREADS

/* ---- no operating system, as on a microcontroller: no thread ever starts, so that whoever has work does it. The clock
 * is C's; a program whose C library has none brings one, for cbp_epoch_for to look at. ---- */

typedef int cbp_mutex, cbp_cond, cbp_thread;
static inline void cbp_mutex_init(cbp_mutex *mutex) { *mutex = 0; }
static inline void cbp_mutex_free(cbp_mutex *mutex) { (void)mutex; }
static inline void cbp_mutex_lock(cbp_mutex *mutex) { (void)mutex; }
static inline void cbp_mutex_unlock(cbp_mutex *mutex) { (void)mutex; }
static inline void cbp_cond_init(cbp_cond *cond) { *cond = 0; }
static inline void cbp_cond_free(cbp_cond *cond) { (void)cond; }
static inline void cbp_cond_wait(cbp_cond *cond, cbp_mutex *mutex) { (void)cond, (void)mutex; }
static inline void cbp_cond_signal(cbp_cond *cond) { (void)cond; }
#define CBP_THREAD_MAIN(name, arg) static void *name(void *arg)
static inline int cbp_thread_start(cbp_thread *thread, void *(*run)(void *), void *arg) {
    return *thread = 0, (void)run, (void)arg, 0;
}
static inline void cbp_thread_join(cbp_thread thread) { (void)thread; }
static inline void cbp_yield(void) {}
static inline int64_t cbp_nanoseconds(void) { return (int64_t)((double)clock() * 1e9 / CLOCKS_PER_SEC); }
static inline int cbp_at_fork(void (*child)(void)) { return (void)child, 1; }
static inline int cbp_affinity(void) { return 1; }

#elif defined(_WIN32)

/* ---- Win32 ---- */

typedef SRWLOCK cbp_mutex;
static inline void cbp_mutex_init(cbp_mutex *mutex) { InitializeSRWLock(mutex); }
static inline void cbp_mutex_free(cbp_mutex *mutex) { (void)mutex; }
static inline void cbp_mutex_lock(cbp_mutex *mutex) { AcquireSRWLockExclusive(mutex); }
static inline void cbp_mutex_unlock(cbp_mutex *mutex) { ReleaseSRWLockExclusive(mutex); }

typedef CONDITION_VARIABLE cbp_cond;
static inline void cbp_cond_init(cbp_cond *cond) { InitializeConditionVariable(cond); }
static inline void cbp_cond_free(cbp_cond *cond) { (void)cond; }
static inline void cbp_cond_wait(cbp_cond *cond, cbp_mutex *mutex) {
    SleepConditionVariableSRW(cond, mutex, INFINITE, 0);
}
static inline void cbp_cond_signal(cbp_cond *cond) { WakeConditionVariable(cond); }

typedef HANDLE cbp_thread;
#define CBP_THREAD_MAIN(name, arg) static DWORD WINAPI name(void *arg)
static inline int cbp_thread_start(cbp_thread *thread, LPTHREAD_START_ROUTINE run, void *arg) {
    *thread = CreateThread(NULL, CBP_STACK, run, arg, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return *thread != NULL;
}
static inline void cbp_thread_join(cbp_thread thread) {
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

static inline void cbp_yield(void) { SwitchToThread(); }

static inline int64_t cbp_nanoseconds(void) {
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (int64_t)((double)ticks.QuadPart * 1e9 / (double)per_second.QuadPart);
}

static inline int cbp_at_fork(void (*child)(void)) { return (void)child, 1; }

static inline int cbp_affinity(void) {
    DWORD_PTR mine = 0, all = 0;
    int n = 0;
    GetProcessAffinityMask(GetCurrentProcess(), &mine, &all);
    for (; mine; mine &= mine - 1) n++;
    return n ? n : (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS); /* a process of several groups has no mask */
}

#else

/* ---- POSIX ---- */

typedef pthread_mutex_t cbp_mutex;
static inline void cbp_mutex_init(cbp_mutex *mutex) { pthread_mutex_init(mutex, NULL); }
static inline void cbp_mutex_free(cbp_mutex *mutex) { pthread_mutex_destroy(mutex); }
static inline void cbp_mutex_lock(cbp_mutex *mutex) { pthread_mutex_lock(mutex); }
static inline void cbp_mutex_unlock(cbp_mutex *mutex) { pthread_mutex_unlock(mutex); }

typedef pthread_cond_t cbp_cond;
static inline void cbp_cond_init(cbp_cond *cond) { pthread_cond_init(cond, NULL); }
static inline void cbp_cond_free(cbp_cond *cond) { pthread_cond_destroy(cond); }
static inline void cbp_cond_wait(cbp_cond *cond, cbp_mutex *mutex) { pthread_cond_wait(cond, mutex); }
static inline void cbp_cond_signal(cbp_cond *cond) { pthread_cond_signal(cond); }

typedef pthread_t cbp_thread;
#define CBP_THREAD_MAIN(name, arg) static void *name(void *arg)
/* Signals are for the program's own threads: the new one inherits a mask that lets none through. */
static inline int cbp_thread_start(cbp_thread *thread, void *(*run)(void *), void *arg) {
    sigset_t all, before;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr)) return 0;
    pthread_attr_setstacksize(&attr, CBP_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(thread, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return !error;
}
static inline void cbp_thread_join(cbp_thread thread) { pthread_join(thread, NULL); }

static inline void cbp_yield(void) { sched_yield(); }

static inline int64_t cbp_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* no system call, on the systems that matter */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* child() will be called in every new process, by its only thread; whether it will */
static inline int cbp_at_fork(void (*child)(void)) { return pthread_atfork(NULL, NULL, child) == 0; }

/* Processors this thread may run on */
static inline int cbp_affinity(void) {
#ifdef __linux__
    cpu_set_t set[16]; /* 16,384 processors */
    if (sched_getaffinity(0, sizeof set, set) == 0) return CPU_COUNT_S(sizeof set, set);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

#endif

/* ---- on which processor a thread runs ----
 *
 * Threads that wait for each other by turns look half idle to Linux, which then likes to put both on one processor,
 * above all in a virtual machine, and leaves them there. So a thread can be kept off processors where others run. */

#if defined(__linux__) && !defined(__ANDROID__) && !defined(CBP_NO_THREADS)
typedef cpu_set_t cbp_places;
static inline int cbp_processor(void) { return sched_getcpu(); }
static inline void cbp_no_places(cbp_places *set) { CPU_ZERO(set); }
static inline void cbp_add_place(cbp_places *set, int processor) { CPU_SET(processor, set); }
static inline int cbp_has_place(const cbp_places *set, int processor) { return CPU_ISSET(processor, set); }
/* Forbids `thread` the processors `taken`, as far as it may use them; `off`: those it was forbidden before, and now */
static inline void cbp_keep_off(cbp_thread thread, const cbp_places *taken, cbp_places *off) {
    cpu_set_t may;
    CPU_AND(&may, off, taken);
    if (CPU_EQUAL(&may, taken) || pthread_getaffinity_np(thread, sizeof may, &may)) return;
    CPU_OR(&may, &may, off);
    CPU_AND(off, &may, taken);
    CPU_XOR(&may, &may, off);
    if (CPU_COUNT(&may) > 0) pthread_setaffinity_np(thread, sizeof may, &may);
}
#else
typedef int cbp_places;
static inline int cbp_processor(void) { return -1; }
static inline void cbp_no_places(cbp_places *set) { *set = 0; }
static inline void cbp_add_place(cbp_places *set, int processor) { (void)set, (void)processor; }
static inline int cbp_has_place(const cbp_places *set, int processor) { return (void)set, (void)processor, 0; }
static inline void cbp_keep_off(cbp_thread thread, const cbp_places *taken, cbp_places *off) {
    (void)thread, (void)taken, (void)off;
}
#endif

#endif
