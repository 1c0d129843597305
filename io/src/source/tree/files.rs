//! The files below a place: each is opened when it is first asked, and as many are asked at the same time as the place
//! answers. What waits for its turn waits here. What the files mean is for whoever asks.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use gosync_core::{Error, ErrorKind, Link, Range, Request, Result, Sink, Source, Supply};

use crate::source::pending::{lock, unwanted};

/// Files that are asked at the same time where it is not known how many a place answers.
const AT_ONCE: u32 = 4;
/// Files that stay open although nobody asks more of them, because somebody may.
const KEPT: usize = 16;

/// The files below a place, by numbers.
pub(super) struct Files {
    place: Arc<dyn Source>,
    name: Box<dyn Fn(usize) -> String + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What waits for its turn, and for which file.
    queue: VecDeque<(usize, Request)>,
    /// The files that are asked, by the number of the request.
    asked: HashMap<u64, usize>,
    open: HashMap<usize, Open>,
    /// Those of them that nobody asks at the moment, the latest last.
    kept: VecDeque<usize>,
    /// Somebody is asking for what waits; and shall look again when that is done.
    going: bool,
    again: bool,
    closed: bool,
}

struct Open {
    source: Arc<dyn Source>,
    /// Requests that it has.
    requests: usize,
}

impl Files {
    /// `name` has the names of the files, with `/` between.
    pub(super) fn new(place: Arc<dyn Source>, name: impl Fn(usize) -> String + Send + Sync + 'static) -> Arc<Files> {
        Arc::new(Files { place, name: Box::new(name), state: Mutex::default() })
    }

    pub(super) fn link(&self) -> Link {
        self.place.link()
    }

    pub(super) fn describe(&self) -> String {
        self.place.describe()
    }

    /// Whether a file that is open answers ranges, as far as that is known.
    pub(super) fn has_ranges(&self, file: usize) -> Option<bool> {
        let source = lock(&self.state).open.get(&file).map(|open| Arc::clone(&open.source));
        source.and_then(|source| source.link().ranges)
    }

    /// Has `file` asked for `ranges` when its turn comes; see [`Files::go_on`].
    pub(super) fn wait(self: &Arc<Self>, file: usize, number: u64, ranges: Vec<Range>, sink: Arc<dyn Sink>) {
        let request = self.request(file, number, ranges, sink);
        let mut state = lock(&self.state);
        if !state.closed {
            return state.queue.push_back((file, request));
        }
        drop(state);
        request.finish(Err(unwanted()));
    }

    /// Asks `file` for `range` at once, if it is open.
    pub(super) fn ask_now(self: &Arc<Self>, file: usize, number: u64, range: Range, sink: Arc<dyn Sink>) {
        let request = self.request(file, number, vec![range], sink);
        let source = {
            let mut state = lock(&self.state);
            if state.closed { None } else { state.take_open(file, number) }
        };
        match source {
            Some(source) => source.fetch(request),
            None => request.finish(Err(unwanted())),
        }
    }

    fn request(self: &Arc<Self>, file: usize, number: u64, ranges: Vec<Range>, sink: Arc<dyn Sink>) -> Request {
        Request::new(number, ranges, Arc::new(Asking { files: Arc::clone(self), file, sink }))
    }

    /// Asks for what waits, as far as the place answers it now.
    pub(super) fn go_on(&self) {
        {
            let mut state = lock(&self.state);
            if std::mem::replace(&mut state.going, true) {
                state.again = true;
                return;
            }
        }
        loop {
            // More than run at once, so that the next ones are there when an answer ends.
            let at_once = self.place.link().at_once;
            let most = 2 * if at_once == 0 { AT_ONCE } else { at_once } as usize;
            let next = {
                let mut state = lock(&self.state);
                let next = if state.asked.len() < most { state.queue.pop_front() } else { None };
                if next.is_none() && !std::mem::take(&mut state.again) {
                    state.going = false;
                    return;
                }
                next
            };
            if let Some((file, request)) = next {
                self.ask(file, request);
            }
        }
    }

