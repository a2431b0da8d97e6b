/* Loaded into a process, lets its syncs fail with EIO while the file named by CHRONOS_SYNC_FAILS says so:
 *
 *     path           a part of the path of the files concerned
 *     after          how many syncs of such files succeed first, counted in this process from the start of this order
 *     times          how many fail then
 *     order          a number that changes with each order
 *
 * one a line. No such file, no fault. Each failure adds one letter to the file's namesake with ".hits" at its end.
 *
 * Catches fsync, fdatasync, syncfs and sync_file_range of the C library; not io_uring, and no static program.
 * What the disk would have lost is not lost: the data stays in the page cache.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long current = -1;
static unsigned long seen;

struct order { char path[PATH_MAX]; unsigned long after, times; long number; };

static int read_order(const char *file, struct order *o) {
    char text[PATH_MAX + 64];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    char *rest = strchr(text, '\n');
    if (!rest || (size_t)(rest - text) >= sizeof o->path) return 0;
    *rest++ = 0;
    strcpy(o->path, text);
    return sscanf(rest, "%lu %lu %ld", &o->after, &o->times, &o->number) == 3;
}

static void note_hit(const char *file) {
    char hits[PATH_MAX];
    if (snprintf(hits, sizeof hits, "%s.hits", file) >= (int)sizeof hits) return;
    int fd = open(hits, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return;
    if (write(fd, "x", 1) < 0) { /* the count is for people only */ }
    close(fd);
}

static int fails(int fd) {
    const char *file = getenv("CHRONOS_SYNC_FAILS");
    struct order o;
    int saved = errno;
    char link[64], path[PATH_MAX];
    if (!file || !read_order(file, &o)) { errno = saved; return 0; }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (n < 0) return 0;
    path[n] = 0;
    if (!strstr(path, o.path)) return 0;
    pthread_mutex_lock(&lock);
    if (current != o.number) { current = o.number; seen = 0; }
    unsigned long now = ++seen;
    pthread_mutex_unlock(&lock);
    if (now <= o.after || now - o.after > o.times) return 0;
    note_hit(file);
    errno = EIO;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
int fsync(int fd) { return fails(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : REAL(fdatasync)(fd); }
int syncfs(int fd) { return fails(fd) ? -1 : REAL(syncfs)(fd); }
int sync_file_range(int fd, off64_t from, off64_t bytes, unsigned flags) {
    return fails(fd) ? -1 : REAL(sync_file_range)(fd, from, bytes, flags);
}
