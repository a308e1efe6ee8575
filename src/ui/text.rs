//! Text that others wrote (keys, tags, log lines) made harmless, and text of any kind made to fit.
//!
//! A job's log can hold anything. Written to a terminal as it is, it could move the cursor, set the clipboard or the
//! title, or turn the reading direction around; so nothing foreign reaches a buffer without [`clean`].

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns between tab stops.
const TAB: usize = 8;
/// Stands for a control character.
const CONTROL: char = '·';

/// The text without escape sequences, with tabs as spaces, and `·` for every other control character and for those
/// that turn the reading direction. Borrowed if there was nothing to do.
pub fn clean(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_foreign) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + TAB);
    out.push_str(&text[..first]);
    let mut chars = text[first..].chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' => {
                let column = width(&out);
                out.extend(std::iter::repeat_n(' ', TAB - column % TAB));
            }
            '\u{1b}' => match chars.next() {
                Some('[') => skip_csi(&mut chars),
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut chars),
                // Escapes with an intermediate byte, such as those that choose a character set, have one more.
                Some(' '..='/') => {
                    chars.next();
                }
                _ => {}
            },
            '\u{9b}' => skip_csi(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut chars),
            // The end of a line of another system.
            '\r' if chars.peek().is_none() => {}
            c if is_foreign(c) => out.push(CONTROL),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn is_foreign(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Skips to the final byte of a control sequence.
fn skip_csi(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&c) = chars.peek() {
        // Anything else ends a broken sequence and is text again.
        if !matches!(c, ' '..='~') {
            return;
        }
        chars.next();
        if matches!(c, '@'..='~') {
            return;
        }
    }
}

/// Skips a string that goes to the terminal: up to BEL, ST, or the end.
fn skip_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next() {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                if chars.peek() == Some(&'\\') {
                    chars.next();
                }
                return;
            }
            _ => {}
        }
    }
}

/// Columns the text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// As much of the beginning as fits `columns`, with `ellipsis` (one column) where something was cut.
pub fn fit<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    if text.len() <= columns || width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(1) else { return Cow::Borrowed("") };
    Cow::Owned(format!("{}{ellipsis}", &text[..prefix(text, room)]))
}

/// As much of the end as fits `columns`: for paths and keys, whose ends tell them apart.
pub fn fit_end<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    if text.len() <= columns || width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(1) else { return Cow::Borrowed("") };
    let (mut used, mut from) = (0, text.len());
    for (at, grapheme) in text.grapheme_indices(true).rev() {
        used += width(grapheme);
        if used > room {
            break;
        }
        from = at;
    }
    Cow::Owned(format!("{ellipsis}{}", &text[from..]))
}

/// Bytes of the longest prefix that takes at most `columns`, cut between graphemes.
pub fn prefix(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += width(grapheme);
        if used > columns {
            return at;
        }
    }
    text.len()
}

/// Bytes of the shortest prefix that takes at least `columns`, cut between graphemes.
pub fn least_prefix(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        if used >= columns {
            return at;
        }
        used += width(grapheme);
    }
    text.len()
}

/// Breaks a text into pieces of at most `columns`, at spaces where a piece has any in its second half. At least
/// one piece, and every byte is in one: the pieces follow each other without gaps.
pub fn wrap(text: &str, columns: usize) -> Vec<std::ops::Range<usize>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while from < text.len() {
        let rest = &text[from..];
        // A grapheme wider than the room is taken anyway, or there would be no end.
        let least = rest.graphemes(true).next().map_or(1, str::len);
        let mut end = prefix(rest, columns.max(1)).max(least);
        if end < rest.len()
            && let Some(space) = rest[..end].rfind(' ').filter(|&space| space > end / 2)
        {
            end = space + 1;
        }
        pieces.push(from..from + end);
        from += end;
    }
    if pieces.is_empty() {
        pieces.push(0..0);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_gone() {
        for (given, expected) in [
            ("plain é 漢", "plain é 漢"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]52;c;aGk=\u{1b}\\b", "ab"),
            ("a\u{9b}2Jb\u{9d}x\u{9c}c", "abc"),
            ("a\u{1b}(Bb", "ab"),
            ("a\u{1b}Pq#1\u{1b}\\b", "ab"),
            ("bell\u{7}null\0", "bell·null·"),
            ("50%\r100%\r", "50%·100%"),
            ("a\tb", "a       b"),
            ("漢\tb", "漢      b"),
            ("abc\u{202e}cba", "abc·cba"),
            ("broken\u{1b}[12\nnext", "broken·next"),
            ("open\u{1b}]0;never closed", "open"),
        ] {
            assert_eq!(clean(given), expected, "{given:?}");
        }
        assert!(matches!(clean("nothing to do"), Cow::Borrowed(_)));
    }

    #[test]
    fn cuts_count_columns_not_bytes() {
        assert_eq!(fit("漢字漢字", 5, "…"), "漢字…");
        assert_eq!(fit("漢字漢字", 4, "…"), "漢…");
        assert_eq!(fit("abc", 3, "…"), "abc");
        assert_eq!(fit("abcd", 0, "…"), "");
        assert_eq!(fit_end("runs/sample.zip", 8, "…"), "…ple.zip");
        assert_eq!(fit_end("漢字", 3, "~"), "~字");
    }

    #[test]
    fn wraps_at_spaces() {
        let text = "the quick brown fox";
        let pieces: Vec<_> = wrap(text, 10).into_iter().map(|range| &text[range]).collect();
        assert_eq!(pieces, ["the quick ", "brown fox"]);
        assert_eq!(wrap("", 10), vec![0..0]);
    }

    proptest! {
        #[test]
        fn nothing_foreign_survives(text in "\\PC{0,20}|[\\x00-\\x9f]{0,30}|(\u{1b}[\\[\\]P(]?[0-9;a-z\\x07]{0,5}){0,8}") {
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(is_foreign), "{cleaned:?}");
            prop_assert_eq!(clean(&cleaned), cleaned.as_ref());
        }

        #[test]
        fn a_cut_text_fits(text in "\\PC{0,40}", columns in 0_usize..30) {
            let text = clean(&text);
            prop_assert!(width(&fit(&text, columns, "…")) <= columns);
            prop_assert!(width(&fit_end(&text, columns, "…")) <= columns);
        }

        #[test]
        fn wrapped_pieces_fit_and_lose_nothing(text in "[a-z é漢]{0,80}", columns in 2_usize..20) {
            let pieces = wrap(&text, columns);
            let mut at = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.start, at);
                prop_assert!(width(&text[piece.clone()]) <= columns);
                at = piece.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
