//! `.dockerignore`: which files of a folder a build does not get.
//!
//! The rules are those of moby's own matcher, not those of Git: a pattern begins at the folder, whatever it looks like;
//! `*` and `?` stop at a slash; `**` is any number of directories; the last line that says something of a file decides;
//! and a line with `!` brings back what an earlier one took, also out of a directory that was left out.
//!
//! A pattern is followed through a name as a set of places, so that no pattern takes longer than its length times the
//! name's.

use std::fmt;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// It brings back.
    brings_back: bool,
    parts: Vec<Part>,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This character.
    Exactly(char),
    /// Any but a slash.
    One,
    /// Any number of characters that are no slash.
    Some,
    /// Any number of whole directories, none included.
    Directories,
    /// Anything at all, slashes included.
    Anything,
    /// One of these ranges, or none of them.
    Class(bool, Vec<(char, char)>),
}

/// A line that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of .dockerignore: {}", self.number, self.why)
    }
}

/// A `.dockerignore` that was read. The default leaves nothing out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// Which rules speak of a directory. What lies in it is judged with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Above(Vec<bool>);

impl Ignore {
    /// Reads one.
    ///
    /// # Errors
    /// The first line that is no pattern. The builder would refuse it, too.
    pub fn read(bytes: &[u8]) -> Result<Self, BadLine> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut rules = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = characters(line);
            if line.first() == Some(&'#') {
                continue;
            }
            let line = trimmed(&line);
            let Some(first) = line.first() else { continue };
            let bad = |why| BadLine { number: index + 1, why };
            let brings_back = *first == '!';
            let pattern = trimmed(if brings_back { &line[1..] } else { line });
            if pattern.is_empty() {
                return Err(bad("a ! must have a pattern after it"));
            }
            rules.push(Rule { brings_back, parts: parts(&cleaned(pattern)).map_err(bad)? });
        }
        Ok(Self { rules })
    }

    /// Whether a path is left out, and what is to be known for those in it. The path is relative to the folder; `above`
    /// is what this gave for the directory that it lies in, the default for the folder itself.
    pub fn leaves_out(&self, path: &[u8], above: &Above) -> (bool, Above) {
        let path = characters(path);
        let mut out = false;
        let mut matched = vec![false; self.rules.len()];
        for (index, rule) in self.rules.iter().enumerate() {
            let mut matches = above.0.get(index).copied().unwrap_or_default();
            // A rule that could change nothing is not asked: so does moby, and what lies below is judged accordingly.
            if !matches && rule.brings_back == out {
                matches = places(&rule.parts, &path).last().copied().unwrap_or_default();
            }
            matched[index] = matches;
            if matches {
                out = !rule.brings_back;
            }
        }
        (out, Above(matched))
    }

    /// Whether a line could bring back something that lies in a directory.
    pub fn may_bring_back(&self, directory: &[u8]) -> bool {
        let mut beginning = characters(directory);
        beginning.push('/');
        let mut rules = self.rules.iter().filter(|rule| rule.brings_back);
        rules.any(|rule| places(&rule.parts, &beginning).contains(&true))
    }
}

/// Bytes as characters. What is none in UTF-8 becomes one substitute a byte, as a `?` takes it.
fn characters(bytes: &[u8]) -> Vec<char> {
    let mut characters = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        characters.extend(chunk.valid().chars());
        characters.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    characters
}

fn trimmed(line: &[char]) -> &[char] {
    let start = line.iter().position(|c| !c.is_whitespace()).unwrap_or(line.len());
    let end = line.iter().rposition(|c| !c.is_whitespace()).map_or(start, |last| last + 1);
    &line[start..end]
}

/// The pattern as a path from the folder: no empty part, no `.`, `..` resolved where there is something to resolve.
fn cleaned(pattern: &[char]) -> Vec<char> {
    let mut parts: Vec<&[char]> = Vec::new();
    let rooted = pattern.first() == Some(&'/');
    for part in pattern.split(|c| *c == '/') {
        match part {
            [] | ['.'] => {}
            ['.', '.'] if parts.last().is_some_and(|last| *last != ['.', '.']) => drop(parts.pop()),
            ['.', '.'] if rooted => {}
            _ => parts.push(part),
        }
    }
    match parts.join(&'/') {
        nothing if nothing.is_empty() => vec![if rooted { '/' } else { '.' }],
        pattern => pattern,
    }
}

