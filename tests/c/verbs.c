/* The five verbs over plain files and memory: build, save, open and ask an index, plan, run, verify, with progress,
 * events, seeds, statistics and errors.
 */

#include "check.h"

#define LENGTH ((size_t)1000003)

static unsigned char *target;
static unsigned char *old;

/* What an observer heard. */
typedef struct {
    unsigned progress, events, drops;
    uint32_t phases; /* one bit for each phase seen */
    double fraction;
    uint64_t written;
    const gosync_cancel *cancel_at_once;
} heard;

static void on_progress(void *user_data, const gosync_progress *progress) {
    heard *has = user_data;
    CHECK(progress->struct_size == sizeof(gosync_progress));
    CHECK(progress->phase <= GOSYNC_PHASE_DONE && progress->cancellable <= 1);
    CHECK(progress->fraction >= has->fraction && progress->fraction <= 1.0);
    CHECK(progress->written >= has->written);
    has->fraction = progress->fraction;
    has->written = progress->written;
    has->phases |= (uint32_t)1 << progress->phase;
    has->progress++;
    gosync_cancel_trigger(has->cancel_at_once);
}

static void on_event(void *user_data, const gosync_event *event) {
    heard *has = user_data;
    uint32_t i;
    CHECK(event->struct_size == sizeof(gosync_event));
    CHECK(event->level <= GOSYNC_LEVEL_DEBUG && *event->kind != 0 && *event->message != 0);
    for (i = 0; i < event->field_count; i++) {
        CHECK(*event->field_keys[i] != 0 && event->field_values[i] != NULL);
    }
    has->events++;
}

static void on_drop(void *user_data) {
    heard *has = user_data;
    has->drops++;
}

static gosync_observer observer_of(heard *has) {
    gosync_observer observer = GOSYNC_OBSERVER_INIT;
    observer.user_data = has;
    observer.progress = on_progress;
    observer.event = on_event;
    observer.drop = on_drop;
    return observer;
}

/* The target with 20 bytes changed, 1,000 bytes gone, 500 bytes more, and a longer tail. */
static size_t make_old(void) {
    size_t length = LENGTH - 1000 + 500 + 70000, i;
    unsigned char *tail = noise(70000, 77);
    old = malloc(length);
    CHECK(old != NULL);
    memcpy(old, target, 300000);
    memcpy(old + 300000, target + 301000, 300000);
    memcpy(old + 600000, tail, 500);
    memcpy(old + 600500, target + 601000, LENGTH - 601000);
    memcpy(old + 600500 + LENGTH - 601000, tail, 70000);
    for (i = 0; i < 20; i++) {
        old[i * 47003 + 11] ^= 0x55;
    }
    free(tail);
    return length;
}

static void check_index(const gosync_index *index, uint32_t block_size, const char *source) {
    uint8_t root[32];
    char hex[65];
    int i;
    CHECK(gosync_index_length(index) == LENGTH);
    CHECK(gosync_index_block_size(index) == block_size);
    CHECK(gosync_index_block_count(index) == (LENGTH + block_size - 1) / block_size);
    CHECK(gosync_index_unit_count(index) == (LENGTH + 65535) / 65536);
    CHECK(gosync_index_encoded_size(index) > 0);
    CHECK(source == NULL ? gosync_index_source(index) == NULL : strcmp(gosync_index_source(index), source) == 0);
    OK(gosync_index_root(index, root, &error));
    for (i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", root[i]);
    }
    CHECK(strcmp(hex, gosync_index_root_hex(index)) == 0);
}

