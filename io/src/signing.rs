//! Signing an index: reads a minisign secret key and makes the signature. Checking one is `gosync-core`'s.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gosync_core::{Error, ErrorKind, Index, Result};
use minisign::{PublicKey, SecretKey, SecretKeyBox};

/// A secret key is a file of two short lines; whatever is larger is a mistake.
const LARGEST_KEY: u64 = 16 << 10;

/// Bytes of a secret key behind its Base64.
const KEY_SIZE: usize = 158;

/// A secret key that can sign.
pub(crate) struct SigningKey(SecretKey);

impl SigningKey {
    /// Reads the minisign secret key at `path`, which `password` opens unless it is not encrypted.
    pub(crate) fn read(path: &Path, password: Option<&str>) -> Result<SigningKey> {
        let (key, is_encrypted) = read_box(path)?;
        // Not the other way round: without a password, the library would ask for one on the terminal.
        let opened = match (is_encrypted, password) {
            (false, _) => return unencrypted(&key).map(SigningKey).ok_or_else(|| refused(NO_KEY, path)),
            (true, Some(password)) => SecretKeyBox::from(key).into_secret_key(Some(password.to_owned())),
            (true, None) => return Err(refused("the secret key is encrypted, and no password was given", path)),
        };
        let opened =
            opened.map_err(|cause| refused("the password does not open the secret key", path).caused_by(cause));
        opened.map(SigningKey)
    }

    /// Puts a signature into the index.
    pub(crate) fn sign(&self, index: &mut Index) -> Result<()> {
        let root = index.root().ok_or_else(|| {
            Error::new(ErrorKind::Argument, "the legacy format has no room for a signature").with("option", "sign")
        })?;
        let trusted_comment = format!("gosync index, root {root}");
        let comment = Some("signature from minisign secret key");
        let failed = |cause| Error::new(ErrorKind::Argument, "the secret key cannot sign the index").caused_by(cause);
        // With the public key, the library tries what it has made: a damaged secret key is noticed here.
        let public = PublicKey::from_secret_key(&self.0).map_err(failed)?;
        let message = index.signed_bytes();
        let signed = minisign::sign(Some(&public), &self.0, message.as_slice(), Some(&trusted_comment), comment);
        let signed = signed.map_err(failed)?;
        index.set_signature(signed.into_string())
    }
}

/// The key in a text that is not encrypted. The `minisign` crate does not read those of minisign's own program, which
/// leaves the checksum out (there is nothing that a wrong password could make of it); so this does not look at it.
fn unencrypted(text: &str) -> Option<SecretKey> {
    let bytes = BASE64_STANDARD.decode(text.lines().nth(1)?.trim()).ok()?;
    if bytes.len() == KEY_SIZE { SecretKey::from_bytes(&bytes).ok() } else { None }
}

const NO_KEY: &str = "this is not a minisign secret key";

/// Whether the minisign secret key at `path` is encrypted, so that signing with it takes a password.
pub fn needs_password(path: &Path) -> Result<bool> {
    read_box(path).map(|(_, is_encrypted)| is_encrypted)
}

/// The text of the key, and whether that is encrypted.
fn read_box(path: &Path) -> Result<(String, bool)> {
    let failed = |cause| Error::from_io(cause, "cannot read the secret key", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST_KEY + 1).read_to_string(&mut text).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::InvalidData => refused(NO_KEY, path),
        _ => failed(cause),
    })?;
    // The second line says, behind the algorithm of the signature, how the key is encrypted: `RWQA…` in Base64 is "Ed"
    // and no encryption, `RWRT…` is "Ed" and scrypt.
    let line = text.lines().nth(1).unwrap_or_default();
    match line.get(..4) {
        Some("RWQA") => Ok((text, false)),
        Some("RWRT") => Ok((text, true)),
        _ => Err(refused(NO_KEY, path)),
    }
}

fn refused(problem: &str, path: &Path) -> Error {
    Error::new(ErrorKind::Argument, problem).with("path", path.display())
}
