/* NULL for each pointer of each function, wrong sizes of each structure, and texts and numbers that cannot be: one clear
 * error each, NULL in the outputs, nothing taken. Never a crash.
 */

#include "check.h"

static gosync_index *some_index;
static gosync_source *source;
static gosync_job *job;
static gosync_plan *plan;
static gosync_verification *verification;
static gosync_cancel *cancel;

/* A place that holds garbage before a call that must fail, and NULL after it. */
#define LEAVES_NULL(type, call)                                                                                        \
    do {                                                                                                               \
        type *out = (type *)(void *)&out;                                                                              \
        FAILS(GOSYNC_E_ARGUMENT, call);                                                                                \
        CHECK(out == NULL);                                                                                            \
    } while (0)
#define REFUSED(call) FAILS(GOSYNC_E_ARGUMENT, call)

static unsigned drops;

static void on_drop(void *user_data) {
    (void)user_data;
    drops++;
}

static void on_fetch(void *user_data, gosync_request *request) {
    /* The only request that is at hand: NULL for each of its functions' pointers, then no answer at all. */
    uint64_t offset = 7, length = 7;
    (void)user_data;
    CHECK(gosync_request_range(NULL, 0, &offset, &length, NULL) == GOSYNC_E_ARGUMENT);
    CHECK(gosync_request_range(request, 0, NULL, &length, NULL) == GOSYNC_E_ARGUMENT);
    CHECK(gosync_request_range(request, 0, &offset, NULL, NULL) == GOSYNC_E_ARGUMENT);
    CHECK(gosync_request_range(request, gosync_request_range_count(request), &offset, &length, NULL) ==
          GOSYNC_E_ARGUMENT);
    CHECK(offset == 7 && length == 7);
    CHECK(gosync_request_supply(request, 0, NULL, 1) == GOSYNC_E_ARGUMENT);
    CHECK(gosync_request_supply(request, 0, "x", SIZE_MAX) == GOSYNC_E_ARGUMENT);
    CHECK(gosync_request_supply(request, 0, NULL, 0) == GOSYNC_OK);
    gosync_request_finish(request, 12345, "not UTF-8: \xff, and a status that does not exist");
}

static gosync_status on_read(void *user_data, uint64_t offset, void *buffer, size_t length, size_t *got) {
    (void)user_data, (void)offset, (void)buffer, (void)length;
    *got = 0;
    return GOSYNC_OK;
}

