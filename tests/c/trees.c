/* Updates of a directory: one that is not there yet, a new version with and without the flags for quick and delete, what is told of
 * each entry, and what becomes of what the user has put there or changed.
 */

#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

#define LENGTH ((size_t)300007)
/* Of a file that stays: so many that what is verified as one has a part in which nothing else is. */
#define SAME ((size_t)200003)

/* What an observer heard. */
typedef struct {
    unsigned progress, drops;
    unsigned added, changed, removed, others; /* events about entries that came to their places */
    unsigned kept;                            /* events about what is the user's */
    char paths[1024];                         /* of the entries, each with a blank behind it */
    double fraction;
    uint32_t last_phase;
} heard;

static const char *field(const gosync_event *event, const char *key) {
    uint32_t i;
    for (i = 0; i < event->field_count; i++) {
        if (strcmp(event->field_keys[i], key) == 0) {
            return event->field_values[i];
        }
    }
    return NULL;
}

static void on_event(void *user_data, const gosync_event *event) {
    heard *has = user_data;
    const char *path = field(event, "path"), *what = field(event, "what");
    if (strcmp(event->kind, "kept") == 0) {
        CHECK(path != NULL && event->level == GOSYNC_LEVEL_WARNING);
        has->kept++;
    } else if (strcmp(event->kind, "entry") == 0) {
        CHECK(path != NULL && what != NULL && event->level == GOSYNC_LEVEL_INFO);
        has->added += strcmp(what, "added") == 0;
        has->changed += strcmp(what, "changed") == 0;
        has->removed += strcmp(what, "removed") == 0;
        has->others += strcmp(what, "added") != 0 && strcmp(what, "changed") != 0 && strcmp(what, "removed") != 0;
        CHECK(strlen(has->paths) + strlen(path) + 2 < sizeof(has->paths));
        strcat(has->paths, path);
        strcat(has->paths, " ");
    }
}

static void on_progress(void *user_data, const gosync_progress *progress) {
    heard *has = user_data;
    CHECK(progress->fraction >= has->fraction && progress->fraction <= 1.0);
    has->fraction = progress->fraction;
    has->last_phase = progress->phase;
    has->progress++;
}

static void on_drop(void *user_data) {
    heard *has = user_data;
    has->drops++;
}

/* Describes what is in `app`, saves that, and opens it as one does who updates. */
static gosync_index *publish(void) {
    gosync_index *index = NULL;
    OK(gosync_index_build(in("app"), NULL, &index, &error));
    CHECK(strcmp(gosync_index_kind(index), "tree") == 0 && strcmp(gosync_index_source(index), "app") == 0);
    OK(gosync_index_save(index, in("app.gosync"), &error));
    gosync_index_free(index);
    OK(gosync_index_open(in("app.gosync"), NULL, &index, &error));
    return index;
}

/* Updates `copy` from the files that the index names; what was heard and done. */
static heard update(const gosync_index *index, uint32_t flags, gosync_statistics *did) {
    heard has;
    gosync_observer observer = GOSYNC_OBSERVER_INIT;
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_job *job = NULL;
    memset(&has, 0, sizeof(has));
    observer.user_data = &has;
    observer.progress = on_progress;
    observer.event = on_event;
    observer.drop = on_drop;
    options.observer = &observer;
    options.flags = flags;
    OK(gosync_job_new(index, NULL, in("copy"), &options, &job, &error));
    OK(gosync_job_run(job, &error));
    gosync_job_statistics(job, did);
    CHECK(did->total == gosync_index_length(index));
    CHECK(strcmp(gosync_job_proof(job), "root") == 0);
    CHECK(strcmp(gosync_job_root(job), gosync_index_root_hex(index)) == 0);
    gosync_job_free(job);
    CHECK(has.drops == 1 && has.progress >= 1 && has.fraction == 1.0 && has.last_phase == GOSYNC_PHASE_DONE);
    CHECK(has.others == 0);
    return has;
}

/* How many entries of `copy` differ from the index; `is_match` is whether one of these is in it. */
static size_t differences(const gosync_index *index, int is_match) {
    gosync_verification *found = NULL;
    size_t count;
    OK(gosync_index_verify(index, in("copy"), NULL, &found, &error));
    CHECK(gosync_verification_is_match(found) == !!is_match && !gosync_verification_unfinished(found));
    count = gosync_verification_difference_count(found);
    gosync_verification_free(found);
    return count;
}

