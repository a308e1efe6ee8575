//! A bounded copy of one log, in files that have no name: what a failed job's log is read from.
//!
//! A compute's log driver takes lines and gives none back. Of a log that is longer than the copy may be, the beginning
//! and the end are kept, since a failure is explained at either; how many lines are left out between them is said.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

use shepard_cloud::ports::{LogLine, LogPage, LogSource};

/// Bytes of the beginning. As many are kept of the end, and up to twice that for a moment.
const PART: u64 = 16 << 20;

/// The copy.
pub(crate) struct Kept {
    parts: Vec<Part>,
    /// Bytes after which the next part begins.
    part_bytes: u64,
    /// Lines that were in parts which are gone.
    left_out: u64,
}

/// A file, its number among all that there were, and what is in it.
struct Part {
    number: u64,
    file: File,
    bytes: u64,
    lines: u64,
}

impl Part {
    fn new(number: u64) -> io::Result<Self> {
        Ok(Self { number, file: tempfile::tempfile()?, bytes: 0, lines: 0 })
    }
}

impl Kept {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        Self::with_parts_of(PART)
    }

    fn with_parts_of(part_bytes: u64) -> io::Result<Self> {
        Ok(Self { parts: vec![Part::new(0)?], part_bytes, left_out: 0 })
    }

    /// Adds lines. The first part stays, and of those after it the last two.
    pub(crate) fn add(&mut self, lines: &[LogLine]) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            encode(line, &mut text);
        }
        if let Some(last) = self.parts.last()
            && last.bytes >= self.part_bytes
        {
            self.parts.push(Part::new(last.number + 1)?);
            if self.parts.len() > 3 {
                self.left_out += self.parts.remove(1).lines;
            }
        }
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        // At its end, wherever a reading has left the file.
        part.file.write_all_at(&text, part.bytes)?;
        part.bytes += text.len() as u64;
        part.lines += lines.len() as u64;
        Ok(())
    }

    /// At most `limit` lines from a place, `PART:BYTE`, or from the beginning where there is none or it is gone.
    pub(crate) fn read(&self, from: Option<&str>, limit: usize) -> io::Result<LogPage> {
        let place = from.and_then(|place| {
            let (part, byte) = place.split_once(':')?;
            Some((part.parse::<u64>().ok()?, byte.parse::<u64>().ok()?))
        });
        let mut next = place.unwrap_or((0, 0));
        let mut lines = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            if part.number < next.0 {
                continue;
            }
            if lines.len() >= limit {
                break;
            }
            if part.number > next.0 {
                lines.push(self.gap(part)?);
                next = (part.number, 0);
            }
            let mut reader = BufReader::new(&part.file);
            reader.seek(SeekFrom::Start(next.1))?;
            let mut text = Vec::new();
            while lines.len() < limit && next.1 < part.bytes {
                text.clear();
                next.1 += reader.read_until(b'\n', &mut text)? as u64;
                lines.push(decode(&text));
            }
            if next.1 >= part.bytes && at + 1 < self.parts.len() {
                next = (part.number + 1, 0);
            }
        }
        let last = self.parts.last().map_or((0, 0), |part| (part.number, part.bytes));
        Ok(LogPage { lines, next: format!("{}:{}", next.0, next.1), more: next < last })
    }

    /// The line in place of those that are gone, with the time of the first one after them.
    fn gap(&self, after: &Part) -> io::Result<LogLine> {
        let mut text = Vec::new();
        let mut reader = BufReader::new(&after.file);
        reader.rewind()?;
        reader.read_until(b'\n', &mut text)?;
        Ok(LogLine {
            at_ms: decode(&text).at_ms,
            source: LogSource::Worker,
            text: format!(
                "{} lines are left out here; the log that the compute keeps has them",
                self.left_out
            ),
        })
    }
}

