/* The caller's own sources: answers by completion at once and late, in pieces of 7 bytes out of order, too much, too
 * little, failures and retries; the blocking adapter; the index through a source; cancels, and who drops what when.
 * In none of this does the library open a file or a socket to fetch from.
 */

#include "check.h"

#include <pthread.h>

#define LENGTH ((size_t)400009)

static unsigned char *target;
static unsigned char *old;
static gosync_index *target_index;

typedef enum {
    AT_ONCE,   /* answers within `fetch` */
    LATE,      /* answers from a thread of its own, backwards, in pieces of 7 bytes */
    WHOLE,     /* answers each request with all of the content */
    SHORT,     /* finishes without the last byte of each range */
    TEMPORARY, /* as AT_ONCE, but every second request fails with a failure that passes */
    PERMANENT, /* fails for good */
    SILENT     /* keeps the requests and answers nothing */
} manner;

/* A source that has its content in memory. */
typedef struct {
    const unsigned char *content;
    size_t length;
    manner how;
    pthread_mutex_t mutex;
    unsigned fetches, cancels, open, most_open, drops;
    gosync_request *kept[64];
    pthread_t threads[256];
    unsigned thread_count;
} own;

static void supply(const gosync_request *request, uint64_t offset, const unsigned char *data, size_t length) {
    gosync_status status = gosync_request_supply(request, offset, data, length);
    while (status == GOSYNC_AGAIN) {
        sleep_ms(1);
        status = gosync_request_supply(request, offset, data, length);
    }
    CHECK(status == GOSYNC_OK || status == GOSYNC_E_CANCELLED);
}

static void range_of(const own *source, const gosync_request *request, size_t i, uint64_t *offset, uint64_t *length) {
    gosync_error *problem = NULL;
    CHECK(gosync_request_range(request, i, offset, length, &problem) == GOSYNC_OK && problem == NULL);
    if (*length == GOSYNC_TO_END || *offset + *length > source->length) {
        *length = *offset < source->length ? source->length - *offset : 0;
    }
}

static void finish(own *source, gosync_request *request, gosync_status status, const char *message) {
    pthread_mutex_lock(&source->mutex);
    source->open--;
    pthread_mutex_unlock(&source->mutex);
    gosync_request_finish(request, status, message); /* with no lock held: it may call `drop` */
}

static void answer(own *source, gosync_request *request, size_t lacking) {
    size_t i;
    for (i = 0; i < gosync_request_range_count(request); i++) {
        uint64_t offset, length;
        range_of(source, request, i, &offset, &length);
        supply(request, offset, source->content + offset, (size_t)length - (length > 0 ? lacking : 0));
    }
    finish(source, request, GOSYNC_OK, NULL);
}

typedef struct {
    own *source;
    gosync_request *request;
} errand;

static void *answer_late(void *argument) {
    errand *todo = argument;
    size_t i = gosync_request_range_count(todo->request);
    sleep_ms(5);
    while (i-- > 0) {
        uint64_t offset, length, end;
        range_of(todo->source, todo->request, i, &offset, &length);
        for (end = offset + length; end > offset;) {
            uint64_t start = end - offset > 7 ? end - 7 : offset;
            supply(todo->request, start, todo->source->content + start, (size_t)(end - start));
            end = start;
        }
    }
    finish(todo->source, todo->request, GOSYNC_OK, NULL);
    free(todo);
    return NULL;
}

static void on_fetch(void *user_data, gosync_request *request) {
    own *source = user_data;
    errand *todo;
    unsigned number;
    CHECK(gosync_request_range_count(request) > 0 && gosync_request_id(request) != 0);
    pthread_mutex_lock(&source->mutex);
    number = source->fetches++;
    source->open++;
    source->most_open = source->open > source->most_open ? source->open : source->most_open;
    pthread_mutex_unlock(&source->mutex);
    switch (source->how) {
    case LATE:
        todo = malloc(sizeof(*todo));
        CHECK(todo != NULL);
        todo->source = source;
        todo->request = request;
        pthread_mutex_lock(&source->mutex);
        CHECK(source->thread_count < 256);
        CHECK(pthread_create(&source->threads[source->thread_count++], NULL, answer_late, todo) == 0);
        pthread_mutex_unlock(&source->mutex);
        return;
    case WHOLE:
        supply(request, 0, source->content, source->length);
        finish(source, request, GOSYNC_OK, NULL);
        return;
    case TEMPORARY:
        if (number % 2 == 0) {
            finish(source, request, GOSYNC_E_SOURCE_TEMPORARY, "the line is bad today");
            return;
        }
        answer(source, request, 0);
        return;
    case PERMANENT:
        finish(source, request, GOSYNC_E_SOURCE, "the disk is gone");
        return;
    case SILENT:
        pthread_mutex_lock(&source->mutex);
        CHECK(number < 64);
        source->kept[number] = request;
        pthread_mutex_unlock(&source->mutex);
        return;
    case SHORT:
        answer(source, request, 1);
        return;
    case AT_ONCE:
        answer(source, request, 0);
        return;
    }
}

