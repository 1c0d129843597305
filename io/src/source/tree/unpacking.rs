//! The answer of one pack file to one request: its bytes become pieces, and these are decompressed when they are whole.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use gosync_core::packs::Piece;
use gosync_core::ranges::RangeSet;
use gosync_core::{Error, ErrorKind, Packs, Range, Result, Sink, Supply};

use super::packed::Shared;
use crate::source::next_request_id;
use crate::source::pending::{Pending, lock};

/// A range that is everything there is.
const EVERYTHING: Range = Range::new(0, Range::TO_END);

/// Takes what one pack answers.
pub(super) struct Unpacking {
    shared: Arc<Shared>,
    me: Weak<Unpacking>,
    pack: usize,
    number: u64,
    /// Where what was asked for at first ends.
    end: u64,
    coming: Mutex<Coming>,
}

/// What becomes of a piece that is wanted of a pack which is on its way.
pub(super) enum Joined {
    /// It has come: these are its bytes in the pack.
    Here(Bytes),
    /// It will.
    Coming,
    /// It has to be asked for.
    Not,
}

/// What has not come whole.
struct Coming {
    /// By their places.
    pieces: Vec<Part>,
    /// The pack, where it comes whole.
    whole: Option<Part>,
    /// Pieces that are wanted too since it comes whole.
    joined: Vec<(usize, Range)>,
    /// Requests to the pack that are under way.
    requests: usize,
    /// Everything was asked for, or it was looked at whether it comes anyway.
    is_looked_at: bool,
    /// Who is told of the round trips that it took.
    pending: Option<Arc<Pending>>,
}

/// A part of a pack: a piece, or all of it.
struct Part {
    piece: usize,
    place: Range,
    bytes: Vec<u8>,
    lacking: RangeSet,
}

impl Part {
    fn new(piece: usize, place: Range) -> Part {
        let mut lacking = RangeSet::new();
        lacking.insert(place);
        Part { piece, place, bytes: Vec::new(), lacking }
    }

    /// A range of the pack, if all of it has come.
    fn get(&self, range: Range) -> Option<&[u8]> {
        if self.lacking.touches(range) || range.end() > self.place.end() {
            return None;
        }
        let start = range.offset.checked_sub(self.place.offset)? as usize;
        self.bytes.get(start..start + range.length as usize)
    }

    fn take(&mut self, offset: u64, data: &[u8]) {
        let start = self.place.offset.max(offset);
        let end = self.place.end().min(offset + data.len() as u64);
        if start >= end {
            return;
        }
        // A pack has less than 2^32 bytes, and a part is in memory when its first byte comes.
        self.bytes.resize(self.place.length as usize, 0);
        let (to, from) = ((start - self.place.offset) as usize, (start - offset) as usize);
        let count = (end - start) as usize;
        self.bytes[to..to + count].copy_from_slice(&data[from..from + count]);
        self.lacking.remove(Range::new(start, end - start));
    }
}

impl Unpacking {
    /// What to ask for the pieces (ascending) of a pack, as request `number`, and what takes the answer. `pending` is one of
    /// those who wait for it.
    pub(super) fn new(
        shared: &Arc<Shared>,
        pack: usize,
        number: u64,
        pieces: &[usize],
        pending: Arc<Pending>,
    ) -> (Vec<Range>, Arc<Unpacking>) {
        let place = |piece: &usize| Some((*piece, shared.packs.piece(*piece)?.2));
        let places: Vec<(usize, Range)> = pieces.iter().filter_map(place).collect();
        let mut asked = RangeSet::new();
        places.iter().for_each(|(_, place)| asked.insert(*place));
        let all = Range::new(0, shared.packs.size(pack));
        let is_all = asked.total() == all.length || shared.whole.load(Ordering::Relaxed);
        let ranges = if is_all { vec![EVERYTHING] } else { asked.iter().collect() };
        let coming = Coming {
            pieces: places.into_iter().map(|(piece, place)| Part::new(piece, place)).collect(),
            whole: shared.is_kept(pack).then(|| Part::new(0, all)),
            joined: Vec::new(),
            requests: 1,
            is_looked_at: is_all,
            pending: Some(pending),
        };
        let (coming, end) = (Mutex::new(coming), asked.end());
        (
            ranges,
            Arc::new_cyclic(|me| Unpacking { shared: Arc::clone(shared), me: me.clone(), pack, number, end, coming }),
        )
    }

    /// The number of the request for what was asked for at first.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Another piece of the pack is wanted.
    pub(super) fn join(&self, piece: usize) -> Joined {
        let mut coming = lock(&self.coming);
        let place = self.shared.packs.piece(piece).map(|(.., place)| place);
        let (Some(place), Some(whole)) = (place, &coming.whole) else { return Joined::Not };
        if coming.requests == 0 {
            return Joined::Not;
        }
        if let Some(bytes) = whole.get(place) {
            return Joined::Here(Bytes::copy_from_slice(bytes));
        }
        coming.joined.push((piece, place));
        Joined::Coming
    }

