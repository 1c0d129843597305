//! Index and verification: what is built, opened, written and compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gosync_binding::{
    Difference, HttpOptions, Index, IndexOptions, Location, Observer, OpenOptions, Result, Source, Verification,
    VerifyOptions,
};
use napi::Env;
use napi::bindgen_prelude::{Function, Object, ObjectFinalize, Uint8Array};
use napi_derive::napi;

use crate::channel::{Channel, Message, Wants};
use crate::request::own_source;
use crate::value::{exact, number, whole};
use crate::work::{CancelHandle, Outcome, start};

/// An index, shared with the calls that use it.
#[napi(custom_finalize)]
pub struct IndexHandle(Arc<Index>);

impl IndexHandle {
    /// What JavaScript's collector is told that the handle weighs: it sees an object of a few words.
    pub(crate) fn weight(&self) -> i64 {
        i64::try_from(self.0.encoded_size()).unwrap_or(i64::MAX)
    }

    pub(crate) fn share(&self) -> Arc<Index> {
        self.0.clone()
    }
}

impl ObjectFinalize for IndexHandle {
    fn finalize(self, env: Env) -> napi::Result<()> {
        env.adjust_external_memory(-self.weight()).map(drop)
    }
}

/// What an index says.
#[napi(object, object_from_js = false)]
pub struct IndexFacts {
    /// What it describes.
    #[napi(ts_type = "'file' | 'tree'")]
    pub kind: String,
    /// Files, directories and links of a directory.
    pub entry_count: f64,
    /// Bytes of the target.
    pub length: f64,
    /// The BLAKE3 of the target, in hexadecimal; a legacy index has none.
    pub root: Option<String>,
    /// The format of the index.
    #[napi(ts_type = "'gosync' | 'legacy'")]
    pub format: String,
    /// Bytes of a block.
    pub block_size: u32,
    /// Bytes of a block of the top level.
    pub top_size: f64,
    /// Number of blocks.
    pub block_count: f64,
    /// Number of verified units.
    pub unit_count: f64,
    /// Bytes that the index has when it is written.
    pub encoded_size: f64,
    /// Where the content is, as the index says it.
    pub source: Option<String>,
    /// What the publisher calls the content.
    pub name: Option<String>,
    /// Which version of it this is.
    pub version: Option<String>,
    /// The signature.
    pub signature: Option<String>,
    /// Where the index came from.
    pub origin: Option<String>,
}

/// What to index: one member is there.
#[napi(object, object_to_js = false)]
pub struct ContentInput {
    /// A file or directory.
    pub path: Option<String>,
    /// Bytes; copied.
    pub bytes: Option<Uint8Array>,
}

/// How to build an index.
#[napi(object, object_to_js = false)]
pub struct IndexInput {
    /// Bytes of a block.
    pub block_size: Option<u32>,
    /// Bytes of a top block.
    pub top_size: Option<u32>,
    /// Worker threads.
    pub threads: Option<u32>,
    /// Where the content will be.
    pub source: Option<String>,
    /// What the index is written as.
    pub format: Option<String>,
    /// What the content is called.
    pub name: Option<String>,
    /// Which version of it this is.
    pub version: Option<String>,
    /// The file with the secret key.
    pub sign: Option<String>,
    /// The password of that key.
    pub sign_password: Option<String>,
    /// Patterns of what of a directory is left out.
    pub exclude: Option<Vec<String>>,
    /// The folder that its contents are put into, in packs.
    pub content: Option<String>,
    /// The index of the version before, whose packs are there.
    pub previous: Option<String>,
    /// Whether modes are said.
    pub modes: Option<bool>,
    /// Whether times are said.
    pub times: Option<bool>,
}

/// Where bytes come from: one member says it, or none.
#[napi(object, object_to_js = false)]
pub struct SourceInput {
    /// A path or URL.
    pub location: Option<String>,
    /// Bytes; copied.
    pub bytes: Option<Uint8Array>,
    /// The caller answers requests: the number by which messages name this source.
    pub own: Option<u32>,
}