    fn ask(&self, file: usize, request: Request) {
        let number = request.id();
        let is_open = lock(&self.state).open.contains_key(&file);
        // Not under the lock: a disk may take its time.
        let opened = if is_open { Ok(None) } else { self.open(file).map(Some) };
        let source = {
            let mut state = lock(&self.state);
            match (opened, state.closed) {
                (_, true) => Err(unwanted()),
                (Err(error), _) => Err(error),
                (Ok(opened), _) => {
                    if let Some(source) = opened {
                        state.open.entry(file).or_insert(Open { source, requests: 0 });
                    }
                    state.take_open(file, number).ok_or_else(unwanted)
                }
            }
        };
        match source {
            Ok(source) => source.fetch(request),
            Err(error) => request.finish(Err(error)),
        }
    }

    fn open(&self, file: usize) -> Result<Arc<dyn Source>> {
        let none = || Error::new(ErrorKind::SourceUnsupported, "the source is no place with files any more");
        self.place.below(&(self.name)(file)).ok_or_else(none)?
    }

    /// The answer to a request is no longer wanted.
    pub(super) fn cancel(&self, number: u64) {
        let (waiting, source) = {
            let mut state = lock(&self.state);
            let waiting = state.queue.iter().position(|(_, request)| request.id() == number);
            (waiting.and_then(|at| state.queue.remove(at)), state.source(number))
        };
        if let Some((_, request)) = waiting {
            request.finish(Err(unwanted()));
        }
        if let Some(source) = source {
            source.cancel(number);
        }
    }

    /// A request that was told AGAIN may go on.
    pub(super) fn resume(&self, number: u64) {
        let source = lock(&self.state).source(number);
        if let Some(source) = source {
            source.resume(number);
        }
    }

    /// Ends everything.
    pub(super) fn close(&self) {
        let (queue, asked, open) = {
            let mut state = lock(&self.state);
            state.closed = true;
            let asked: Vec<(u64, Arc<dyn Source>)> =
                state.asked.keys().filter_map(|number| Some((*number, state.source(*number)?))).collect();
            (std::mem::take(&mut state.queue), asked, std::mem::take(&mut state.open))
        };
        asked.into_iter().for_each(|(number, source)| source.cancel(number));
        queue.into_iter().for_each(|(_, request)| request.finish(Err(unwanted())));
        drop(open);
    }
}

impl State {
    fn source(&self, number: u64) -> Option<Arc<dyn Source>> {
        self.open.get(self.asked.get(&number)?).map(|open| Arc::clone(&open.source))
    }

    /// A file that is open, for one more request.
    fn take_open(&mut self, file: usize, number: u64) -> Option<Arc<dyn Source>> {
        let open = self.open.get_mut(&file)?;
        open.requests += 1;
        self.kept.retain(|kept| *kept != file);
        self.asked.insert(number, file);
        Some(Arc::clone(&open.source))
    }

    /// A request has ended. What is not kept open any longer, to be dropped under no lock.
    fn give_back(&mut self, number: u64) -> Option<Open> {
        let file = self.asked.remove(&number)?;
        let open = self.open.get_mut(&file)?;
        open.requests -= 1;
        if open.requests > 0 {
            return None;
        }
        self.kept.push_back(file);
        if self.kept.len() <= KEPT {
            return None;
        }
        self.kept.pop_front().and_then(|file| self.open.remove(&file))
    }
}

/// Passes on the answer of a file, and makes room for the next when it ends.
struct Asking {
    files: Arc<Files>,
    file: usize,
    sink: Arc<dyn Sink>,
}

impl Sink for Asking {
    fn supply(&self, number: u64, offset: u64, data: &[u8]) -> Supply {
        self.sink.supply(number, offset, data)
    }

    fn finish(&self, number: u64, exchanges: u64, result: Result<()>) {
        let name = || (self.files.name)(self.file).escape_debug().to_string();
        self.sink.finish(number, exchanges, result.map_err(|error| error.with("file", name())));
        let closed = lock(&self.files.state).give_back(number);
        drop(closed);
        self.files.go_on();
    }
}
