//! Plans a new version from an old one with the engine itself, and says which members lack what.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use gosync_core::assemble::Verified;
use gosync_core::matching::{self, Observe, Options};
use gosync_core::{Error, Origin, Piece, Range, ReadAt, Result};

use super::payload::Payload;
use super::{LintOptions, Measured, Member};
use crate::options::IndexOptions;
use crate::report::{Level, Meter, Observer, Phase};
use crate::verbs::{index_file, share};

/// Indexes `new`, which is at `path`, and looks for it in `old`.
pub(super) fn measure(
    path: &Path,
    new: &Payload,
    old: &Payload,
    options: &LintOptions,
    observer: &Observer,
    pool: &rayon::ThreadPool,
) -> Result<Measured> {
    let index = index_file(
        path,
        &IndexOptions {
            block_size: options.block_size,
            threads: options.threads,
            exclude: options.exclude.clone(),
            observer: observer.clone(),
            ..IndexOptions::default()
        },
    )?;
    let meter = Meter::new(observer);
    meter.update(|progress| {
        (progress.phase, progress.cancellable, progress.total) = (Phase::Matching, true, index.length());
    });
    let seed: &dyn ReadAt = &*old.reader;
    let watcher = Watcher { observer, meter: &meter, scanned: AtomicU64::new(0), total: seed.length() };
    let cover = pool.install(|| {
        let found = matching::find(&index, &[seed], &Options::default(), &watcher)?;
        Ok::<_, Error>(matching::join_seams(&index, &[seed], found.cover()))
    })?;
    meter.finish(|progress| (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0));
    let missing: Vec<Range> =
        cover.iter().filter(|piece| piece.origin == Origin::Missing).map(|piece: &Piece| piece.target).collect();
    let lacking = missing.iter().map(|range| range.length).sum();
    let members = match index.listing() {
        Some(listing) => members(&missing, listing.entries().map(|entry| (entry.path, entry.place))),
        None => members(&missing, new.members.iter().map(|member| (member.path.clone(), member.place))),
    };
    Ok(Measured {
        total: index.length(),
        from_old: index.length() - lacking,
        missing: lacking,
        ranges: missing.len() as u64,
        index_size: index.encoded_size(),
        members,
    })
}

/// The members that lack something, what lacks most first. `missing` is ascending.
fn members(missing: &[Range], places: impl Iterator<Item = (String, Range)>) -> Vec<Member> {
    let mut members = Vec::new();
    for (path, place) in places {
        let first = missing.partition_point(|range| range.end() <= place.offset);
        let here = missing.iter().skip(first).take_while(|range| range.offset < place.end());
        let lacking = here.map(|range| range.end().min(place.end()) - range.offset.max(place.offset)).sum();
        if lacking > 0 {
            members.push(Member { path, size: place.length, missing: lacking });
        }
    }
    members.sort_by_key(|member| Reverse(member.missing));
    members
}

struct Watcher<'a> {
    observer: &'a Observer,
    meter: &'a Meter,
    scanned: AtomicU64,
    total: u64,
}

impl Observe for Watcher<'_> {
    fn unit(&self, _: u64, _: Verified<'_>) -> Result<()> {
        Ok(())
    }

    fn scanned(&self, bytes: u64) -> Result<()> {
        let scanned = self.scanned.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.meter.update(|progress| progress.fraction = share(scanned, self.total));
        self.observer.cancel.check()
    }

    fn unreadable(&self, _: u32, error: Error) {
        let text = format!("a part of the old version cannot be read and is left out: {error}");
        self.observer.event(Level::Warning, "seed_unreadable", text, &[]);
    }
}