static void on_cancel(void *user_data, uint64_t id) {
    own *source = user_data;
    CHECK(id != 0);
    pthread_mutex_lock(&source->mutex);
    source->cancels++;
    pthread_mutex_unlock(&source->mutex);
}

static void on_drop(void *user_data) {
    own *source = user_data;
    pthread_mutex_lock(&source->mutex);
    CHECK(source->open == 0);
    source->drops++;
    pthread_mutex_unlock(&source->mutex);
}

static unsigned drops(own *source) {
    unsigned count;
    pthread_mutex_lock(&source->mutex);
    count = source->drops;
    pthread_mutex_unlock(&source->mutex);
    return count;
}

/* Drops may come from a thread of the library that is just ending. */
static void check_dropped(own *source) {
    double until = seconds() + 10;
    while (drops(source) == 0 && seconds() < until) {
        sleep_ms(1);
    }
    sleep_ms(5);
    CHECK(drops(source) == 1);
}

static own *new_own(manner how, const unsigned char *content, size_t length) {
    own *source = calloc(1, sizeof(*source));
    CHECK(source != NULL && pthread_mutex_init(&source->mutex, NULL) == 0);
    source->how = how;
    source->content = content;
    source->length = length;
    return source;
}

static void free_own(own *source) {
    unsigned i;
    for (i = 0; i < source->thread_count; i++) {
        CHECK(pthread_join(source->threads[i], NULL) == 0);
    }
    check_dropped(source);
    pthread_mutex_destroy(&source->mutex);
    free(source);
}

static gosync_source *handle_of(own *source) {
    gosync_source_ops ops = GOSYNC_SOURCE_OPS_INIT;
    gosync_source *handle = NULL;
    ops.fetch = on_fetch;
    ops.cancel = on_cancel;
    ops.drop = on_drop;
    ops.description = "content in the test's memory";
    OK(gosync_source_new(&ops, source, &handle, &error));
    return handle;
}

/* A job that has the old version as its target, and a fast retry. */
static gosync_job *job_with(const gosync_source *source, const char *name) {
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_job *job = NULL;
    write_file(in(name), old, LENGTH);
    options.max_requests = 3;
    options.max_bytes_in_flight = 1 << 20;
    OK(gosync_job_new(target_index, source, in(name), &options, &job, &error));
    return job;
}

static void test_answers(manner how, gosync_status wanted) {
    own *source = new_own(how, target, LENGTH);
    gosync_source *handle = handle_of(source);
    gosync_job *job = job_with(handle, "app");
    gosync_statistics did = GOSYNC_STATISTICS_INIT;
    gosync_status status;
    gosync_source_free(handle);
    status = gosync_job_run(job, &error);
    if (status != wanted) {
        fprintf(stderr, "manner %d: %s\n", (int)how, error == NULL ? "no error" : gosync_error_text(error));
    }
    CHECK(status == wanted && gosync_error_status(error) == wanted);
    CHECK(how != PERMANENT || strstr(gosync_error_text(error), "the disk is gone") != NULL);
    gosync_error_free(error);
    error = NULL;
    gosync_job_statistics(job, &did);
    CHECK(file_is(in("app"), wanted == GOSYNC_OK ? target : old, LENGTH));
    CHECK(wanted != GOSYNC_OK || did.from_seeds + did.fetched == LENGTH);
    CHECK(how != WHOLE || did.wasted > 0);
    CHECK(how != TEMPORARY || did.retries > 0);
    CHECK(source->most_open <= 3);
    gosync_job_free(job);
    free_own(source);
}

