//! `gosync_index`: what the target is. Built, opened, saved, asked, compared with a file or directory.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use gosync_io::{
    Error, ErrorKind, Index, Result, index_bytes, index_file, index_from_bytes, open_index, open_index_source,
    save_index, verify_file, without_secrets,
};

use crate::error::gosync_error;
use crate::guard::{Out, bytes, c_string, call, free, get, list, object, path as read_path, place, text};
use crate::options::{
    gosync_index_options, gosync_open_options, gosync_verify_options, index_options, open_options, verify_options,
};
use crate::source::gosync_source;
use crate::status::gosync_status;
use crate::verification::gosync_verification;

/// What the target is: its length, its digest, and the checksums of its blocks. Immutable, so that any number of
/// threads and jobs may use one at once. What a job needs of it, it keeps: an index may be freed while jobs run.
pub struct gosync_index {
    pub(crate) index: Arc<Index>,
    source: Option<CString>,
    origin: Option<CString>,
    root_hex: Option<CString>,
    format: CString,
    kind: CString,
    name: Option<CString>,
    version: Option<CString>,
    signature: Option<CString>,
}

impl gosync_index {
    fn new(index: Index) -> Self {
        gosync_index {
            source: index.source().map(c_string),
            origin: index.origin().map(|origin| c_string(&without_secrets(origin))),
            root_hex: index.root().map(|root| c_string(&root.to_string())),
            format: c_string(index.format().name()),
            kind: c_string(index.kind()),
            name: index.name().map(c_string),
            version: index.version().map(c_string),
            signature: index.signature().map(c_string),
            index: Arc::new(index),
        }
    }
}

/// Reads the file at `path` once, in parallel, and describes it. It may be a block device, or a pipe: what a pipe gives
/// is copied to an unnamed temporary file first. It may be a directory: its files, directories and links are described, links as
/// they are, and what is neither is left out and told as an event. A file that changes meanwhile is GOSYNC_E_IO.
///
/// `options` may be NULL. `*out` is the caller's, freed by gosync_index_free. Blocks until done or cancelled.
/// Errors: GOSYNC_E_ARGUMENT (NULL, a bad option), GOSYNC_E_NOT_FOUND, GOSYNC_E_PERMISSION, GOSYNC_E_IO,
/// GOSYNC_E_CANCELLED. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_build(
    path: *const c_char,
    options: *const gosync_index_options,
    out: *mut *mut gosync_index,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            let options = index_options(options)?;
            out.check()?;
            let path = read_path(path, "path")?;
            out.put(gosync_index::new(index_file(&path, &options)?))
        })
    }
}

/// Describes `length` bytes at `data`, which are not kept; (NULL, 0) is empty content.
///
/// `options` may be NULL. `*out` is the caller's, freed by gosync_index_free.
/// Errors: GOSYNC_E_ARGUMENT (NULL, a bad option), GOSYNC_E_CANCELLED. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_build_from_memory(
    data: *const c_void,
    length: usize,
    options: *const gosync_index_options,
    out: *mut *mut gosync_index,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            let options = index_options(options)?;
            out.check()?;
            out.put(gosync_index::new(index_bytes(bytes(data, length)?, &options)?))
        })
    }
}

/// Opens the index at `location`: a path, a file: URL or an http(s): URL, in UTF-8. Over HTTP it may be
/// read in part: what else is needed of it is read by whoever needs it.
///
/// `options` may be NULL. `*out` is the caller's, freed by gosync_index_free. Blocks until done or cancelled.
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_NOT_FOUND, GOSYNC_E_PERMISSION, GOSYNC_E_IO; from a server GOSYNC_E_SOURCE...,
/// GOSYNC_E_TIMEOUT; about the bytes GOSYNC_E_FORMAT, GOSYNC_E_VERSION, GOSYNC_E_LIMIT; GOSYNC_E_MISMATCH if it
/// is not what `expect` or `public_key` demand; GOSYNC_E_CANCELLED. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_open(
    location: *const c_char,
    options: *const gosync_open_options,
    out: *mut *mut gosync_index,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            let options = open_options(options)?;
            out.check()?;
            out.put(gosync_index::new(open_index(text(location, "location")?, &options)?))
        })
    }
}

/// Opens the index that `source` has: with the caller's own source, gosync opens no file and no socket for it.
///
/// `source` is borrowed for the time of the call. `options` may be NULL. `*out` is the caller's, freed by
/// gosync_index_free. Blocks until done or cancelled.
/// Errors: as gosync_index_open, and whatever the source finishes with. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_open_source(
    source: *const gosync_source,
    options: *const gosync_open_options,
    out: *mut *mut gosync_index,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            let options = open_options(options)?;
            out.check()?;
            // A clone, so that the caller may free the handle from another thread meanwhile.
            let source = object(source, "source")?.0.clone();
            out.put(gosync_index::new(open_index_source(&source, &options)?))
        })
    }
}

