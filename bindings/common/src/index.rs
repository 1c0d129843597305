//! The index: built, opened, saved, asked, and compared with a file.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr;

use gosync_ffi::{GOSYNC_INDEX_MODES, GOSYNC_INDEX_TIMES, gosync_index, gosync_index_options, gosync_verify_options};

use crate::call::{call, make};
use crate::{Location, Observer, OpenOptions, Result, Source, Verification, VerifyOptions, text};

/// How to build an index. Zero means the default.
#[derive(Clone, Default)]
pub struct IndexOptions {
    /// Bytes of a block.
    pub block_size: u32,
    /// Bytes of a top block; 0 is the default.
    pub top_size: u32,
    /// Worker threads.
    pub threads: u32,
    /// Where the content is, as the index shall say it. `None`: the file's own name; empty: nothing.
    pub source: Option<String>,
    /// The name of the format. `None`: gosync's own.
    pub format: Option<String>,
    /// What the publisher calls the content.
    pub name: Option<String>,
    /// Which version of it this is.
    pub version: Option<String>,
    /// A file with the minisign secret key that signs the index.
    pub sign: Option<PathBuf>,
    /// The password of that key.
    pub sign_password: Option<String>,
    /// Patterns of what of a directory is left out.
    pub exclude: Vec<String>,
    /// The folder that its contents are put into, in packs.
    pub content: Option<PathBuf>,
    /// The index of the version before, whose packs are there.
    pub previous: Option<PathBuf>,
    /// Whether modes are said.
    pub modes: bool,
    /// Whether times are said.
    pub times: bool,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// Removes from the folder `content` the packs that none of the indexes at these paths names: how many, and their bytes.
pub fn prune(content: &Path, indexes: &[PathBuf]) -> Result<(u64, u64)> {
    let content = text::c_path(content, "the folder of packs")?;
    let indexes = indexes.iter().map(|path| text::c_path(path, "an index")).collect::<Result<Vec<CString>>>()?;
    let paths: Vec<_> = indexes.iter().map(|path| path.as_ptr()).collect();
    let (mut packs, mut bytes) = (0, 0);
    // SAFETY: every pointer is valid during the call.
    call(|error| unsafe {
        let (first, count) = (paths.as_ptr(), paths.len());
        gosync_ffi::gosync_content_prune(content.as_ptr(), first, count, &mut packs, &mut bytes, error)
    })?;
    Ok((packs, bytes))
}

/// What a target is.
pub struct Index(*mut gosync_index);

// SAFETY: the C side allows every call on `const gosync_index *` from any thread at any time.
unsafe impl Send for Index {}
// SAFETY: as above.
unsafe impl Sync for Index {}

impl Index {
    /// Reads the file or directory at `path` once and describes it.
    pub fn build(path: &Path, options: &IndexOptions) -> Result<Self> {
        let path = text::c_path(path, "the path")?;
        // SAFETY: every pointer is valid during the call.
        Self::build_with(options, |options, out, error| unsafe {
            gosync_ffi::gosync_index_build(path.as_ptr(), options, out, error)
        })
    }

    /// Describes `data`.
    pub fn build_from_memory(data: &[u8], options: &IndexOptions) -> Result<Self> {
        // SAFETY: every pointer is valid during the call.
        Self::build_with(options, |options, out, error| unsafe {
            gosync_ffi::gosync_index_build_from_memory(data.as_ptr().cast(), data.len(), options, out, error)
        })
    }