static void test_getters_of_nothing(void) {
    gosync_progress progress = GOSYNC_PROGRESS_INIT;
    gosync_statistics statistics = GOSYNC_STATISTICS_INIT;
    CHECK(gosync_error_status(NULL) == GOSYNC_OK && gosync_error_message(NULL) == NULL);
    CHECK(gosync_error_text(NULL) == NULL && gosync_error_context_count(NULL) == 0);
    CHECK(gosync_error_context_key(NULL, 0) == NULL && gosync_error_context_value(NULL, 0) == NULL);
    CHECK(gosync_error_cause(NULL) == NULL);
    gosync_cancel_trigger(NULL);
    CHECK(!gosync_cancel_is_triggered(NULL));
    CHECK(gosync_index_encoded_size(NULL) == 0 && gosync_index_length(NULL) == 0);
    CHECK(gosync_index_block_size(NULL) == 0 && gosync_index_block_count(NULL) == 0);
    CHECK(gosync_index_unit_count(NULL) == 0 && gosync_index_source(NULL) == NULL);
    CHECK(gosync_index_name(NULL) == NULL && gosync_index_version(NULL) == NULL);
    CHECK(gosync_index_signature(NULL) == NULL && gosync_index_format(NULL) == NULL && gosync_index_top_size(NULL) == 0);
    CHECK(gosync_index_kind(NULL) == NULL && gosync_index_entry_count(NULL) == 0);
    CHECK(gosync_verification_difference_count(NULL) == 0 && gosync_verification_difference_path(NULL, 0) == NULL);
    CHECK(gosync_verification_difference_what(NULL, 0) == NULL);
    CHECK(gosync_verification_difference_damaged_count(NULL, 0) == 0);
    CHECK(gosync_index_origin(NULL) == NULL && gosync_index_root_hex(NULL) == NULL);
    CHECK(!gosync_verification_is_match(NULL) && gosync_verification_length(NULL) == 0);
    CHECK(gosync_verification_expected_length(NULL) == 0 && gosync_verification_damaged_count(NULL) == 0);
    CHECK(gosync_request_id(NULL) == 0 && gosync_request_range_count(NULL) == 0);
    CHECK(gosync_request_supply(NULL, 0, "x", 1) == GOSYNC_E_ARGUMENT);
    gosync_request_finish(NULL, GOSYNC_OK, NULL);
    gosync_job_cancel(NULL);
    progress.total = statistics.total = 9;
    gosync_job_progress(NULL, &progress);
    gosync_job_statistics(NULL, &statistics);
    CHECK(progress.total == 9 && statistics.total == 9);
    gosync_job_progress(job, NULL);
    gosync_job_statistics(job, NULL);
    CHECK(gosync_job_proof(NULL) == NULL && gosync_job_reason(NULL) == NULL && gosync_job_root(NULL) == NULL);
    CHECK(gosync_plan_total(NULL) == 0 && gosync_plan_from_seeds(NULL) == 0 && gosync_plan_missing(NULL) == 0);
    CHECK(gosync_plan_to_fetch(NULL) == 0 && gosync_plan_ranges(NULL) == 0 && gosync_plan_index_size(NULL) == 0);
    CHECK(gosync_plan_strategy(NULL) == NULL && gosync_plan_rate(NULL) == 0 && !(gosync_plan_time_ms(NULL) > 0));
    CHECK(!(gosync_plan_round_trip_ms(NULL) > 0) && !(gosync_plan_time_whole_ms(NULL) > 0));
    CHECK(!gosync_plan_up_to_date(NULL) && gosync_plan_reason(NULL) == NULL && gosync_plan_piece_count(NULL) == 0);
    CHECK(gosync_plan_change_count(NULL) == 0 && gosync_plan_change_path(NULL, 0) == NULL);
    CHECK(gosync_plan_change_what(NULL, 0) == NULL && gosync_plan_change_from(NULL, 0) == NULL);
    CHECK(gosync_plan_change_size(NULL, 0) == 0 && gosync_plan_change_path(plan, 0) == NULL);
    CHECK(strcmp(gosync_status_name(-1), "UNKNOWN") == 0 && !gosync_status_retryable(-1));
    CHECK(strcmp(gosync_phase_name(99), "unknown") == 0 && strcmp(gosync_level_name(99), "unknown") == 0);
    gosync_error_free(NULL);
    gosync_cancel_free(NULL);
    gosync_index_free(NULL);
    gosync_verification_free(NULL);
    gosync_source_free(NULL);
    gosync_job_free(NULL);
    gosync_plan_free(NULL);
}

