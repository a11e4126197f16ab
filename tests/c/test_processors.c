/* How many processors a process may use: quotas of control groups, read from files such as Linux writes. */
#define _XOPEN_SOURCE 700
#include "harness.h"

#include "pool.h"

#include <limits.h>

CASE(there_is_a_processor) { CHECK(cbp_cpus() >= 1 && cbp_cpus() == cbp_cpus()); }

#ifdef __linux__
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

/* Writes a file below the root, and the folders it needs */
static void put_file(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0);
    fclose(file);
}

static int quota(void) {
    char groups[80];
    snprintf(groups, sizeof groups, "%s/groups", root);
    return cbp_quota(groups, root);
}

static int erase(const char *path, const struct stat *status, int kind, struct FTW *at) {
    (void)status, (void)kind, (void)at;
    return remove(path);
}

static void clean(void) { nftw(root, erase, 8, FTW_DEPTH | FTW_PHYS); }

static void new_root(const char *groups) {
    const char *const folder = getenv("TMPDIR");
    snprintf(root, sizeof root, "%.40s/cbp-XXXXXX", folder && strlen(folder) < 40 ? folder : "/tmp");
    CHECK(mkdtemp(root) != NULL);
    put_file("groups", groups);
}

CASE(version_2_quota_of_the_group) {
    new_root("0::/batch/job\n");
    put_file("batch/job/cpu.max", "350000 100000\n");
    CHECK(quota() == 3);
    put_file("batch/job/cpu.max", "max 100000\n");
    CHECK(quota() == INT_MAX);
    put_file("batch/job/cpu.max", "50000 100000\n");
    CHECK(quota() == 1);
    clean();
}

CASE(quota_of_a_group_above) {
    new_root("0::/batch/job\n");
    put_file("batch/job/cpu.max", "800000 100000\n");
    put_file("batch/cpu.max", "200000 100000\n");
    CHECK(quota() == 2);
    clean();
}

CASE(a_container_finds_its_limit_at_the_mount) {
    new_root("0::/docker/0123456789abcdef\n");
    put_file("cpu.max", "400000 100000\n");
    CHECK(quota() == 4);
    clean();
}

CASE(version_1_quota_of_the_group) {
    new_root("9:memory:/a\n4:cpuset:/a\n3:cpu,cpuacct:/a/b\n1:name=systemd:/\n0::/\n");
    put_file("cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put_file("cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    CHECK(quota() == INT_MAX);
    put_file("cpu,cpuacct/a/cpu.cfs_quota_us", "500000\n");
    put_file("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    CHECK(quota() == 5);
    put_file("cpuset/a/cpu.cfs_quota_us", "100000\n");
    put_file("cpuset/a/cpu.cfs_period_us", "100000\n");
    CHECK(quota() == 5);
    clean();
}

CASE(no_groups_no_limit) {
    new_root("");
    CHECK(quota() == INT_MAX && cbp_quota("/nonexistent/groups", root) == INT_MAX);
    clean();
}
#endif