/// Reads an index from `length` bytes at `data`, which are not kept.
///
/// `options` may be NULL. `*out` is the caller's, freed by gosync_index_free.
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_FORMAT, GOSYNC_E_VERSION, GOSYNC_E_LIMIT; GOSYNC_E_MISMATCH as for
/// gosync_index_open. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_from_memory(
    data: *const c_void,
    length: usize,
    options: *const gosync_open_options,
    out: *mut *mut gosync_index,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            let options = open_options(options)?;
            out.check()?;
            out.put(gosync_index::new(index_from_bytes(bytes(data, length)?, &options)?))
        })
    }
}

/// Checks that `index` is what `options` demand (`expect`, `public_key`), which all functions that open one do: this is
/// for one that is open already.
///
/// `options` may be NULL, which demands nothing.
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_MISMATCH. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_check(
    index: *const gosync_index,
    options: *const gosync_open_options,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let options = open_options(options)?;
            gosync_io::check_index(&object(index, "index")?.index, &options)
        })
    }
}

/// Writes the index to `path`: beside it first, then by one rename, so that a reader sees the old one or the new one.
/// What was not read of one at a URL is read now, with the timeout and the retries that it was opened with; nothing cancels it.
///
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_NOT_FOUND, GOSYNC_E_PERMISSION, GOSYNC_E_NO_SPACE, GOSYNC_E_IO; if more of the index
/// is read, also GOSYNC_E_LIMIT, GOSYNC_E_TIMEOUT, GOSYNC_E_SOURCE, GOSYNC_E_SOURCE_TEMPORARY, GOSYNC_E_SOURCE_CHANGED.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_save(
    index: *const gosync_index,
    path: *const c_char,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe { call(error, || save_index(&object(index, "index")?.index, &read_path(path, "path")?)) }
}

/// Bytes that the encoded index has. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_encoded_size(index: *const gosync_index) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, 0, |index| index.index.encoded_size()) }
}

/// Writes the encoded index, as it is in a .gosync file, to `buffer`, which has room for `capacity` bytes
/// (gosync_index_encoded_size says how many it takes), and its size to `*written`. What was not read of one at a URL is read
/// now, with the timeout and the retries that it was opened with; nothing cancels it.
///
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_LIMIT if the capacity is too small; nothing is written then. If more of the index is
/// read, also GOSYNC_E_TIMEOUT, GOSYNC_E_SOURCE, GOSYNC_E_SOURCE_TEMPORARY, GOSYNC_E_SOURCE_CHANGED.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_encode(
    index: *const gosync_index,
    buffer: *mut c_void,
    capacity: usize,
    written: *mut usize,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let index = object(index, "index")?;
            let buffer = place(buffer, "buffer")?;
            let written = place(written, "written")?;
            let encoded = gosync_io::encode_index(&index.index)?;
            if encoded.len() > capacity {
                return Err(too_small(encoded.len(), capacity));
            }
            buffer.cast::<u8>().copy_from(encoded.as_ptr(), encoded.len());
            written.write(encoded.len());
            Ok(())
        })
    }
}

fn too_small(size: usize, capacity: usize) -> Error {
    Error::new(ErrorKind::Limit, "the buffer is too small for the index").with("size", size).with("capacity", capacity)
}

/// What the index describes: "file", or "tree" for a directory.
/// NULL for NULL. Borrowed until the index is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_kind(index: *const gosync_index) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, std::ptr::null(), |index| index.kind.as_ptr()) }
}

/// Number of files, directories and links in a directory. 0 for the index of a file, and for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_entry_count(index: *const gosync_index) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, 0, |index| index.index.listing().map_or(0, |listing| listing.count())) }
}

/// Bytes of the target; of a directory, those of its files' contents, each once and padded to whole blocks. 0 for NULL.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_length(index: *const gosync_index) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, 0, |index| index.index.length()) }
}

/// Bytes of a block. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_block_size(index: *const gosync_index) -> u32 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, 0, |index| index.index.block_size()) }
}

/// Bytes of a block of the top level, which is looked for first. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_top_size(index: *const gosync_index) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, 0, |index| index.index.top_size()) }
}

/// Number of blocks: what seeds are searched for. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_block_count(index: *const gosync_index) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, 0, |index| index.index.block_count()) }
}

/// Number of verified units: what each byte is checked by before it counts. They have 64 KiB, or are the blocks of a
/// legacy index. 0 for NULL.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_unit_count(index: *const gosync_index) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, 0, |index| index.index.unit_count()) }
}

/// The format of the index: "gosync", or "legacy" for `.gosync` 0.2. NULL for NULL. Borrowed until the index is freed.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_format(index: *const gosync_index) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(index, std::ptr::null(), |index| index.format.as_ptr()) }
}