static void test_null_for_an_index(void) {
    uint8_t bytes[32] = {0};
    const char *nothing = NULL;
    size_t written = 5;
    REFUSED(gosync_cancel_new(NULL, &error));
    LEAVES_NULL(gosync_index, gosync_index_build(NULL, NULL, &out, &error));
    LEAVES_NULL(gosync_index, gosync_index_build("", NULL, &out, &error));
    REFUSED(gosync_index_build(in("file"), NULL, NULL, &error));
    LEAVES_NULL(gosync_index, gosync_index_build_from_memory(NULL, 1, NULL, &out, &error));
    LEAVES_NULL(gosync_index, gosync_index_build_from_memory("x", SIZE_MAX, NULL, &out, &error));
    REFUSED(gosync_index_build_from_memory("x", 1, NULL, NULL, &error));
    LEAVES_NULL(gosync_index, gosync_index_open(NULL, NULL, &out, &error));
    LEAVES_NULL(gosync_index, gosync_index_open("not UTF-8: \xff", NULL, &out, &error));
    REFUSED(gosync_index_open(in("file"), NULL, NULL, &error));
    LEAVES_NULL(gosync_index, gosync_index_open_source(NULL, NULL, &out, &error));
    REFUSED(gosync_index_open_source(source, NULL, NULL, &error));
    LEAVES_NULL(gosync_index, gosync_index_from_memory(NULL, 1, NULL, &out, &error));
    REFUSED(gosync_index_from_memory("x", 1, NULL, NULL, &error));
    REFUSED(gosync_index_check(NULL, NULL, &error));
    REFUSED(gosync_index_save(NULL, in("index"), &error));
    REFUSED(gosync_index_save(some_index, NULL, &error));
    REFUSED(gosync_index_encode(NULL, bytes, 32, &written, &error));
    REFUSED(gosync_index_encode(some_index, NULL, 32, &written, &error));
    REFUSED(gosync_index_encode(some_index, bytes, 32, NULL, &error));
    CHECK(written == 5);
    REFUSED(gosync_index_root(NULL, bytes, &error));
    REFUSED(gosync_index_root(some_index, NULL, &error));
    LEAVES_NULL(gosync_verification, gosync_index_verify(NULL, in("file"), NULL, &out, &error));
    LEAVES_NULL(gosync_verification, gosync_index_verify(some_index, NULL, NULL, &out, &error));
    REFUSED(gosync_index_verify(some_index, in("file"), NULL, NULL, &error));
    REFUSED(gosync_content_prune(NULL, NULL, 0, NULL, NULL, &error));
    REFUSED(gosync_content_prune(in("folder"), NULL, 1, NULL, NULL, &error));
    REFUSED(gosync_content_prune(in("folder"), &nothing, 1, NULL, NULL, &error));
    /* Without a place for the error, the status is all there is. */
    CHECK(gosync_index_save(NULL, NULL, NULL) == GOSYNC_E_ARGUMENT);
    CHECK(gosync_index_build(NULL, NULL, NULL, NULL) == GOSYNC_E_ARGUMENT);
}

static void test_null_for_the_rest(void) {
    gosync_source_ops ops = GOSYNC_SOURCE_OPS_INIT;
    gosync_read_ops read_ops = GOSYNC_READ_OPS_INIT;
    gosync_piece piece = GOSYNC_PIECE_INIT;
    uint64_t offset = 7, length = 7;
    REFUSED(gosync_verification_damaged_range(NULL, 0, &offset, &length, &error));
    REFUSED(gosync_verification_damaged_range(verification, 0, NULL, &length, &error));
    REFUSED(gosync_verification_damaged_range(verification, 0, &offset, NULL, &error));
    REFUSED(gosync_verification_damaged_range(verification, 1, &offset, &length, &error));
    REFUSED(gosync_verification_difference_damaged_range(NULL, 0, 0, &offset, &length, &error));
    REFUSED(gosync_verification_difference_damaged_range(verification, 0, 0, &offset, &length, &error));
    CHECK(offset == 7 && length == 7);
    LEAVES_NULL(gosync_source, gosync_source_open(NULL, NULL, &out, &error));
    REFUSED(gosync_source_open(in("file"), NULL, NULL, &error));
    LEAVES_NULL(gosync_source, gosync_source_from_memory(NULL, 1, &out, &error));
    REFUSED(gosync_source_from_memory("x", 1, NULL, &error));

    ops.drop = read_ops.drop = on_drop;
    LEAVES_NULL(gosync_source, gosync_source_new(NULL, NULL, &out, &error));
    LEAVES_NULL(gosync_source, gosync_source_new(&ops, NULL, &out, &error));
    ops.fetch = on_fetch;
    REFUSED(gosync_source_new(&ops, NULL, NULL, &error));
    ops.description = "\xff";
    LEAVES_NULL(gosync_source, gosync_source_new(&ops, NULL, &out, &error));
    LEAVES_NULL(gosync_source, gosync_source_new_blocking(NULL, NULL, &out, &error));
    LEAVES_NULL(gosync_source, gosync_source_new_blocking(&read_ops, NULL, &out, &error));
    read_ops.read_at = on_read;
    REFUSED(gosync_source_new_blocking(&read_ops, NULL, NULL, &error));
    read_ops.reserved = 1;
    LEAVES_NULL(gosync_source, gosync_source_new_blocking(&read_ops, NULL, &out, &error));
    CHECK(drops == 0); /* a call that fails took nothing */

    LEAVES_NULL(gosync_job, gosync_job_new(NULL, source, in("target"), NULL, &out, &error));
    LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, NULL, NULL, &out, &error));
    LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, "", NULL, &out, &error));
    REFUSED(gosync_job_new(some_index, source, in("target"), NULL, NULL, &error));
    REFUSED(gosync_job_add_seed(NULL, in("file"), &error));
    REFUSED(gosync_job_add_seed(job, NULL, &error));
    REFUSED(gosync_job_add_mirror(NULL, source, &error));
    REFUSED(gosync_job_add_mirror(job, NULL, &error));
    LEAVES_NULL(gosync_plan, gosync_job_plan(NULL, &out, &error));
    REFUSED(gosync_job_plan(job, NULL, &error));
    REFUSED(gosync_job_run(NULL, &error));
    REFUSED(gosync_plan_piece(NULL, 0, &piece, &error));
    REFUSED(gosync_plan_piece(plan, 0, NULL, &error));
    REFUSED(gosync_plan_piece(plan, gosync_plan_piece_count(plan), &piece, &error));
}

