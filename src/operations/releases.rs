//! Releases: what was deployed, which of it runs, and going back to another.
//!
//! A repository keeps a release under a tag of the release's name. `latest` is a second name of one of them, and going
//! back is giving `latest` to another: nothing is pulled, built or pushed. The releases of a flock of this machine are
//! in the file `releases.json` of its folder.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds since the epoch, as its name says.
    pub at_ms: i64,
    /// Digest of the flock's image in a repository, id of the payload's image in a flock of this machine. None where
    /// the registry would not say.
    pub image: Option<String>,
    /// The flock runs this one.
    pub current: bool,
}

/// Hexadecimal digits of an image at the end of a name.
const DIGITS: usize = 8;

/// The name of a release that is made now of this image: `20261121-093000-0a1b2c3d`, in UTC.
pub fn name(at_ms: i64, image: &str) -> String {
    let hex = image.rsplit(':').next().unwrap_or_default();
    let hex: String = hex.chars().filter(char::is_ascii_hexdigit).take(DIGITS).collect();
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(TimeZone::UTC);
    format!("{}-{hex:0>DIGITS$}", at.strftime("%Y%m%d-%H%M%S"))
}

/// When a release was made, in milliseconds since the epoch; None for a tag that names no release.
pub fn made_at_ms(name: &str) -> Option<i64> {
    let (at, hex) = name.rsplit_once('-')?;
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let (day, time) = at.split_once('-')?;
    let is_hex = hex.len() == DIGITS && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hex || !digits(day, 8) || !digits(time, 6) {
        return None;
    }
    let at = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", at).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_it_was_made_and_of_what() {
        let id = "sha256:0a1b2c3d4e5f";
        assert_eq!(name(1_795_252_200_123, id), "20261121-091000-0a1b2c3d");
        assert_eq!(made_at_ms("20261121-091000-0a1b2c3d"), Some(1_795_252_200_000));
        for other in [
            "latest",
            "payload-20261121-091000-0a1b2c3d",
            "20261121-091000-0a1b2c3",
            "20261121-091000-0A1B2C3D",
            "20261321-091000-0a1b2c3d",
            "20261121-096000-0a1b2c3d",
            "2026112-1091000-0a1b2c3d",
            "",
        ] {
            assert_eq!(made_at_ms(other), None, "{other}");
        }
    }
}
