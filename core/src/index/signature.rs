//! Who published an index: the fields that say it, and the signature that proves it. Signatures are those of minisign
//! (Ed25519 over BLAKE2b), kept in the index as the text that minisign writes. Which bytes are signed is said in
//! docs/format.md. Making signatures is left to `gosync-io`, which reads the secret key.

use std::fmt;
use std::str::FromStr;

use minisign_verify::Signature;

use super::{Index, encode};
use crate::error::{Error, ErrorKind, Result};

/// Bytes that a name or a version has at most.
const MAX_FIELD: usize = 255;
/// Bytes that the text of a signature has at most.
const MAX_SIGNATURE: usize = 4096;

/// Whose signature an index must have.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(minisign_verify::PublicKey);

impl FromStr for PublicKey {
    type Err = Error;

    /// A minisign public key: the line of 56 characters that begins with `RW`, or the two lines of a `.pub` file.
    fn from_str(text: &str) -> Result<Self> {
        let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        minisign_verify::PublicKey::from_base64(line.trim())
            .map(PublicKey)
            .map_err(|cause| Error::new(ErrorKind::Argument, "this is not a minisign public key").caused_by(cause))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey")
    }
}

impl Index {
    /// What the publisher calls the content.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Which version of it this is, as the publisher says it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The signature, as the text that minisign writes. Nothing vouches for it before [`Index::check_signature`] does.
    pub fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }

    /// The bytes that a signature of this index is made over: what its encoding begins with, up to the data of the levels,
    /// where there is no signature in it.
    pub fn signed_bytes(&self) -> Vec<u8> {
        encode::front(self, None)
    }

    /// Puts a signature into the index: the text that minisign writes for [`Index::signed_bytes`].
    pub fn set_signature(&mut self, text: String) -> Result<()> {
        if self.root().is_none() {
            return Err(Error::new(ErrorKind::Argument, "the legacy format has no room for a signature"));
        }
        match signature_fault(&text) {
            Some(wrong) => Err(Error::new(ErrorKind::Argument, wrong)),
            None => {
                self.signature = Some(text);
                Ok(())
            }
        }
    }

    /// `MISMATCH` unless the index has a signature by `key` over what it says.
    pub fn check_signature(&self, key: &PublicKey) -> Result<()> {
        let text = self
            .signature()
            .ok_or_else(|| Error::new(ErrorKind::Mismatch, "the index is not signed, and a public key is required"))?;
        let wrong = |cause| {
            let text = "the index is not signed by the holder of the public key";
            Error::new(ErrorKind::Mismatch, text).caused_by(cause)
        };
        let signature = Signature::decode(text).map_err(wrong)?;
        // Not those of minisign's first versions, over the bytes themselves: every signature here is newer.
        key.0.verify(&self.signed_bytes(), &signature, false).map_err(wrong)
    }
}

/// What is wrong with a name or version, if anything is.
pub(super) fn field_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("a field of the publisher is empty")
    } else if text.len() > MAX_FIELD {
        Some("a field of the publisher is longer than 255 bytes")
    } else if text.chars().any(char::is_control) {
        Some("a field of the publisher has control characters")
    } else {
        None
    }
}

/// What is wrong with the text of a signature, if anything is. Whether it is one is seen when it is checked.
pub(super) fn signature_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("the signature is empty")
    } else if text.len() > MAX_SIGNATURE {
        Some("the signature is longer than 4096 bytes")
    } else if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        Some("the signature has control characters")
    } else {
        None
    }
}

/// Name and version as the PUBLISHER section has them: each its length in a byte, then its bytes.
pub(super) fn publisher_section(index: &Index) -> Option<Vec<u8>> {
    if index.name.is_none() && index.version.is_none() {
        return None;
    }
    let mut section = Vec::new();
    for field in [index.name().unwrap_or_default(), index.version().unwrap_or_default()] {
        section.push(field.len() as u8);
        section.extend_from_slice(field.as_bytes());
    }
    Some(section)
}
