//! The pack files of a tree below a place, as one source of its payload. Whatever is wanted of a piece, the piece is fetched
//! whole and once, also if several requests want it at the same time. Here: which pieces are wanted by whom. The bytes of
//! packs as they come are `unpacking`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gosync_core::{Link, Packs, Range, Request, Result, Sink, Source, Supply};

use super::files::Files;
use super::handing::Handing;
use super::unpacking::{Joined, Unpacking, unpack};
use crate::source::next_request_id;
use crate::source::pending::{Pending, lock, unwanted};
use crate::tree::contents::{Contents, Part, zeros};

/// Bytes of pieces that are kept when they have come: what is wanted of them next often follows soon.
const KEPT_PIECES: usize = 16 << 20;
/// Bytes of pieces that are asked for before anybody wants them, at most: they shall still be there then.
const PREPARED: u64 = 12 << 20;
/// Ranges of the payload that lie in one piece, about, where many small files have changed: a piece is asked for once.
const IN_A_PIECE: u32 = 64;
/// Bytes of packs that are kept where a server sends them whole.
const KEPT_PACKS: usize = 32 << 20;

pub(super) struct PackedSource {
    pub(super) shared: Arc<Shared>,
}

/// What callers and answering threads have in common.
pub(super) struct Shared {
    pub(super) packs: Arc<Packs>,
    contents: Contents,
    pub(super) files: Arc<Files>,
    handing: Handing,
    /// How much longer pieces are than what they have of their packs.
    factor: f64,
    /// The place answers a range with everything, so that packs are asked for whole.
    pub(super) whole: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Pieces that are asked for.
    asked: HashMap<usize, Asked>,
    /// The pieces of each request to a pack.
    numbers: HashMap<u64, Vec<usize>>,
    /// Packs that are coming whole.
    coming: HashMap<usize, Arc<Unpacking>>,
    /// The latest last.
    pieces: Kept,
    packs: Kept,
}

/// A piece on its way.
struct Asked {
    /// The request that it comes by.
    number: u64,
    wanted: Vec<Wanted>,
}

/// A part of an answer that lies in a piece.
pub(super) struct Wanted {
    pending: Arc<Pending>,
    /// Where it is in the payload, and in the piece.
    offset: u64,
    range: Range,
}

/// What is to be asked of a pack.
struct Anew {
    number: u64,
    pieces: Vec<usize>,
    /// The first of those who want them.
    pending: Arc<Pending>,
}

/// Bytes that are kept for a while, up to a sum.
#[derive(Default)]
struct Kept {
    kept: VecDeque<(usize, Bytes)>,
    size: usize,
}

impl PackedSource {
    pub(super) fn new(place: Arc<dyn Source>, packs: Packs, contents: Contents) -> PackedSource {
        let packs = Arc::new(packs);
        let names = Arc::clone(&packs);
        let files = Files::new(place, move |pack| names.name(pack));
        let sum = |of: &dyn Fn(usize) -> u64, count: usize| (0..count).map(of).fold(0u64, u64::saturating_add);
        let length = |piece: usize| packs.piece(piece).map_or(0, |(piece, ..)| u64::from(piece.length));
        let packed = sum(&|pack| packs.size(pack), packs.count());
        let factor = sum(&length, packs.piece_count()) as f64 / packed.max(1) as f64;
        let (handing, whole, state) = Default::default();
        PackedSource { shared: Arc::new(Shared { packs, contents, files, handing, factor, whole, state }) }
    }
}

impl Source for PackedSource {
    fn fetch(&self, request: Request) {
        let shared = &self.shared;
        let mut gaps = Vec::new();
        let mut wanted: BTreeMap<usize, Vec<(u64, Range)>> = BTreeMap::new();
        let mut count = 0;
        for range in request.ranges() {
            gaps.extend(shared.each_place(*range, |piece, offset, found| {
                wanted.entry(piece).or_default().push((offset, found));
                count += 1;
            }));
        }
        let pending = shared.handing.begin(request, gaps.len() + count);
        let wanted = wanted.into_iter().map(|(piece, parts)| {
            let wanted = |(offset, range)| Wanted { pending: Arc::clone(&pending), offset, range };
            (piece, parts.into_iter().map(wanted).collect())
        });
        shared.want(wanted.collect());
        gaps.into_iter().for_each(|gap| shared.handing.hand(Arc::clone(&pending), gap.offset, zeros(gap.length)));
        shared.files.go_on();
        if pending.is_stopped() {
            self.cancel(pending.id());
        }
    }