    fn build_with(
        options: &IndexOptions,
        build: impl FnOnce(*const gosync_index_options, *mut *mut gosync_index, *mut *mut gosync_ffi::gosync_error) -> i32,
    ) -> Result<Self> {
        let given = |text: &Option<String>, what| text.as_deref().map(|text| text::c_text(text, what)).transpose();
        let source = given(&options.source, "the source")?;
        let format = given(&options.format, "the format")?;
        let (name, version) = (given(&options.name, "the name")?, given(&options.version, "the version")?);
        let sign = options.sign.as_deref().map(|path| text::c_path(path, "the secret key")).transpose()?;
        let sign_password = given(&options.sign_password, "the password")?;
        let patterns = options.exclude.iter().map(|pattern| text::c_text(pattern, "a pattern of what to leave out"));
        let patterns = patterns.collect::<Result<Vec<CString>>>()?;
        let exclude: Vec<_> = patterns.iter().map(|pattern| pattern.as_ptr()).collect();
        let path = |path: &Option<PathBuf>, what| path.as_deref().map(|path| text::c_path(path, what)).transpose();
        let content = path(&options.content, "the folder for packs")?;
        let previous = path(&options.previous, "the index of the version before")?;
        let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
        let lent = options.observer.lend();
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        let options = gosync_index_options {
            format: pointer(&format),
            block_size: options.block_size,
            top_size: options.top_size,
            flags: flag(options.modes, GOSYNC_INDEX_MODES) | flag(options.times, GOSYNC_INDEX_TIMES),
            threads: options.threads,
            source: pointer(&source),
            observer: lent.as_ptr(),
            name: pointer(&name),
            version: pointer(&version),
            sign: pointer(&sign),
            sign_password: pointer(&sign_password),
            exclude: exclude.as_ptr(),
            exclude_count: exclude.len(),
            content: pointer(&content),
            previous: pointer(&previous),
            ..Default::default()
        };
        make(|out, error| build(&options, out, error)).map(Index)
    }

    /// Reads the index at a path or URL.
    pub fn open(location: &Location, options: &OpenOptions) -> Result<Self> {
        let location = location.to_c("the index")?;
        let options = options.for_c()?;
        // SAFETY: every pointer is valid during the call.
        make(|out, error| unsafe { gosync_ffi::gosync_index_open(location.as_ptr(), options.as_ptr(), out, error) })
            .map(Index)
    }

    /// Reads an index through any source.
    pub fn open_source(source: &Source, options: &OpenOptions) -> Result<Self> {
        let (source, options) = (source.as_ptr(), options.for_c()?);
        // SAFETY: every pointer is valid during the call.
        make(|out, error| unsafe { gosync_ffi::gosync_index_open_source(source, options.as_ptr(), out, error) })
            .map(Index)
    }

    /// Reads an index from bytes.
    pub fn from_memory(data: &[u8], options: &OpenOptions) -> Result<Self> {
        let (data, length, options) = (data.as_ptr().cast(), data.len(), options.for_c()?);
        // SAFETY: every pointer is valid during the call.
        make(|out, error| unsafe { gosync_ffi::gosync_index_from_memory(data, length, options.as_ptr(), out, error) })
            .map(Index)
    }

    /// Checks that the index is what `options` demand.
    pub fn check(&self, options: &OpenOptions) -> Result<()> {
        let options = options.for_c()?;
        // SAFETY: the index is valid until it is dropped, the options during the call.
        call(|error| unsafe { gosync_ffi::gosync_index_check(self.0, options.as_ptr(), error) })
    }

    /// Writes the index to `path`: beside it first, then by one rename.
    pub fn save(&self, path: &Path) -> Result<()> {
        let path = text::c_path(path, "the path")?;
        // SAFETY: the index is valid until it is dropped, the path during the call.
        call(|error| unsafe { gosync_ffi::gosync_index_save(self.0, path.as_ptr(), error) })
    }

    /// The bytes that [`Index::save`] would write.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.encoded_size()).unwrap_or(usize::MAX)];
        let mut written = 0;
        let (buffer, capacity) = (bytes.as_mut_ptr().cast(), bytes.len());
        // SAFETY: the buffer has this capacity, and the count is valid for writing.
        call(|error| unsafe { gosync_ffi::gosync_index_encode(self.0, buffer, capacity, &mut written, error) })?;
        bytes.truncate(written);
        Ok(bytes)
    }

