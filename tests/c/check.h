/* What the C tests share: checks that say where they failed, files below the folder that the program is given,
 * reproducible data. A failed check ends the program.
 */
#ifndef CHECK_H
#define CHECK_H

#include <gosync.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The error of the last fallible call. */
static gosync_error *error;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The call succeeds. It is written with `&error` as its last argument. */
#define OK(call) expect(__FILE__, __LINE__, #call, GOSYNC_OK, (call))
/* The call fails in this way, and says so in the error too. */
#define FAILS(status, call) expect(__FILE__, __LINE__, #call, status, (call))

static inline void expect(const char *file, int line, const char *text, gosync_status wanted, gosync_status got) {
    int is_right = wanted == got;
    is_right = is_right && (wanted == GOSYNC_OK ? error == NULL : error != NULL && *gosync_error_message(error) != 0);
    is_right = is_right && gosync_error_status(error) == wanted;
    if (!is_right) {
        fprintf(stderr, "%s:%d: %s: wanted %s, got %s: %s\n", file, line, text, gosync_status_name(wanted),
                gosync_status_name(got), error == NULL ? "no error" : gosync_error_text(error));
        exit(1);
    }
    gosync_error_free(error);
    error = NULL;
}

/* Where the test may write; the first argument of the program. */
static const char *folder;

/* A path in the folder. The text is good for the next seven calls. */
static inline const char *in(const char *name) {
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* The same bytes for the same seed, without a pattern that matching could find. */
static inline unsigned char *noise(size_t length, uint64_t seed) {
    unsigned char *data = malloc(length + 1);
    size_t i;
    CHECK(data != NULL);
    for (i = 0; i < length; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        data[i] = (unsigned char)(seed >> 56);
    }
    return data;
}

static inline unsigned char *copy_of(const unsigned char *data, size_t length) {
    unsigned char *copy = malloc(length + 1);
    CHECK(copy != NULL);
    memcpy(copy, data, length);
    return copy;
}

static inline void write_file(const char *path, const void *data, size_t length) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(data, 1, length, file) == length);
    CHECK(fclose(file) == 0);
}

/* Whether the file is exactly these bytes. */
static inline int file_is(const char *path, const void *data, size_t length) {
    unsigned char *there = malloc(length + 1);
    FILE *file = fopen(path, "rb");
    size_t count = 0;
    int same;
    CHECK(there != NULL);
    if (file != NULL) {
        count = fread(there, 1, length + 1, file);
        CHECK(fclose(file) == 0);
    }
    same = file != NULL && count == length && memcmp(there, data, length) == 0;
    free(there);
    return same;
}

static inline void sleep_ms(long milliseconds) {
    struct timespec time = {0, 0};
    time.tv_sec = milliseconds / 1000;
    time.tv_nsec = milliseconds % 1000 * 1000000;
    nanosleep(&time, NULL);
}

static inline double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
