//! Searching one text: substring and fuzzy, smart case, without allocation per text.

use memchr::memmem::Finder;
use nucleo_matcher::pattern::{Atom, AtomKind, CaseMatching, Normalization};
use nucleo_matcher::{Matcher, Utf32Str};
use regex::{Regex, RegexBuilder};

use crate::app::store::char_mask;

/// A regex that compiles to more than this is refused, so that a typo cannot take the memory of the machine.
const REGEX_LIMIT: usize = 1 << 20;

/// A text to find in others. Case counts only if it has a capital.
#[derive(Debug, Clone)]
pub struct Needle {
    text: String,
    exact_case: bool,
    finder: Finder<'static>,
    mask: u64,
}

impl Needle {
    /// Looks for `text`.
    pub fn new(text: &str) -> Self {
        let exact_case = text.chars().any(char::is_uppercase);
        Self {
            text: text.to_owned(),
            exact_case,
            finder: Finder::new(text.as_bytes()).into_owned(),
            mask: required_mask(text, exact_case),
        }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether it is in every text.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether `text` contains it.
    pub fn is_in(&self, text: &str) -> bool {
        if self.exact_case {
            return self.finder.find(text.as_bytes()).is_some();
        }
        if self.text.is_ascii() { self.in_ascii(text.as_bytes()) } else { self.in_unicode(text) }
    }

    /// The bits a text must have, by [`char_mask`], for this to be in it.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// Whether it could be part of a text of hex digits.
    pub fn could_be_hex(&self) -> bool {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        self.text.bytes().all(hex)
    }

    /// ASCII without case: lowers a window of the text at a time, so that the fast search can be used.
    fn in_ascii(&self, text: &[u8]) -> bool {
        const WINDOW: usize = 256;
        let length = self.text.len();
        if length > WINDOW / 2 {
            return text.windows(length).any(|part| part.eq_ignore_ascii_case(self.text.as_bytes()));
        }
        let mut lowered = [0; WINDOW];
        let mut rest = text;
        while rest.len() >= length {
            let size = rest.len().min(WINDOW);
            for (to, from) in lowered.iter_mut().zip(&rest[..size]) {
                *to = from.to_ascii_lowercase();
            }
            if self.finder.find(&lowered[..size]).is_some() {
                return true;
            }
            if size == rest.len() {
                return false;
            }
            // The next window begins early enough for a match across the border.
            rest = &rest[size + 1 - length..];
        }
        length == 0
    }

    fn in_unicode(&self, text: &str) -> bool {
        let begins = |part: &str| {
            let mut have = part.chars().flat_map(char::to_lowercase);
            self.text.chars().flat_map(char::to_lowercase).all(|want| have.next() == Some(want))
        };
        text.char_indices().any(|(at, _)| begins(&text[at..]))
    }
}

/// What a text must have for `text` to be in it. Letters beyond ASCII may change their bytes with their case, so
/// unless the case counts they ask for nothing.
fn required_mask(text: &str, exact_case: bool) -> u64 {
    if exact_case || text.is_ascii() {
        return char_mask(text);
    }
    text.chars().filter(char::is_ascii).fold(0, |mask, c| mask | char_mask(c.encode_utf8(&mut [0; 4])))
}

/// Letters to find in order, with anything between them. Case counts only if there is a capital; an accent only if
/// the needle has it.
#[derive(Debug, Clone)]
pub struct Fuzzy {
    text: String,
    exact_case: bool,
    atom: Atom,
    mask: u64,
}

impl Fuzzy {
    /// Looks for the letters of `text`.
    pub fn new(text: &str) -> Self {
        let exact_case = text.chars().any(char::is_uppercase);
        let atom = Atom::new(text, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy, false);
        // An accent of the haystack may be dropped, so only a needle of ASCII in one of ASCII says anything.
        let mask = if text.is_ascii() { char_mask(text) } else { 0 };
        Self { text: text.to_owned(), exact_case, atom, mask }
    }

    /// The bits an ASCII text must have, by [`char_mask`], for this to be in it.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// Whether the letters are in `text`, in order. A table is sorted by its column, never by a score, so for
    /// plain text it is enough to look; the matcher is asked where letters have accents.
    pub fn is_in(&self, text: &str, matcher: &mut Matcher, chars: &mut Vec<char>) -> bool {
        if self.text.is_ascii() && text.is_ascii() {
            return self.in_ascii(text.as_bytes());
        }
        self.atom.score(Utf32Str::new(text, chars), matcher).is_some()
    }