/// How to open an index or a source.
#[napi(object, object_to_js = false)]
pub struct OpenInput {
    /// The largest index that is read.
    pub max_index_size: Option<f64>,
    /// The file that keeps the index.
    pub index_cache: Option<String>,
    /// The root that the index must have.
    pub expect: Option<String>,
    /// Whose signature the index must have.
    pub public_key: Option<String>,
    /// Temporary failures in a row that are survived.
    pub retries: Option<u32>,
    /// Connections to an origin.
    pub connections: Option<u32>,
    /// Milliseconds that a silence may last.
    pub timeout: Option<u32>,
    /// Milliseconds that a connect may last.
    pub connect_timeout: Option<u32>,
    /// Milliseconds that an answer may take to begin.
    pub first_byte_timeout: Option<u32>,
    /// Milliseconds that an answer may stand still.
    pub stall_timeout: Option<u32>,
    /// Name and password.
    pub user: Option<String>,
    /// A token.
    pub bearer: Option<String>,
    /// Further header lines.
    pub headers: Option<Vec<String>>,
    /// The proxy; empty: none.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy.
    pub no_proxy: Option<String>,
    /// Further certificate authorities.
    pub ca_file: Option<String>,
    /// Bytes per second that are read at most.
    pub rate_limit: Option<f64>,
    /// What an index is opened for.
    pub target: Option<String>,
    /// Worker threads that read its files meanwhile.
    pub threads: Option<u32>,
    /// Milliseconds of a round trip to decide with.
    pub assume_rtt: Option<f64>,
    /// Bytes per second to decide with.
    pub assume_rate: Option<f64>,
}

/// How to verify.
#[napi(object, object_to_js = false)]
pub struct VerifyInput {
    /// Worker threads.
    pub threads: Option<u32>,
    /// Where the journal of an update in place is.
    pub journal: Option<String>,
}

/// A run of bytes.
#[napi(object, object_from_js = false)]
pub struct RangeInfo {
    /// Offset of the first byte.
    pub offset: f64,
    /// Number of bytes.
    pub length: f64,
}

/// An entry in which a directory differs.
#[napi(object, object_from_js = false)]
pub struct DifferenceInfo {
    /// Names from the directory to the entry.
    pub path: String,
    /// In what it differs.
    #[napi(ts_type = "'missing' | 'changed' | 'type' | 'mode' | 'extra'")]
    pub what: String,
    /// What is not right in a file.
    pub damaged: Vec<RangeInfo>,
}

/// What a verification found.
#[napi(object, object_from_js = false)]
pub struct VerificationInfo {
    /// Whether the file is what the index says.
    pub is_match: bool,
    /// Bytes that the file has.
    pub length: f64,
    /// Bytes that it should have.
    pub expected_length: f64,
    /// What is not right.
    pub damaged: Vec<RangeInfo>,
    /// The entries in which a directory differs.
    pub differences: Vec<DifferenceInfo>,
    /// Whether an update of the file in place was not finished.
    pub unfinished: bool,
}

/// A source input that has left JavaScript: what a thread opens.
pub(crate) enum Given {
    Location(Location),
    Bytes(Vec<u8>),
    Own(u32),
    Nothing,
}

impl From<SourceInput> for Given {
    fn from(input: SourceInput) -> Self {
        match (input.location, input.bytes, input.own) {
            (Some(location), ..) => Given::Location(Location::Text(location)),
            (None, Some(bytes), _) => Given::Bytes(bytes.to_vec()),
            (None, None, Some(number)) => Given::Own(number),
            (None, None, None) => Given::Nothing,
        }
    }
}