    /// Bytes of the pack come. If the server sends everything, all of it is kept, and what follows what was asked for comes
    /// now rather than once more. Nor would its connection be free before.
    fn take_all(&self) {
        let files = &self.shared.files;
        if files.has_ranges(self.pack) != Some(false) {
            return;
        }
        self.shared.whole.store(true, Ordering::Relaxed);
        let all = Range::new(0, self.shared.packs.size(self.pack));
        let Some(me) = self.me.upgrade() else { return };
        let (is_kept, has_more) = (self.shared.is_kept(self.pack), self.end < all.length);
        {
            let mut coming = lock(&self.coming);
            coming.whole = is_kept.then(|| Part::new(0, all));
            coming.requests += usize::from(has_more);
        }
        if is_kept {
            self.shared.comes(self.pack, Arc::clone(&me));
        }
        if has_more {
            files.ask_now(self.pack, next_request_id(), Range::new(self.end, Range::TO_END), me);
        }
    }
}

impl Sink for Unpacking {
    fn supply(&self, _: u64, offset: u64, data: &[u8]) -> Supply {
        let size = self.shared.packs.size(self.pack);
        let length = usize::try_from(size.saturating_sub(offset)).map_or(data.len(), |rest| rest.min(data.len()));
        let data = &data[..length];
        let is_news = {
            let mut coming = lock(&self.coming);
            !data.is_empty() && !std::mem::replace(&mut coming.is_looked_at, true)
        };
        if is_news {
            self.take_all();
        }
        let (done, is_whole) = lock(&self.coming).take(offset, data);
        if is_whole {
            self.shared.came(self.pack, || lock(&self.coming).whole.take().map(|whole| whole.bytes.into()));
        }
        for part in done {
            let unpacked = unpack(&self.shared.packs, part.piece, &part.bytes);
            self.shared.arrived(part.piece, self.number, unpacked);
        }
        Supply::Taken
    }

    fn finish(&self, number: u64, exchanges: u64, result: Result<()>) {
        let (left, pending, is_over) = {
            let mut coming = lock(&self.coming);
            coming.requests -= 1;
            let is_over = coming.requests == 0;
            // What came along is nothing that was waited for at first.
            let is_first = number == self.number;
            let first = if is_first { std::mem::take(&mut coming.pieces) } else { Vec::new() };
            let joined = if is_over { std::mem::take(&mut coming.joined) } else { Vec::new() };
            let left: Vec<usize> =
                first.iter().map(|part| part.piece).chain(joined.iter().map(|(piece, _)| *piece)).collect();
            (left, coming.pending.take_if(|_| is_first), is_over)
        };
        if let Some(pending) = pending {
            (0..exchanges).for_each(|_| pending.count_exchange());
        }
        if is_over {
            self.shared.came(self.pack, || None);
        }
        let short = || {
            let text = "a pack of the source is shorter than the index says";
            Err(Error::new(ErrorKind::Source, text).with("file", self.shared.packs.name(self.pack)))
        };
        let result = result.and_then(|()| short());
        for piece in left {
            self.shared.arrived(piece, self.number, result.clone().map(|()| Bytes::new()));
        }
        self.shared.ended(number);
    }
}

impl Coming {
    /// Takes bytes of the pack: the pieces that are whole then, and whether the pack is.
    fn take(&mut self, offset: u64, data: &[u8]) -> (Vec<Part>, bool) {
        self.pieces.iter_mut().chain(&mut self.whole).for_each(|part| part.take(offset, data));
        let is_whole = |part: &Part| part.lacking.is_empty();
        let (mut done, left): (Vec<Part>, _) = std::mem::take(&mut self.pieces).into_iter().partition(is_whole);
        self.pieces = left;
        if let Some(whole) = &self.whole {
            self.joined.retain(|(piece, place)| {
                let Some(bytes) = whole.get(*place) else { return true };
                let (lacking, bytes) = (RangeSet::new(), bytes.to_vec());
                done.push(Part { piece: *piece, place: *place, bytes, lacking });
                false
            });
        }
        (done, self.whole.as_ref().is_some_and(is_whole))
    }
}

/// The bytes of a piece.
pub(crate) fn unpack(packs: &Packs, piece: usize, bytes: &[u8]) -> Result<Bytes> {
    let Some((Piece { size, length, is_compressed }, pack, place)) = packs.piece(piece) else {
        return Err(Error::new(ErrorKind::Internal, "there is no such piece of a pack"));
    };
    let wrong = || {
        let error = Error::new(ErrorKind::Source, "a piece of a pack is not what the index says");
        error.with("file", packs.name(pack)).with("offset", place.offset)
    };
    if bytes.len() != size as usize {
        return Err(wrong());
    }
    if !is_compressed {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    let unpacked = zstd::bulk::decompress(bytes, length as usize).map_err(|cause| wrong().caused_by(cause))?;
    if unpacked.len() == length as usize { Ok(unpacked.into()) } else { Err(wrong()) }
}
