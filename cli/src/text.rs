//! How things read in lines for people.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{BinaryBytes, DecimalBytes};

/// `text` on one line and harmless to a terminal. Names inside an index and answers of a server are other
/// people's text: they must not move the cursor, clear the screen, or look like a second line.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// A number of bytes, exact, and in a unit that can be grasped.
pub(crate) fn bytes(count: u64) -> String {
    if count < 1024 { format!("{count}") } else { format!("{count} ({})", short_bytes(count)) }
}

/// A number of bytes in a unit that can be grasped.
pub(crate) fn short_bytes(count: u64) -> String {
    BinaryBytes(count).to_string()
}

/// A number of bytes and its share of `total`.
pub(crate) fn share(count: u64, total: u64) -> String {
    match total {
        0 => bytes(count),
        _ => format!("{}, {:.1} %", bytes(count), count as f64 * 100.0 / total as f64),
    }
}

/// A rate in a unit that can be grasped; decimal, as rates of networks are said.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", DecimalBytes(bytes_per_second))
}

/// A length of time in a unit that can be grasped.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        _ => humantime::format_duration(Duration::from_secs(time.as_secs())).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("plain é"), "plain é");
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{9b}"), "a\\u{1b}[2Jb\\nc\\u{9b}");
    }

    #[test]
    fn times_and_rates_are_read_at_a_glance() {
        let cases = [
            (200, "200 µs"),
            (2_500, "2.5 ms"),
            (100_000, "100 ms"),
            (1_250_000, "1.2 s"),
            (3_725_000_000, "1h 2m 5s"),
        ];
        for (microseconds, shown) in cases {
            assert_eq!(time(Duration::from_micros(microseconds)), shown);
        }
        assert_eq!(rate(12_500_000), "12.50 MB/s");
    }

    #[test]
    fn shares_of_nothing_are_no_shares() {
        assert_eq!(share(0, 0), "0");
        assert_eq!(share(512, 1024), "512, 50.0 %");
    }
}