/* For a structure that the library reads: an older caller's, a newer caller's, and what nobody's can be.
 * `works` and `fails` are calls that use `sized`. */
#define SIZES(type, init, works, fails)                                                                                \
    do {                                                                                                               \
        struct {                                                                                                       \
            type known;                                                                                                \
            uint64_t newer[2];                                                                                         \
        } both = {init, {0, 0}};                                                                                       \
        const type *sized = &both.known;                                                                               \
        size_t bad[] = {0, 1, sizeof(size_t) - 1, sizeof(size_t) + 1, sizeof(type) - 1, sizeof(type) + 1, 4104,        \
                        SIZE_MAX};                                                                                     \
        size_t i;                                                                                                      \
        works;                                                                                                         \
        both.known.struct_size = sizeof(both);                                                                         \
        works;                                                                                                         \
        both.newer[1] = UINT64_C(1) << 63;                                                                             \
        fails;                                                                                                         \
        for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {                                                             \
            both.known.struct_size = bad[i];                                                                           \
            fails;                                                                                                     \
        }                                                                                                              \
    } while (0)

static void open_and_free(const gosync_open_options *options) {
    gosync_source *opened = NULL;
    OK(gosync_source_open(in("file"), options, &opened, &error));
    gosync_source_free(opened);
}

static void build_and_free(const gosync_index_options *options) {
    gosync_index *built = NULL;
    OK(gosync_index_build(in("file"), options, &built, &error));
    gosync_index_free(built);
}

static void verify_and_free(const gosync_verify_options *options) {
    gosync_verification *found = NULL;
    OK(gosync_index_verify(some_index, in("file"), options, &found, &error));
    gosync_verification_free(found);
}

static void job_and_free(const gosync_job_options *options) {
    gosync_job *made = NULL;
    OK(gosync_job_new(some_index, source, in("target"), options, &made, &error));
    gosync_job_free(made);
}

/* What an observer is given to, so that its drops can be counted. */
static const gosync_index_options *watched_by(const gosync_observer *observer) {
    static gosync_index_options options = GOSYNC_INDEX_OPTIONS_INIT;
    options.observer = observer;
    return &options;
}

