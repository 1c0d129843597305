//! Where the content really is: following redirects by hand, remembering where they led, and asking again at the
//! original place when that has expired. Credentials stay where they belong (`credentials`).

use std::sync::Arc;

use gosync_core::{Error, ErrorKind, Result};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Response, StatusCode};
use url::Url;

use super::Shared;
use super::origin::Origin;
use super::wire::{Incoming, send};
use crate::source::pending::lock;

/// Redirects in a row that are followed.
const MOST: usize = 10;

/// A place to ask at.
#[derive(Clone)]
pub(super) struct Target {
    url: Url,
    pub(super) origin: Arc<Origin>,
    /// Whether redirects led here.
    is_elsewhere: bool,
}

impl Target {
    /// The place that was opened.
    pub(super) fn home(url: Url, origin: Arc<Origin>) -> Self {
        Target { url, origin, is_elsewhere: false }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

impl Shared {
    /// Where the next request goes.
    pub(super) fn target(&self) -> Target {
        lock(&self.state).elsewhere.clone().unwrap_or_else(|| self.home.clone())
    }

    /// Sends a GET with `headers` to where the content is. The head of the answer, and its origin.
    pub(super) async fn reach(&self, headers: &HeaderMap) -> Result<(Response, Arc<Origin>)> {
        let mut target = self.target();
        let mut is_renewed = false;
        loop {
            let (response, reached) = self.follow(target.clone(), headers).await?;
            let status = response.status();
            let has_expired = target.is_elsewhere && matches!(status.as_u16(), 401 | 403 | 404 | 410);
            if has_expired && !is_renewed {
                // A presigned link lives for minutes. What it was made from is asked again, once.
                is_renewed = true;
                target = self.renew(&target);
                self.incoming(response, &reached.origin).drain();
                continue;
            }
            if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) && reached.is_elsewhere {
                lock(&self.state).elsewhere = Some(reached.clone());
            }
            return Ok((response, reached.origin));
        }
    }

    /// Forgets that the content is at `expired`; where to ask instead.
    fn renew(&self, expired: &Target) -> Target {
        {
            let mut state = lock(&self.state);
            match &state.elsewhere {
                // Another exchange was faster.
                Some(known) if known.url != expired.url => return known.clone(),
                _ => state.elsewhere = None,
            }
        }
        self.home.clone()
    }

    /// Sends to `target`, and on to where it redirects.
    async fn follow(&self, mut target: Target, headers: &HeaderMap) -> Result<(Response, Target)> {
        let mut visited = Vec::new();
        loop {
            let request = || {
                let client = self.transport.clients.for_url(&target.url);
                let request = client.get(target.url.clone()).headers(headers.clone());
                self.credentials.add(&target.url, request)
            };
            let tries = self.transport.connections + 1;
            let response = send(request, self.patience.first_byte, tries, &target.origin).await?;
            let Some(next) = redirect(&target.url, &response) else { return Ok((response, target)) };
            let next = self.credentials.placed(next?);
            self.incoming(response, &target.origin).drain();
            visited.push(target.url);
            if visited.contains(&next) {
                return Err(lost("the server's redirects lead back to where they began"));
            }
            if visited.len() > MOST {
                return Err(lost("the server redirects more than 10 times"));
            }
            let origin = self.transport.origins.of(&next);
            target = Target { url: next, origin, is_elsewhere: true };
        }
    }

    /// The body of an answer from `origin`.
    pub(super) fn incoming(&self, response: Response, origin: &Arc<Origin>) -> Incoming {
        Incoming::new(response, Arc::clone(origin), Arc::clone(&self.transport.limiter), self.patience.stall)
    }
}

fn lost(message: &str) -> Error {
    Error::new(ErrorKind::Source, message)
}

/// Where an answer redirects to, if it does.
fn redirect(from: &Url, response: &Response) -> Option<Result<Url>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION).and_then(|location| std::str::from_utf8(location.as_bytes()).ok());
    let url = location.and_then(|location| from.join(location.trim()).ok());
    let usable = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    Some(usable.ok_or_else(|| lost("the server redirects to nowhere that can be asked")).map(|mut url| {
        url.set_fragment(None);
        url
    }))
}