    fn in_ascii(&self, text: &[u8]) -> bool {
        let mut rest = text;
        self.text.bytes().all(|want| {
            let found = if self.exact_case {
                memchr::memchr(want, rest)
            } else {
                memchr::memchr2(want, want.to_ascii_uppercase(), rest)
            };
            found.is_some_and(|at| {
                rest = &rest[at + 1..];
                true
            })
        })
    }
}

/// A regular expression. Case counts only if it has a capital.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    /// The same with case, for texts in lower case: a good deal faster, as fixed parts of it can be searched for.
    lowered: Option<Regex>,
}

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// If it is none, or would take too much memory.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        let build =
            |fold: bool| RegexBuilder::new(pattern).case_insensitive(fold).size_limit(REGEX_LIMIT).build();
        let fold = !pattern.chars().any(char::is_uppercase);
        let regex = build(fold)?;
        // A character written by its number may be a capital, and flags may bring the case back.
        let plain =
            pattern.is_ascii() && !["\\x", "\\u", "\\p", "(?"].iter().any(|part| pattern.contains(part));
        let lowered = if fold && plain { build(false).ok() } else { None };
        Ok(Self { regex, lowered })
    }

    /// Whether it matches anywhere in `text`. `buffer` is room to work in.
    pub fn is_in(&self, text: &str, buffer: &mut String) -> bool {
        match &self.lowered {
            Some(lowered) if text.is_ascii() => {
                buffer.clear();
                buffer.push_str(text);
                buffer.make_ascii_lowercase();
                lowered.is_match(buffer)
            }
            _ => self.regex.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use nucleo_matcher::Config;
    use proptest::prelude::*;

    use super::*;

    fn plain(needle: &str, text: &str) -> bool {
        if needle.chars().any(char::is_uppercase) {
            text.contains(needle)
        } else {
            text.to_lowercase().contains(&needle.to_lowercase())
        }
    }

    proptest! {
        #[test]
        fn a_substring_is_found_as_the_plain_way_finds_it(
            text in "[a-cA-Cé ]{0,300}", needle in "[a-cA-C]{0,3}|[a-ché]{1,3}"
        ) {
            let found = Needle::new(&needle);
            prop_assert_eq!(found.is_in(&text), plain(&needle, &text));
            if found.is_in(&text) {
                prop_assert_eq!(found.mask() & !char_mask(&text), 0);
            }
        }

        #[test]
        fn fuzzy_is_what_the_matcher_says(text in "[a-dA-D/.]{0,40}", needle in "[a-d/]{1,4}|[A-Da-d]{1,4}") {
            let fuzzy = Fuzzy::new(&needle);
            let mut matcher = Matcher::new(Config::DEFAULT);
            let mut chars = Vec::new();
            let by_matcher = fuzzy.atom.score(Utf32Str::new(&text, &mut Vec::new()), &mut matcher).is_some();
            let found = fuzzy.is_in(&text, &mut matcher, &mut chars);
            prop_assert_eq!(found, by_matcher);
            if found {
                prop_assert_eq!(fuzzy.mask() & !char_mask(&text), 0);
            }
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_as_the_plain_regex_does(
            text in "[a-cA-Cé/ ]{0,12}", pattern in r"[a-c^$.]{1,4}|[a-cA-C]{1,3}|\\x41b|(?-i:a)b|[^a]b?|\\W[a-c]|\\pLb"
        ) {
            if let Ok(found) = Pattern::new(&pattern) {
                let plain = RegexBuilder::new(&pattern)
                    .case_insensitive(!pattern.chars().any(char::is_uppercase))
                    .build()
                    .expect("the other one was built");
                prop_assert_eq!(found.is_in(&text, &mut String::new()), plain.is_match(&text), "{} in {}", pattern, text);
            }
        }
    }

    #[test]
    fn a_match_across_the_border_of_a_window_is_found() {
        for at in 240..270 {
            let text = format!("{}Needle{}", "x".repeat(at), "y".repeat(300));
            assert!(Needle::new("needle").is_in(&text), "{at}");
            assert!(!Needle::new("needlex").is_in(&text), "{at}");
        }
    }

    #[test]
    fn long_needles_and_accents() {
        let long = "ab".repeat(100);
        assert!(Needle::new(&long).is_in(&long.to_uppercase()));
        assert!(Needle::new("éa").is_in("xÉA"));
        let mut matcher = Matcher::new(Config::DEFAULT);
        assert!(Fuzzy::new("ea").is_in("xÉbA", &mut matcher, &mut Vec::new()), "an accent may be left out");
    }
}
