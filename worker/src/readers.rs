//! Bytes into lines: a pipe's, or whatever else a payload's output comes through.

use shepard_cloud::ports::{Clock, LogSource};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::payload::Line;

/// Longest line that is kept whole, in bytes.
pub const LINE_BYTES: usize = 256 * 1024;
/// One read.
const READ_BYTES: usize = 64 * 1024;
/// How long a pipe may stay silent after its process ended, in milliseconds.
const SILENCE_MS: u64 = 200;
/// Reads after the process ended. What a pipe holds takes one or two; more means that somebody who slipped out
/// of the process group still writes, and he is not waited for.
const READS_AFTER_END: usize = 64;

/// Reads a pipe to its end and sends its lines; once `ended` is cancelled, only what is in it already.
pub(crate) async fn pump(
    mut pipe: impl AsyncRead + Unpin,
    source: LogSource,
    lines: &mpsc::Sender<Line>,
    ended: &CancellationToken,
    clock: &dyn Clock,
) {
    let mut cut = Cutter::default();
    let mut bytes = vec![0; READ_BYTES];
    let mut left = READS_AFTER_END;
    loop {
        let read = if ended.is_cancelled() {
            if left == 0 {
                break;
            }
            left -= 1;
            tokio::select! {
                biased;
                read = pipe.read(&mut bytes) => read,
                () = clock.sleep_ms(SILENCE_MS) => break,
            }
        } else {
            tokio::select! {
                biased;
                read = pipe.read(&mut bytes) => read,
                () = ended.cancelled() => continue,
            }
        };
        let count = match read {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let mut rest = &bytes[..count];
        while let Some(text) = cut.next(&mut rest) {
            // Nobody listening is no reason to let the payload die of a closed pipe: read on.
            let _ = lines.send(Line { source, text }).await;
        }
    }
    if let Some(text) = cut.finish() {
        let _ = lines.send(Line { source, text }).await;
    }
}

/// Cuts the bytes of one stream into lines. A line of more than [`LINE_BYTES`] is split between characters.
#[derive(Debug, Default)]
pub struct Cutter {
    held: Vec<u8>,
}

impl Cutter {
    /// The next whole line, taken off the front of `rest`; None once `rest` is used up.
    pub fn next(&mut self, rest: &mut &[u8]) -> Option<String> {
        let room = LINE_BYTES.saturating_sub(self.held.len());
        let seen = &rest[..rest.len().min(room)];
        if let Some(end) = seen.iter().position(|byte| *byte == b'\n') {
            self.held.extend_from_slice(&rest[..end]);
            *rest = &rest[end + 1..];
            if self.held.last() == Some(&b'\r') {
                self.held.pop();
            }
            return Some(self.text());
        }
        self.held.extend_from_slice(seen);
        *rest = &rest[seen.len()..];
        if self.held.len() < LINE_BYTES {
            return None;
        }
        // Too long: cut before the character that does not fit whole.
        let start = (1..=4.min(self.held.len()))
            .map(|back| self.held.len() - back)
            .find(|at| self.held[*at] & 0b1100_0000 != 0b1000_0000)
            .filter(|at| std::str::from_utf8(&self.held[*at..]).is_err());
        let tail = start.map(|at| self.held.split_off(at)).unwrap_or_default();
        let text = self.text();
        self.held = tail;
        Some(text)
    }

    /// The last line, where it had no end.
    pub fn finish(&mut self) -> Option<String> {
        (!self.held.is_empty()).then(|| self.text())
    }

    fn text(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let mut cutter = Cutter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            let mut rest = *chunk;
            while let Some(line) = cutter.next(&mut rest) {
                lines.push(line);
            }
        }
        lines.extend(cutter.finish());
        lines
    }

    #[test]
    fn lines_come_whole_whatever_the_reads() {
        assert_eq!(cut(&[b"a\r", b"\nb\n\nc"]), ["a", "b", "", "c"]);
        assert_eq!(cut(&[b"caf\xc3", b"\xa9\n\xff\n"]), ["café", "\u{fffd}"]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn a_line_too_long_is_split_between_characters() {
        let long = format!("{}é{}\n", "x".repeat(LINE_BYTES - 1), "y".repeat(5));
        let lines = cut(&[long.as_bytes()]);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].len(), lines[1].as_str()), (LINE_BYTES - 1, "éyyyyy"));
        let bad = vec![0x80; LINE_BYTES + 1];
        assert_eq!(cut(&[&bad]).len(), 2, "bytes that are no text are split all the same");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_made_up(text in "[a\u{e9}\n]{0,40}", size in 1..7_usize) {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let mut expected: Vec<&str> = text.split('\n').collect();
            if expected.last() == Some(&"") {
                expected.pop();
            }
            prop_assert_eq!(cut(&chunks), expected);
        }
    }
}