static void test_index(void) {
    heard has = {0};
    gosync_observer observer = observer_of(&has);
    gosync_index_options options = GOSYNC_INDEX_OPTIONS_INIT;
    gosync_index *built = NULL, *from_memory = NULL, *opened = NULL;
    unsigned char *encoded;
    size_t size, written = 0;
    options.block_size = 4096;
    options.threads = 2;
    options.observer = &observer;
    OK(gosync_index_build(in("new"), &options, &built, &error));
    check_index(built, 4096, "new");
    CHECK(has.drops == 1 && has.progress >= 1 && has.fraction == 1.0);
    CHECK(gosync_index_origin(built) == NULL);

    options.source = "elsewhere/new";
    options.observer = NULL;
    OK(gosync_index_build_from_memory(target, LENGTH, &options, &from_memory, &error));
    check_index(from_memory, 4096, "elsewhere/new");
    CHECK(strcmp(gosync_index_root_hex(built), gosync_index_root_hex(from_memory)) == 0);
    gosync_index_free(from_memory);
    OK(gosync_index_build_from_memory(target, LENGTH, NULL, &from_memory, &error));
    check_index(from_memory, 1024, NULL);
    gosync_index_free(from_memory);
    from_memory = NULL;

    OK(gosync_index_save(built, in("new.gosync"), &error));
    OK(gosync_index_open(in("new.gosync"), NULL, &opened, &error));
    check_index(opened, 4096, "new");
    CHECK(strstr(gosync_index_origin(opened), "new.gosync") != NULL);

    size = (size_t)gosync_index_encoded_size(opened);
    encoded = malloc(size);
    CHECK(encoded != NULL);
    FAILS(GOSYNC_E_LIMIT, gosync_index_encode(opened, encoded, size - 1, &written, &error));
    CHECK(written == 0);
    OK(gosync_index_encode(opened, encoded, size, &written, &error));
    CHECK(written == size && file_is(in("new.gosync"), encoded, size));
    OK(gosync_index_from_memory(encoded, size, NULL, &from_memory, &error));
    check_index(from_memory, 4096, "new");
    gosync_index_free(from_memory);
    gosync_index_free(opened);
    gosync_index_free(built);
    free(encoded);
}

/* The publisher's words and signature, and a receiver who demands it. */
static void test_signature(void) {
    static const char secret_key[] =
        "untrusted comment: minisign encrypted secret key\n"
        "RWRTY0IyAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AgAAAAAAAAAAAAAEAAAAALbYG5ELogTnCyOVXf+PdjNDUyg0ssU4OmETt"
        "Y5lyf/Sx35nwyZd257MUtWxVBkeGcLYOIB8L9z3KcaI8NthxysBiiKclaZa00ZbzDkkawWPjPfTAAmxHC+NmNkRc+WCqevrEhP3ucg4=\n";
    gosync_index_options options = GOSYNC_INDEX_OPTIONS_INIT;
    gosync_open_options open = GOSYNC_OPEN_OPTIONS_INIT;
    gosync_index *built = NULL, *opened = NULL;
    char key[1024];
    snprintf(key, sizeof(key), "%s", in("key"));
    write_file(key, (const unsigned char *)secret_key, sizeof(secret_key) - 1);
    options.name = "app";
    options.version = "2.0";
    options.sign = key;
    FAILS(GOSYNC_E_ARGUMENT, gosync_index_build(in("new"), &options, &built, &error));
    options.sign_password = "secret";
    OK(gosync_index_build(in("new"), &options, &built, &error));
    OK(gosync_index_save(built, in("signed.gosync"), &error));
    open.public_key = "RWTzupLICwciIHgIx9iHinnpQT1zQ3DxePYyPhGvPqPrKWSyDJWb/YtB";
    OK(gosync_index_open(in("signed.gosync"), &open, &opened, &error));
    CHECK(strcmp(gosync_index_name(opened), "app") == 0 && strcmp(gosync_index_version(opened), "2.0") == 0);
    CHECK(strcmp(gosync_index_signature(opened), gosync_index_signature(built)) == 0);
    gosync_index_free(opened);
    opened = NULL;
    FAILS(GOSYNC_E_MISMATCH, gosync_index_open(in("new.gosync"), &open, &opened, &error));
    CHECK(opened == NULL);
    gosync_index_free(built);
}