impl Given {
    /// Opens the source, if one is given.
    pub(crate) fn source(self, options: &OpenOptions, channel: &Channel) -> Result<Option<Source>> {
        match self {
            Given::Location(location) => Source::open(&location, options).map(Some),
            Given::Bytes(bytes) => Source::from_memory(&bytes).map(Some),
            Given::Own(number) => own_source(channel, number).map(Some),
            Given::Nothing => Ok(None),
        }
    }
}

/// The options of the shim for what the caller passed.
pub(crate) fn open_options(input: OpenInput, observer: Observer) -> OpenOptions {
    OpenOptions {
        max_index_size: input.max_index_size.map(whole).unwrap_or_default(),
        index_cache: input.index_cache.map(PathBuf::from),
        expect: input.expect,
        public_key: input.public_key,
        retries: input.retries,
        target: input.target.map(PathBuf::from),
        threads: input.threads.unwrap_or_default(),
        assume_rtt_ms: input.assume_rtt.unwrap_or_default(),
        assume_rate: input.assume_rate.map(whole).unwrap_or_default(),
        http: HttpOptions {
            connections: input.connections.unwrap_or_default(),
            timeout_ms: input.timeout.unwrap_or_default(),
            connect_timeout_ms: input.connect_timeout.unwrap_or_default(),
            first_byte_timeout_ms: input.first_byte_timeout.unwrap_or_default(),
            stall_timeout_ms: input.stall_timeout.unwrap_or_default(),
            user: input.user,
            bearer: input.bearer,
            headers: input.headers.unwrap_or_default(),
            proxy: input.proxy,
            no_proxy: input.no_proxy,
            ca_file: input.ca_file.map(PathBuf::from),
            rate_limit: input.rate_limit.map(whole).unwrap_or_default(),
        },
        observer,
    }
}

/// Reads a file, a directory or bytes, and describes them.
#[napi(ts_return_type = "Promise<Outcome>")]
pub fn build_index<'env>(
    env: &'env Env,
    content: ContentInput,
    options: IndexInput,
    cancel: &CancelHandle,
    wants: Wants,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let token = cancel.token();
    let bytes = content.bytes.map(|bytes| bytes.to_vec());
    start(env, &tell, move |channel| {
        let options = IndexOptions {
            block_size: options.block_size.unwrap_or_default(),
            top_size: options.top_size.unwrap_or_default(),
            threads: options.threads.unwrap_or_default(),
            source: options.source,
            format: options.format,
            name: options.name,
            version: options.version,
            sign: options.sign.map(PathBuf::from),
            sign_password: options.sign_password,
            exclude: options.exclude.unwrap_or_default(),
            content: options.content.map(PathBuf::from),
            previous: options.previous.map(PathBuf::from),
            modes: options.modes.unwrap_or_default(),
            times: options.times.unwrap_or_default(),
            observer: channel.observer(&wants, token),
        };
        match (content.path, bytes) {
            (Some(path), _) => found(Index::build(Path::new(&path), &options)?),
            (None, bytes) => found(Index::build_from_memory(&bytes.unwrap_or_default(), &options)?),
        }
    })
}

/// Reads an index.
#[napi(ts_return_type = "Promise<Outcome>")]
pub fn open_index<'env>(
    env: &'env Env,
    from: SourceInput,
    options: OpenInput,
    cancel: &CancelHandle,
    wants: Wants,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let token = cancel.token();
    let given = Given::from(from);
    start(env, &tell, move |channel| {
        let options = open_options(options, channel.observer(&wants, token));
        found(match given {
            Given::Location(location) => Index::open(&location, &options)?,
            Given::Own(number) => Index::open_source(&own_source(channel, number)?, &options)?,
            Given::Bytes(bytes) => Index::from_memory(&bytes, &options)?,
            Given::Nothing => Index::from_memory(&[], &options)?,
        })
    })
}