/* What a job is given, it keeps: one source may serve two jobs at once and is dropped after the last. */
static void test_one_source_two_jobs(void) {
    own *source = new_own(AT_ONCE, target, LENGTH);
    gosync_source *handle = handle_of(source);
    gosync_job *first = job_with(handle, "first"), *second = job_with(handle, "second");
    OK(gosync_job_run(first, &error));
    gosync_job_free(first);
    gosync_source_free(handle);
    CHECK(drops(source) == 0);
    OK(gosync_job_run(second, &error));
    gosync_job_free(second);
    CHECK(file_is(in("first"), target, LENGTH) && file_is(in("second"), target, LENGTH));
    free_own(source);
}

/* The index comes through a source as well. */
static void test_index_through_a_source(manner how, gosync_status wanted) {
    size_t size = (size_t)gosync_index_encoded_size(target_index), written = 0;
    unsigned char *encoded = malloc(size);
    gosync_index *index = NULL;
    gosync_source *handle;
    own *source;
    CHECK(encoded != NULL);
    OK(gosync_index_encode(target_index, encoded, size, &written, &error));
    source = new_own(how, encoded, size);
    handle = handle_of(source);
    FAILS(wanted, gosync_index_open_source(handle, NULL, &index, &error));
    CHECK((index != NULL) == (wanted == GOSYNC_OK));
    CHECK(index == NULL || strcmp(gosync_index_root_hex(index), gosync_index_root_hex(target_index)) == 0);
    gosync_index_free(index);
    gosync_source_free(handle);
    free_own(source);
    free(encoded);
}

/* --- the blocking adapter --- */

typedef struct {
    own *content;
    unsigned calls, wrong;
} reader;

static gosync_status on_read(void *user_data, uint64_t offset, void *buffer, size_t length, size_t *got) {
    reader *from = user_data;
    size_t rest = offset < from->content->length ? from->content->length - (size_t)offset : 0;
    size_t count = length < rest ? length : rest;
    pthread_mutex_lock(&from->content->mutex);
    from->calls++;
    pthread_mutex_unlock(&from->content->mutex);
    if (from->content->how == PERMANENT) {
        return GOSYNC_E_SOURCE_CHANGED;
    }
    memcpy(buffer, from->content->content + (count > 0 ? offset : 0), count);
    *got = from->content->how == SHORT ? length + 1 : count;
    return GOSYNC_OK;
}

static void on_reader_drop(void *user_data) {
    reader *from = user_data;
    on_drop(from->content);
}

static void test_blocking(manner how, gosync_status wanted) {
    reader from = {NULL, 0, 0};
    gosync_read_ops ops = GOSYNC_READ_OPS_INIT;
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_source *handle = NULL;
    gosync_job *job = NULL;
    from.content = new_own(how, target, LENGTH);
    ops.read_at = on_read;
    ops.drop = on_reader_drop;
    ops.threads = 2;
    options.retries = -1;
    OK(gosync_source_new_blocking(&ops, &from, &handle, &error));
    write_file(in("app"), old, LENGTH);
    OK(gosync_job_new(target_index, handle, in("app"), &options, &job, &error));
    gosync_source_free(handle);
    FAILS(wanted, gosync_job_run(job, &error));
    CHECK(file_is(in("app"), wanted == GOSYNC_OK ? target : old, LENGTH));
    gosync_job_free(job);
    check_dropped(from.content);
    CHECK(from.calls > 0);
    free_own(from.content);
}

/* --- cancels --- */

static void *run(void *argument) {
    static gosync_status statuses[8];
    static unsigned next;
    gosync_status *status = &statuses[next++ % 8];
    *status = gosync_job_run(argument, NULL);
    return status;
}

static void wait_for_fetch(own *source) {
    double until = seconds() + 30;
    unsigned fetches = 0;
    while (fetches == 0 && seconds() < until) {
        sleep_ms(1);
        pthread_mutex_lock(&source->mutex);
        fetches = source->fetches;
        pthread_mutex_unlock(&source->mutex);
    }
    CHECK(fetches > 0);
}

/* A job waits for a source that says nothing; it is stopped from here, by its handle or by freeing it. The requests are
 * answered after everything is freed, and only then is the source dropped. */
