/* The header by itself: it compiles alone, twice, and in two files of one program (the other is header_b.c); what its
 * macros say is what the compiler and the linked library say.
 */

#include <gosync.h>
#include <gosync.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t version_seen_by_the_other_file(void);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The preprocessor can use it as well. */
#if GOSYNC_VERSION_NUMBER != GOSYNC_VERSION_MAJOR * 65536 + GOSYNC_VERSION_MINOR * 256 + GOSYNC_VERSION_PATCH
#error "the version's number is not made of its parts"
#endif

/* The macro sets the size and nothing else. */
#define INIT_IS_ZERO(type, init)                                                                                       \
    do {                                                                                                               \
        type value = init, zero;                                                                                       \
        memset(&zero, 0, sizeof(zero));                                                                                \
        zero.struct_size = sizeof(type);                                                                               \
        CHECK(memcmp(&value, &zero, sizeof(value)) == 0);                                                              \
    } while (0)

int main(void) {
    char version[64];
    snprintf(version, sizeof(version), "%d.%d.%d", GOSYNC_VERSION_MAJOR, GOSYNC_VERSION_MINOR, GOSYNC_VERSION_PATCH);
    CHECK(strcmp(version, gosync_version()) == 0);
    CHECK(gosync_version_number() == GOSYNC_VERSION_NUMBER);
    CHECK(gosync_version_number() == version_seen_by_the_other_file());
    CHECK(GOSYNC_TO_END == UINT64_MAX);
    INIT_IS_ZERO(gosync_index_options, GOSYNC_INDEX_OPTIONS_INIT);
    INIT_IS_ZERO(gosync_open_options, GOSYNC_OPEN_OPTIONS_INIT);
    INIT_IS_ZERO(gosync_job_options, GOSYNC_JOB_OPTIONS_INIT);
    INIT_IS_ZERO(gosync_verify_options, GOSYNC_VERIFY_OPTIONS_INIT);
    INIT_IS_ZERO(gosync_observer, GOSYNC_OBSERVER_INIT);
    INIT_IS_ZERO(gosync_source_ops, GOSYNC_SOURCE_OPS_INIT);
    INIT_IS_ZERO(gosync_read_ops, GOSYNC_READ_OPS_INIT);
    INIT_IS_ZERO(gosync_progress, GOSYNC_PROGRESS_INIT);
    INIT_IS_ZERO(gosync_statistics, GOSYNC_STATISTICS_INIT);
    INIT_IS_ZERO(gosync_piece, GOSYNC_PIECE_INIT);
    puts(version);
    return 0;
}
