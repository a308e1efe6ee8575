//! Durations, ages, sizes and counts as people read them. Takes numbers; asks no clock.

/// A duration in two units: `850ms`, `42s`, `3m12s`, `2h05m`, `4d03h`. Nothing below zero.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let (s, m, h, d) = (ms / 1_000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..10_000 => format!("{s}.{}s", ms % 1_000 / 100),
        10_000..60_000 => format!("{s}s"),
        60_000..3_600_000 => format!("{m}m{:02}s", s % 60),
        3_600_000..86_400_000 => format!("{h}h{:02}m", m % 60),
        _ => format!("{d}d{:02}h", h % 24),
    }
}

/// How long ago, in one unit: `now`, `42s`, `3m`, `2h`, `4d`. The future is now: clocks differ.
pub fn age(ms: i64) -> String {
    match ms {
        ..1_000 => "now".to_owned(),
        1_000..60_000 => format!("{}s", ms / 1_000),
        60_000..3_600_000 => format!("{}m", ms / 60_000),
        3_600_000..86_400_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// A size in powers of 1000, two digits at least: `0 B`, `999 B`, `1.2 kB`, `37 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1_000.0, 0);
    // From 999.5 on it would be written as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// A number with a comma between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Events a second: `0/s`, `0.3/s`, `12/s`.
pub fn rate(per_s: f64) -> String {
    match per_s {
        _ if per_s < 0.005 => "0/s".to_owned(),
        _ if per_s < 0.1 => format!("{per_s:.2}/s"),
        _ if per_s < 9.95 => format!("{per_s:.1}/s"),
        _ => format!("{per_s:.0}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_people_write() {
        let durations = [-5, 0, 850, 1_250, 9_999, 42_900, 192_000, 7_500_000, 356_400_000];
        let written = ["0ms", "0ms", "850ms", "1.2s", "9.9s", "42s", "3m12s", "2h05m", "4d03h"];
        assert_eq!(durations.map(duration), written);
        assert_eq!([-9, 999, 59_999, 60_000, 90_000_000].map(age), ["now", "now", "59s", "1m", "1d"]);
        assert_eq!(
            [0, 999, 1_000, 9_949, 9_960, 999_499, 999_500].map(size),
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB"]
        );
        assert_eq!(size(u64::MAX), "18 EB");
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.05, 0.33, 12.4].map(rate), ["0/s", "0.05/s", "0.3/s", "12/s"]);
    }
}
