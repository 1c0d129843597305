//! The options of everything that is fetched: how servers are talked to, and with which credentials.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use gosync_io::{Digest, Error, ErrorKind, HttpOptions, Observer, OpenOptions, Result};

use crate::quantity;

/// The largest file that is read for a secret; whatever is larger is a mistake.
const LARGEST_SECRET: u64 = 64 * 1024;

/// How an index (and a source) is opened.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fetching")]
pub(crate) struct OpenArgs {
    /// The largest index to accept, in bytes or with a unit [default: 0, which is 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size, default_value = "0", hide_default_value = true)]
    max_index_size: u64,
    /// Keep the index in this file, so that reading it again from its URL, unchanged, is one conditional request
    /// [default: nothing is kept]
    #[arg(long, value_name = "FILE")]
    index_cache: Option<PathBuf>,
    /// The root that the index must have, as b3sum prints it for the content: from someone you trust, it is all the
    /// trust that is needed [default: whatever the index says]
    #[arg(long, value_name = "HASH", value_parser = root)]
    expect: Option<Digest>,
    /// Temporary failures in a row, without a new byte between them, that are survived [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// Whose signature the index must have: a minisign public key, or @FILE with one (a .pub file); an index that is not
    /// signed by its holder is refused [default: signatures are not looked at]
    #[arg(long, value_name = "KEY|@FILE")]
    public_key: Option<Secret>,
    /// Connections to one server at the same time [default: 0, which is 6]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    connections: usize,
    /// How long a server may be silent, in seconds or with ms, s, m, h; there is no limit on the whole
    /// [default: 0, which is 30; 60 for a request of an update]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, default_value = "0", hide_default_value = true)]
    pub(crate) timeout: Duration,
    /// How long a connect may last: name lookup, TCP, TLS [default: 0, as --timeout]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, default_value = "0", hide_default_value = true)]
    connect_timeout: Duration,
    /// How long an answer may take to begin [default: 0, as --timeout]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, default_value = "0", hide_default_value = true)]
    first_byte_timeout: Duration,
    /// How long an answer may stand still [default: 0, as --timeout]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, default_value = "0", hide_default_value = true)]
    stall_timeout: Duration,
    /// Name and password for basic authentication. Credentials go to the server that is named by you, and to no other
    /// one. Others can see a command line, so @FILE reads them from a file [default: what the URL says]
    #[arg(long, value_name = "NAME:PASSWORD|@FILE")]
    user: Option<Secret>,
    /// A token for bearer authentication, or @FILE [default: none]
    #[arg(long, value_name = "TOKEN|@FILE")]
    bearer: Option<Secret>,
    /// A further header line, or a file with one in each line; may be given several times [default: none]
    #[arg(short = 'H', long, value_name = "NAME: VALUE|@FILE")]
    header: Vec<Secret>,
    /// The proxy: an http:, https:, socks5: or socks5h: URL; "" uses none
    /// [default: as http_proxy, https_proxy and all_proxy or the system say]
    #[arg(long, value_name = "URL")]
    proxy: Option<Hidden>,
    /// Hosts that are reached without the proxy, separated by commas; * means all [default: as no_proxy says]
    #[arg(long, value_name = "HOSTS")]
    no_proxy: Option<String>,
    /// A PEM file with certificate authorities to trust besides the system's [default: none]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Bytes per second to read at most, all connections together, with kB, MB, GB, KiB, MiB or GiB
    /// [default: 0, no limit]
    #[arg(long, value_name = "RATE", value_parser = quantity::rate, default_value = "0", hide_default_value = true)]
    rate_limit: u64,
}

