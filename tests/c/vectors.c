/* The vectors that all languages run, here as lines of words, which the test that starts this program makes of the JSON:
 *
 *     index LENGTH BLOCK_SIZE ENCODED_SIZE ROOT ENCODED_BLAKE3
 *     bad ERROR HEX-
 *     error NUMBER NAME RETRYABLE
 *
 * (a minus after the hexadecimal digits, so that no word is ever empty).
 */

#include "check.h"

static unsigned indexes, bad_ones, errors;

/* Byte i is i mod 251. */
static unsigned char *pattern(size_t length) {
    unsigned char *data = malloc(length + 1);
    size_t i;
    CHECK(data != NULL);
    for (i = 0; i < length; i++) {
        data[i] = (unsigned char)(i % 251);
    }
    return data;
}

/* The root, or null for an index that has none. */
static const char *root_of(const gosync_index *index) {
    unsigned char root[32];
    const char *hex = gosync_index_root_hex(index);
    gosync_error *error = NULL;
    if (hex == NULL) {
        CHECK(gosync_index_root(index, root, &error) == GOSYNC_E_STATE);
        gosync_error_free(error);
        return "null";
    }
    return hex;
}

static void check_index(const char *line) {
    char root[65], encoded_root[65], format[16];
    uint64_t length, encoded_size;
    uint32_t block_size;
    size_t written = 0;
    gosync_index_options options = GOSYNC_INDEX_OPTIONS_INIT;
    gosync_index *index = NULL, *of_encoded = NULL, *again = NULL;
    unsigned char *data, *encoded;
    CHECK(sscanf(line, "index %15s %" SCNu64 " %" SCNu32 " %" SCNu64 " %64s %64s", format, &length, &block_size,
                 &encoded_size, root, encoded_root) == 6);
    data = pattern((size_t)length);
    options.block_size = block_size;
    options.format = format;
    OK(gosync_index_build_from_memory(data, (size_t)length, &options, &index, &error));
    CHECK(strcmp(root_of(index), root) == 0 && strcmp(gosync_index_format(index), format) == 0);
    CHECK(gosync_index_length(index) == length && gosync_index_encoded_size(index) == encoded_size);
    CHECK(block_size == 0 || gosync_index_block_size(index) == block_size);
    encoded = malloc((size_t)encoded_size);
    CHECK(encoded != NULL);
    OK(gosync_index_encode(index, encoded, (size_t)encoded_size, &written, &error));
    /* The root of an index of the encoded index is its BLAKE3. */
    OK(gosync_index_build_from_memory(encoded, written, NULL, &of_encoded, &error));
    CHECK(strcmp(gosync_index_root_hex(of_encoded), encoded_root) == 0);
    OK(gosync_index_from_memory(encoded, written, NULL, &again, &error));
    CHECK(strcmp(root_of(again), root) == 0 && strcmp(gosync_index_format(again), format) == 0);
    gosync_index_free(index);
    gosync_index_free(of_encoded);
    gosync_index_free(again);
    free(data);
    free(encoded);
    indexes++;
}

static unsigned nibble(char digit) {
    const char *digits = "0123456789abcdef", *found = strchr(digits, digit);
    CHECK(digit != 0 && found != NULL);
    return (unsigned)(found - digits);
}

static void check_bad(const char *line) {
    char name[32];
    const char *hex;
    unsigned char *data;
    size_t length = 0;
    gosync_index *index = NULL;
    gosync_status status;
    CHECK(sscanf(line, "bad %31s", name) == 1);
    hex = line + strlen("bad ") + strlen(name) + 1;
    data = malloc(strlen(hex) + 1);
    CHECK(data != NULL);
    for (; *hex != '-'; hex += 2) {
        data[length++] = (unsigned char)(nibble(hex[0]) * 16 + nibble(hex[1]));
    }
    status = gosync_index_from_memory(data, length, NULL, &index, &error);
    if (strcmp(gosync_status_name(status), name) != 0) {
        fprintf(stderr, "%s: got %s\n", line, gosync_status_name(status));
    }
    CHECK(strcmp(gosync_status_name(status), name) == 0);
    CHECK(index == NULL && gosync_error_status(error) == status && *gosync_error_message(error) != 0);
    gosync_error_free(error);
    error = NULL;
    free(data);
    bad_ones++;
}

static void check_error(const char *line) {
    char name[32];
    int number, retryable;
    CHECK(sscanf(line, "error %d %31s %d", &number, name, &retryable) == 3);
    CHECK(strcmp(gosync_status_name(number), name) == 0);
    CHECK(gosync_status_retryable(number) == (retryable != 0));
    errors++;
}

int main(int argc, char **argv) {
    static char line[1 << 20];
    unsigned named = 0;
    int number;
    FILE *file;
    CHECK(argc == 3);
    folder = argv[1];
    file = fopen(argv[2], "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "index ", 6) == 0) {
            check_index(line);
        } else if (strncmp(line, "bad ", 4) == 0) {
            check_bad(line);
        } else {
            check_error(line);
        }
    }
    CHECK(fclose(file) == 0);
    /* Nothing has a name that the vectors do not list. */
    for (number = -1000; number < 1000; number++) {
        named += strcmp(gosync_status_name(number), "UNKNOWN") != 0;
    }
    CHECK(named == errors + 2); /* and OK and AGAIN */
    CHECK(gosync_status_retryable(GOSYNC_AGAIN) && !gosync_status_retryable(GOSYNC_OK));
    printf("vectors: %u indexes, %u bad ones, %u errors\n", indexes, bad_ones, errors);
    return 0;
}
