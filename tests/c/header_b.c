/* The other file of the program that header_a.c begins. */

#include <gosync.h>

uint32_t version_seen_by_the_other_file(void);

uint32_t version_seen_by_the_other_file(void) {
    return GOSYNC_VERSION_NUMBER;
}