fn encode(line: &LogLine, to: &mut Vec<u8>) {
    let source = match line.source {
        LogSource::Stdout => 'o',
        LogSource::Stderr => 'e',
        LogSource::Worker => 'w',
    };
    // Writing to memory does not fail.
    let _ = write!(to, "{} {source} ", line.at_ms);
    // The end of a line inside one would make two of it.
    to.extend(line.text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
    to.push(b'\n');
}

fn decode(text: &[u8]) -> LogLine {
    let text = String::from_utf8_lossy(text.strip_suffix(b"\n").unwrap_or(text));
    let mut words = text.splitn(3, ' ');
    let at_ms = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let source = match words.next() {
        Some("o") => LogSource::Stdout,
        Some("e") => LogSource::Stderr,
        _ => LogSource::Worker,
    };
    LogLine { at_ms, source, text: words.next().unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_ms: i64, text: &str) -> LogLine {
        LogLine { at_ms, source: LogSource::Stdout, text: text.to_owned() }
    }

    /// Everything, a page at a time; and no page is longer than it may be.
    fn all(copy: &Kept, limit: usize) -> Vec<LogLine> {
        let (mut from, mut lines) = (None, Vec::new());
        loop {
            let page = copy.read(from.as_deref(), limit).unwrap();
            assert!(page.lines.len() <= limit);
            assert!(!(page.more && page.lines.is_empty()), "a reader would stop here");
            lines.extend(page.lines);
            if !page.more {
                return lines;
            }
            from = Some(page.next);
        }
    }

    #[test]
    fn what_fits_comes_back_as_it_was() {
        let mut copy = Kept::new().unwrap();
        assert_eq!(all(&copy, 10), []);
        let mut lines = vec![line(1, "one"), line(2, ""), line(-3, " two  words ")];
        lines.push(LogLine { at_ms: 4, source: LogSource::Stderr, text: "é".into() });
        lines.push(LogLine { at_ms: 5, source: LogSource::Worker, text: "w".into() });
        copy.add(&lines).unwrap();
        for limit in 1..7 {
            assert_eq!(all(&copy, limit), lines, "{limit}");
        }
        // A reader that was at the end finds what came since.
        let end = copy.read(None, 10).unwrap();
        assert!(!end.more);
        copy.add(&[line(6, "a\nb")]).unwrap();
        assert_eq!(copy.read(Some(&end.next), 10).unwrap().lines, [line(6, "a b")]);
    }

    #[test]
    fn of_a_log_that_is_too_long_the_beginning_and_the_end_are_kept() {
        let mut copy = Kept::with_parts_of(100).unwrap();
        for number in 0..1_000 {
            copy.add(&[line(number, &format!("line {number}"))]).unwrap();
        }
        for limit in [1, 2, 3, 7, 1_000] {
            let lines = all(&copy, limit);
            assert!(lines.len() < 40, "{} lines", lines.len());
            assert_eq!((lines[0].text.as_str(), lines.last().unwrap().text.as_str()), ("line 0", "line 999"));
            let gap = lines.iter().position(|line| line.source == LogSource::Worker).unwrap();
            let (before, after) = (lines[gap - 1].at_ms, lines[gap + 1].at_ms);
            assert_eq!(lines[gap].at_ms, after);
            let gone = format!("{} lines are left out", after - before - 1);
            assert!(lines[gap].text.starts_with(&gone), "{:?}, not {gone}", lines[gap].text);
            let others: Vec<i64> =
                lines.iter().filter(|line| line.source == LogSource::Stdout).map(|line| line.at_ms).collect();
            assert!(others.windows(2).all(|two| two[0] + 1 == two[1] || two == [before, after]));
        }
        let bytes: u64 = copy.parts.iter().map(|part| part.bytes).sum();
        assert!(bytes < 400, "{bytes}");
    }

    #[test]
    fn a_place_that_is_gone_or_none_is_the_next_there_is() {
        let mut copy = Kept::with_parts_of(10).unwrap();
        for number in 0..50 {
            copy.add(&[line(number, "0123456789")]).unwrap();
        }
        let page = copy.read(Some("5:0"), 10).unwrap();
        assert!(page.lines[0].text.contains("left out"), "{:?}", page.lines[0]);
        assert_eq!(page.lines.last().unwrap().at_ms, 49);
        assert_eq!(copy.read(Some("nonsense"), 1).unwrap().lines[0].at_ms, 0);
        assert_eq!(copy.read(Some("999:0"), 1).unwrap().lines, []);
    }
}
