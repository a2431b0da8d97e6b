/* fs_shutdown PATH...: shuts down the file system at each path without writing its log, as a power cut would.
 *
 * All are opened before the first is shut down, so that they go within microseconds of each other. Prints the
 * microseconds from before the first to after the last. Nothing can be written there until it is mounted again.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <time.h>

#define SHUTDOWN _IOR('X', 125, uint32_t) /* FS_IOC_SHUTDOWN of ext4, f2fs and xfs */
#define NO_LOG_FLUSH 2
#define PATHS_MAX 256

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
    int fds[PATHS_MAX], failed = 0;
    uint32_t how = NO_LOG_FLUSH;
    if (argc < 2 || argc > PATHS_MAX) {
        fprintf(stderr, "1 to %d paths are wanted\n", PATHS_MAX - 1);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        fds[i] = open(argv[i], O_RDONLY | O_DIRECTORY);
        if (fds[i] < 0) {
            fprintf(stderr, "opening %s: %s\n", argv[i], strerror(errno));
            return 1;
        }
    }
    double begin = now_us();
    for (int i = 1; i < argc; i++) {
        if (ioctl(fds[i], SHUTDOWN, &how) < 0) {
            fprintf(stderr, "shutting down %s: %s\n", argv[i], strerror(errno));
            failed = 1;
        }
    }
    printf("%.0f\n", now_us() - begin);
    return failed;
}
