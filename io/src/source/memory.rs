//! A source that has its content in memory. It answers inside `fetch`; when nobody has room for more,
//! it keeps its place and goes on inside `resume`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gosync_core::{Range, Request, Result, Source, Supply};

use super::pending::{Live, Pending, lock, unwanted};
use super::{PIECE, too_short};

/// Content in memory.
pub struct MemorySource {
    content: Vec<u8>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Live,
    /// Answers that wait to be resumed, by the number of their request.
    held: HashMap<u64, Answer>,
}

/// How far the answer to a request has come.
struct Answer {
    pending: Arc<Pending>,
    range: usize,
    done: u64,
}

impl MemorySource {
    /// A source that answers from `content`.
    pub fn new(content: Vec<u8>) -> Self {
        MemorySource { content, state: Mutex::default() }
    }

    /// Answers until the end, or until nobody has room.
    fn go_on(&self, mut answer: Answer) {
        loop {
            let seen = answer.pending.resumes();
            let result = match self.step(&mut answer) {
                Ok(None) => continue,
                Ok(Some(Supply::Again)) => match self.hold(answer, seen) {
                    Some(unheld) => {
                        answer = unheld;
                        continue;
                    }
                    None => return,
                },
                Ok(Some(Supply::Taken)) => Ok(()),
                Ok(Some(Supply::Closed)) => Err(unwanted()),
                Err(error) => Err(error),
            };
            return answer.pending.settle(result);
        }
    }

    /// Supplies the next piece. `Some(Taken)` is the end of the answer; the other two are why it cannot go on.
    fn step(&self, answer: &mut Answer) -> Result<Option<Supply>> {
        if answer.pending.is_stopped() {
            return Ok(Some(Supply::Closed));
        }
        let Some(range) = answer.pending.ranges().get(answer.range).copied() else {
            return Ok(Some(Supply::Taken));
        };
        let bytes = &self.bytes(range)?[answer.done as usize..];
        let piece = &bytes[..bytes.len().min(PIECE)];
        if piece.is_empty() {
            (answer.range, answer.done) = (answer.range + 1, 0);
            return Ok(None);
        }
        match answer.pending.supply(range.offset + answer.done, piece) {
            Supply::Taken => {
                answer.done += piece.len() as u64;
                Ok(None)
            }
            other => Ok(Some(other)),
        }
    }

    fn bytes(&self, range: Range) -> Result<&[u8]> {
        let length = self.content.len() as u64;
        let end = if range.is_to_end() { length.max(range.offset) } else { range.end() };
        if end > length {
            return Err(too_short(length, end));
        }
        // Both fit: they are at most the length of a slice.
        Ok(&self.content[range.offset as usize..end as usize])
    }

    /// Keeps an answer until it is resumed; gives it back if that happened meanwhile.
    fn hold(&self, answer: Answer, seen: u64) -> Option<Answer> {
        let mut state = lock(&self.state);
        if answer.pending.resumes() != seen || answer.pending.is_stopped() {
            return Some(answer);
        }
        state.held.insert(answer.pending.id(), answer);
        None
    }
}

impl Source for MemorySource {
    fn fetch(&self, request: Request) {
        let pending = Pending::new(request, 1);
        lock(&self.state).live.add(&pending);
        self.go_on(Answer { pending, range: 0, done: 0 });
    }

    fn cancel(&self, id: u64) {
        let (pending, answer) = {
            let mut state = lock(&self.state);
            let pending = state.live.find(id);
            pending.iter().for_each(|pending| pending.stop());
            (pending, state.held.remove(&id))
        };
        if let Some(answer) = answer {
            answer.pending.settle(Err(unwanted()));
        }
        drop(pending);
    }

    fn resume(&self, id: u64) {
        let (pending, answer) = {
            let mut state = lock(&self.state);
            let pending = state.live.find(id);
            pending.iter().for_each(|pending| pending.resume());
            (pending, state.held.remove(&id))
        };
        drop(pending);
        if let Some(answer) = answer {
            self.go_on(answer);
        }
    }

    fn describe(&self) -> String {
        format!("{} bytes in memory", self.content.len())
    }
}
