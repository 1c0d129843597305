//! nginx at the far end, as Debian sets it up: the same files over HTTP/1.1 and over HTTPS with HTTP/2.
//! Its log says what each program asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::spaces::Space;
use crate::sh::{Result, fail, need, sh};

/// What a program speaks with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 without encryption.
    Http1,
    /// HTTP/1.1 with a server that answers one range at a time (and several with everything), as many do.
    OneRange,
    /// HTTPS with HTTP/2.
    Http2,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::OneRange => "HTTP/1.1 one range",
            Protocol::Http2 => "HTTPS, HTTP/2",
        }
    }

    /// The URL of a file on the server with this address.
    pub(super) fn url(self, server: &str, name: &str) -> String {
        match self {
            Protocol::Http1 => format!("http://{server}:8080/{name}"),
            Protocol::OneRange => format!("http://{server}:8081/{name}"),
            Protocol::Http2 => format!("https://{server}:8443/{name}"),
        }
    }
}

/// What was asked of it for one file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    pub(super) requests: u64,
    /// Bytes of requests and of answers, with their headers.
    pub(super) there: u64,
    pub(super) back: u64,
}

/// A running nginx. It ends with this value, or with this process.
pub(super) struct Nginx {
    child: Child,
    log: PathBuf,
    authority: PathBuf,
}

impl Nginx {
    /// Serves `site` at `server`, in the namespace if there is one; what it writes goes to `folder`.
    pub(super) fn start(space: Option<&Space>, server: &str, site: &Path, folder: &Path) -> Result<Nginx> {
        std::fs::create_dir_all(folder)?;
        certificates(server, folder)?;
        let (log, config) = (folder.join("access.log"), folder.join("nginx.conf"));
        std::fs::write(&config, configuration(server, site, folder))?;
        std::fs::write(&log, "")?;
        let errors = folder.join("error.log");
        let program = need("nginx")?;
        let start = space.map_or_else(|| sh(&program), |space| space.sh(&program));
        let command = start.arg("-p").arg(folder).arg("-c").arg(&config).arg("-e").arg(&errors);
        let (mut command, _) = command.into_command();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut nginx = Nginx { child, log, authority: folder.join("ca.pem") };
        // It writes this file when it listens.
        for _ in 0..500 {
            if folder.join("nginx.pid").metadata().is_ok_and(|file| file.len() > 0) {
                return Ok(nginx);
            }
            if nginx.child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        fail(format!("nginx does not start:\n{}", std::fs::read_to_string(errors).unwrap_or_default()))
    }

    /// The certificate that clients have to trust.
    pub(super) fn authority(&self) -> &Path {
        &self.authority
    }

    /// What was asked for since the last call, by file name.
    pub(super) fn take_counts(&self) -> Result<BTreeMap<String, Count>> {
        let text = std::fs::read_to_string(&self.log)?;
        // Opened for appending by nginx, so that it goes on at the new end.
        std::fs::File::options().write(true).open(&self.log)?.set_len(0)?;
        let mut counts = BTreeMap::<String, Count>::new();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(name), Some(there), Some(back)) = (words.next(), words.next(), words.next()) else { continue };
            let count = counts.entry(name.trim_start_matches('/').to_owned()).or_default();
            count.requests += 1;
            count.there += there.parse::<u64>().unwrap_or_default();
            count.back += back.parse::<u64>().unwrap_or_default();
        }
        Ok(counts)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // One process, with nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's settings, where they matter here; but one process, which is ended more surely than a family.
fn configuration(server: &str, site: &Path, folder: &Path) -> String {
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid;\n\
         events {{ worker_connections 768; }}\n\
         http {{\n\
         sendfile on; tcp_nopush on; default_type application/octet-stream;\n\
         log_format counts '$uri $request_length $bytes_sent'; access_log {folder}/access.log counts;\n\
         client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         root {site};\n\
         server {{ listen {server}:8080; location = /flat.gosync {{ max_ranges 0; }} }}\n\
         server {{ listen {server}:8081; max_ranges 1; }}\n\
         server {{ listen {server}:8443 ssl http2; ssl_certificate {folder}/server.pem;\n\
         ssl_certificate_key {folder}/server.key; ssl_protocols TLSv1.2 TLSv1.3;\n\
         location = /flat.gosync {{ max_ranges 0; }} }}\n\
         }}\n",
        folder = folder.display(),
        site = site.display(),
    )
}

/// A certificate authority of our own and a certificate for the server.
fn certificates(server: &str, folder: &Path) -> Result<()> {
    let config = format!(
        "[req]\nprompt=no\ndistinguished_name=name\n[name]\nCN=gosync benchmark\n\
         [ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n\
         [server]\nbasicConstraints=CA:FALSE\nsubjectAltName=IP:{server}\nextendedKeyUsage=serverAuth\n"
    );
    std::fs::write(folder.join("openssl.conf"), config)?;
    let make = |words: &str| {
        let start = sh(need("openssl")?).args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2");
        start.args("-config openssl.conf").args(words).within(folder).quiet().run()
    };
    make("-extensions ca -keyout ca.key -out ca.pem")?;
    make("-extensions server -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem")
}
