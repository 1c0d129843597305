//! An index at a URL, read in part: its beginning when it is opened (and of a tree the listing, which is `tree/listing`),
//! groups of it when they are needed. Every group is checked against its parent as it comes; one of another version says that the index must be opened anew.

use std::collections::{BTreeSet, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Scope;

use gosync_core::index::Front;
use gosync_core::matching::Found;
use gosync_core::{Error, ErrorKind, Index, Range, Result, Source};

use crate::collect::collect;
use crate::gather::{Gathered, gather};
use crate::in_part::InPart;
use crate::open::max_index_size;
use crate::options::OpenOptions;
use crate::report::Level;
use crate::source::HttpSource;
use crate::tree::present::Looking;
use crate::tree::read_listing;
use crate::trust;

/// Bytes of an index that are asked for first: what a new connection brings in two round trips (10 segments, then 20), and
/// the top of an index of less than 1 GiB. What is longer is asked for then, and arrives in the third.
const HEAD: u64 = 40 << 10;
/// As many where the root is likely to be all that is needed.
const ROOT: u64 = 1 << 10;

/// What arrives in a round trip, where nothing is known of the way: 100 Mbit/s at 84 ms. It does not count as more where it
/// is, because a round trip to a busy machine seems long.
const LITTLE: u64 = 1 << 20;
/// What is read needlessly to save a round trip takes less than this share of one: otherwise bytes are dearer.
const SHARE: u64 = 4;

/// So large a part of a round trip is not asked for before it is known how much of it is needed.
const LOOK: u64 = 2;

/// What arrives in a round trip. What the caller assumes of the way comes first, and counts as it is.
fn round(source: &dyn Source, options: &OpenOptions) -> u64 {
    let (rtt, rate) = (options.assume_rtt, options.assume_rate);
    let is_assumed = !rtt.is_zero() && rate > 0;
    let link = source.link();
    let round_trip = if rtt.is_zero() { link.round_trip } else { Some(rtt) };
    match (round_trip, if rate > 0 { Some(rate) } else { link.rate }) {
        (Some(round_trip), Some(rate)) => {
            let bytes = (rate as f64 * round_trip.as_secs_f64()) as u64;
            if is_assumed { bytes } else { bytes.min(LITTLE) }
        }
        _ => LITTLE,
    }
}

/// Whether the rest of an index is asked for as soon as its length is known. In part it takes two round trips more at least,
/// which are worth a little, and, if it turns out that most of it is needed, as long as that and a search more. What is not
/// quite as little arrives in three round trips of a connection that begins, hardly sooner than the part that is needed
/// where little has changed: there it is looked first.
fn is_read_at_once(round_trip: u64, rest: u64) -> bool {
    rest <= round_trip && !(round_trip / SHARE + 1..=round_trip / LOOK).contains(&rest)
}

/// Reads the beginning of an index, or all of it if there is not much more, or no way to ask for less. Of a tree, whose
/// listing is needed before anything else, that too, as far as it is not what `known` has, an older listing, or what somebody
/// who is `looking` finds in the target. What is demanded of the index is looked at as soon as its beginning is here.
pub(crate) fn open(
    http: &Arc<HttpSource>,
    known: Option<&[u8]>,
    looking: Option<Looking>,
    options: &OpenOptions,
) -> Result<Index> {
    let mut has_more = false;
    match open_once(http, known, looking, options, &mut has_more) {
        // The rest does not belong to the beginning: it was replaced in between, which is not likely to happen twice.
        Err(error) if has_more && matches!(error.kind(), ErrorKind::SourceChanged | ErrorKind::Format) => {
            let (text, name) = (format!("reading the index again: {}", error.message()), http.describe());
            options.observer.event(Level::Warning, "retry", text, &[("source", &name), ("error", &error.kind())]);
            open_once(http, known, None, options, &mut has_more)
        }
        outcome => outcome,
    }
}

/// The same; whether more than the beginning was asked for.
fn open_once(
    http: &Arc<HttpSource>,
    known: Option<&[u8]>,
    looking: Option<Looking>,
    options: &OpenOptions,
    has_more: &mut bool,
) -> Result<Index> {
    let limit = max_index_size(options);
    let source = Arc::clone(http) as Arc<dyn Source>;
    let round_trip = round(&**http, options);
    // Whoever has the listing of the last version most likely needs nothing but the root.
    let is_little = known.is_some();
    let head = if is_little { ROOT } else { HEAD };
    http.read_head(head, move |rest| !is_little && is_read_at_once(round_trip, rest));
    let mut bytes = collect(&source, limit, options)?;
    let mut read = bytes.len() as u64;
    // Without a length there is no telling whether more follows; then it was asked for until it ended.
    let total = http.total().unwrap_or(read);
    let mut rest = |bytes: &mut Vec<u8>, end: u64| {
        *has_more = true;
        let range = Range::new(bytes.len() as u64, end - bytes.len() as u64);
        let gathered = match gather(&source, [range], total, options) {
            Err(error) if error.kind() == ErrorKind::SourceChanged => {
                let all = all(&source, options)?;
                read += all.bytes;
                return Ok(Some(all));
            }
            gathered => gathered?,
        };
        bytes.extend_from_slice(gathered.get(range));
        read += gathered.bytes;
        Ok::<_, Error>(None)
    };
    let mut index = loop {
        let have = bytes.len() as u64;
        if have >= total {
            // Several answers may have brought it; but what does not even begin like an index is none.
            *has_more |= have > head && Index::decode_beginning(&bytes, limit).is_ok();
            break Index::decode_vec(std::mem::take(&mut bytes))?;
        }
        let beginning = Index::decode_beginning(&bytes, limit)?;
        if total > limit {
            return Err(crate::collect::too_large(limit));
        }
        if let Front::Read(index) = &beginning {
            trust::check_index(index, options)?;
        }
        if let Front::Read(index) = &beginning
            && known.is_some_and(|known| index.supply_listing(known).is_ok())
        {
            break (**index).clone();
        }
        if total - have <= round(&*source, options) / SHARE {
            if let Some(all) = rest(&mut bytes, total)? {
                break Index::decode(all.all())?;
            }
            continue;
        }
        let needed = match (beginning, Index::decode_front(&bytes, limit)?) {
            (_, Front::Read(index)) => break *index,
            // What is lacking of the top comes with the listing.
            (Front::Read(index), _) if index.kind() == "tree" => break *index,
            (_, Front::Needs(needed)) => needed,
        };
        if needed > total {
            let text = format!("the index is cut off: {total} bytes present, {needed} needed");
            return Err(Error::new(ErrorKind::Format, text));
        }
        if let Some(all) = rest(&mut bytes, needed)? {
            break Index::decode(all.all())?;
        }
    };
    index.count_read(read);
    if !index.is_whole() {
        index.set_origin_source(Some(Arc::clone(&source)));
        InPart::begin(&index, options);
        *has_more = true;
        read_listing(&index, &bytes, known, looking, options)?;
    }
    Ok(index)
}

/// Reads ranges of an encoded index from where it came from. Nothing if all of it had to be read, and is here now.
pub(crate) fn fetch(
    index: &Index,
    ranges: impl IntoIterator<Item = Range> + Clone,
    options: &OpenOptions,
) -> Result<Option<Gathered>> {
    let source = index.origin_source().ok_or_else(|| {
        let text = "parts of the index are needed that were not read, and where it came from is gone";
        Error::new(ErrorKind::State, text)
    })?;
    let end = ranges.clone().into_iter().map(|range| range.end()).max().unwrap_or(0);
    match gather(source, ranges, end, options) {
        Err(error) if error.kind() == ErrorKind::SourceChanged => read_all(index, source, options).map(|()| None),
        Err(error) => Err(error),
        Ok(gathered) => {
            index.count_read(gathered.bytes);
            Ok(Some(gathered))
        }
    }
}

/// Reads all of an index that seems to be of another version with every answer, so that nothing of it is asked for again.
fn read_all(index: &Index, source: &Arc<dyn Source>, options: &OpenOptions) -> Result<()> {
    let _turn = InPart::of(index).map(|in_part| in_part.turn(&options.observer.cancel)).transpose()?;
    // Whoever had the turn before has read it.
    if index.is_whole() {
        return Ok(());
    }
    let all = all(source, options)?;
    index.count_read(all.bytes);
    take(index, &all).map_err(other_version(index))
}

/// Takes what is lacking from all of an index, each part after what it is checked against.
fn take(index: &Index, all: &Gathered) -> Result<()> {
    if let Some(top) = index.top_place() {
        index.supply_top(all.get(top))?;
    }
    let (about, listing) = index.listing_places();
    about.map_or(Ok(()), |about| index.supply_listing_index(all.get(about)))?;
    listing.map_or(Ok(()), |listing| index.supply_listing(all.get(listing)))?;
    index.packs_place().map_or(Ok(()), |packs| index.supply_packs(all.get(packs)))?;
    for top in 0..index.top_count() {
        index.values_place(top).map_or(Ok(()), |place| index.supply_values(top, all.get(place)))?;
    }
    for unit in 0..index.unit_count() {
        index.blocks_place(unit).map_or(Ok(()), |place| index.supply_blocks(unit, all.get(place)))?;
    }
    Ok(())
}

/// Reads the top, if it is not here.
pub(crate) fn with_top(index: &Index, options: &OpenOptions) -> Result<()> {
    let Some(top) = index.top_place() else { return Ok(()) };
    let Some(gathered) = fetch(index, [top], options)? else { return Ok(()) };
    index.supply_top(gathered.get(top)).map_err(other_version(index))
}

/// Reads what says in which packs the contents of a tree are, if it is not here.
pub(crate) fn with_packs(index: &Index, options: &OpenOptions) -> Result<()> {
    let Some(packs) = index.packs_place() else { return Ok(()) };
    let Some(gathered) = fetch(index, [packs], options)? else { return Ok(()) };
    index.supply_packs(gathered.get(packs)).map_err(other_version(index))
}

/// What of an index is needed next.
#[derive(Default)]
pub(crate) struct Wanted {
    tops: Vec<u64>,
    units: Vec<u64>,
}

impl Wanted {
    /// The chaining values that are not here, of units below the top blocks `among`, for those that `found` lacks; or for
    /// all of them.
    pub(crate) fn values(index: &Index, among: impl IntoIterator<Item = u64>, found: Option<&Found>) -> Wanted {
        let lacks = |top: &u64| index.top_units(*top).any(|unit| found.is_none_or(|found| found.has_none(unit)));
        let tops = among.into_iter().filter(|top| !index.has_values(*top)).filter(lacks);
        Wanted { tops: tops.collect(), units: Vec::new() }
    }

    /// The identities that are not here, of the blocks of the units `among`, for those that `found` lacks; or for all of them.
    pub(crate) fn blocks(index: &Index, among: impl IntoIterator<Item = u64>, found: Option<&Found>) -> Wanted {
        let lacks = |unit: &u64| found.is_none_or(|found| found.has_none(*unit));
        let units = among.into_iter().filter(|unit| !index.has_blocks(*unit)).filter(lacks);
        Wanted { tops: Vec::new(), units: units.collect() }
    }

    fn is_empty(&self) -> bool {
        self.tops.is_empty() && self.units.is_empty()
    }

    /// These, and what lies below them too if that is worth the round trip that it saves.
    fn with_blocks(mut self, index: &Index, options: &OpenOptions) -> Wanted {
        let Some(source) = index.origin_source() else { return self };
        let units: Vec<u64> = self.tops.iter().flat_map(|top| index.top_units(*top)).collect();
        let bytes: u64 = units.iter().filter_map(|unit| index.blocks_place(*unit)).map(|place| place.length).sum();
        if bytes <= round(&**source, options) / SHARE {
            self.units = units;
        }
        self
    }

    /// Reads them.
    fn read(self, index: &Index, options: &OpenOptions) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let values = self.tops.iter().filter_map(|top| Some((*top, index.values_place(*top)?)));
        let values: Vec<(u64, Range)> = values.collect();
        let blocks = self.units.iter().filter_map(|unit| Some((*unit, index.blocks_place(*unit)?)));
        let blocks: Vec<(u64, Range)> = blocks.collect();
        let ranges = values.iter().chain(&blocks).map(|(_, range)| *range);
        let Some(gathered) = fetch(index, ranges, options)? else { return Ok(()) };
        for (top, place) in values {
            index.supply_values(top, gathered.get(place)).map_err(other_version(index))?;
        }
        for (unit, place) in blocks {
            index.supply_blocks(unit, gathered.get(place)).map_err(other_version(index))?;
        }
        Ok(())
    }
}

