//! The files of a tree as they lie at their paths below a place, as one source of its payload.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gosync_core::ranges::RangeSet;
use gosync_core::{Error, ErrorKind, Link, Range, Request, Result, Sink, Source, Supply};

use super::files::Files;
use super::handing::Handing;
use crate::source::next_request_id;
use crate::source::pending::{Pending, lock};
use crate::tree::contents::{Contents, Part, zeros};

/// A range that is everything there is.
const EVERYTHING: Range = Range::new(0, Range::TO_END);

pub(super) struct PlainSource {
    shared: Arc<Shared>,
}

/// What callers and answering threads have in common.
struct Shared {
    contents: Arc<Contents>,
    files: Arc<Files>,
    handing: Handing,
    /// The numbers of the requests to files, by that of the request that they are made for.
    numbers: Mutex<HashMap<u64, Vec<u64>>>,
    /// The place answers a range with everything, so that files are asked for whole.
    whole: AtomicBool,
}

impl PlainSource {
    pub(super) fn new(place: Arc<dyn Source>, contents: Contents) -> PlainSource {
        let contents = Arc::new(contents);
        let names = Arc::clone(&contents);
        let files = Files::new(place, move |content| names.path(content).to_owned());
        let (numbers, whole) = (Mutex::default(), AtomicBool::new(false));
        PlainSource { shared: Arc::new(Shared { contents, files, handing: Handing::default(), numbers, whole }) }
    }
}

impl Source for PlainSource {
    fn fetch(&self, request: Request) {
        let shared = &self.shared;
        let mut gaps = Vec::new();
        let mut wanted: Vec<(usize, Vec<Range>)> = Vec::new();
        for part in request.ranges().iter().flat_map(|range| shared.contents.parts(*range)) {
            match part {
                Part::Zeros(range) => gaps.push(range),
                Part::Content(content, range) => match wanted.last_mut() {
                    Some((last, ranges)) if *last == content => ranges.push(range),
                    _ => wanted.push((content, vec![range])),
                },
            }
        }
        let pending = shared.handing.begin(request, gaps.len() + wanted.len());
        wanted.into_iter().for_each(|(content, ranges)| shared.want(&pending, content, ranges));
        gaps.into_iter().for_each(|gap| shared.handing.hand(Arc::clone(&pending), gap.offset, zeros(gap.length)));
        shared.files.go_on();
        // Whoever cancelled meanwhile may not have found all of it.
        if pending.is_stopped() {
            self.cancel(pending.id());
        }
    }

    fn cancel(&self, id: u64) {
        self.shared.handing.cancel(id);
        let numbers = lock(&self.shared.numbers).remove(&id);
        numbers.into_iter().flatten().for_each(|number| self.shared.files.cancel(number));
    }

    fn resume(&self, id: u64) {
        self.shared.handing.resume(id);
        let numbers = lock(&self.shared.numbers).get(&id).cloned();
        numbers.into_iter().flatten().for_each(|number| self.shared.files.resume(number));
    }

    fn link(&self) -> Link {
        let place = self.shared.files.link();
        let reason = self
            .shared
            .whole
            .load(Ordering::Relaxed)
            .then(|| String::from("the server has no ranges: each file that has changed is fetched whole"));
        let files = self.shared.contents.count() as u64;
        // A file is a request, wherever the ranges in it are asked for together.
        Link { parallel: place.at_once, proven: place.at_once, ranges: None, files, reason, ..place }
    }

    fn describe(&self) -> String {
        self.shared.files.describe()
    }
}

impl Drop for PlainSource {
    fn drop(&mut self) {
        self.shared.handing.close();
        self.shared.files.close();
    }
}

