//! Sizes and durations on the command line: a number and a unit.

use std::time::Duration;

/// The suffixes of a size and what they stand for, smallest first.
const UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// A number of bytes: `65536`, `64KiB`, `10 MB`. Upper and lower case are the same.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = (&text[..digits], text[digits..].trim_start());
    let unit = match suffix {
        "" => Some(1),
        _ => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(suffix)).map(|(_, unit)| *unit),
    };
    let (false, Some(unit)) = (number.is_empty(), unit) else {
        let names: Vec<_> = UNITS.iter().map(|(name, _)| *name).collect();
        return Err(format!("a size is a whole number, then nothing or one of {}", names.join(", ")));
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| String::from("the size is too large"))
}

/// A number of bytes per second: as [`size`], and fractions of a unit (`12.5MB`) and a closing `/s` are fine too.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let text = text.strip_suffix("/s").unwrap_or(text);
    let Some((whole, rest)) = text.split_once('.') else { return size(text) };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (fraction, suffix) = rest.split_at(digits);
    if fraction.is_empty() || fraction.len() > 9 {
        return Err(String::from("a rate has one to nine digits after the point"));
    }
    let unit = size(&format!("1{suffix}"))?;
    let parts = fraction.parse::<u64>().map_err(|_| String::from("the rate is not a number"))?;
    // Both factors are below 10^13, so the product fits.
    let part = u128::from(unit) * u128::from(parts) / 10_u128.pow(fraction.len() as u32);
    let sum = size(&format!("{whole}{suffix}"))?.checked_add(u64::try_from(part).unwrap_or(u64::MAX));
    match sum {
        Some(0) if parts > 0 => Err(String::from("the rate is less than a byte per second")),
        Some(sum) => Ok(sum),
        None => Err(String::from("the rate is too large")),
    }
}

/// As [`size`], for options that the library keeps in 32 bits.
pub(crate) fn small_size(text: &str) -> Result<u32, String> {
    u32::try_from(size(text)?).map_err(|_| String::from("the size is too large"))
}

/// A length of time: `30` and `1.5` are seconds; `500ms`, `2m` and `1m 30s` work too.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let problem = || String::from("a duration is a number of seconds, or a number with ms, s, m or h");
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| problem()),
        Err(_) => humantime::parse_duration(text).map_err(|_| problem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        let cases = [
            ("0", 0),
            ("65536", 65536),
            ("1kB", 1_000),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("2MB", 2_000_000),
            ("3MiB", 3 << 20),
            ("1GiB", 1 << 30),
            ("16777215TiB", 16_777_215 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "KiB", "-1", "1.5MiB", "1K", "1 Ki B", "0x10", "18446744073709551616", "16777216TiB", "1é"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(small_size("4GiB").is_err());
        assert_eq!(small_size("32KiB"), Ok(32_768));
    }

    #[test]
    fn rates_may_have_fractions() {
        let cases = [
            ("0", 0),
            ("100", 100),
            ("64KiB", 65_536),
            ("10 MB/s", 10_000_000),
            ("12.5MB", 12_500_000),
            ("0.5 kib", 512),
            ("1.999999999GB/s", 1_999_999_999),
            ("0.0", 0),
            ("7.5", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(rate(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MB",
            ".5MB",
            "1.MB",
            "1.5.5MB",
            "-1.5MB",
            "1,5MB",
            "0.1",
            "fast",
            "1.5apples",
            "16777215.9999999999TiB",
            "16777216.0TiB",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_unless_they_say_otherwise() {
        let cases = [("30", 30_000), ("1.5", 1_500), ("500ms", 500), ("2m", 120_000), ("1m 30s", 90_000), ("0", 0)];
        for (text, milliseconds) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "-1", "NaN", "inf", "soon", "1e300", "5 apples"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
