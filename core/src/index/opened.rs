//! How an index was opened: from where, and what was demanded of it. Not part of the index, and nothing that core looks at;
//! whoever reads one in its place goes by it.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::{Index, PublicKey};
use crate::digest::Digest;
use crate::source::Source;

#[derive(Clone, Default)]
pub(super) struct Opened {
    origin: Option<String>,
    source: Option<Arc<dyn Source>>,
    expected: Option<Digest>,
    demanded: Option<PublicKey>,
    attached: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Index {
    /// Where this index was read from, if it was: the path or URL as it was given, credentials included, so not for logs.
    /// Not part of the index.
    pub fn origin(&self) -> Option<&str> {
        self.opened.origin.as_deref()
    }

    /// Says where this index was read from.
    pub fn set_origin(&mut self, origin: Option<String>) {
        self.opened.origin = origin;
    }

    /// The source that this index was read from, if it is kept so that its connections can be used again.
    /// Not part of the index.
    pub fn origin_source(&self) -> Option<&Arc<dyn Source>> {
        self.opened.source.as_ref()
    }

    /// Keeps the source that this index was read from for as long as the index lives.
    pub fn set_origin_source(&mut self, source: Option<Arc<dyn Source>>) {
        self.opened.source = source;
    }

    /// The root that whoever opened this index asked for, which one that is read in its place must have too.
    /// Not part of the index.
    pub fn expected(&self) -> Option<&Digest> {
        self.opened.expected.as_ref()
    }

    /// Says which root was asked for.
    pub fn set_expected(&mut self, expected: Option<Digest>) {
        self.opened.expected = expected;
    }

    /// Whose signature was demanded when this was opened. Not part of the index.
    pub fn demanded_key(&self) -> Option<&PublicKey> {
        self.opened.demanded.as_ref()
    }

    /// Says whose signature was demanded, so that whatever is read in its place must have it too.
    pub fn set_demanded_key(&mut self, key: Option<PublicKey>) {
        self.opened.demanded = key;
    }

    /// What whoever opened this index keeps with it. Not part of the index.
    pub fn attached(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.opened.attached.get()
    }

    /// Keeps something with the index, once.
    pub fn attach(&self, what: Arc<dyn Any + Send + Sync>) {
        let _ = self.opened.attached.set(what);
    }
}