/* The format of the ancestor, through all that any index does. */
static void test_legacy(size_t old_length) {
    static const char root_of_nothing[] = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    gosync_index_options build = GOSYNC_INDEX_OPTIONS_INIT;
    gosync_open_options open = GOSYNC_OPEN_OPTIONS_INIT;
    gosync_statistics did = GOSYNC_STATISTICS_INIT;
    gosync_verification *found = NULL;
    gosync_index *index = NULL;
    gosync_source *source = NULL;
    gosync_job *job = NULL;
    int wrong;
    build.format = "legacy";
    build.block_size = 1000;
    OK(gosync_index_build(in("new"), &build, &index, &error));
    CHECK(strcmp(gosync_index_format(index), "legacy") == 0 && gosync_index_root_hex(index) == NULL);
    CHECK(gosync_index_block_size(index) == 1000 && gosync_index_source(index) == NULL);
    OK(gosync_index_save(index, in("legacy.gosync"), &error));
    gosync_index_free(index);
    build.top_size = 65536;
    FAILS(GOSYNC_E_ARGUMENT, gosync_index_build(in("new"), &build, &index, &error));

    write_file(in("app"), old, old_length);
    OK(gosync_source_open(in("new"), NULL, &source, &error));
    for (wrong = 1; wrong >= 0; wrong--) {
        /* There is no root to compare with, so the finished file is hashed. */
        open.expect = wrong ? root_of_nothing : NULL;
        OK(gosync_index_open(in("legacy.gosync"), &open, &index, &error));
        OK(gosync_job_new(index, source, in("app"), NULL, &job, &error));
        if (wrong) {
            FAILS(GOSYNC_E_MISMATCH, gosync_job_run(job, &error));
            CHECK(file_is(in("app"), old, old_length));
        } else {
            OK(gosync_job_run(job, &error));
            CHECK(file_is(in("app"), target, LENGTH) && strcmp(gosync_job_proof(job), "blocks-md5") == 0);
            CHECK(gosync_job_root(job) == NULL);
            gosync_job_statistics(job, &did);
            CHECK(did.from_seeds > LENGTH / 2 && did.index_size == gosync_index_encoded_size(index));
        }
        gosync_job_free(job);
        if (!wrong) {
            OK(gosync_index_verify(index, in("app"), NULL, &found, &error));
            CHECK(gosync_verification_is_match(found));
            gosync_verification_free(found);
        }
        gosync_index_free(index);
    }
    gosync_source_free(source);
}

/* What the plan reckons with is what it was told to assume. */
static void check_assumptions(const gosync_index *index) {
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_source *source = NULL;
    gosync_job *job = NULL;
    gosync_plan *plan = NULL;
    double slow, fast;
    unsigned i;
    OK(gosync_source_from_memory(target, LENGTH, &source, &error));
    for (i = 1; i <= 2; i++) {
        options.assume_rtt_ms = 100.5;
        options.assume_rate = 100000 * i;
        OK(gosync_job_new(index, source, in("app"), &options, &job, &error));
        OK(gosync_job_plan(job, &plan, &error));
        CHECK(gosync_plan_rate(plan) == 100000 * i);
        CHECK(gosync_plan_round_trip_ms(plan) > 100.4 && gosync_plan_round_trip_ms(plan) < 100.6);
        CHECK(gosync_plan_time_ms(plan) > 100.4 && gosync_plan_time_whole_ms(plan) > 1000.0 * LENGTH / 100000 / i / 2);
        CHECK(strcmp(gosync_plan_strategy(plan), "ranges") == 0 || strcmp(gosync_plan_strategy(plan), "whole") == 0);
        *(i == 1 ? &slow : &fast) = gosync_plan_time_ms(plan);
        gosync_plan_free(plan);
        gosync_job_free(job);
    }
    CHECK(fast < slow);
    gosync_source_free(source);
}