    /// A pack of which most is lacking was made for a version that is not here, and of its pieces those will be asked for that
    /// hold nothing else. In another one, what is lacking may well be the part of a changed file that has not changed.
    fn prepare(&self, ranges: &[Range], most: u64) {
        let packs = &self.shared.packs;
        let mut lacking: BTreeMap<usize, (u64, Vec<Range>)> = BTreeMap::new();
        for range in ranges {
            self.shared.each_place(*range, |piece, offset, found| {
                let (sum, parts) = lacking.entry(piece).or_default();
                *sum += found.length;
                parts.push(Range::new(offset, found.length));
            });
        }
        let length = |piece: usize| packs.piece(piece).map_or(0, |(piece, ..)| u64::from(piece.length));
        let (mut asked, mut left) = (Vec::new(), PREPARED.min(most));
        for pack in 0..packs.count() {
            let is_lacking = |piece: &usize| lacking.get(piece).is_some_and(|(sum, _)| *sum == length(*piece));
            let pieces: Vec<usize> = packs.pieces(pack).filter(is_lacking).collect();
            let (all, whole): (u64, u64) =
                (packs.pieces(pack).map(length).sum(), pieces.iter().copied().map(length).sum());
            if whole < all / 2 {
                continue;
            }
            for piece in pieces {
                if length(piece) <= left {
                    left -= length(piece);
                    asked.extend(lacking.remove(&piece).into_iter().flat_map(|(_, parts)| parts));
                }
            }
        }
        if !asked.is_empty() {
            asked.sort_unstable();
            self.fetch(Request::new(next_request_id(), asked, Arc::new(Nobody)));
        }
    }

    fn cancel(&self, id: u64) {
        let shared = &self.shared;
        shared.handing.cancel(id);
        let (over, numbers) = lock(&shared.state).give_up(id);
        over.into_iter().for_each(|wanted| wanted.pending.settle(Err(unwanted())));
        numbers.into_iter().for_each(|number| shared.files.cancel(number));
    }

    fn resume(&self, id: u64) {
        self.shared.handing.resume(id);
    }

    fn link(&self) -> Link {
        let place = self.shared.files.link();
        let whole = self.shared.whole.load(Ordering::Relaxed);
        let reason = whole.then(|| String::from("the server has no ranges: each pack that is needed is fetched whole"));
        // A server that sends packs whole does not send everything.
        let ranges = place.ranges.filter(|ranges| *ranges);
        // In bytes and ranges of the payload.
        let rate = place.rate.map(|rate| (rate as f64 * self.shared.factor) as u64);
        let (parallel, proven) = (place.parallel.saturating_mul(IN_A_PIECE), place.proven.saturating_mul(IN_A_PIECE));
        Link { ranges, reason, rate, parallel, proven, ..place }
    }

    fn describe(&self) -> String {
        self.shared.files.describe()
    }
}

impl Drop for PackedSource {
    fn drop(&mut self) {
        self.shared.handing.close();
        self.shared.files.close();
    }
}