/// Where the content is, as the publisher wrote it: a name relative to the index, or a URL; not to be trusted.
/// NULL if the index does not say. Borrowed until the index is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_source(index: *const gosync_index) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe {
        get(index, std::ptr::null(), |index| index.source.as_deref().map_or(std::ptr::null(), |text| text.as_ptr()))
    }
}

/// Where this index was read from: a path or a URL, without what may be secret in one (user name, password, query,
/// fragment). NULL if it was built, or read from memory or an own source.
/// Borrowed until the index is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_origin(index: *const gosync_index) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe {
        get(index, std::ptr::null(), |index| index.origin.as_deref().map_or(std::ptr::null(), |text| text.as_ptr()))
    }
}

/// What the publisher calls the content. NULL if the index does not say. Nothing vouches for it unless the index was
/// opened with a public key; so for the version.
/// Borrowed until the index is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_name(index: *const gosync_index) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe {
        get(index, std::ptr::null(), |index| index.name.as_deref().map_or(std::ptr::null(), |text| text.as_ptr()))
    }
}

/// Which version of the content this is, as the publisher says it. NULL if the index does not say.
/// Borrowed until the index is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_version(index: *const gosync_index) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe {
        get(index, std::ptr::null(), |index| index.version.as_deref().map_or(std::ptr::null(), |text| text.as_ptr()))
    }
}

/// The signature of the index, as the text that minisign writes: four lines. NULL if it is not signed. That there is one
/// proves nothing: open the index with `public_key`, or call gosync_index_check.
/// Borrowed until the index is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_signature(index: *const gosync_index) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe {
        get(index, std::ptr::null(), |index| index.signature.as_deref().map_or(std::ptr::null(), |text| text.as_ptr()))
    }
}

/// The BLAKE3 hash of the target as 64 hexadecimal digits, as b3sum prints it; of a directory, that of its listing. NULL for NULL, and for a legacy index,
/// which has none. Borrowed until the index is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_root_hex(index: *const gosync_index) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe {
        get(index, std::ptr::null(), |index| index.root_hex.as_deref().map_or(std::ptr::null(), |text| text.as_ptr()))
    }
}

/// Writes the 32 bytes of the BLAKE3 hash of the target to `out`.
///
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_STATE for a legacy index, which has none. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_root(
    index: *const gosync_index,
    out: *mut u8,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let root = object(index, "index")?.index.root();
            let root = root.ok_or_else(|| Error::new(ErrorKind::State, "a legacy index has no root"))?;
            place(out, "out")?.copy_from(root.as_bytes().as_ptr(), root.as_bytes().len());
            Ok(())
        })
    }
}

/// Compares the file at `path`, or the directory if `index` describes one, with what it says. What differs is no error: the
/// call returns GOSYNC_OK, and gosync_verification_is_match says false. Links in a directory are compared, not followed.
///
/// `options` may be NULL. `*out` is the caller's, freed by gosync_verification_free. Blocks until done or cancelled.
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_NOT_FOUND, GOSYNC_E_PERMISSION, GOSYNC_E_IO, GOSYNC_E_CANCELLED.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_verify(
    index: *const gosync_index,
    path: *const c_char,
    options: *const gosync_verify_options,
    out: *mut *mut gosync_verification,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            let options = verify_options(options)?;
            out.check()?;
            let index = object(index, "index")?.index.clone();
            let path = read_path(path, "path")?;
            out.put(gosync_verification::new(verify_file(&path, &index, &options)?))
        })
    }
}

/// Removes from the folder `content` each pack that none of the `count` indexes at the paths `indexes` names. How many, and how
/// many bytes they had, to `*packs` and `*bytes`, unless these are NULL. If an index cannot be read, nothing is removed.
///
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_NOT_FOUND, GOSYNC_E_PERMISSION, GOSYNC_E_IO, GOSYNC_E_FORMAT, GOSYNC_E_VERSION.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_content_prune(
    content: *const c_char,
    indexes: *const *const c_char,
    count: usize,
    packs: *mut u64,
    bytes: *mut u64,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let content = read_path(content, "content")?;
            let indexes = list(indexes, count, "indexes")?;
            let indexes = indexes.iter().map(|&path| read_path(path, "indexes")).collect::<Result<Vec<_>>>()?;
            let pruned = gosync_io::prune(&content, &indexes)?;
            for (out, value) in [(packs, pruned.packs), (bytes, pruned.bytes)] {
                if !out.is_null() {
                    out.write(value);
                }
            }
            Ok(())
        })
    }
}

/// Frees an index. Jobs that were made with it go on. NULL is fine. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_index_free(index: *mut gosync_index) {
    // SAFETY: NULL or from a function above, and not used again, as the header asks.
    unsafe { free(index) }
}
