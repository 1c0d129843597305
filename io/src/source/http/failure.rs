//! What a failure below HTTP means: whether it may pass, and one line that says what happened.

use std::error::Error as Cause;

use gosync_core::{Error, ErrorKind};
use rustls::CertificateError;

/// The error for what the client reports, without the place that it is about.
pub(super) fn broken(cause: reqwest::Error) -> Error {
    // Its own URL may hold secrets.
    let cause = cause.without_url();
    if let Some(tls) = find::<rustls::Error>(&cause) {
        // The next try would end in the same way.
        let message = format!("no secure connection to the server: {}", tls_text(tls));
        return Error::new(ErrorKind::Source, message).caused_by(cause);
    }
    let root = chain(&cause).last().map(ToString::to_string).unwrap_or_default();
    if root.contains("proxy authorization required") {
        let message = "the proxy asks for a user name and a password";
        return Error::new(ErrorKind::Source, message).caused_by(cause);
    }
    let (kind, what) = match () {
        () if cause.is_timeout() => (ErrorKind::Timeout, "no connection in time"),
        () if cause.is_builder() => (ErrorKind::Source, "the server's address cannot be used"),
        () if cause.is_connect() => (ErrorKind::SourceTemporary, "cannot connect to the server"),
        () => (ErrorKind::SourceTemporary, "the connection to the server broke"),
    };
    Error::new(kind, format!("{what}: {root}")).caused_by(cause)
}

/// Whether a connection may have ended before it carried this exchange, so that another one may carry it.
pub(super) fn is_stale(cause: &reqwest::Error) -> bool {
    !cause.is_timeout() && !cause.is_builder() && !cause.is_connect() && find::<rustls::Error>(cause).is_none()
}

fn tls_text(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(problem) = error else { return error.to_string() };
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".into()
        }
        CertificateError::UnknownIssuer => "its certificate is from an authority that is not trusted here".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".into()
        }
        CertificateError::Revoked => "its certificate was revoked".into(),
        other => format!("its certificate is not usable ({other})"),
    }
}

fn find<'a, T: Cause + 'static>(error: &'a (dyn Cause + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// An error and what caused it, outermost first.
fn chain<'a>(error: &'a (dyn Cause + 'static)) -> impl Iterator<Item = &'a (dyn Cause + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Cause + 'static)| cause_of(*error))
}

fn cause_of<'a>(error: &'a (dyn Cause + 'static)) -> Option<&'a (dyn Cause + 'static)> {
    // An I/O error hides what it carries from `source`.
    match error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()) {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}