static void check_plan(const gosync_job *job) {
    gosync_plan *plan = NULL;
    uint64_t covered = 0, missing = 0;
    size_t i;
    OK(gosync_job_plan(job, &plan, &error));
    CHECK(gosync_plan_total(plan) == LENGTH && !gosync_plan_up_to_date(plan));
    CHECK(gosync_plan_from_seeds(plan) + gosync_plan_missing(plan) == LENGTH);
    CHECK(gosync_plan_from_seeds(plan) > LENGTH / 2 && gosync_plan_missing(plan) > 0);
    CHECK(gosync_plan_to_fetch(plan) >= gosync_plan_missing(plan) && gosync_plan_ranges(plan) > 0);
    CHECK(gosync_plan_index_size(plan) > 0 && *gosync_plan_reason(plan) != 0);
    for (i = 0; i < gosync_plan_piece_count(plan); i++) {
        gosync_piece piece = GOSYNC_PIECE_INIT;
        OK(gosync_plan_piece(plan, i, &piece, &error));
        CHECK(piece.target_offset == covered && piece.length > 0 && piece.is_missing <= 1);
        CHECK(piece.is_missing || memcmp(old + piece.seed_offset, target + covered, (size_t)piece.length) == 0);
        covered += piece.length;
        missing += piece.is_missing ? piece.length : 0;
    }
    CHECK(covered == LENGTH && missing == gosync_plan_missing(plan));
    gosync_plan_free(plan);
}

static void test_update(size_t old_length) {
    heard has = {0};
    gosync_observer observer = observer_of(&has);
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_statistics did = GOSYNC_STATISTICS_INIT;
    gosync_progress now = GOSYNC_PROGRESS_INIT;
    gosync_index *index = NULL;
    gosync_source *source = NULL;
    gosync_job *job = NULL;
    char root[65];
    write_file(in("app"), old, old_length);
    options.observer = &observer;
    OK(gosync_index_open(in("new.gosync"), NULL, &index, &error));
    snprintf(root, sizeof root, "%s", gosync_index_root_hex(index));
    check_assumptions(index);
    OK(gosync_source_open(in("new"), NULL, &source, &error));
    OK(gosync_job_new(index, source, in("app"), &options, &job, &error));
    gosync_index_free(index); /* the job keeps what it needs */
    gosync_source_free(source);
    check_plan(job);
    CHECK(file_is(in("app"), old, old_length));
    CHECK(gosync_job_proof(job) == NULL && gosync_job_reason(job) == NULL);
    has.fraction = 0;
    has.written = 0;
    OK(gosync_job_run(job, &error));
    CHECK(file_is(in("app"), target, LENGTH));
    gosync_job_statistics(job, &did);
    CHECK(did.total == LENGTH && did.from_seeds > LENGTH / 2 && did.fetched > 0 && did.requests > 0);
    CHECK(did.from_seeds + did.fetched == LENGTH && did.written == LENGTH && did.up_to_date == 0);
    CHECK(strcmp(gosync_job_proof(job), "root") == 0 && gosync_job_reason(job) != NULL);
    CHECK(strcmp(gosync_job_root(job), root) == 0);
    gosync_job_progress(job, &now);
    CHECK(now.phase == GOSYNC_PHASE_DONE && now.fraction == 1.0 && now.fetched == did.fetched);
    CHECK(has.progress >= 1 && has.events >= 1 && has.fraction == 1.0);
    CHECK(has.phases & (uint32_t)1 << GOSYNC_PHASE_DONE);
    FAILS(GOSYNC_E_STATE, gosync_job_run(job, &error));
    gosync_job_free(job);
    CHECK(has.drops == 1);
}

