/* processors.c - how many processors this process may use: those it may run on, and what its control groups leave it.
 *
 * Containers and batch systems limit a process by a quota, time per period over all processors, which the number of
 * processors does not show. Threads beyond it only wait for the next period. Called by pool.c and the front ends.
 */
#include "os.h"

#include "pool.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#if defined(__linux__) && !defined(CBP_NO_THREADS)

enum { PATH = 4096 };

/* The first number of a file, then the second; returns how many of them are numbers. */
static int read_numbers(const char *group, const char *name, double *first, double *second) {
    char path[PATH + 32];
    snprintf(path, sizeof path, "%s/%s", group, name);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    const int n = fscanf(file, "%lf %lf", first, second);
    fclose(file);
    return n;
}

/* Processors by the quota of one group, of version 2 or 1 of the interface */
static double group_quota(const char *group) {
    double quota, period, ignored;
    const int known = read_numbers(group, "cpu.max", &quota, &period) == 2 ||
                      (read_numbers(group, "cpu.cfs_quota_us", &quota, &ignored) == 1 &&
                       read_numbers(group, "cpu.cfs_period_us", &period, &ignored) == 1);
    return known && quota > 0 && period > 0 ? quota / period : INFINITY;
}

/* Least quota of a group and all above it, up to the mount. A container may know its group by a path of the host that
 * is not there; its limit then stands at the mount itself. */
static double least_quota(const char *mount, const char *path) {
    char group[PATH];
    const int top = (int)strlen(mount), length = snprintf(group, sizeof group, "%s%s", mount, path);
    double least = INFINITY;
    for (int end = length < PATH ? length : top; end >= top; end--) {
        if (end > top && group[end] != '/' && group[end] != 0) continue;
        group[end] = 0;
        least = fmin(least, group_quota(group));
    }
    return least;
}

static int lists_cpu(const char *controllers) {
    for (const char *at = controllers; (at = strstr(at, "cpu")) != NULL; at += 3)
        if ((at == controllers || at[-1] == ',') && (at[3] == ',' || at[3] == 0)) return 1;
    return 0;
}

/* A line is number:controllers:path; in version 2 the controllers are empty, in version 1 they name the mount. */
int cbp_quota(const char *groups, const char *mounts) {
    char line[PATH], mount[2 * PATH];
    double least = INT_MAX;
    FILE *file = fopen(groups, "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *const controllers = strchr(line, ':'), *const path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path = 0;
        const int version_2 = controllers[1] == 0;
        if (!version_2 && !lists_cpu(controllers + 1)) continue;
        snprintf(mount, sizeof mount, "%s%s%s", mounts, version_2 ? "" : "/", controllers + 1);
        least = fmin(least, least_quota(mount, path + 1));
    }
    if (file) fclose(file);
    return least < 1 ? 1 : (int)least;
}

#else

int cbp_quota(const char *groups, const char *mounts) { return (void)groups, (void)mounts, INT_MAX; }

#endif

int cbp_cpus(void) {
    static cbp_atomic quota; /* 0: not read yet */
    if (!cbp_load(&quota)) cbp_store(&quota, cbp_quota("/proc/self/cgroup", "/sys/fs/cgroup"));
    const int limit = cbp_load(&quota), processors = cbp_affinity(), least = processors < limit ? processors : limit;
    return least < 1 ? 1 : least;
}
