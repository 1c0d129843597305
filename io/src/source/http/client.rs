//! Making the HTTP client from the options: trust, proxies, connect time-out, windows. Bad options are errors here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gosync_core::{Error, ErrorKind, Result};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, NoProxy, Proxy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

use super::wire::Timed;
use crate::options::HttpOptions;

const CONNECTIONS: usize = 6;
const TIMEOUT: Duration = Duration::from_secs(30);
/// What may be under way to us on one HTTP/2 stream, and on all of one connection together.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// The largest CA file that is read.
const MOST_CA_BYTES: u64 = 16 << 20;

/// What of the options makes a connection what it is. Sources with equal settings share their connections.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) connections: usize,
    pub(super) rate_limit: u64,
    connect_timeout: Duration,
    proxy: Option<String>,
    no_proxy: Option<String>,
    /// The certificates of the CA file.
    authorities: Vec<CertificateDer<'static>>,
    /// Whether only plain HTTP is asked for, which works without any trust roots.
    pub(super) plain: bool,
}

/// How long a server may be silent while it is asked, and while it answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) first_byte: Duration,
    pub(super) stall: Duration,
}

fn first(times: [Duration; 2]) -> Duration {
    times.into_iter().find(|time| !time.is_zero()).unwrap_or(TIMEOUT)
}

impl Patience {
    pub(super) fn of(options: &HttpOptions) -> Self {
        Patience {
            first_byte: first([options.first_byte_timeout, options.timeout]),
            stall: first([options.stall_timeout, options.timeout]),
        }
    }
}

impl Settings {
    pub(super) fn of(options: &HttpOptions, url: &Url) -> Result<Self> {
        Ok(Settings {
            connections: if options.connections == 0 { CONNECTIONS } else { options.connections },
            rate_limit: options.rate_limit,
            connect_timeout: first([options.connect_timeout, options.timeout]),
            proxy: options.proxy.as_deref().map(proxy_url).transpose()?,
            no_proxy: options.no_proxy.clone().filter(|list| !list.trim().is_empty()),
            authorities: options.ca_file.as_deref().map(read_authorities).transpose()?.unwrap_or_default(),
            plain: url.scheme() == "http",
        })
    }

    /// The clients: with the proxy, and without it.
    pub(super) fn clients(&self) -> Result<Clients> {
        let tls = self.tls()?;
        let no_list = self.no_proxy.as_deref().unwrap_or_default();
        let direct = match (&self.proxy, no_list) {
            // The environment's list holds besides ours.
            (None, list) if !list.is_empty() => {
                let except = Matcher::builder().all("http://proxy").no(list).build();
                Some((except, self.build(tls.clone(), |builder| builder.no_proxy())?))
            }
            _ => None,
        };
        let proxy = self.proxy.as_deref().filter(|proxy| !proxy.is_empty()).map(|proxy| {
            Proxy::all(proxy).map(|proxy| proxy.no_proxy(NoProxy::from_string(no_list))).map_err(|_| bad_proxy())
        });
        let proxy = proxy.transpose()?;
        let usual = self.build(tls, |builder| match (proxy, &self.proxy) {
            (Some(proxy), _) => builder.no_proxy().proxy(proxy),
            (None, Some(_)) => builder.no_proxy(),
            (None, None) => builder,
        })?;
        Ok(Clients { usual, direct })
    }

    fn build(
        &self,
        tls: rustls::ClientConfig,
        proxies: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Client> {
        // Where bytes are rationed, they had better wait at the server than here.
        let window = |most: u32| match self.rate_limit {
            0 => most,
            rate => rate.clamp(64 * 1024, u64::from(most)) as u32,
        };
        let builder = Client::builder()
            .user_agent(concat!("gosync/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            // The query of a URL may be a secret, and a referer would tell it to another origin.
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .connector_layer(Timed)
            .pool_max_idle_per_host(self.connections)
            .http2_initial_stream_window_size(window(STREAM_WINDOW))
            .http2_initial_connection_window_size(window(CONNECTION_WINDOW));
        proxies(builder).build().map_err(|cause| {
            let cause = cause.without_url();
            Error::new(ErrorKind::SourceUnsupported, format!("cannot set up HTTP: {cause}")).caused_by(cause)
        })
    }

    /// Trusts what the platform trusts and the CA file, with its own set-up, so that nothing of the process is changed.
    fn tls(&self) -> Result<rustls::ClientConfig> {
        let fail = |cause: rustls::Error| {
            Error::new(ErrorKind::SourceUnsupported, format!("cannot set up TLS: {cause}")).caused_by(cause)
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(fail)?;
        let authorities = self.authorities.iter().cloned();
        let verifier = match self.authorities.is_empty() {
            true => rustls_platform_verifier::Verifier::new(provider),
            false => rustls_platform_verifier::Verifier::new_with_extra_roots(authorities, provider),
        };
        let mut config = match verifier {
            Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
            // A machine without trust roots can still use plain HTTP; a redirect to https: then fails.
            Err(_) if self.plain => builder.with_root_certificates(rustls::RootCertStore::empty()),
            Err(cause) => return Err(fail(cause)),
        }
        .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// What requests are sent with.
pub(super) struct Clients {
    usual: Client,
    /// For hosts that the options except from the environment's proxy.
    direct: Option<(Matcher, Client)>,
}

impl Clients {
    pub(super) fn for_url(&self, url: &Url) -> &Client {
        match &self.direct {
            Some((except, direct)) if url.as_str().parse().is_ok_and(|uri| except.intercept(&uri).is_none()) => direct,
            _ => &self.usual,
        }
    }
}

fn bad_proxy() -> Error {
    let text = "the proxy is not an http:, https:, socks5: or socks5h: URL";
    Error::new(ErrorKind::Argument, text)
}

/// The proxy as a URL; without a scheme it is an HTTP proxy.
fn proxy_url(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // The text may hold a password: it is not shown.
    let url = Url::parse(&full).map_err(|_| bad_proxy())?;
    let is_known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    if !is_known || url.host_str().is_none_or(str::is_empty) {
        return Err(bad_proxy());
    }
    Ok(full)
}

/// The certificates in a PEM file.
fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    use std::io::Read as _;
    let fail = |cause| Error::from_io(cause, "cannot read the CA file", path.display());
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut pem = Vec::new();
    file.take(MOST_CA_BYTES).read_to_end(&mut pem).map_err(fail)?;
    let bad = || {
        Error::new(ErrorKind::Argument, "the CA file has no usable certificate in PEM form")
            .with("path", path.display())
    };
    let authorities: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<std::result::Result<_, _>>().map_err(|_| bad())?;
    let mut store = rustls::RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(authorities.iter().cloned());
    if usable == 0 { Err(bad()) } else { Ok(authorities) }
}
