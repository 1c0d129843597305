// The updater of an installer in C++17: as examples/c/updater.c, with owners for the handles and exceptions for errors.
//
//     updater TARGET INDEX [SOURCE [SEED...]]
//
//     c++ -std=c++17 updater.cpp $(pkg-config --cflags --libs gosync) -o updater

#include <gosync.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

namespace gosync {

// One deleter for all handles: the right free is chosen by the type.
struct Free {
    void operator()(gosync_cancel *it) const noexcept { gosync_cancel_free(it); }
    void operator()(gosync_error *it) const noexcept { gosync_error_free(it); }
    void operator()(gosync_index *it) const noexcept { gosync_index_free(it); }
    void operator()(gosync_job *it) const noexcept { gosync_job_free(it); }
    void operator()(gosync_plan *it) const noexcept { gosync_plan_free(it); }
    void operator()(gosync_source *it) const noexcept { gosync_source_free(it); }
};

template <typename T> using Owned = std::unique_ptr<T, Free>;

// A failed call, as an exception.
class Error : public std::runtime_error {
public:
    explicit Error(const gosync_error *error)
        : std::runtime_error(gosync_error_text(error)), status_(gosync_error_status(error)) {}
    gosync_status status() const noexcept { return status_; }

private:
    gosync_status status_;
};

// Runs a fallible call, and throws what it reports.
template <typename Call> void check(Call &&call) {
    gosync_error *error = nullptr;
    const gosync_status status = call(&error);
    const Owned<gosync_error> owned(error);
    if (status != GOSYNC_OK) {
        throw Error(owned.get());
    }
}

// Runs a call that makes an object, and owns it.
template <typename T, typename Call> Owned<T> make(Call &&call) {
    T *out = nullptr;
    check([&](gosync_error **error) { return call(&out, error); });
    return Owned<T>(out);
}

// Who watches. The C callbacks must not throw, so whatever is thrown in the function is kept, and cancels the work.
// The library has a share in it until it calls `drop`: a cancelled job may end after its call has returned.
class Watcher {
public:
    using Function = std::function<void(const gosync_progress &)>;

    static gosync_observer observer(const std::shared_ptr<Watcher> &self) {
        gosync_observer it = GOSYNC_OBSERVER_INIT;
        it.user_data = new std::shared_ptr<Watcher>(self);
        it.progress = on_progress;
        it.event = on_event;
        it.drop = on_drop;
        it.cancel = self->cancel_.get();
        return it;
    }

    Watcher(Function progress, std::shared_ptr<gosync_cancel> cancel)
        : progress_(std::move(progress)), cancel_(std::move(cancel)) {}

    // Throws what was thrown in the function.
    void rethrow() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (thrown_) {
            std::rethrow_exception(thrown_);
        }
    }

private:
    static void on_progress(void *user_data, const gosync_progress *progress) noexcept {
        Watcher &self = **static_cast<std::shared_ptr<Watcher> *>(user_data);
        try {
            self.progress_(*progress);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(self.mutex_);
            self.thrown_ = std::current_exception();
            gosync_cancel_trigger(self.cancel_.get());
        }
    }

    static void on_event(void *, const gosync_event *event) noexcept {
        if (event->level != GOSYNC_LEVEL_DEBUG) {
            std::fprintf(stderr, "\n%s: %s\n", gosync_level_name(event->level), event->message);
        }
    }

    static void on_drop(void *user_data) noexcept { delete static_cast<std::shared_ptr<Watcher> *>(user_data); }

    Function progress_;
    std::shared_ptr<gosync_cancel> cancel_;
    std::mutex mutex_;
    std::exception_ptr thrown_;
};

} // namespace gosync

namespace {

gosync_cancel *volatile stop = nullptr;

extern "C" void on_interrupt(int) { gosync_cancel_trigger(stop); }

void show(const gosync_progress &progress) {
    std::fprintf(stderr, "\r%-12s %5.1f %%", gosync_phase_name(progress.phase), 100.0 * progress.fraction);
}

gosync_statistics update(int argc, char **argv, const std::shared_ptr<gosync_cancel> &cancel) {
    gosync_observer only_cancel = GOSYNC_OBSERVER_INIT;
    only_cancel.cancel = cancel.get();
    gosync_open_options open = GOSYNC_OPEN_OPTIONS_INIT;
    open.observer = &only_cancel;

    const auto index = gosync::make<gosync_index>(
        [&](gosync_index **out, gosync_error **error) { return gosync_index_open(argv[2], &open, out, error); });
    gosync::Owned<gosync_source> source;
    if (argc > 3 && std::string(argv[3]) != "-") {
        source = gosync::make<gosync_source>(
            [&](gosync_source **out, gosync_error **error) { return gosync_source_open(argv[3], &open, out, error); });
    }
    const auto watcher = std::make_shared<gosync::Watcher>(show, cancel);
    const gosync_observer observer = gosync::Watcher::observer(watcher); // taken by the next call, whatever it returns
    gosync_job_options options = GOSYNC_JOB_OPTIONS_INIT;
    options.observer = &observer;
    const auto job = gosync::make<gosync_job>([&](gosync_job **out, gosync_error **error) {
        return gosync_job_new(index.get(), source.get(), argv[1], &options, out, error);
    });
    for (int i = 4; i < argc; i++) {
        gosync::check([&](gosync_error **error) { return gosync_job_add_seed(job.get(), argv[i], error); });
    }
    try {
        gosync::check([&](gosync_error **error) { return gosync_job_run(job.get(), error); });
    } catch (const gosync::Error &) {
        watcher->rethrow(); // what was thrown in the callback comes first
        throw;
    }
    gosync_statistics did = GOSYNC_STATISTICS_INIT;
    gosync_job_statistics(job.get(), &did);
    return did;
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 3) {
        std::cerr << "usage: updater TARGET INDEX [SOURCE|- [SEED...]]\n";
        return 2;
    }
    try {
        const std::shared_ptr<gosync_cancel> cancel = gosync::make<gosync_cancel>(gosync_cancel_new);
        stop = cancel.get();
        std::signal(SIGINT, on_interrupt);
        const gosync_statistics did = update(argc, argv, cancel);
        std::signal(SIGINT, SIG_DFL);
        std::cerr << '\n';
        std::cout << "RESULT total=" << did.total << " from_seeds=" << did.from_seeds << " fetched=" << did.fetched
                  << " requests=" << did.requests << '\n';
        return 0;
    } catch (const gosync::Error &error) {
        std::cerr << "\nupdater: " << error.what() << " (" << gosync_status_name(error.status()) << ")\n";
        return error.status() == GOSYNC_E_CANCELLED ? 130 : 1;
    } catch (const std::exception &error) {
        std::cerr << "\nupdater: " << error.what() << '\n';
        return 1;
    }
}