/// Groups of an index that are read while something else is done. Whatever is still under way when this is dropped ends.
pub(crate) struct Reading<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    index: &'env Index,
    options: OpenOptions,
    /// What has been asked for.
    tops: HashSet<u64>,
    units: HashSet<u64>,
    /// What is read, and how each of it ends.
    under_way: usize,
    ends: (Sender<Result<()>>, Receiver<Result<()>>),
}

impl<'scope, 'env> Reading<'scope, 'env> {
    /// Nothing is read yet.
    pub(crate) fn new(scope: &'scope Scope<'scope, 'env>, index: &'env Index, options: &OpenOptions) -> Self {
        let mut options = options.clone();
        options.observer.cancel = options.observer.cancel.child();
        let (tops, units, ends) = (HashSet::new(), HashSet::new(), mpsc::channel());
        Reading { scope, index, options, tops, units, under_way: 0, ends }
    }

    /// Begins to read what has not been asked for yet. `deep`: of tops, also what lies below their units, if that is worth
    /// the round trip that it saves.
    pub(crate) fn begin(&mut self, mut wanted: Wanted, deep: bool) -> Result<()> {
        wanted.tops.retain(|top| self.tops.insert(*top));
        if deep {
            wanted = wanted.with_blocks(self.index, &self.options);
        }
        wanted.units.retain(|unit| self.units.insert(*unit));
        if wanted.is_empty() {
            return Ok(());
        }
        let (index, options, end) = (self.index, self.options.clone(), self.ends.0.clone());
        let read = move || {
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| wanted.read(index, &options)));
            let defect = |_| Err(Error::new(ErrorKind::Internal, "a worker thread panicked"));
            let _ = end.send(outcome.unwrap_or_else(defect));
        };
        std::thread::Builder::new()
            .name("gosync-index".into())
            .spawn_scoped(self.scope, read)
            .map_err(|cause| Error::new(ErrorKind::Io, "cannot start a thread").caused_by(cause))?;
        self.under_way += 1;
        Ok(())
    }

    /// What has come by now. Whether anything has.
    pub(crate) fn look(&mut self) -> Result<bool> {
        let mut has_come = false;
        while let Ok(end) = self.ends.1.try_recv() {
            self.under_way -= 1;
            end?;
            has_come = true;
        }
        Ok(has_come)
    }

    /// Waits until more of it is here. Whether anything was under way.
    pub(crate) fn wait(&mut self) -> Result<bool> {
        if self.under_way == 0 {
            return Ok(false);
        }
        // It never ends: one sender is here.
        if let Ok(end) = self.ends.1.recv() {
            self.under_way -= 1;
            end?;
        }
        Ok(true)
    }

    /// Waits until everything is here.
    pub(crate) fn finish(&mut self) -> Result<()> {
        while self.wait()? {}
        Ok(())
    }
}

