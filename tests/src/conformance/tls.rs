//! Certificates of a private authority, made anew for each server: a right one, one that has expired, one for another host.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What the TLS listeners need.
pub(super) struct Tls {
    /// The authority's certificate, for clients that shall trust it.
    pub(super) ca: String,
    pub(super) good: Arc<ServerConfig>,
    pub(super) expired: Arc<ServerConfig>,
    pub(super) wrong_name: Arc<ServerConfig>,
}

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Tls {
    pub(super) fn new() -> Fallible<Tls> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "gosync conformance authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Tls {
            good: config(&authority, "127.0.0.1", false)?,
            expired: config(&authority, "127.0.0.1", true)?,
            wrong_name: config(&authority, "another.invalid", false)?,
            ca: authority.pem(),
        })
    }
}

fn config(authority: &CertifiedIssuer<'_, KeyPair>, name: &str, is_expired: bool) -> Fallible<Arc<ServerConfig>> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = if is_expired { date_time_ymd(2021, 1, 1) } else { date_time_ymd(2100, 1, 1) };
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