static void source_and_free(const gosync_source_ops *ops) {
    gosync_source *made = NULL;
    OK(gosync_source_new(ops, NULL, &made, &error));
    gosync_source_free(made);
}

static void blocking_and_free(const gosync_read_ops *ops) {
    gosync_source *made = NULL;
    OK(gosync_source_new_blocking(ops, NULL, &made, &error));
    gosync_source_free(made);
}

static void test_sizes(void) {
    gosync_observer observer = GOSYNC_OBSERVER_INIT;
    gosync_source_ops ops = GOSYNC_SOURCE_OPS_INIT;
    gosync_read_ops read_ops = GOSYNC_READ_OPS_INIT;
    gosync_job_options nested = GOSYNC_JOB_OPTIONS_INIT;
    gosync_open_options open = GOSYNC_OPEN_OPTIONS_INIT;
    unsigned i;
    SIZES(gosync_index_options, GOSYNC_INDEX_OPTIONS_INIT, build_and_free(sized),
          LEAVES_NULL(gosync_index, gosync_index_build(in("file"), sized, &out, &error)));
    SIZES(gosync_open_options, GOSYNC_OPEN_OPTIONS_INIT, open_and_free(sized),
          LEAVES_NULL(gosync_source, gosync_source_open(in("file"), sized, &out, &error)));
    SIZES(gosync_verify_options, GOSYNC_VERIFY_OPTIONS_INIT, verify_and_free(sized),
          LEAVES_NULL(gosync_verification, gosync_index_verify(some_index, in("file"), sized, &out, &error)));
    SIZES(gosync_job_options, GOSYNC_JOB_OPTIONS_INIT, job_and_free(sized),
          LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, in("target"), sized, &out, &error)));
    open.struct_size = 1;
    nested.open = &open;
    LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, in("target"), &nested, &out, &error));

    drops = 0;
    observer.drop = on_drop;
    SIZES(gosync_observer, observer, build_and_free(watched_by(sized)),
          LEAVES_NULL(gosync_index, gosync_index_build(in("file"), watched_by(sized), &out, &error)));
    CHECK(drops == 2); /* the two that worked */
    /* An observer that was read is taken, whatever is wrong with the rest. */
    LEAVES_NULL(gosync_index, gosync_index_build(NULL, watched_by(&observer), &out, &error));
    REFUSED(gosync_index_build(in("file"), watched_by(&observer), NULL, &error));
    CHECK(drops == 4);

    drops = 0;
    ops.fetch = on_fetch;
    ops.drop = read_ops.drop = on_drop;
    read_ops.read_at = on_read;
    SIZES(gosync_source_ops, ops, source_and_free(sized),
          LEAVES_NULL(gosync_source, gosync_source_new(sized, NULL, &out, &error)));
    CHECK(drops == 2);
    SIZES(gosync_read_ops, read_ops, blocking_and_free(sized),
          LEAVES_NULL(gosync_source, gosync_source_new_blocking(sized, NULL, &out, &error)));
    for (i = 0; i < 1000 && drops < 4; i++) {
        sleep_ms(5); /* its threads end by themselves */
    }
    CHECK(drops == 4);
}