impl Drop for Reading<'_, '_> {
    fn drop(&mut self) {
        self.options.observer.cancel.cancel();
    }
}

/// All of an index in one answer, which is consistent in itself: where every answer seems to be of another version, that
/// may come of a crowd of servers. If it is another version indeed, its groups do not belong to their parents.
fn all(source: &Arc<dyn Source>, options: &OpenOptions) -> Result<Gathered> {
    Ok(Gathered::of(collect(source, max_index_size(options), options)?))
}

/// A part that does not belong to its parent: most likely the index was replaced meanwhile.
pub(crate) fn other_version(index: &Index) -> impl Fn(Error) -> Error {
    move |error| {
        if let Some(in_part) = InPart::of(index) {
            in_part.set_replaced();
        }
        let mut changed = Error::new(ErrorKind::SourceChanged, error.message().to_owned());
        for (key, value) in error.context() {
            changed = changed.with(key, value);
        }
        changed.caused_by(error)
    }
}

/// Reads the chaining values of units below these top blocks, as far as they are not here.
pub(crate) fn with_values_of(index: &Index, tops: impl Iterator<Item = u64>, options: &OpenOptions) -> Result<()> {
    with_top(index, options)?;
    Wanted::values(index, tops, None).read(index, options)
}

/// Reads the chaining values that are not here: whoever compares a whole file needs them all.
pub(crate) fn with_values(index: &Index, options: &OpenOptions) -> Result<()> {
    with_top(index, options)?;
    Wanted::values(index, 0..index.top_count(), None).read(index, options)
}