    /// Compares the file or directory at `path` with the index. What differs is not an error.
    pub fn verify(&self, path: &Path, options: &VerifyOptions) -> Result<Verification> {
        let path = text::c_path(path, "the target")?;
        let lent = options.observer.lend();
        let journal = options.journal.as_deref().map(|path| text::c_path(path, "the journal")).transpose()?;
        let options = gosync_verify_options {
            threads: options.threads,
            observer: lent.as_ptr(),
            journal: journal.as_ref().map_or(std::ptr::null(), |path| path.as_ptr()),
            ..Default::default()
        };
        // SAFETY: every pointer is valid during the call.
        let made =
            make(|out, error| unsafe { gosync_ffi::gosync_index_verify(self.0, path.as_ptr(), &options, out, error) });
        // SAFETY: a verification that was just made for us.
        made.map(|made| unsafe { Verification::take(made) })
    }

    /// What it describes: `file` or `tree`.
    pub fn kind(&self) -> String {
        // SAFETY: see `root_hex`.
        unsafe { text::copied(gosync_ffi::gosync_index_kind(self.0)) }.unwrap_or_default()
    }

    /// Files, directories and links of a directory.
    pub fn entry_count(&self) -> u64 {
        // SAFETY: see `length`.
        unsafe { gosync_ffi::gosync_index_entry_count(self.0) }
    }

    /// Bytes of the target.
    pub fn length(&self) -> u64 {
        // SAFETY: the index is valid until it is dropped; so in all getters.
        unsafe { gosync_ffi::gosync_index_length(self.0) }
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u32 {
        // SAFETY: see `length`.
        unsafe { gosync_ffi::gosync_index_block_size(self.0) }
    }

    /// Bytes of a block of the top level.
    pub fn top_size(&self) -> u64 {
        // SAFETY: see `length`.
        unsafe { gosync_ffi::gosync_index_top_size(self.0) }
    }

    /// Blocks that the target has.
    pub fn block_count(&self) -> u64 {
        // SAFETY: see `length`.
        unsafe { gosync_ffi::gosync_index_block_count(self.0) }
    }

    /// Verified units that the target has.
    pub fn unit_count(&self) -> u64 {
        // SAFETY: see `length`.
        unsafe { gosync_ffi::gosync_index_unit_count(self.0) }
    }

    /// Bytes that the index has when it is written.
    pub fn encoded_size(&self) -> u64 {
        // SAFETY: see `length`.
        unsafe { gosync_ffi::gosync_index_encoded_size(self.0) }
    }

    /// The plain BLAKE3 of the target, as 64 hexadecimal digits; `None` in a legacy index.
    pub fn root_hex(&self) -> Option<String> {
        // SAFETY: see `length`; the text is copied at once.
        unsafe { text::copied(gosync_ffi::gosync_index_root_hex(self.0)) }
    }

    /// The name of the format.
    pub fn format(&self) -> String {
        // SAFETY: see `root_hex`.
        unsafe { text::copied(gosync_ffi::gosync_index_format(self.0)) }.unwrap_or_default()
    }

    /// Where the content is, as the index says it.
    pub fn source(&self) -> Option<String> {
        // SAFETY: see `root_hex`.
        unsafe { text::copied(gosync_ffi::gosync_index_source(self.0)) }
    }

    /// What the publisher calls the content.
    pub fn name(&self) -> Option<String> {
        // SAFETY: see `root_hex`.
        unsafe { text::copied(gosync_ffi::gosync_index_name(self.0)) }
    }

    /// Which version of it this is.
    pub fn version(&self) -> Option<String> {
        // SAFETY: see `root_hex`.
        unsafe { text::copied(gosync_ffi::gosync_index_version(self.0)) }
    }

    /// The signature, as minisign writes it.
    pub fn signature(&self) -> Option<String> {
        // SAFETY: see `root_hex`.
        unsafe { text::copied(gosync_ffi::gosync_index_signature(self.0)) }
    }

    /// Where the index was opened from, without what may be secret in a URL; `None` if it was built, or read from memory.
    pub fn origin(&self) -> Option<String> {
        // SAFETY: see `root_hex`.
        unsafe { text::copied(gosync_ffi::gosync_index_origin(self.0)) }
    }

    pub(crate) fn as_ptr(&self) -> *const gosync_index {
        self.0
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { gosync_ffi::gosync_index_free(self.0) };
    }
}
