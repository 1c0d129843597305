//! The rate limit: how long whoever has read bytes waits before reading more, over all connections together.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::source::pending::lock;

/// What may come at once after a pause.
const BURST: Duration = Duration::from_millis(100);

/// A budget of bytes per second that everyone who reads draws on.
#[derive(Debug)]
pub(super) struct Limiter {
    /// 0 is no limit.
    rate: u64,
    /// When everything that was read is paid.
    paid: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(super) fn new(rate: u64) -> Self {
        Limiter { rate, paid: Mutex::new(None) }
    }

    /// Bytes that should be handed on at once, so that they flow rather than jump.
    pub(super) fn slice(&self) -> usize {
        if self.rate == 0 { usize::MAX } else { (self.rate / 20).clamp(1024, 256 * 1024) as usize }
    }

    /// Waits until `bytes` more are paid.
    pub(super) async fn pay(&self, bytes: usize) {
        if self.rate == 0 {
            return;
        }
        let until = self.due(bytes, Instant::now());
        tokio::time::sleep_until(until).await;
    }

    fn due(&self, bytes: usize, now: Instant) -> Instant {
        let mut paid = lock(&self.paid);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = paid.map_or(earliest, |paid| paid.max(earliest));
        let until = from + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        *paid = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_paid_at_the_rate() {
        let limiter = Limiter::new(1_000_000);
        let start = Instant::now();
        let last = (0..100).map(|_| limiter.due(50_000, start)).last().expect("a time");
        assert_eq!(last - start, Duration::from_millis(4900));
        // A pause is not saved up.
        let later = last + Duration::from_secs(60);
        assert_eq!(limiter.due(1_000_000, later) - later, Duration::from_millis(900));
        assert_eq!(limiter.slice(), 50_000);
        assert_eq!(Limiter::new(0).slice(), usize::MAX);
    }
}