/* Writes a file whose time is always the same. */
static void write_old(const char *path, const void *data, size_t length) {
    struct timespec times[2] = {{1700000000, 0}, {1700000000, 0}};
    write_file(path, data, length);
    CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

static int is_there(const char *path) {
    struct stat about;
    return lstat(path, &about) == 0;
}

int main(int argc, char **argv) {
    unsigned char *first, *second, *same, *damaged;
    gosync_statistics did = GOSYNC_STATISTICS_INIT;
    gosync_index *index;
    heard has;
    CHECK(argc == 2);
    folder = argv[1];
    first = noise(LENGTH, 1);
    second = copy_of(first, LENGTH);
    second[LENGTH / 2] ^= 1;
    same = noise(SAME, 2);
    damaged = copy_of(same, SAME);
    damaged[SAME / 2] ^= 1;

    /* Nothing is there: each entry is told, directories too. */
    CHECK(mkdir(in("app"), 0777) == 0 && mkdir(in("app/lib"), 0777) == 0);
    write_file(in("app/main"), first, LENGTH);
    write_file(in("app/lib/same"), same, SAME);
    write_file(in("app/lib/gone"), "gone soon", 9);
    index = publish();
    has = update(index, 0, &did);
    CHECK(has.added == 4 && has.changed == 0 && has.removed == 0 && has.kept == 0);
    CHECK(did.from_seeds == 0 && did.fetched >= LENGTH + SAME + 9 && did.up_to_date == 0);
    CHECK(differences(index, 1) == 0);
    /* A time that is not what it was is no difference, and is known from now on. */
    write_old(in("copy/lib/same"), same, SAME);
    has = update(index, 0, &did);
    CHECK(did.up_to_date == 1 && did.fetched == 0 && strcmp(has.paths, "") == 0);
    gosync_index_free(index);

    /* The next version. Quickly, nobody looks into a file whose size and time are the same. */
    write_file(in("app/main"), second, LENGTH);
    write_file(in("app/lib/more"), "new", 3);
    CHECK(remove(in("app/lib/gone")) == 0);
    index = publish();
    write_file(in("copy/mine"), "of the user", 11);
    write_old(in("copy/lib/same"), damaged, SAME);
    has = update(index, GOSYNC_JOB_QUICK, &did);
    CHECK(has.added == 1 && has.changed == 1 && has.removed == 1 && has.kept == 0);
    CHECK(strstr(has.paths, "lib/more ") != NULL && strstr(has.paths, "main ") != NULL);
    CHECK(strstr(has.paths, "lib/gone ") != NULL);
    CHECK(did.fetched > 0 && did.fetched < 16384 && did.from_seeds >= LENGTH - 8192);
    CHECK(file_is(in("copy/main"), second, LENGTH) && file_is(in("copy/lib/more"), "new", 3));
    CHECK(!is_there(in("copy/lib/gone")) && file_is(in("copy/mine"), "of the user", 11));
    CHECK(file_is(in("copy/lib/same"), damaged, SAME) && differences(index, 0) == 2);

    /* Without the flag it is found, and what is there instead is taken for the user's. */
    has = update(index, 0, &did);
    CHECK(has.changed == 1 && has.added == 0 && has.removed == 0 && has.kept == 1);
    CHECK(strcmp(has.paths, "lib/same ") == 0 && did.fetched > 0 && did.fetched < 16384);
    CHECK(file_is(in("copy/lib/same"), same, SAME) && differences(index, 1) == 1);
    CHECK(file_is(in("copy.gosync-kept/lib/same"), damaged, SAME) && file_is(in("copy/mine"), "of the user", 11));

    /* Exactly what the index says, and then there is nothing to do. */
    has = update(index, GOSYNC_JOB_DELETE | GOSYNC_JOB_QUICK, &did);
    CHECK(has.removed == 1 && strcmp(has.paths, "mine ") == 0 && has.kept == 0 && did.fetched == 0);
    CHECK(!is_there(in("copy/mine")) && differences(index, 1) == 0);
    has = update(index, GOSYNC_JOB_DELETE | GOSYNC_JOB_QUICK, &did);
    CHECK(did.up_to_date == 1 && did.fetched == 0 && did.written == 0 && strcmp(has.paths, "") == 0);
    gosync_index_free(index);
    free(damaged);
    free(same);
    free(second);
    free(first);
    puts("trees: all checks passed");
    return 0;
}