/* In place, only what has changed is written. */
static void test_in_place(void) {
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_statistics did = GOSYNC_STATISTICS_INIT;
    gosync_index *index = NULL;
    gosync_job *job = NULL;
    unsigned char *changed = copy_of(target, LENGTH);
    changed[2 * 65536] ^= 1;
    write_file(in("in place"), changed, LENGTH);
    options.flags = GOSYNC_JOB_IN_PLACE;
    options.journal = in("journal elsewhere");
    OK(gosync_index_open(in("new.gosync"), NULL, &index, &error));
    OK(gosync_job_new(index, NULL, in("in place"), &options, &job, &error));
    gosync_index_free(index);
    OK(gosync_job_run(job, &error));
    gosync_job_statistics(job, &did);
    CHECK(file_is(in("in place"), target, LENGTH));
    CHECK(did.written > 0 && did.written <= 65536 && did.total == LENGTH);
    gosync_job_free(job);
    free(changed);
}

/* No source is named, so the one beside the index is used; the old version is a seed under another name. */
static void test_seed_and_named_source(size_t old_length) {
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_statistics did = GOSYNC_STATISTICS_INIT;
    gosync_index *index = NULL;
    gosync_job *job = NULL;
    gosync_plan *plan = NULL;
    write_file(in("app.old"), old, old_length);
    options.threads = 1;
    options.retries = -1;
    options.flags = GOSYNC_JOB_IGNORE_TARGET | GOSYNC_JOB_THOROUGH;
    OK(gosync_index_open(in("new.gosync"), NULL, &index, &error));
    OK(gosync_job_new(index, NULL, in("fresh"), &options, &job, &error));
    FAILS(GOSYNC_E_NOT_FOUND, gosync_job_add_seed(job, in("no such seed"), &error));
    OK(gosync_job_add_seed(job, in("app.old"), &error));
    OK(gosync_job_run(job, &error));
    gosync_job_statistics(job, &did);
    CHECK(did.from_seeds > LENGTH / 2 && file_is(in("fresh"), target, LENGTH));
    gosync_job_free(job);

    /* All files of a directory are one seed: in this one is the new version itself. */
    OK(gosync_job_new(index, NULL, in("none yet"), NULL, &job, &error));
    OK(gosync_job_add_seed(job, in("."), &error));
    OK(gosync_job_plan(job, &plan, &error));
    CHECK(gosync_plan_missing(plan) == 0);
    gosync_plan_free(plan);
    gosync_job_free(job);

    /* Once more: nothing is left to do. */
    OK(gosync_job_new(index, NULL, in("fresh"), NULL, &job, &error));
    OK(gosync_job_run(job, &error));
    gosync_job_statistics(job, &did);
    CHECK(did.up_to_date == 1 && did.fetched == 0 && did.written == 0);
    gosync_job_free(job);
    gosync_index_free(index);
}

