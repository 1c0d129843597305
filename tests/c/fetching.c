/* The options for servers: FOLDER URL, where URL/new and URL/new.gosync are there, and URL/missing is not. What arrives at
 * the server is looked at by whoever runs this.
 */

#include "check.h"

static gosync_open_options some_options(void) {
    static const char *const lines[] = {"X-One: hunter2-one", "X-Two: hunter2-two"};
    gosync_open_options options = GOSYNC_OPEN_OPTIONS_INIT;
    options.retries = 2;
    options.connections = 2;
    options.timeout_ms = options.connect_timeout_ms = 20000;
    options.first_byte_timeout_ms = options.stall_timeout_ms = 20000;
    options.bearer = "hunter2";
    options.headers = lines;
    options.header_count = 2;
    options.proxy = "";
    options.no_proxy = "*";
    options.rate_limit = 100000000;
    return options;
}

int main(int argc, char **argv) {
    gosync_open_options options = some_options();
    gosync_job_options job_options = GOSYNC_JOB_OPTIONS_INIT;
    gosync_index *index = NULL, *unexpected = NULL;
    gosync_source *missing = NULL, *mirror = NULL;
    gosync_job *job = NULL;
    char url[1024];
    int i;
    CHECK(argc == 3);
    folder = argv[1];

    /* A kept index: the second time, the server only says that it is the same. */
    options.index_cache = in("kept");
    snprintf(url, sizeof(url), "%s/new.gosync?token=hunter2", argv[2]);
    for (i = 0; i < 2; i++) {
        gosync_index_free(index);
        OK(gosync_index_open(url, &options, &index, &error));
    }
    /* The origin is shown without what may be secret. */
    snprintf(url, sizeof(url), "%s/new.gosync", argv[2]);
    CHECK(strcmp(gosync_index_origin(index), url) == 0);

    /* The root that is expected, and another one. */
    options.expect = gosync_index_root_hex(index);
    OK(gosync_index_check(index, &options, &error));
    OK(gosync_index_check(index, NULL, &error));
    options.expect = "0000000000000000000000000000000000000000000000000000000000000000";
    FAILS(GOSYNC_E_MISMATCH, gosync_index_check(index, &options, &error));
    FAILS(GOSYNC_E_MISMATCH, gosync_index_open(url, &options, &unexpected, &error));
    CHECK(unexpected == NULL);
    options.expect = "af13";
    FAILS(GOSYNC_E_ARGUMENT, gosync_index_check(index, &options, &error));
    options.expect = NULL;

    /* Whose signature is demanded: this index has none. */
    CHECK(gosync_index_signature(index) == NULL && gosync_index_name(index) == NULL && gosync_index_version(index) == NULL);
    options.public_key = "RWTzupLICwciIHgIx9iHinnpQT1zQ3DxePYyPhGvPqPrKWSyDJWb/YtB";
    FAILS(GOSYNC_E_MISMATCH, gosync_index_check(index, &options, &error));
    FAILS(GOSYNC_E_MISMATCH, gosync_index_open(url, &options, &unexpected, &error));
    CHECK(unexpected == NULL);
    options.public_key = "RWTz";
    FAILS(GOSYNC_E_ARGUMENT, gosync_index_check(index, &options, &error));
    options.public_key = NULL;

    /* A mirror stands in for a source that has nothing. */
    snprintf(url, sizeof(url), "%s/missing", argv[2]);
    OK(gosync_source_open(url, &options, &missing, &error));
    snprintf(url, sizeof(url), "%s/new", argv[2]);
    OK(gosync_source_open(url, &options, &mirror, &error));
    job_options.open = &options;
    job_options.max_gap = 4096;
    OK(gosync_job_new(index, missing, in("target"), &job_options, &job, &error));
    OK(gosync_job_add_mirror(job, mirror, &error));
    gosync_source_free(mirror); /* the job keeps it */
    OK(gosync_job_run(job, &error));
    gosync_job_free(job);
    gosync_source_free(missing);
    gosync_index_free(index);

    /* A file that is needed and not there. */
    index = NULL;
    options.ca_file = in("missing.pem");
    FAILS(GOSYNC_E_NOT_FOUND, gosync_index_open(url, &options, &index, &error));
    CHECK(index == NULL);
    puts("fetching: all checks passed");
    return 0;
}
