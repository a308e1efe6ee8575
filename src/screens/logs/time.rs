//! Times of log lines as they are written, and as a person types them. All of them are UTC.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::screens::utc;

/// How much of the time stands before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stamps {
    /// `14:05:30`.
    #[default]
    Short,
    /// `2026-01-31T14:05:30.123Z`.
    Full,
    /// Nothing.
    Off,
}

impl Stamps {
    /// The next of the three.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Short => Self::Full,
            Self::Full => Self::Off,
            Self::Off => Self::Short,
        }
    }

    /// A time; always as long as [`Stamps::width`].
    pub(super) fn write(self, at_ms: i64) -> String {
        match self {
            Self::Short => utc::time(at_ms),
            Self::Full => utc::full(at_ms),
            Self::Off => String::new(),
        }
    }

    /// Columns it takes.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Short => 8,
            Self::Full => 24,
            Self::Off => 0,
        }
    }
}

/// What a person means by a time, in a log whose newest line is from `end_ms`: `14:05`, `14:05:30` (the last time it
/// was that late), `-10m` (before the end), or a date with a time.
///
/// # Errors
/// What the text should have looked like.
pub(super) fn parse(text: &str, end_ms: i64) -> Result<i64, String> {
    let text = text.trim();
    let wrong = || format!("{text:?} is not a time; write 14:05, 14:05:30, -10m or 2026-01-31T14:05 (UTC)");
    if let Some(back) = text.strip_prefix('-') {
        let ago: SignedDuration = back.trim().parse().map_err(|_| wrong())?;
        let ago = i64::try_from(ago.as_millis()).map_err(|_| wrong())?;
        return Ok(end_ms.saturating_sub(ago.max(0)));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).map(|at| at.timestamp().as_millisecond()).ok();
    if text.len() >= 10 && text.parse::<Date>().is_ok() {
        return text.parse::<DateTime>().ok().and_then(utc).ok_or_else(wrong);
    }
    let at = ["%H:%M:%S", "%H:%M"]
        .into_iter()
        .find_map(|format| Time::strptime(format, text).ok())
        .ok_or_else(wrong)?;
    let end = Timestamp::from_millisecond(end_ms).map_err(|_| wrong())?.to_zoned(TimeZone::UTC);
    let today = utc(end.date().to_datetime(at)).ok_or_else(wrong)?;
    // It had not been that late yet on the log's last day: the day before is meant.
    Ok(if today > end_ms { today - 86_400_000 } else { today })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("timestamp").as_millisecond()
    }

    #[test]
    fn stamps_are_utc_and_of_one_width() {
        let time = at("2026-01-31T14:05:30.120Z");
        assert_eq!(Stamps::Short.write(time), "14:05:30");
        assert_eq!(Stamps::Full.write(time), "2026-01-31T14:05:30.120Z");
        for stamps in [Stamps::Short, Stamps::Full, Stamps::Off] {
            for time in [0, time, i64::MIN, i64::MAX, -100_000_000_000_000] {
                assert_eq!(stamps.write(time).chars().count(), stamps.width());
            }
        }
    }

    #[test]
    fn a_time_of_day_is_the_last_one_before_the_end_of_the_log() {
        let end = at("2026-02-01T10:00:00Z");
        for (typed, meant) in [
            ("09:59", "2026-02-01T09:59:00Z"),
            ("9:59:30", "2026-02-01T09:59:30Z"),
            ("14:05", "2026-01-31T14:05:00Z"),
            ("-10m", "2026-02-01T09:50:00Z"),
            ("-1h30m", "2026-02-01T08:30:00Z"),
            ("2026-01-31T14:05", "2026-01-31T14:05:00Z"),
            ("2026-01-31 14:05:01", "2026-01-31T14:05:01Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T14:05+02:00", "2026-01-31T12:05:00Z"),
        ] {
            assert_eq!(parse(typed, end), Ok(at(meant)), "{typed}");
        }
        for typed in ["", "soon", "25:00", "-", "-x", "14"] {
            assert!(parse(typed, end).is_err(), "{typed}");
        }
    }
}