/// Reads what is said of the blocks of these units, as far as it is not here.
pub(crate) fn with_blocks_of(
    index: &Index,
    units: impl Iterator<Item = u64> + Clone,
    options: &OpenOptions,
) -> Result<()> {
    if index.is_whole() || units.clone().next().is_none() {
        return Ok(());
    }
    with_top(index, options)?;
    let tops: BTreeSet<u64> = units.clone().map(|unit| unit * index.unit_size() / index.top_size()).collect();
    let units: BTreeSet<u64> = units.collect();
    let mut wanted = Wanted::values(index, tops, None);
    wanted.units = Wanted::blocks(index, units, None).units;
    wanted.read(index, options)
}

/// As [`with_blocks_of`], if that is little: for whoever has all other units most likely needs it, and need not go down level by
/// level then.
pub(crate) fn with_likely_blocks_of(index: &Index, units: &[u64], options: &OpenOptions) -> Result<()> {
    let bytes: u64 = units.iter().filter_map(|unit| index.blocks_place(*unit)).map(|place| place.length).sum();
    if bytes > LITTLE { Ok(()) } else { with_blocks_of(index, units.iter().copied(), options) }
}

/// Reads all that is not here.
pub(crate) fn complete(index: &Index, options: &OpenOptions) -> Result<()> {
    with_top(index, options)?;
    with_packs(index, options)?;
    if let (Some(about), _) = index.listing_places()
        && let Some(gathered) = fetch(index, [about], options)?
    {
        index.supply_listing_index(gathered.get(about)).map_err(other_version(index))?;
    }
    let mut wanted = Wanted::values(index, 0..index.top_count(), None);
    wanted.units = Wanted::blocks(index, 0..index.unit_count(), None).units;
    wanted.read(index, options)
}
