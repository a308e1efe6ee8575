//! Reading a line of filter terms.

use shepard_model::State;

use super::FilterError;
use super::needle::{Fuzzy, Needle, Pattern};
use super::test::{Compare, Number, Place, Term, Test, Text, state_bits};

/// The fields, as an error lists them.
const FIELDS: &str = "key, tag, id, reason, state, exit, attempts, age, took";
/// One character of a term and whether it stood in quotes, where signs mean nothing.
#[derive(Clone, Copy)]
struct Sign {
    what: char,
    quoted: bool,
    at: usize,
}

pub(super) fn terms(line: &str) -> Result<Vec<Term>, FilterError> {
    split(line)?.iter().map(|word| term(word)).collect()
}

fn error(at: usize, message: impl Into<String>) -> FilterError {
    FilterError { at, message: message.into() }
}

/// Cuts the line at spaces that stand neither in quotes nor in a regex.
fn split(line: &str) -> Result<Vec<Vec<Sign>>, FilterError> {
    let (mut words, mut word) = (Vec::new(), Vec::<Sign>::new());
    let mut quote = None;
    let mut signs = line.chars().enumerate();
    while let Some((at, what)) = signs.next() {
        if quote.is_some() {
            if what == '"' {
                quote = None;
            } else {
                word.push(Sign { what, quoted: true, at });
            }
        } else if what == '"' {
            quote = Some(at);
            // An empty pair of quotes is still a word, and no sign before it is one alone.
            if word.is_empty() {
                word.push(Sign { what: '\0', quoted: true, at });
            }
        } else if what.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else if what == '/' && begins_regex(&word) {
            word.push(Sign { what, quoted: false, at });
            regex_body(&mut signs, &mut word, at)?;
        } else {
            word.push(Sign { what, quoted: false, at });
        }
    }
    if let Some(at) = quote {
        return Err(error(at, "this quote is not closed"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// A slash begins a regex at the start of a term, after `!` and after `field:`; elsewhere it is part of a path.
fn begins_regex(word: &[Sign]) -> bool {
    match word.last() {
        None => true,
        Some(Sign { what: '!', quoted: false, .. }) => word.len() == 1,
        Some(Sign { what: ':', quoted: false, .. }) => {
            let from = usize::from(word[0].what == '!' && !word[0].quoted);
            word[from..word.len() - 1].iter().all(|sign| !sign.quoted && sign.what.is_ascii_alphabetic())
        }
        _ => false,
    }
}

fn regex_body(
    signs: &mut impl Iterator<Item = (usize, char)>,
    word: &mut Vec<Sign>,
    start: usize,
) -> Result<(), FilterError> {
    let mut escaped = false;
    for (at, what) in signs {
        let end = what == '/' && !escaped;
        if escaped && what == '/' {
            word.pop();
        }
        // Marked as quoted, so that nothing in an expression is taken for a sign of ours.
        word.push(Sign { what, quoted: !end, at });
        if end {
            return Ok(());
        }
        escaped = what == '\\' && !escaped;
    }
    Err(error(start, "this regex is not closed: end it with /, or put \"quotes\" around a path"))
}

fn term(word: &[Sign]) -> Result<Term, FilterError> {
    let (inverse, rest) = match word {
        [Sign { what: '!', quoted: false, at }] => return Err(error(*at, "! needs a term after it")),
        [Sign { what: '!', quoted: false, .. }, rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    Ok(Term { inverse, test: test(rest)? })
}

fn test(word: &[Sign]) -> Result<Test, FilterError> {
    let colon = word.iter().position(|sign| sign.what == ':' && !sign.quoted);
    let Some(colon) = colon.filter(|&colon| is_name(&word[..colon])) else {
        return Ok(Test::Text(Place::Any, text(word)?));
    };
    let (at, name, value) = (word[0].at, plain(&word[..colon]), &word[colon + 1..]);
    if value.is_empty() {
        return if is_field(&name) {
            Err(error(at, format!("{name}: needs a value after it")))
        } else {
            Err(unknown(at, &name))
        };
    }
    match name.to_ascii_lowercase().as_str() {
        "key" | "input" => Ok(Test::Text(Place::Key, text(value)?)),
        "tag" => Ok(Test::Text(Place::Tag, text(value)?)),
        "id" | "job" => Ok(Test::Text(Place::Id, text(value)?)),
        "reason" | "why" => Ok(Test::Text(Place::Reason, text(value)?)),
        "state" => states(value),
        "exit" => number(Number::Exit, value, Compare::Equal),
        "attempts" => number(Number::Attempts, value, Compare::Equal),
        "age" => number(Number::Age, value, Compare::AtMost),
        "took" => number(Number::Took, value, Compare::AtLeast),
        _ => Err(unknown(at, &name)),
    }
}

fn is_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "input" | "job" | "why") || FIELDS.split(", ").any(|field| field == name)
}

fn unknown(at: usize, name: &str) -> FilterError {
    error(
        at,
        format!("no field {name}; there are {FIELDS}. To search for the text, put \"quotes\" around it"),
    )
}

/// Only letters before a colon name a field, so that `12:30` and `s3://bucket/key` (no such field, a digit) stay text.
fn is_name(word: &[Sign]) -> bool {
    !word.is_empty() && word.iter().all(|sign| !sign.quoted && sign.what.is_ascii_alphabetic())
}

fn plain(word: &[Sign]) -> String {
    word.iter().map(|sign| sign.what).filter(|&what| what != '\0').collect()
}

fn text(word: &[Sign]) -> Result<Text, FilterError> {
    match word {
        [Sign { what: '~', quoted: false, at }] => Err(error(*at, "~ needs letters after it")),
        [Sign { what: '~', quoted: false, .. }, rest @ ..] => Ok(Text::Fuzzy(Fuzzy::new(&plain(rest)))),
        [Sign { what: '/', quoted: false, at }, body @ .., Sign { what: '/', quoted: false, .. }] => {
            Pattern::new(&plain(body))
                .map(|pattern| Text::Regex(Box::new(pattern)))
                .map_err(|why| error(*at, regex_error(&why)))
        }
        word => Ok(Text::Plain(Box::new(Needle::new(&plain(word))))),
    }
}

/// The last line of the library's message; the ones before it draw a picture of the pattern.
fn regex_error(why: &regex::Error) -> String {
    let message = why.to_string();
    let last = message.lines().last().unwrap_or_default();
    format!("this regex cannot be read: {}", last.trim_start_matches("error: "))
}

fn states(value: &[Sign]) -> Result<Test, FilterError> {
    let mut bits = 0;
    for word in plain(value).split(',').filter(|word| !word.is_empty()) {
        let word = word.to_ascii_lowercase();
        let group = |name: &str| !word.is_empty() && name.starts_with(&word);
        let found = state_bits(State::ALL.into_iter().filter(|state| {
            group(state.word())
                || (word == "active" && !state.is_terminal())
                || (word == "done" && state.is_terminal())
                || (word == "fault" && state.is_fault())
        }));
        if found == 0 {
            let words: Vec<_> = State::ALL.into_iter().map(State::word).collect();
            let at = value.first().map_or(0, |sign| sign.at);
            return Err(error(
                at,
                format!("no state {word}; there are {}, active, done, fault", words.join(", ")),
            ));
        }
        bits |= found;
    }
    Ok(Test::State(bits))
}

fn number(number: Number, value: &[Sign], bare: Compare) -> Result<Test, FilterError> {
    let at = value.first().map_or(0, |sign| sign.at);
    let value = plain(value);
    let signs = [
        (">=", Compare::AtLeast),
        ("<=", Compare::AtMost),
        ("!=", Compare::Not),
        (">", Compare::More),
        ("<", Compare::Less),
        ("=", Compare::Equal),
    ];
    let (compare, digits) = signs
        .into_iter()
        .find_map(|(sign, compare)| value.strip_prefix(sign).map(|rest| (compare, rest)))
        .unwrap_or((bare, &value));
    let parsed = match number {
        Number::Exit | Number::Attempts => digits.parse().ok(),
        Number::Age | Number::Took => duration_ms(digits),
    };
    let want = parsed.ok_or_else(|| match number {
        Number::Exit | Number::Attempts => error(at, format!("`{digits}` is not a whole number")),
        Number::Age | Number::Took => {
            error(at, format!("`{digits}` is not a time: write it as 30s, 5m, 1h30m or 2d"))
        }
    })?;
    Ok(Test::Number(number, compare, want))
}

/// `1h30m` in milliseconds. A number without a unit is no time, for it could mean anything.
fn duration_ms(text: &str) -> Option<i64> {
    let (mut rest, mut total) = (text, 0_i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(count.checked_mul(unit)?)?;
    }
    Some(total)
}