/* The folder of this test, as a directory that is described. */
static void test_tree(void) {
    const char *patterns[] = {"*.gosync", "extra"};
    gosync_index_options options = GOSYNC_INDEX_OPTIONS_INIT;
    gosync_index *index = NULL;
    gosync_job *job = NULL;
    gosync_plan *plan = NULL;
    gosync_verification *found = NULL;
    unsigned char *damaged = copy_of(target, LENGTH);
    uint64_t offset = 0, length = 0;
    size_t i, changed = 0, extra = 0;
    options.exclude = patterns;
    options.exclude_count = 2;
    write_file(in("part"), damaged, LENGTH);
    OK(gosync_index_build(folder, &options, &index, &error));
    CHECK(strcmp(gosync_index_kind(index), "tree") == 0 && gosync_index_entry_count(index) > 1);
    OK(gosync_index_verify(index, folder, NULL, &found, &error));
    CHECK(gosync_verification_is_match(found));
    gosync_verification_free(found);
    {
        /* What is said besides is part of the root. */
        gosync_index *with_times = NULL;
        gosync_index_options more = options;
        more.flags = GOSYNC_INDEX_TIMES;
        OK(gosync_index_build(folder, &more, &with_times, &error));
        CHECK(strcmp(gosync_index_root_hex(with_times), gosync_index_root_hex(index)) != 0);
        gosync_index_free(with_times);
    }

    damaged[5 * 65536] ^= 1;
    write_file(in("part"), damaged, LENGTH);
    write_file(in("extra"), damaged, 1);
    OK(gosync_index_verify(index, folder, NULL, &found, &error));
    CHECK(!gosync_verification_is_match(found) && gosync_verification_damaged_count(found) == 0);
    for (i = 0; i < gosync_verification_difference_count(found); i++) {
        const char *path = gosync_verification_difference_path(found, i);
        const char *what = gosync_verification_difference_what(found, i);
        if (strcmp(path, "extra") == 0) {
            CHECK(strcmp(what, "extra") == 0 && gosync_verification_difference_damaged_count(found, i) == 0);
            extra++;
        } else if (strcmp(what, "extra") != 0) {
            CHECK(strcmp(path, "part") == 0 && strcmp(what, "changed") == 0);
            CHECK(gosync_verification_difference_damaged_count(found, i) == 1);
            OK(gosync_verification_difference_damaged_range(found, i, 0, &offset, &length, &error));
            CHECK(offset == 5 * 65536 && length == gosync_index_block_size(index));
            FAILS(GOSYNC_E_ARGUMENT, gosync_verification_difference_damaged_range(found, i, 1, &offset, &length, &error));
            changed++;
        }
    }
    CHECK(changed == 1 && extra == 1 && gosync_verification_difference_path(found, i) == NULL);
    gosync_verification_free(found);
    /* Another file of it has the content, so nothing is fetched. */
    OK(gosync_job_new(index, NULL, folder, NULL, &job, &error));
    OK(gosync_job_plan(job, &plan, &error));
    CHECK(gosync_plan_missing(plan) == 0 && gosync_plan_change_count(plan) == 1);
    CHECK(strcmp(gosync_plan_change_path(plan, 0), "part") == 0);
    CHECK(strcmp(gosync_plan_change_what(plan, 0), "changed") == 0);
    CHECK(gosync_plan_change_from(plan, 0) == NULL && gosync_plan_change_size(plan, 0) == LENGTH);
    CHECK(gosync_plan_change_path(plan, 1) == NULL);
    gosync_plan_free(plan);
    gosync_job_free(job);
    job = NULL;
    OK(gosync_job_new(index, NULL, in("target"), NULL, &job, &error));
    FAILS(GOSYNC_E_ARGUMENT, gosync_job_run(job, &error));
    gosync_job_free(job);
    gosync_index_free(index);
    free(damaged);
}

/* The same directory, with its contents in packs beside it. */
static void test_packs(void) {
    char packs[1024], saved[1024];
    const char *indexes[] = {saved};
    gosync_index_options options = GOSYNC_INDEX_OPTIONS_INIT;
    gosync_index *index = NULL;
    uint64_t count = 9, bytes = 9;
    snprintf(packs, sizeof(packs), "%s-packs", folder);
    snprintf(saved, sizeof(saved), "%s-packs.gosync", folder);
    options.content = in("packs");
    FAILS(GOSYNC_E_ARGUMENT, gosync_index_build(folder, &options, &index, &error));
    options.content = packs;
    options.previous = saved;
    FAILS(GOSYNC_E_NOT_FOUND, gosync_index_build(folder, &options, &index, &error));
    options.previous = NULL;
    OK(gosync_index_build(folder, &options, &index, &error));
    CHECK(strcmp(gosync_index_source(index), strrchr(packs, '/') + 1) == 0);
    OK(gosync_index_save(index, saved, &error));
    gosync_index_free(index);
    options.previous = saved;
    OK(gosync_index_build(folder, &options, &index, &error));
    gosync_index_free(index);
    OK(gosync_content_prune(packs, indexes, 1, &count, &bytes, &error));
    CHECK(count == 0 && bytes == 0);
    OK(gosync_content_prune(packs, NULL, 0, &count, &bytes, &error));
    CHECK(count == 1 && bytes > 0);
    OK(gosync_content_prune(packs, NULL, 0, NULL, NULL, &error));
    remove(saved);
}

