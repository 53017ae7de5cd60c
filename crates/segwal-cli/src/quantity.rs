//! Amounts as people write and read them: bytes with a suffix, and times with a unit.

use std::time::Duration;

/// A number of bytes: digits, then `K`, `M` or `G` (powers of 1024) if wanted.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let refuse =
        || format!("`{text}` is no number of bytes; write digits and K, M or G, such as 16M");
    let (digits, shift) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 10),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 20),
            None => match text.strip_suffix(['G', 'g']) {
                Some(digits) => (digits, 30),
                None => (text, 0),
            },
        },
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count = is_number.then(|| digits.parse::<u64>().ok()).flatten();
    count
        .and_then(|count| count.checked_mul(1 << shift))
        .ok_or_else(refuse)
}

/// Bytes in the largest unit that leaves a number of at least one.
pub(crate) fn bytes(count: u64) -> String {
    let mut scaled = lossy(count);
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = larger;
    }
    if unit == "B" {
        format!("{count} B")
    } else {
        format!("{scaled:.1} {unit}")
    }
}

/// A time in the unit that leaves one to three digits before the point.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.000_999_5 {
        format!("{:.0} us", seconds * 1e6)
    } else if seconds < 0.999_5 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// As [`time`], with nanoseconds below ten microseconds.
pub(crate) fn fine_time(elapsed: Duration) -> String {
    if elapsed < Duration::from_micros(10) {
        format!("{} ns", elapsed.as_nanos())
    } else {
        time(elapsed)
    }
}

/// `count` for each second of `time`.
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    lossy(count) / time.as_secs_f64().max(1e-9)
}

/// `count` divided by `by`; none if `by` is zero.
pub(crate) fn ratio(count: u64, by: u64) -> Option<f64> {
    (by > 0).then(|| lossy(count) / lossy(by))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure for people, shown with a few digits"
)]
fn lossy(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_powers_of_1024() {
        for (text, expected) in [("0", 0), ("8192", 8192), ("64K", 65_536), ("1g", 1 << 30)] {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "K", "1T", "-1", "+1", "1.5M", "99999999999G"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_in_a_readable_unit() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(time(Duration::from_micros(250)), "250 us");
        assert_eq!(time(Duration::from_micros(1_500)), "1.5 ms");
        assert_eq!(time(Duration::from_millis(2_250)), "2.25 s");
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(ratio(3, 0), None);
        assert_eq!(ratio(3, 2), Some(1.5));
    }
}
