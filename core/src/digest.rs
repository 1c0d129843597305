//! The BLAKE3 digest: the one value that an update is trusted by, and how it is written as text.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::source::ReadAt;

/// Bytes that are read and hashed at a time.
const PIECE: usize = 1 << 20;

/// A 32-byte BLAKE3 hash, as `b3sum` prints it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The hash of `data`.
    pub fn of(data: &[u8]) -> Self {
        Digest(*blake3::hash(data).as_bytes())
    }

    /// The hash of all that `reader` has, read from front to back. `advance` is told of bytes done and may stop the work.
    pub fn of_reader(reader: &dyn ReadAt, advance: &dyn Fn(u64) -> Result<()>) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; PIECE];
        let mut at = 0;
        loop {
            let count = reader.read_at(at, &mut buffer)?.min(PIECE);
            if count == 0 {
                return Ok(Digest(*hasher.finalize().as_bytes()));
            }
            hasher.update_rayon(&buffer[..count]);
            at += count as u64;
            advance(count as u64)?;
        }
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        blake3::Hash::from_hex(text)
            .map(|hash| Digest(*hash.as_bytes()))
            .map_err(|cause| Error::new(ErrorKind::Argument, "a digest is 64 hexadecimal digits").caused_by(cause))
    }
}