impl OpenArgs {
    /// How the library is to open an index of `target`, or a source. Reads the files that hold secrets.
    pub(crate) fn options(&self, target: Option<&Path>, observer: &Observer) -> Result<OpenOptions> {
        let mut headers = Vec::new();
        for header in &self.header {
            headers.extend(header.lines()?);
        }
        Ok(OpenOptions {
            max_index_size: self.max_index_size,
            index_cache: self.index_cache.clone(),
            expect: self.expect,
            retries: self.retries,
            target: target.map(Path::to_owned),
            threads: 0,
            assume_rtt: Duration::ZERO,
            assume_rate: 0,
            public_key: self.public_key.as_ref().map(|key| key.text()?.parse()).transpose()?,
            http: HttpOptions {
                connections: self.connections,
                timeout: self.timeout,
                connect_timeout: self.connect_timeout,
                first_byte_timeout: self.first_byte_timeout,
                stall_timeout: self.stall_timeout,
                user: self.user.as_ref().map(Secret::text).transpose()?,
                bearer: self.bearer.as_ref().map(Secret::text).transpose()?,
                headers,
                proxy: self.proxy.as_ref().map(|proxy| proxy.0.clone()),
                no_proxy: self.no_proxy.clone(),
                ca_file: self.ca_file.clone(),
                rate_limit: self.rate_limit,
            },
            observer: observer.clone(),
        })
    }
}

/// A root as people write it.
fn root(text: &str) -> std::result::Result<Digest, String> {
    text.parse().map_err(|error: Error| error.message().to_owned())
}

/// Text that may be secret: it is in no message and no log.
#[derive(Clone)]
pub(crate) struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Hidden(text.to_owned()))
    }
}

/// A secret as it was given: itself, or the file that holds it.
#[derive(Clone, Debug)]
pub(crate) enum Secret {
    Text(Hidden),
    File(PathBuf),
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Secret::File(PathBuf::from(path)),
            None => Secret::Text(Hidden(text.to_owned())),
        })
    }
}

impl Secret {
    /// The secret. The line end of a file is not part of it.
    pub(crate) fn text(&self) -> Result<String> {
        match self {
            Secret::Text(text) => Ok(text.0.clone()),
            Secret::File(path) => Ok(content(path)?.trim_end_matches(['\r', '\n']).to_owned()),
        }
    }

    /// The secrets, one in each line of a file.
    fn lines(&self) -> Result<Vec<String>> {
        match self {
            Secret::Text(text) => Ok(vec![text.0.clone()]),
            Secret::File(path) => {
                Ok(content(path)?.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
            }
        }
    }
}

fn content(path: &PathBuf) -> Result<String> {
    let failed = |cause| Error::from_io(cause, "cannot read the file with the option's value", path.display());
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LARGEST_SECRET + 1), &mut bytes).map_err(failed)?;
    let refused = |problem| Error::new(ErrorKind::Argument, problem).with("path", path.display());
    if bytes.len() as u64 > LARGEST_SECRET {
        return Err(refused("the file is too large for an option's value"));
    }
    // What it holds is in no message, so the cause is not either.
    String::from_utf8(bytes).map_err(|_| refused("the file with the option's value is not text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let secret: Secret = "hunter2".parse().expect("a secret");
        let proxy: Hidden = "http://name:hunter2@proxy".parse().expect("a proxy");
        assert!(!format!("{secret:?} {proxy:?}").contains("hunter2"));
        assert_eq!(secret.text().expect("the text"), "hunter2");
    }

    #[test]
    fn a_file_holds_one_secret_or_lines_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let secret: Secret = format!("@{}", path.display()).parse().expect("a secret");
        assert_eq!(secret.text().expect_err("no file").kind(), ErrorKind::NotFound);
        std::fs::write(&path, "One: 1\r\n\nTwo: 2 \n").expect("a file");
        assert_eq!(secret.text().expect("the text"), "One: 1\r\n\nTwo: 2 ");
        assert_eq!(secret.lines().expect("the lines"), ["One: 1", "Two: 2 "]);
        std::fs::write(&path, b"\xff").expect("a file");
        assert_eq!(secret.text().expect_err("not text").kind(), ErrorKind::Argument);
        std::fs::write(&path, vec![b'x'; 70_000]).expect("a file");
        assert_eq!(secret.lines().expect_err("too large").kind(), ErrorKind::Argument);
    }
}