static void test_verify(void) {
    heard has = {0};
    gosync_observer observer = observer_of(&has);
    gosync_verify_options options = GOSYNC_VERIFY_OPTIONS_INIT;
    gosync_index *index = NULL;
    gosync_verification *found = NULL;
    unsigned char *damaged = copy_of(target, LENGTH);
    uint64_t offset = 1, length = 1;
    options.threads = 1;
    options.observer = &observer;
    OK(gosync_index_open(in("new.gosync"), NULL, &index, &error));
    OK(gosync_index_verify(index, in("new"), &options, &found, &error));
    CHECK(gosync_verification_is_match(found) && gosync_verification_damaged_count(found) == 0);
    CHECK(gosync_verification_length(found) == LENGTH && gosync_verification_expected_length(found) == LENGTH);
    CHECK(has.drops == 1 && has.fraction == 1.0);
    FAILS(GOSYNC_E_ARGUMENT, gosync_verification_damaged_range(found, 0, &offset, &length, &error));
    CHECK(offset == 1 && length == 1);
    gosync_verification_free(found);

    damaged[2 * 65536] ^= 1;
    write_file(in("damaged"), damaged, LENGTH);
    OK(gosync_index_verify(index, in("damaged"), NULL, &found, &error));
    CHECK(!gosync_verification_is_match(found) && gosync_verification_damaged_count(found) == 1);
    OK(gosync_verification_damaged_range(found, 0, &offset, &length, &error));
    CHECK(offset == 2 * 65536 && length == 65536);
    gosync_verification_free(found);

    write_file(in("damaged"), target, 1000);
    OK(gosync_index_verify(index, in("damaged"), NULL, &found, &error));
    CHECK(!gosync_verification_is_match(found) && gosync_verification_length(found) == 1000);
    CHECK(!gosync_verification_unfinished(found));
    gosync_verification_free(found);
    /* Any file in the place of a journal says that an update in place was not finished. */
    write_file(in("journal"), target, 10);
    options.observer = NULL;
    options.journal = in("journal");
    OK(gosync_index_verify(index, in("damaged"), &options, &found, &error));
    CHECK(gosync_verification_unfinished(found));
    gosync_verification_free(found);
    FAILS(GOSYNC_E_NOT_FOUND, gosync_index_verify(index, in("nothing"), NULL, &found, &error));
    CHECK(found == NULL);
    gosync_index_free(index);
    free(damaged);
}

