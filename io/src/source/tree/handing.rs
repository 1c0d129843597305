//! The requests that a source of a tree has at the moment, and bytes for them that there was no room for yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gosync_core::{Request, Supply};

use crate::source::PIECE;
use crate::source::pending::{Live, Pending, lock, unwanted};

/// Hands over bytes that are here, and keeps them until they are taken.
#[derive(Default)]
pub(super) struct Handing {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Live,
    /// By the number of the request.
    held: HashMap<u64, Vec<Held>>,
    closed: bool,
}

/// A part of an answer that waits for room.
struct Held {
    pending: Arc<Pending>,
    offset: u64,
    bytes: Bytes,
}

impl Handing {
    /// Takes a request that is answered in so many parts.
    pub(super) fn begin(&self, request: Request, parts: usize) -> Arc<Pending> {
        let pending = Pending::new(request, parts);
        lock(&self.state).live.add(&pending);
        pending
    }

    /// Hands over one part of an answer, and settles it.
    pub(super) fn hand(&self, pending: Arc<Pending>, mut offset: u64, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = &bytes[..bytes.len().min(PIECE)];
            let seen = pending.resumes();
            match pending.supply(offset, piece) {
                Supply::Taken => {
                    let count = piece.len();
                    offset += count as u64;
                    bytes = bytes.slice(count..);
                }
                Supply::Closed => return pending.settle(Err(unwanted())),
                Supply::Again => {
                    let mut state = lock(&self.state);
                    if state.closed || pending.is_stopped() {
                        drop(state);
                        return pending.settle(Err(unwanted()));
                    }
                    if pending.resumes() == seen {
                        let held = Held { pending, offset, bytes };
                        return state.held.entry(held.pending.id()).or_default().push(held);
                    }
                }
            }
        }
        pending.settle(Ok(()));
    }

    /// A request that was told AGAIN may go on.
    pub(super) fn resume(&self, id: u64) {
        let (pending, held) = {
            let mut state = lock(&self.state);
            let pending = state.live.find(id);
            pending.iter().for_each(|pending| pending.resume());
            (pending, state.held.remove(&id))
        };
        for Held { pending, offset, bytes } in held.into_iter().flatten() {
            self.hand(pending, offset, bytes);
        }
        drop(pending);
    }

    /// Nobody wants the answer to a request any more.
    pub(super) fn cancel(&self, id: u64) {
        let (pending, held) = {
            let mut state = lock(&self.state);
            let pending = state.live.find(id);
            pending.iter().for_each(|pending| pending.stop());
            (pending, state.held.remove(&id))
        };
        held.into_iter().flatten().for_each(|held| held.pending.settle(Err(unwanted())));
        drop(pending);
    }

    /// Ends everything.
    pub(super) fn close(&self) {
        let (live, held) = {
            let mut state = lock(&self.state);
            state.closed = true;
            (state.live.all(), std::mem::take(&mut state.held))
        };
        live.iter().for_each(|pending| pending.stop());
        held.into_values().flatten().for_each(|held| held.pending.settle(Err(unwanted())));
        drop(live);
    }
}