/* Structures that the library writes: only as much as the caller has room for, and zero in what it does not know. */
static void test_sizes_of_outputs(void) {
    struct {
        gosync_piece known;
        uint64_t newer;
    } piece = {GOSYNC_PIECE_INIT, 9};
    struct {
        gosync_statistics known;
        uint64_t newer;
    } statistics = {GOSYNC_STATISTICS_INIT, 9};
    gosync_progress progress = GOSYNC_PROGRESS_INIT;
    piece.known.struct_size = sizeof(piece);
    OK(gosync_plan_piece(plan, 0, &piece.known, &error));
    CHECK(piece.known.length > 0 && piece.newer == 0 && piece.known.struct_size == sizeof(piece));
    memset(&piece, 0xaa, sizeof(piece));
    piece.known.struct_size = sizeof(size_t) + 8;
    OK(gosync_plan_piece(plan, 0, &piece.known, &error));
    CHECK(piece.known.target_offset == 0 && piece.known.length == UINT64_C(0xaaaaaaaaaaaaaaaa));
    piece.known.struct_size = sizeof(gosync_piece) + 1;
    REFUSED(gosync_plan_piece(plan, 0, &piece.known, &error));
    piece.known.struct_size = 0;
    REFUSED(gosync_plan_piece(plan, 0, &piece.known, &error));

    statistics.known.struct_size = sizeof(statistics);
    gosync_job_statistics(job, &statistics.known);
    CHECK(statistics.known.total == gosync_index_length(some_index) && statistics.newer == 0);
    memset(&progress, 0xaa, sizeof(progress));
    progress.struct_size = 3;
    gosync_job_progress(job, &progress);
    CHECK(progress.struct_size == 3 && progress.phase == 0xaaaaaaaa);
    progress.struct_size = sizeof(size_t) + 8;
    gosync_job_progress(job, &progress);
    CHECK(progress.phase <= GOSYNC_PHASE_DONE && progress.total == UINT64_C(0xaaaaaaaaaaaaaaaa));
}

static void test_options(void) {
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_verify_options verify = GOSYNC_VERIFY_OPTIONS_INIT;
    gosync_index_options build = GOSYNC_INDEX_OPTIONS_INIT;
    const char *no_pattern[] = {NULL}, *wrong_pattern[] = {"[z-a]"};
    options.flags = 0x80000000u;
    LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, in("target"), &options, &out, &error));
    options.flags = 0;
    options.retries = -2;
    LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, in("target"), &options, &out, &error));
    options.retries = 0;
    options.assume_rtt_ms = -0.5;
    LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, in("target"), &options, &out, &error));
    options.assume_rtt_ms = 1e300;
    LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, in("target"), &options, &out, &error));
    verify.reserved = 1;
    LEAVES_NULL(gosync_verification, gosync_index_verify(some_index, in("file"), &verify, &out, &error));
    build.block_size = 3;
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.block_size = 0;
    build.top_size = 3;
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.top_size = 0;
    build.flags = 4;
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.flags = 0;
    build.format = "zsync";
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.format = "\xff";
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.format = NULL;
    build.source = "\xff";
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.source = NULL;
    build.name = "\xff";
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.name = NULL;
    build.version = "a\nb";
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.version = NULL;
    build.sign = in("file"); /* which is no key */
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.sign = NULL;
    build.sign_password = "\xff";
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.sign_password = NULL;
    build.exclude_count = 1;
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.exclude = no_pattern;
    LEAVES_NULL(gosync_index, gosync_index_build(in("file"), &build, &out, &error));
    build.exclude = wrong_pattern;
    LEAVES_NULL(gosync_index, gosync_index_build(folder, &build, &out, &error));
}

/* Each text of the opening options, none of which may be wrong however little it would be needed. */
static void test_open_options(void) {
    gosync_open_options options = GOSYNC_OPEN_OPTIONS_INIT;
    const char **texts[8];
    const char *lines[] = {"Name: value", "not UTF-8: \xff", NULL};
    size_t i;
    texts[0] = &options.user;
    texts[1] = &options.bearer;
    texts[2] = &options.proxy;
    texts[3] = &options.no_proxy;
    texts[4] = &options.expect;
    texts[5] = &options.public_key;
    texts[6] = &options.ca_file;
    texts[7] = &options.index_cache;
    for (i = 0; i < 8; i++) {
        *texts[i] = i < 6 ? "not UTF-8: \xff" : ""; /* paths are bytes, but an empty one is none */
        LEAVES_NULL(gosync_source, gosync_source_open(in("file"), &options, &out, &error));
        *texts[i] = NULL;
    }
    options.retries = -2;
    LEAVES_NULL(gosync_index, gosync_index_open(in("file"), &options, &out, &error));
    options.retries = -1;
    options.header_count = 1;
    LEAVES_NULL(gosync_source, gosync_source_open(in("file"), &options, &out, &error));
    options.headers = lines;
    options.header_count = SIZE_MAX;
    LEAVES_NULL(gosync_source, gosync_source_open(in("file"), &options, &out, &error));
    options.header_count = 2;
    LEAVES_NULL(gosync_source, gosync_source_open(in("file"), &options, &out, &error));
    lines[1] = lines[2];
    LEAVES_NULL(gosync_source, gosync_source_open(in("file"), &options, &out, &error));
    options.header_count = 1;
    open_and_free(&options);
}

