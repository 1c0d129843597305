//! Sources that are written in JavaScript: requests go up as handles and are answered from the main thread.

use gosync_binding::{ForeignError, ForeignSource, Kind, Request, Source, Supply};
use napi_derive::napi;

use crate::channel::{Channel, Signal};
use crate::value::{number, whole};

/// A run of bytes that is asked for.
#[napi(object, object_from_js = false)]
pub struct RequestRange {
    /// Offset of the first byte.
    pub offset: f64,
    /// Number of bytes; absent means up to the end of the content.
    pub length: Option<f64>,
}

/// A batch of ranges to answer. One that is collected unfinished has failed.
#[napi]
pub struct RequestHandle {
    request: Option<Request>,
    id: f64,
}

#[napi]
impl RequestHandle {
    pub(crate) fn new(request: Request) -> Self {
        RequestHandle { id: number(request.id()), request: Some(request) }
    }

    /// The number that cancel and resume use.
    #[napi(getter)]
    pub fn id(&self) -> f64 {
        self.id
    }

    /// What is asked for, ascending.
    #[napi(getter)]
    pub fn ranges(&self) -> Vec<RequestRange> {
        let ranges = self.request.as_ref().map(Request::ranges).unwrap_or_default();
        ranges
            .iter()
            .map(|&(offset, length)| RequestRange { offset: number(offset), length: length.map(number) })
            .collect()
    }

    /// Hands over bytes; `taken`, `again` (offer them later), or `closed` (nobody wants them).
    #[napi(ts_return_type = "'taken' | 'again' | 'closed'")]
    pub fn supply(&self, offset: f64, data: &[u8]) -> napi::Result<&'static str> {
        let Some(request) = &self.request else { return Ok("closed") };
        match request.supply(whole(offset), data) {
            Ok(Supply::Taken) => Ok("taken"),
            Ok(Supply::Again) => Ok("again"),
            Ok(Supply::Closed) => Ok("closed"),
            Err(error) => Err(napi::Error::from_reason(error.text)),
        }
    }

    /// Ends the request: without a kind all is supplied, with one it failed. A second time it does nothing.
    #[napi]
    pub fn finish(&mut self, kind: Option<String>, message: Option<String>) {
        let Some(request) = self.request.take() else { return };
        request.finish(match kind {
            None => Ok(()),
            Some(name) => Err(ForeignError {
                kind: Kind::from_name(&name).unwrap_or(Kind::SOURCE),
                message: message.unwrap_or_default(),
            }),
        });
    }
}

/// A source that forwards everything to JavaScript.
struct OwnSource {
    channel: Channel,
    number: u32,
}

/// The source with this number that the caller answers for through this channel.
pub(crate) fn own_source(channel: &Channel, number: u32) -> gosync_binding::Result<Source> {
    Source::from_foreign(OwnSource { channel: channel.clone(), number })
}

impl ForeignSource for OwnSource {
    fn fetch(&self, request: Request) {
        self.channel.send(Signal::Request(self.number, request));
    }

    fn cancel(&self, id: u64) {
        self.channel.send(Signal::Cancel(self.number, id));
    }

    fn resume(&self, id: u64) {
        self.channel.send(Signal::Resume(self.number, id));
    }
}