static void test_cancel(int by_freeing) {
    own *source = new_own(SILENT, target, LENGTH);
    gosync_source *handle = handle_of(source);
    gosync_job *job = job_with(handle, "app");
    pthread_t runner;
    void *status;
    double start;
    unsigned i, kept;
    CHECK(pthread_create(&runner, NULL, run, job) == 0);
    wait_for_fetch(source);
    start = seconds();
    if (by_freeing) {
        gosync_job_free(job);
    } else {
        gosync_job_cancel(job);
    }
    CHECK(pthread_join(runner, &status) == 0);
    CHECK(*(gosync_status *)status == GOSYNC_E_CANCELLED);
    CHECK(seconds() - start < 2.0); /* 0.1 s, and room for a busy machine */
    CHECK(file_is(in("app"), old, LENGTH));
    if (!by_freeing) {
        gosync_job_free(job);
    }
    gosync_source_free(handle);
    sleep_ms(50);
    CHECK(drops(source) == 0);
    pthread_mutex_lock(&source->mutex);
    kept = source->fetches;
    CHECK(source->open == kept && source->cancels == kept);
    pthread_mutex_unlock(&source->mutex);
    for (i = 0; i < kept; i++) {
        CHECK(gosync_request_supply(source->kept[i], 0, target, LENGTH) == GOSYNC_E_CANCELLED);
        answer(source, source->kept[i], 0);
    }
    free_own(source);
}

/* Opening an index waits for the source as well, and its token stops it. */
typedef struct {
    const gosync_source *source;
    const gosync_cancel *cancel;
    gosync_status status;
} opening;

static void *open_index(void *argument) {
    opening *it = argument;
    gosync_observer observer = GOSYNC_OBSERVER_INIT;
    gosync_open_options options = GOSYNC_OPEN_OPTIONS_INIT;
    gosync_index *index = NULL;
    observer.cancel = it->cancel;
    options.observer = &observer;
    it->status = gosync_index_open_source(it->source, &options, &index, NULL);
    CHECK(index == NULL);
    return NULL;
}

static void test_cancel_of_opening(void) {
    own *source = new_own(SILENT, target, LENGTH);
    gosync_source *handle = handle_of(source);
    gosync_cancel *cancel = NULL;
    pthread_t opener;
    opening it;
    OK(gosync_cancel_new(&cancel, &error));
    it.source = handle;
    it.cancel = cancel;
    CHECK(pthread_create(&opener, NULL, open_index, &it) == 0);
    wait_for_fetch(source);
    gosync_cancel_trigger(cancel);
    CHECK(pthread_join(opener, NULL) == 0);
    CHECK(it.status == GOSYNC_E_CANCELLED);
    gosync_cancel_free(cancel);
    gosync_source_free(handle);
    finish(source, source->kept[0], GOSYNC_E_SOURCE, NULL);
    free_own(source);
}

int main(int argc, char **argv) {
    gosync_index_options options = GOSYNC_INDEX_OPTIONS_INIT;
    size_t i;
    CHECK(argc == 2);
    folder = argv[1];
    target = noise(LENGTH, 3);
    old = copy_of(target, LENGTH);
    for (i = 5000; i < LENGTH; i += 70000) {
        old[i] ^= 0xff;
    }
    options.block_size = 2048;
    OK(gosync_index_build_from_memory(target, LENGTH, &options, &target_index, &error));

    test_answers(AT_ONCE, GOSYNC_OK);
    test_answers(LATE, GOSYNC_OK);
    test_answers(WHOLE, GOSYNC_OK);
    test_answers(TEMPORARY, GOSYNC_OK);
    test_answers(PERMANENT, GOSYNC_E_SOURCE);
    test_answers(SHORT, GOSYNC_E_SOURCE);
    test_one_source_two_jobs();
    test_index_through_a_source(AT_ONCE, GOSYNC_OK);
    test_index_through_a_source(LATE, GOSYNC_OK);
    test_index_through_a_source(PERMANENT, GOSYNC_E_SOURCE);
    test_blocking(AT_ONCE, GOSYNC_OK);
    test_blocking(PERMANENT, GOSYNC_E_SOURCE_CHANGED);
    test_blocking(SHORT, GOSYNC_E_SOURCE);
    test_cancel(0);
    test_cancel(1);
    test_cancel_of_opening();

    gosync_index_free(target_index);
    free(target);
    free(old);
    puts("sources: all checks passed");
    return 0;
}
