//! Moments as the screens write them. All of them are UTC: a flock's machines are in many places, and two people who
//! speak of 14:05 must mean one moment.

use jiff::Timestamp;

/// `14:05:30`.
pub(super) fn time(at_ms: i64) -> String {
    write(at_ms, "%H:%M:%S", 8)
}

/// `2026-01-31`.
pub(super) fn day(at_ms: i64) -> String {
    write(at_ms, "%Y-%m-%d", 10)
}

/// `2026-01-31 14:05:30 UTC`.
pub(super) fn moment(at_ms: i64) -> String {
    write(at_ms, "%Y-%m-%d %H:%M:%S UTC", 23)
}

/// `2026-01-31T14:05:30.123Z`.
pub(super) fn full(at_ms: i64) -> String {
    write(at_ms, "%Y-%m-%dT%H:%M:%S.%3fZ", 24)
}

/// A time of the format; question marks, as many as it has columns, for what is no time of our era.
fn write(at_ms: i64, format: &str, width: usize) -> String {
    /// The first millisecond of the year 10000.
    const END: i64 = 253_402_300_800_000;
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) if (0..END).contains(&at_ms) => at.strftime(format).to_string(),
        _ => "?".repeat(width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_keeps_its_width() {
        let at = 1_769_868_330_120;
        assert_eq!(time(at), "14:05:30");
        assert_eq!(day(at), "2026-01-31");
        assert_eq!(moment(at), "2026-01-31 14:05:30 UTC");
        assert_eq!(full(at), "2026-01-31T14:05:30.120Z");
        for odd in [i64::MIN, -1, 0, 253_402_300_799_999, 253_402_300_800_000, i64::MAX] {
            assert_eq!([time(odd), day(odd), moment(odd), full(odd)].map(|text| text.len()), [8, 10, 23, 24]);
        }
    }
}