impl State {
    /// Nobody wants the answer to request `id` any more: what waits for it, and the requests to packs that nobody needs then.
    fn give_up(&mut self, id: u64) -> (Vec<Wanted>, Vec<u64>) {
        let mut over = Vec::new();
        for asked in self.asked.values_mut() {
            let wanted = std::mem::take(&mut asked.wanted).into_iter();
            let (mine, others): (Vec<Wanted>, _) = wanted.partition(|wanted| wanted.pending.id() == id);
            asked.wanted = others;
            over.extend(mine);
        }
        let is_needed = |piece: &usize| self.asked.get(piece).is_some_and(|asked| !asked.wanted.is_empty());
        let numbers: Vec<u64> = self
            .numbers
            .iter()
            .filter(|(_, pieces)| !pieces.iter().any(is_needed))
            .map(|(number, _)| *number)
            .collect();
        // Whoever wants these pieces from now on has them asked for anew.
        for number in &numbers {
            for piece in self.numbers.remove(number).into_iter().flatten() {
                if self.asked.get(&piece).is_some_and(|asked| asked.number == *number) {
                    self.asked.remove(&piece);
                }
            }
        }
        (over, numbers)
    }
}

impl Kept {
    fn get(&mut self, key: usize) -> Option<Bytes> {
        let at = self.kept.iter().position(|(kept, _)| *kept == key)?;
        let found = self.kept.remove(at)?;
        self.kept.push_back(found.clone());
        Some(found.1)
    }

    fn put(&mut self, key: usize, bytes: Bytes, most: usize) {
        if self.kept.iter().any(|(kept, _)| *kept == key) {
            return;
        }
        self.size += bytes.len();
        self.kept.push_back((key, bytes));
        while self.size > most
            && let Some((_, bytes)) = self.kept.pop_front()
        {
            self.size -= bytes.len();
        }
    }
}

/// Takes what is asked for in advance, which is kept. Its exchanges are counted as those of whoever asks for it then: an
/// answer counts as one at least.
struct Nobody;

impl Sink for Nobody {
    fn supply(&self, _: u64, _: u64, _: &[u8]) -> Supply {
        Supply::Taken
    }

    fn finish(&self, _: u64, _: u64, _: Result<()>) {}
}

impl Shared {
    /// Tells of each part of a range of the payload its piece, where it begins in the payload, and where it is in the piece. What
    /// there is of zeros that no piece has.
    fn each_place(&self, range: Range, mut tell: impl FnMut(usize, u64, Range)) -> Vec<Range> {
        let mut zeros = Vec::new();
        for part in self.contents.parts(range) {
            match part {
                Part::Zeros(range) => zeros.push(range),
                Part::Content(content, range) => {
                    let (place, start) = (self.contents.place(content), self.contents.start(content));
                    for found in self.packs.places(Range::new(start + range.offset, range.length)) {
                        tell(found.piece, place.offset + (found.content - start), found.range);
                    }
                }
            }
        }
        zeros
    }

    /// Has pieces asked for, and hands over what is here of them.
    fn want(self: &Arc<Self>, wanted: Vec<(usize, Vec<Wanted>)>) {
        let mut here = Vec::new();
        let (mut packed, mut unpacked) = (Vec::new(), Vec::new());
        let mut anew: BTreeMap<usize, Anew> = BTreeMap::new();
        {
            let mut state = lock(&self.state);
            for (piece, wanted) in wanted {
                if let Some(bytes) = state.pieces.get(piece) {
                    here.push((wanted, bytes));
                    continue;
                }
                if let Some(asked) = state.asked.get_mut(&piece) {
                    asked.wanted.extend(wanted);
                    continue;
                }
                let Some((_, pack, _)) = self.packs.piece(piece) else { continue };
                if let Some(bytes) = state.packs.get(pack) {
                    packed.push((piece, wanted, bytes));
                    continue;
                }
                match state.coming.get(&pack).map(|coming| (coming.number(), coming.join(piece))) {
                    Some((_, Joined::Here(bytes))) => {
                        unpacked.push((piece, wanted, bytes));
                        continue;
                    }
                    Some((number, Joined::Coming)) => {
                        state.asked.insert(piece, Asked { number, wanted });
                        continue;
                    }
                    Some((_, Joined::Not)) | None => {}
                }
                let Some(first) = wanted.first() else { continue };
                let anew = anew.entry(pack).or_insert_with(|| Anew {
                    number: next_request_id(),
                    pieces: Vec::new(),
                    pending: Arc::clone(&first.pending),
                });
                anew.pieces.push(piece);
                state.asked.insert(piece, Asked { number: anew.number, wanted });
            }
            for anew in anew.values() {
                state.numbers.insert(anew.number, anew.pieces.clone());
            }
        }
        for (pack, Anew { number, pieces, pending }) in anew {
            let (ranges, unpacking) = Unpacking::new(self, pack, number, &pieces, pending);
            if self.is_kept(pack) {
                self.comes(pack, Arc::clone(&unpacking));
            }
            self.files.wait(pack, number, ranges, unpacking);
        }
        here.into_iter().for_each(|(wanted, bytes)| self.hand(wanted, &bytes));
        for (piece, wanted, bytes) in packed {
            self.give(piece, wanted, self.unpack_of(piece, &bytes));
        }
        for (piece, wanted, bytes) in unpacked {
            self.give(piece, wanted, unpack(&self.packs, piece, &bytes));
        }
    }

