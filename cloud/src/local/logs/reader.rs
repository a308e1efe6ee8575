//! Reading a log file from anywhere in it: forwards by lines, back from its end, and by time.
//!
//! Reads blocks and never the whole file; offsets are those of line beginnings. Sees only what ends in a newline.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use shepard_model::{LogLine, LogSource};

/// Bytes read at a time.
const BLOCK: usize = 64 * 1024;

/// A page ends after the line that takes it past so many bytes.
const PAGE_BYTES: usize = 4 << 20;

/// A log file up to its last whole line, as it was at one moment.
pub(super) struct Reader<'a> {
    file: &'a File,
    end: u64,
}

impl<'a> Reader<'a> {
    /// `length` is that of the file under its lock.
    pub(super) fn new(file: &'a File, length: u64) -> io::Result<Self> {
        let mut reader = Self { file, end: length };
        reader.end = reader.back(1)?;
        Ok(reader)
    }

    /// Offset after the last whole line.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Offset of the line that has `lines` lines from itself to the end.
    pub(super) fn tail(&self, lines: usize) -> io::Result<u64> {
        // The newline that ends the last line is the first one met.
        self.back(lines.saturating_add(1))
    }

    /// Offset after the `count`th newline counted back from the end; 0 where there are fewer.
    fn back(&self, count: usize) -> io::Result<u64> {
        let mut left = count;
        let mut until = self.end;
        let mut block = vec![0; BLOCK];
        while until > 0 {
            let start = until.saturating_sub(BLOCK as u64);
            let bytes = &mut block[..as_len(until - start)];
            self.file.read_exact_at(bytes, start)?;
            for (index, byte) in bytes.iter().enumerate().rev() {
                if *byte == b'\n' {
                    left -= 1;
                    if left == 0 {
                        return Ok(start + index as u64 + 1);
                    }
                }
            }
            until = start;
        }
        Ok(0)
    }

    /// Offset of the first line written at `at_ms` or later; the end where there is none.
    ///
    /// Times are taken to rise along the file. Where a clock was set back, a line is found that is late enough, though
    /// perhaps not the first.
    pub(super) fn since(&self, at_ms: i64) -> io::Result<u64> {
        // Every line that begins before `low` is too early; the first that begins at `high` or after is late enough.
        let (mut low, mut high) = (0, self.end);
        while high - low > BLOCK as u64 {
            let middle = low + (high - low) / 2;
            match self.first_timed(middle, high)? {
                Some((after, line_ms)) if line_ms < at_ms => low = after,
                _ => high = middle,
            }
        }
        let mut lines = Lines::new(self, low);
        while let Some((start, bytes)) = lines.next()? {
            if parse(bytes).is_some_and(|(line_ms, ..)| line_ms >= at_ms) {
                return Ok(start);
            }
        }
        Ok(self.end)
    }

    /// The time of the first well-formed line that begins in `from..until`, and where it ends.
    fn first_timed(&self, from: u64, until: u64) -> io::Result<Option<(u64, i64)>> {
        // Begins a byte early, so that a line that begins at `from` itself is not taken for the rest of one.
        let mut lines = Lines::new(self, from.saturating_sub(1));
        lines.next()?;
        while let Some((start, bytes)) = lines.next()? {
            if start >= until {
                return Ok(None);
            }
            if let Some((line_ms, ..)) = parse(bytes) {
                return Ok(Some((start + bytes.len() as u64 + 1, line_ms)));
            }
        }
        Ok(None)
    }

    /// At most `limit` lines from an offset, and the offset after them.
    pub(super) fn lines(&self, start: u64, limit: usize) -> io::Result<(Vec<LogLine>, u64)> {
        let mut found = Vec::new();
        let mut next = start;
        let mut bytes_seen = 0;
        let mut last_ms = 0;
        let mut lines = Lines::new(self, start);
        while found.len() < limit && bytes_seen < PAGE_BYTES {
            let Some((at, bytes)) = lines.next()? else { break };
            next = at + bytes.len() as u64 + 1;
            bytes_seen += bytes.len();
            // A line of another form, perhaps the rest of a torn one, is shown rather than lost.
            let (at_ms, source, text) = parse(bytes).unwrap_or((last_ms, LogSource::Worker, bytes));
            last_ms = at_ms;
            found.push(LogLine { at_ms, source, text: String::from_utf8_lossy(text).into_owned() });
        }
        Ok((found, next))
    }
}

/// The parts of a well-formed line.
fn parse(line: &[u8]) -> Option<(i64, LogSource, &[u8])> {
    let space = line.iter().take(21).position(|byte| *byte == b' ')?;
    let at_ms = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
    let (source, text) = match &line[space + 1..] {
        [source, b' ', text @ ..] => (source, text),
        _ => return None,
    };
    let source = match source {
        b'o' => LogSource::Stdout,
        b'e' => LogSource::Stderr,
        b'w' => LogSource::Worker,
        _ => return None,
    };
    Some((at_ms, source, text))
}

/// Lines from an offset to the end, each with its offset and without its newline.
struct Lines<'a> {
    reader: &'a Reader<'a>,
    /// What was read and not yet given out begins at `taken` in it.
    buffer: Vec<u8>,
    taken: usize,
    /// Offset of the buffer's beginning.
    base: u64,
}

impl<'a> Lines<'a> {
    fn new(reader: &'a Reader<'a>, start: u64) -> Self {
        Self { reader, buffer: Vec::new(), taken: 0, base: start }
    }

    fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        let mut searched = self.taken;
        loop {
            if let Some(length) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let (start, stop) = (self.taken, searched + length);
                self.taken = stop + 1;
                return Ok(Some((self.base + start as u64, &self.buffer[start..stop])));
            }
            self.buffer.drain(..self.taken);
            self.base += self.taken as u64;
            self.taken = 0;
            searched = self.buffer.len();
            let at = self.base + searched as u64;
            let left = self.reader.end.saturating_sub(at);
            if left == 0 {
                return Ok(None);
            }
            // A long line doubles the stride, so that a line of a hundred megabytes is not read in a thousand steps.
            let stride = left.min(BLOCK.max(searched) as u64);
            self.buffer.resize(searched + as_len(stride), 0);
            self.reader.file.read_exact_at(&mut self.buffer[searched..], at)?;
        }
    }
}

/// A length that is at most a block or a buffer that was allocated already.
fn as_len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