/* Whatever fails leaves NULL, a status, a text with the facts, and what was there. */
static void test_errors(void) {
    gosync_open_options small = GOSYNC_OPEN_OPTIONS_INIT;
    gosync_index_options odd = GOSYNC_INDEX_OPTIONS_INIT;
    gosync_index *index = NULL;
    gosync_source *source = NULL;
    gosync_job *job = NULL;
    gosync_status status;
    size_t i, facts = 0;
    status = gosync_index_open(in("nothing.gosync"), NULL, &index, &error);
    CHECK(status == GOSYNC_E_NOT_FOUND && index == NULL && gosync_error_status(error) == status);
    CHECK(strstr(gosync_error_text(error), gosync_error_message(error)) != NULL);
    for (i = 0; i < gosync_error_context_count(error); i++) {
        if (strcmp(gosync_error_context_key(error, i), "path") == 0) {
            CHECK(strstr(gosync_error_context_value(error, i), "nothing.gosync") != NULL);
            facts++;
        }
    }
    CHECK(facts == 1);
    CHECK(gosync_error_context_key(error, i) == NULL && gosync_error_context_value(error, i) == NULL);
    CHECK(gosync_error_cause(error) != NULL && *gosync_error_text(gosync_error_cause(error)) != 0);
    CHECK(gosync_error_status(gosync_error_cause(error)) == GOSYNC_E_NOT_FOUND);
    gosync_error_free(error);
    error = NULL;

    CHECK(gosync_index_open(in("nothing.gosync"), NULL, &index, NULL) == GOSYNC_E_NOT_FOUND);
    FAILS(GOSYNC_E_FORMAT, gosync_index_open(in("new"), NULL, &index, &error));
    FAILS(GOSYNC_E_FORMAT, gosync_index_from_memory(NULL, 0, NULL, &index, &error));
    small.max_index_size = 100;
    FAILS(GOSYNC_E_LIMIT, gosync_index_open(in("new.gosync"), &small, &index, &error));
    odd.block_size = 1000;
    FAILS(GOSYNC_E_ARGUMENT, gosync_index_build(in("new"), &odd, &index, &error));
    FAILS(GOSYNC_E_NOT_FOUND, gosync_source_open(in("nothing"), NULL, &source, &error));
    CHECK(index == NULL && source == NULL);

    /* A source with other content. */
    OK(gosync_index_open(in("new.gosync"), NULL, &index, &error));
    target[500000] ^= 1;
    OK(gosync_source_from_memory(target, LENGTH, &source, &error));
    target[500000] ^= 1;
    write_file(in("kept"), "what was there", 14);
    OK(gosync_job_new(index, source, in("kept"), NULL, &job, &error));
    FAILS(GOSYNC_E_MISMATCH, gosync_job_run(job, &error));
    CHECK(file_is(in("kept"), "what was there", 14));
    gosync_job_free(job);
    gosync_source_free(source);
    gosync_index_free(index);
}

/* A token that is triggered before, or by the first progress, stops the call. */
static void test_cancel(void) {
    heard has = {0};
    gosync_observer observer = observer_of(&has);
    gosync_index_options options = GOSYNC_INDEX_OPTIONS_INIT;
    gosync_job_options job_options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_index *index = NULL;
    gosync_job *job = NULL;
    gosync_cancel *cancel = NULL;
    OK(gosync_cancel_new(&cancel, &error));
    CHECK(!gosync_cancel_is_triggered(cancel));
    gosync_cancel_trigger(cancel);
    CHECK(gosync_cancel_is_triggered(cancel));
    observer.cancel = cancel;
    options.observer = &observer;
    FAILS(GOSYNC_E_CANCELLED, gosync_index_build(in("new"), &options, &index, &error));
    CHECK(index == NULL && has.drops == 1);
    gosync_cancel_free(cancel);

    OK(gosync_cancel_new(&cancel, &error));
    observer.cancel = cancel;
    has.fraction = 0;
    has.written = 0;
    has.cancel_at_once = cancel;
    job_options.observer = &observer;
    write_file(in("kept"), "what was there", 14);
    OK(gosync_index_open(in("new.gosync"), NULL, &index, &error));
    OK(gosync_job_new(index, NULL, in("kept"), &job_options, &job, &error));
    FAILS(GOSYNC_E_CANCELLED, gosync_job_run(job, &error));
    gosync_job_free(job);
    sleep_ms(20);
    CHECK(file_is(in("kept"), "what was there", 14) && has.drops == 2);
    OK(gosync_job_new(index, NULL, in("kept"), NULL, &job, &error));
    gosync_job_cancel(job);
    FAILS(GOSYNC_E_CANCELLED, gosync_job_run(job, &error));
    gosync_job_free(job);
    gosync_cancel_free(cancel);
    gosync_index_free(index);
}

int main(int argc, char **argv) {
    size_t old_length;
    CHECK(argc == 2);
    folder = argv[1];
    target = noise(LENGTH, 1);
    old_length = make_old();
    write_file(in("new"), target, LENGTH);
    test_index();
    test_signature();
    test_legacy(old_length);
    test_update(old_length);
    test_seed_and_named_source(old_length);
    test_verify();
    test_tree();
    test_packs();
    test_in_place();
    test_errors();
    test_cancel();
    free(target);
    free(old);
    puts("verbs: all checks passed");
    return 0;
}
