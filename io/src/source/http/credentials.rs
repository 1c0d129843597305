//! What a request carries besides its range: credentials and the caller's own header lines, which go to one origin only.

use gosync_core::{Error, ErrorKind, Result};
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::options::HttpOptions;

/// Header lines that say how an answer is framed or what it answers: the library's own business.
const OWN: [&str; 12] = [
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "accept-encoding",
    "te",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
];

/// Who is asked as whom.
pub(super) struct Credentials {
    /// The URL that was opened; credentials go to its origin, and those in the URL are used first.
    home: Url,
    basic: Option<(String, String)>,
    headers: HeaderMap,
}

impl Credentials {
    pub(super) fn of(options: &HttpOptions, home: &Url) -> Result<Self> {
        let fail = |text: &str| Error::new(ErrorKind::Argument, text);
        let mut headers = HeaderMap::new();
        for line in &options.headers {
            let (name, value) =
                line.split_once(':').ok_or_else(|| fail("a header line needs the form 'Name: value'"))?;
            let name = HeaderName::from_bytes(name.trim().as_bytes())
                .map_err(|_| fail("a header line has a name that is none"))?;
            if OWN.contains(&name.as_str()) {
                return Err(fail("a header line is one that gosync sets itself").with("header", name));
            }
            let value = secret(value.trim())
                .ok_or_else(|| fail("a header line has a value that cannot be sent").with("header", &name))?;
            headers.append(name, value);
        }
        let in_url = !home.username().is_empty() || home.password().is_some();
        let given = [options.user.is_some(), options.bearer.is_some(), headers.contains_key(AUTHORIZATION)];
        if given.iter().filter(|given| **given).count() > 1 {
            return Err(fail("only one of user, bearer and an Authorization header can be used"));
        }
        if in_url {
            headers.remove(AUTHORIZATION);
            return Ok(Credentials { home: home.clone(), basic: None, headers });
        }
        if let Some(token) = &options.bearer {
            let value = secret(&format!("Bearer {token}")).ok_or_else(|| fail("the bearer token cannot be sent"))?;
            headers.insert(AUTHORIZATION, value);
        }
        let basic = options.user.as_deref().map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (name.to_owned(), password.to_owned())
        });
        Ok(Credentials { home: home.clone(), basic, headers })
    }

    /// Adds what may go to the origin of the request's URL.
    pub(super) fn add(&self, url: &Url, mut request: RequestBuilder) -> RequestBuilder {
        if url.origin() != self.home.origin() {
            return request;
        }
        if let Some((name, password)) = &self.basic {
            request = request.basic_auth(name, Some(password));
        }
        request.headers(self.headers.clone())
    }

    /// The URL with the user name and password of the one that was opened, if it is of the same origin, and without any
    /// if it is not.
    pub(super) fn placed(&self, mut url: Url) -> Url {
        let is_home = url.origin() == self.home.origin();
        let (name, password) = if is_home { (self.home.username(), self.home.password()) } else { ("", None) };
        // Neither can fail for a URL that has a host.
        let _ = url.set_username(name);
        let _ = url.set_password(password);
        url
    }
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