/// Checks that an index is what the options demand.
#[napi(ts_return_type = "Promise<Outcome>")]
pub fn check_index<'env>(
    env: &'env Env,
    index: &IndexHandle,
    options: OpenInput,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let index = index.share();
    start(env, &tell, move |_| {
        index.check(&open_options(options, Observer::default()))?;
        Ok(Outcome::default())
    })
}

/// Writes an index to a file.
#[napi(ts_return_type = "Promise<Outcome>")]
pub fn save_index<'env>(
    env: &'env Env,
    index: &IndexHandle,
    path: String,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let index = index.share();
    start(env, &tell, move |_| {
        index.save(&PathBuf::from(path))?;
        Ok(Outcome::default())
    })
}

/// The bytes of an index.
#[napi(ts_return_type = "Promise<Outcome>")]
pub fn encode_index<'env>(
    env: &'env Env,
    index: &IndexHandle,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let index = index.share();
    start(env, &tell, move |_| Ok(Outcome { bytes: Some(index.encode()?.into()), ..Outcome::default() }))
}

/// What was removed of packs.
#[napi(object, object_from_js = false)]
pub struct PrunedInfo {
    /// How many.
    pub packs: f64,
    /// Bytes that they had.
    pub bytes: f64,
}

/// Removes packs that no index names.
#[napi(ts_return_type = "Promise<Outcome>")]
pub fn prune_content<'env>(
    env: &'env Env,
    content: String,
    indexes: Vec<String>,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let indexes: Vec<PathBuf> = indexes.into_iter().map(PathBuf::from).collect();
    start(env, &tell, move |_| {
        let (packs, bytes) = gosync_binding::prune(Path::new(&content), &indexes)?;
        let pruned = PrunedInfo { packs: number(packs), bytes: number(bytes) };
        Ok(Outcome { pruned: Some(pruned), ..Outcome::default() })
    })
}

/// Compares a file or directory with an index.
#[napi(ts_return_type = "Promise<Outcome>")]
pub fn verify_file<'env>(
    env: &'env Env,
    index: &IndexHandle,
    path: String,
    options: VerifyInput,
    cancel: &CancelHandle,
    wants: Wants,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let (index, token) = (index.share(), cancel.token());
    start(env, &tell, move |channel| {
        let observer = channel.observer(&wants, token);
        let (threads, journal) = (options.threads.unwrap_or_default(), options.journal.map(PathBuf::from));
        let options = VerifyOptions { threads, journal, observer };
        let found = index.verify(Path::new(&path), &options)?;
        Ok(Outcome { verification: Some(verification(&found)), ..Outcome::default() })
    })
}

/// The outcome of a call that gives an index.
fn found(index: Index) -> Result<Outcome> {
    let facts = IndexFacts {
        kind: index.kind(),
        entry_count: number(index.entry_count()),
        length: exact(index.length(), "the length of the target")?,
        root: index.root_hex(),
        format: index.format(),
        block_size: index.block_size(),
        top_size: number(index.top_size()),
        block_count: number(index.block_count()),
        unit_count: number(index.unit_count()),
        encoded_size: number(index.encoded_size()),
        source: index.source(),
        name: index.name(),
        version: index.version(),
        signature: index.signature(),
        origin: index.origin(),
    };
    Ok(Outcome { index: Some(IndexHandle(Arc::new(index))), facts: Some(facts), ..Outcome::default() })
}

fn verification(found: &Verification) -> VerificationInfo {
    let range = |&(offset, length): &(u64, u64)| RangeInfo { offset: number(offset), length: number(length) };
    let difference = |difference: &Difference| DifferenceInfo {
        path: difference.path.clone(),
        what: difference.what.clone(),
        damaged: difference.damaged.iter().map(range).collect(),
    };
    VerificationInfo {
        is_match: found.is_match,
        length: number(found.length),
        expected_length: number(found.expected_length),
        damaged: found.damaged.iter().map(range).collect(),
        differences: found.differences.iter().map(difference).collect(),
        unfinished: found.unfinished,
    }
}
