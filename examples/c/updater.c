/* The updater of an installer: makes TARGET what INDEX says, and fetches only what is missing.
 *
 *     updater TARGET INDEX [SOURCE [SEED...]]
 *
 * INDEX and SOURCE are paths or URLs. Without a SOURCE (or with -), the one that the index names is used. An existing
 * TARGET is a seed by itself; each SEED is another file that may help, for instance an older version.
 * Ctrl-C stops it, and TARGET stays as it was. The last line on stdout is for programs.
 *
 *     cc -std=c99 updater.c $(pkg-config --cflags --libs gosync) -o updater
 */

#include <gosync.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* What the signal handler needs: triggering a token is all that it may do. */
static gosync_cancel *volatile stop;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    gosync_cancel_trigger(stop);
}

/* What the callbacks share. They come from the library's threads, one call of each at a time. */
typedef struct {
    uint32_t phase; /* the last one shown */
} screen;

static void show_progress(void *user_data, const gosync_progress *progress) {
    screen *shown = user_data;
    if (shown->phase != progress->phase) {
        shown->phase = progress->phase;
        fputc('\n', stderr);
    }
    fprintf(stderr, "\r%-12s %5.1f %%, %" PRIu64 " of %" PRIu64 " bytes written, %" PRIu64 " fetched",
            gosync_phase_name(progress->phase), 100.0 * progress->fraction, progress->written, progress->total,
            progress->fetched);
}

static void show_event(void *user_data, const gosync_event *event) {
    uint32_t i;
    (void)user_data;
    if (event->level == GOSYNC_LEVEL_DEBUG) {
        return;
    }
    fprintf(stderr, "\n%s: %s", gosync_level_name(event->level), event->message);
    for (i = 0; i < event->field_count; i++) {
        fprintf(stderr, "%s%s=%s", i == 0 ? " [" : " ", event->field_keys[i], event->field_values[i]);
    }
    fputs(event->field_count > 0 ? "]\n" : "\n", stderr);
}

/* What went wrong, the facts around it, and what caused it. */
static void show_error(const gosync_error *error) {
    const gosync_error *cause;
    size_t i;
    fprintf(stderr, "\nupdater: %s\n", gosync_error_text(error));
    for (i = 0; i < gosync_error_context_count(error); i++) {
        fprintf(stderr, "  %s: %s\n", gosync_error_context_key(error, i), gosync_error_context_value(error, i));
    }
    for (cause = gosync_error_cause(error); cause != NULL; cause = gosync_error_cause(cause)) {
        fprintf(stderr, "  because: %s\n", gosync_error_text(cause));
    }
    if (gosync_status_retryable(gosync_error_status(error))) {
        fputs("  trying again later may help\n", stderr);
    }
}

/* What there is to free in the end. Each free accepts NULL, and their order does not matter. */
typedef struct {
    gosync_index *index;
    gosync_source *source;
    gosync_job *job;
} handles;

static gosync_status update(handles *has, const gosync_observer *observer, int argc, char **argv,
                            gosync_error **error) {
    const char *source = argc > 3 && strcmp(argv[3], "-") != 0 ? argv[3] : NULL;
    gosync_open_options open = GOSYNC_OPEN_OPTIONS_INIT;
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_observer quiet = *observer; /* opening is quick: it can be stopped, but shows no progress of its own */
    gosync_status status;
    int i;
    quiet.progress = NULL;
    open.observer = &quiet;
    options.observer = observer;
    status = gosync_index_open(argv[2], &open, &has->index, error);
    if (status == GOSYNC_OK && source != NULL) {
        status = gosync_source_open(source, &open, &has->source, error);
    }
    if (status == GOSYNC_OK) {
        status = gosync_job_new(has->index, has->source, argv[1], &options, &has->job, error);
    }
    for (i = 4; i < argc && status == GOSYNC_OK; i++) {
        status = gosync_job_add_seed(has->job, argv[i], error);
    }
    return status == GOSYNC_OK ? gosync_job_run(has->job, error) : status;
}

int main(int argc, char **argv) {
    handles has = {NULL, NULL, NULL};
    screen shown = {GOSYNC_PHASE_IDLE};
    gosync_observer observer = GOSYNC_OBSERVER_INIT;
    gosync_cancel *cancel = NULL;
    gosync_error *error = NULL;
    gosync_status status;
    if (argc < 3) {
        fputs("usage: updater TARGET INDEX [SOURCE|- [SEED...]]\n", stderr);
        return 2;
    }
    status = gosync_cancel_new(&cancel, &error);
    if (status == GOSYNC_OK) {
        stop = cancel;
        signal(SIGINT, on_interrupt);
        observer.user_data = &shown;
        observer.progress = show_progress;
        observer.event = show_event;
        observer.cancel = cancel;
        status = update(&has, &observer, argc, argv, &error);
        signal(SIGINT, SIG_DFL);
    }
    if (status == GOSYNC_OK) {
        gosync_statistics did = GOSYNC_STATISTICS_INIT;
        gosync_job_statistics(has.job, &did);
        fprintf(stderr, "\n%s (%s)\n", did.up_to_date ? "is up to date" : "updated", gosync_job_reason(has.job));
        printf("RESULT total=%" PRIu64 " from_seeds=%" PRIu64 " fetched=%" PRIu64 " requests=%" PRIu64 "\n", did.total,
               did.from_seeds, did.fetched, did.requests);
    } else {
        show_error(error);
    }
    gosync_job_free(has.job);
    gosync_source_free(has.source);
    gosync_index_free(has.index);
    gosync_error_free(error);
    gosync_cancel_free(cancel);
    return status == GOSYNC_OK ? 0 : status == GOSYNC_E_CANCELLED ? 130 : 1;
}