    /// A piece of a pack that is here whole.
    fn unpack_of(&self, piece: usize, pack: &Bytes) -> Result<Bytes> {
        let place = self.packs.piece(piece).map_or(Range::new(0, 0), |(_, _, place)| place);
        let part = pack.get(place.offset as usize..place.end() as usize).unwrap_or_default();
        unpack(&self.packs, piece, part)
    }

    /// A piece has come, by request `number` or not at all.
    pub(super) fn arrived(&self, piece: usize, number: u64, unpacked: Result<Bytes>) {
        let asked = {
            let mut state = lock(&self.state);
            // Only the request that it comes by can fail it.
            let is_its = state.asked.get(&piece).is_some_and(|asked| asked.number == number || unpacked.is_ok());
            // Under the same lock: whoever finds it asked for no longer finds it here.
            if let (true, Ok(bytes)) = (is_its, &unpacked) {
                state.pieces.put(piece, bytes.clone(), KEPT_PIECES);
            }
            if is_its { state.asked.remove(&piece) } else { None }
        };
        if let Some(asked) = asked {
            self.pass(asked.wanted, unpacked);
        }
    }

    /// Keeps a piece that was unpacked, and hands it over.
    fn give(&self, piece: usize, wanted: Vec<Wanted>, unpacked: Result<Bytes>) {
        if let Ok(bytes) = &unpacked {
            lock(&self.state).pieces.put(piece, bytes.clone(), KEPT_PIECES);
        }
        self.pass(wanted, unpacked);
    }

    fn pass(&self, wanted: Vec<Wanted>, unpacked: Result<Bytes>) {
        match unpacked {
            Ok(bytes) => self.hand(wanted, &bytes),
            Err(error) => wanted.into_iter().for_each(|wanted| wanted.pending.settle(Err(error.clone()))),
        }
    }

    fn hand(&self, wanted: Vec<Wanted>, bytes: &Bytes) {
        for Wanted { pending, offset, range } in wanted {
            // Both are within the piece, which has the length that it should have.
            self.handing.hand(pending, offset, bytes.slice(range.offset as usize..range.end() as usize));
        }
    }

    /// Whether a pack that comes whole is kept.
    pub(super) fn is_kept(&self, pack: usize) -> bool {
        self.whole.load(Ordering::Relaxed) && self.packs.size(pack) <= KEPT_PACKS as u64
    }

    /// A pack comes whole, by this.
    pub(super) fn comes(&self, pack: usize, by: Arc<Unpacking>) {
        lock(&self.state).coming.insert(pack, by);
    }

    /// A pack that came whole is there, or nothing more of it comes. `whole` takes it away from where it came: under the lock,
    /// so that whoever does not find it there any more finds it here.
    pub(super) fn came(&self, pack: usize, whole: impl FnOnce() -> Option<Bytes>) {
        let coming = {
            let mut state = lock(&self.state);
            if let Some(bytes) = whole() {
                state.packs.put(pack, bytes, KEPT_PACKS);
            }
            state.coming.remove(&pack)
        };
        drop(coming);
    }

    /// A request to a pack is over.
    pub(super) fn ended(&self, number: u64) {
        lock(&self.state).numbers.remove(&number);
    }
}
