//! The code that a device for multi-factor authentication shows: six digits, good for one use within a minute.
//!
//! It never prints itself, never serialises, and its digits are wiped when it goes.

use std::fmt;

use zeroize::Zeroizing;

/// Digits of a code.
pub const DIGITS: usize = 6;

/// A code.
#[derive(Clone, PartialEq, Eq)]
pub struct MfaCode(Zeroizing<[u8; DIGITS]>);

/// What was typed is no code. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an MFA code has {DIGITS} digits")]
pub struct NoCode;

impl MfaCode {
    /// Reads one, spaces around it aside.
    ///
    /// # Errors
    /// Anything but six digits.
    pub fn parse(text: &str) -> Result<Self, NoCode> {
        let digits: [u8; DIGITS] = text.trim().as_bytes().try_into().map_err(|_| NoCode)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(Zeroizing::new(digits))) } else { Err(NoCode) }
    }

    /// The digits, for the one request that carries them.
    pub fn reveal(&self) -> &str {
        std::str::from_utf8(self.0.as_slice()).unwrap_or_default()
    }
}

impl fmt::Debug for MfaCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MfaCode(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_and_nothing_else_and_never_in_debug() {
        let code = MfaCode::parse(" 918273\n").expect("a code");
        assert_eq!(code.reveal(), "918273");
        assert!(!format!("{code:?} {:?}", Some(&code)).contains("918"));
        for bad in ["", "12345", "1234567", "12345x", "١٢٣٤٥٦", "123 456", "-12345"] {
            let error = MfaCode::parse(bad).expect_err(bad);
            assert!(bad.is_empty() || !error.to_string().contains(bad));
        }
    }
}