/* The structures as they were before they grew: what comes behind their end is not looked at. */
static void test_older_structures(void) {
    gosync_open_options open = GOSYNC_OPEN_OPTIONS_INIT;
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    open.retries = -2;
    open.header_count = 7;
    LEAVES_NULL(gosync_source, gosync_source_open(in("file"), &open, &out, &error));
    open.struct_size = offsetof(gosync_open_options, index_cache);
    CHECK(sizeof(void *) != 8 || open.struct_size == 32);
    open_and_free(&open);
    options.open = &open;
    options.assume_rtt_ms = -1;
    LEAVES_NULL(gosync_job, gosync_job_new(some_index, source, in("target"), &options, &out, &error));
    options.struct_size = offsetof(gosync_job_options, max_gap);
    CHECK(sizeof(void *) != 8 || options.struct_size == 56);
    job_and_free(&options);
}

/* The functions of a request, from within a real one. */
static void test_request(void) {
    gosync_source_ops ops = GOSYNC_SOURCE_OPS_INIT;
    gosync_source *own = NULL;
    gosync_index *index = (gosync_index *)(void *)&index;
    ops.fetch = on_fetch;
    OK(gosync_source_new(&ops, NULL, &own, &error));
    CHECK(gosync_index_open_source(own, NULL, &index, &error) == GOSYNC_E_SOURCE && index == NULL);
    CHECK(strstr(gosync_error_text(error), "a status that does not exist") != NULL);
    gosync_error_free(error);
    error = NULL;
    gosync_source_free(own);
}

/* A job's end says nothing to others who were given the same token. */
static void test_token_is_shared(void) {
    gosync_observer observer = GOSYNC_OBSERVER_INIT;
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_job *made = NULL;
    observer.cancel = cancel;
    options.observer = &observer;
    OK(gosync_job_new(some_index, source, in("target"), &options, &made, &error));
    gosync_job_cancel(made);
    gosync_job_free(made);
    CHECK(!gosync_cancel_is_triggered(cancel));
}

int main(int argc, char **argv) {
    unsigned char *data = noise(100000, 5);
    CHECK(argc == 2);
    folder = argv[1];
    write_file(in("file"), data, 100000);
    OK(gosync_cancel_new(&cancel, &error));
    OK(gosync_index_build(in("file"), NULL, &some_index, &error));
    data[99999] ^= 1;
    write_file(in("damaged"), data, 100000);
    OK(gosync_index_verify(some_index, in("damaged"), NULL, &verification, &error));
    CHECK(gosync_verification_damaged_count(verification) == 1);
    OK(gosync_source_open(in("file"), NULL, &source, &error));
    OK(gosync_job_new(some_index, source, in("target"), NULL, &job, &error));
    OK(gosync_job_plan(job, &plan, &error));

    test_getters_of_nothing();
    test_null_for_an_index();
    test_null_for_the_rest();
    test_sizes();
    test_sizes_of_outputs();
    test_options();
    test_open_options();
    test_older_structures();
    test_request();
    test_token_is_shared();

    gosync_plan_free(plan);
    gosync_job_free(job);
    gosync_source_free(source);
    gosync_verification_free(verification);
    gosync_index_free(some_index);
    gosync_cancel_free(cancel);
    free(data);
    puts("arguments: all checks passed");
    return 0;
}