impl Shared {
    /// Asks for ranges of a content, as one part of an answer.
    fn want(self: &Arc<Self>, pending: &Arc<Pending>, content: usize, ranges: Vec<Range>) {
        let size = self.contents.place(content).length;
        let mut asked = RangeSet::new();
        ranges.iter().for_each(|range| asked.insert(*range));
        // A whole file is what every server and every cache answers.
        let is_whole = asked.total() == size || self.whole.load(Ordering::Relaxed);
        let ranges = if is_whole { vec![EVERYTHING] } else { ranges };
        let (number, taking) = self.taking(pending, content, asked, is_whole);
        self.files.wait(content, number, ranges, taking);
    }

    fn taking(
        self: &Arc<Self>,
        pending: &Arc<Pending>,
        content: usize,
        asked: RangeSet,
        is_whole: bool,
    ) -> (u64, Arc<Taking>) {
        let number = next_request_id();
        lock(&self.numbers).entry(pending.id()).or_default().push(number);
        let taking = Taking {
            shared: Arc::clone(self),
            pending: Arc::clone(pending),
            content,
            place: self.contents.place(content),
            lacking: Mutex::new(asked.clone()),
            asked,
            is_looked_at: AtomicBool::new(is_whole),
        };
        (number, Arc::new(taking))
    }

    /// If a file is answered with everything though a part was asked for, what is behind `end` comes too, and now rather than
    /// once more. Nor would its connection be free before.
    fn take_the_rest(self: &Arc<Self>, pending: &Arc<Pending>, content: usize, end: u64) {
        if self.files.has_ranges(content) != Some(false) {
            return;
        }
        self.whole.store(true, Ordering::Relaxed);
        let size = self.contents.place(content).length;
        if end < size {
            pending.expect(1);
            let (number, taking) = self.taking(pending, content, RangeSet::new(), true);
            self.files.ask_now(content, number, Range::new(end, Range::TO_END), taking);
        }
    }
}

/// Takes the answer of one file to one request.
struct Taking {
    shared: Arc<Shared>,
    pending: Arc<Pending>,
    content: usize,
    /// Where the content is in the payload.
    place: Range,
    /// What was wanted. Empty for what comes along.
    asked: RangeSet,
    lacking: Mutex<RangeSet>,
    /// All that follows was asked for, or it was looked at whether it comes anyway.
    is_looked_at: AtomicBool,
}

impl Sink for Taking {
    fn supply(&self, _: u64, offset: u64, data: &[u8]) -> Supply {
        if self.pending.is_stopped() {
            return Supply::Closed;
        }
        // What is behind the end of the content is another one's place.
        let length = (data.len() as u64).min(self.place.length.saturating_sub(offset));
        let range = Range::new(offset, length);
        if length > 0 {
            if !self.is_looked_at.swap(true, Ordering::Relaxed) {
                self.shared.take_the_rest(&self.pending, self.content, self.asked.end());
            }
            let supply = self.pending.supply(self.place.offset + offset, &data[..length as usize]);
            if supply != Supply::Taken {
                return supply;
            }
            lock(&self.lacking).remove(range);
        }
        if length < data.len() as u64 { Supply::Closed } else { Supply::Taken }
    }

    fn finish(&self, number: u64, exchanges: u64, result: Result<()>) {
        // What comes along takes no exchange of its own.
        let exchanges = if self.asked.is_empty() { 0 } else { exchanges };
        (0..exchanges).for_each(|_| self.pending.count_exchange());
        {
            let mut numbers = lock(&self.shared.numbers);
            if let Some(of_it) = numbers.get_mut(&self.pending.id()) {
                of_it.retain(|other| *other != number);
                if of_it.is_empty() {
                    numbers.remove(&self.pending.id());
                }
            }
        }
        let lacking = lock(&self.lacking).first();
        let result = match lacking {
            None => Ok(()),
            Some(first) => result.and_then(|()| {
                let text = "a file of the source is shorter than the index says";
                let file = self.shared.contents.path(self.content).escape_debug();
                Err(Error::new(ErrorKind::SourceChanged, text).with("offset", first.offset).with("file", file))
            }),
        };
        Arc::clone(&self.pending).settle(result);
    }
}