fn parts(pattern: &[char]) -> Result<Vec<Part>, &'static str> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut at = 0;
    while let Some(c) = pattern.get(at) {
        at += 1;
        match c {
            '*' if pattern.get(at) == Some(&'*') => {
                let first = at == 1;
                at += 1;
                let slash = pattern.get(at) == Some(&'/');
                at += usize::from(slash);
                // At the end it is everything below. At the very beginning without a slash after it, moby takes what
                // follows as the end of any name, unless that has wildcards of its own.
                let plain = !pattern[at..].iter().any(|c| matches!(c, '*' | '?' | '[' | ']' | '\\'));
                let anything = at == pattern.len() || (first && !slash && plain);
                parts.push(if anything { Part::Anything } else { Part::Directories });
            }
            '*' => parts.push(Part::Some),
            '?' => parts.push(Part::One),
            '[' => {
                let (class, end) = class(pattern, at)?;
                parts.push(class);
                at = end;
            }
            '\\' => {
                let escaped = pattern.get(at).ok_or("a \\ at its end escapes nothing")?;
                parts.push(Part::Exactly(*escaped));
                at += 1;
            }
            c => parts.push(Part::Exactly(*c)),
        }
    }
    Ok(parts)
}

/// A class whose first character is at `at`; gives where the pattern goes on.
fn class(pattern: &[char], mut at: usize) -> Result<(Part, usize), &'static str> {
    const OPEN: &str = "a [ has no ]";
    let except = pattern.get(at) == Some(&'^');
    at += usize::from(except);
    let mut ranges = Vec::new();
    let one = |at: &mut usize| match pattern.get(*at) {
        Some('\\') => {
            *at += 2;
            pattern.get(*at - 1).copied().ok_or(OPEN)
        }
        Some('-' | ']') => {
            Err("a class in [ ] has a - or a ] where a character should be; write \\ before it")
        }
        Some(c) => {
            *at += 1;
            Ok(*c)
        }
        None => Err(OPEN),
    };
    loop {
        if pattern.get(at) == Some(&']') && !ranges.is_empty() {
            return Ok((Part::Class(except, ranges), at + 1));
        }
        let low = one(&mut at)?;
        let high = if pattern.get(at) == Some(&'-') {
            at += 1;
            one(&mut at)?
        } else {
            low
        };
        if low > high {
            return Err("a range in [ ] runs backwards");
        }
        ranges.push((low, high));
    }
}

/// Where in the pattern one can be after the whole name; the last place is its end.
fn places(parts: &[Part], name: &[char]) -> Vec<bool> {
    let mut now = vec![false; parts.len() + 1];
    now[0] = true;
    skip(parts, &mut now);
    // A place within `Directories` from which only a slash leads on.
    let mut within = vec![false; parts.len()];
    for c in name {
        let mut next = vec![false; parts.len() + 1];
        for (index, part) in parts.iter().enumerate() {
            let here = now[index];
            match part {
                Part::Exactly(wanted) => next[index + 1] |= here && wanted == c,
                Part::One => next[index + 1] |= here && *c != '/',
                Part::Some => next[index] |= here && *c != '/',
                Part::Anything => next[index] |= here,
                Part::Class(except, ranges) => {
                    let among = ranges.iter().any(|(low, high)| (low..=high).contains(&c));
                    next[index + 1] |= here && among != *except;
                }
                Part::Directories => {
                    within[index] |= here;
                    next[index + 1] |= within[index] && *c == '/';
                }
            }
        }
        skip(parts, &mut next);
        now = next;
    }
    // What is still within directories is on its way, and not at an end.
    for (index, within) in within.iter().enumerate() {
        now[index] |= *within;
    }
    now
}

/// Adds the places that are reached without a character.
fn skip(parts: &[Part], places: &mut [bool]) {
    for (index, part) in parts.iter().enumerate() {
        if matches!(part, Part::Some | Part::Directories | Part::Anything) {
            places[index + 1] |= places[index];
        }
    }
}

#[cfg(test)]
mod tests;
