//! Time that only goes forward, and the identity of the running boot.

#![cfg_attr(
    not(all(shuttle, feature = "shuttle")),
    expect(unsafe_code, reason = "std's Instant cannot be kept in an atomic word")
)]

use std::fs;

/// Where Linux names the boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Nanoseconds since some moment before this process began; never goes back.
#[cfg(not(all(shuttle, feature = "shuttle")))]
pub fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a timespec that the call may write. The clock exists on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(all(shuttle, feature = "shuttle"))]
pub(crate) use crate::sync::clock::now_ns;

/// Which boot of the machine this is; all zero if that cannot be found out.
pub fn boot_id() -> [u8; 16] {
    let text = fs::read_to_string(BOOT_ID).unwrap_or_default();
    parse(text.trim()).unwrap_or_default()
}

/// The bytes of a hyphenated UUID.
fn parse(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
    let mut bytes = number.to_le_bytes();
    bytes.reverse();
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        let times: Vec<_> = (0..1000).map(|_| now_ns()).collect();
        assert!(times.is_sorted());
        assert!(times[0] > 0);
    }

    #[test]
    fn uuid_is_read_in_the_order_in_which_it_is_written() {
        let bytes = parse("00010203-0405-0607-0809-0a0b0c0d0e0f").unwrap();
        assert_eq!(
            bytes,
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
        );
        assert_eq!(parse("no boot"), None);
    }

    #[test]
    fn boot_keeps_its_identity() {
        assert_eq!(boot_id(), boot_id());
    }
}
