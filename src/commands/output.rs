//! The one place that writes to standard output and standard error.
//!
//! A reader that went away (`shepard query | head`) is no error: writing simply stops being of use. Text that came
//! from a payload is freed of control characters before a terminal sees it.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::exit::Exit;
use crate::cli::Format;
use crate::config::ConfigError;
use crate::operations::{Class, OperationError};

/// An error a command can end with.
pub trait Failure: std::fmt::Display {
    /// Its class.
    fn class(&self) -> Class;
}

impl Failure for OperationError {
    fn class(&self) -> Class {
        Self::class(self)
    }
}

impl Failure for ConfigError {
    fn class(&self) -> Class {
        match self {
            Self::Syntax { .. } | Self::Level(_) => Class::Usage,
            Self::NoHome | Self::Io { .. } => Class::Environment,
        }
    }
}

/// Says what went wrong, in the format asked for, and gives the exit code.
pub fn failed(format: Format, error: &dyn Failure) -> ExitCode {
    let class = error.class();
    let message = error.to_string();
    let line = match format {
        Format::Text => format!("error: {message}"),
        Format::Json => serde_json::json!({"error": {"kind": class.word(), "message": message}}).to_string(),
    };
    let _ = writeln!(io::stderr(), "{line}");
    Exit::from(class).into()
}

/// Where a command prints.
#[derive(Debug)]
pub struct Output {
    /// The format asked for.
    pub format: Format,
    terminal: bool,
}

impl Output {
    /// Standard output in this format.
    pub fn new(format: Format) -> Self {
        Self { format, terminal: io::stdout().is_terminal() }
    }

    /// Results are wanted as JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Somebody is there to answer a question.
    pub fn can_ask(&self) -> bool {
        !self.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A line of result.
    ///
    /// # Errors
    /// Standard output cannot be written; a reader that went away is none.
    pub fn line(&self, text: &str) -> Result<(), OperationError> {
        let text = if self.terminal { printable(text) } else { Cow::Borrowed(text) };
        self.write(|out| writeln!(out, "{text}"))
    }

    /// A whole result as one line of JSON.
    ///
    /// # Errors
    /// As for [`Output::line`].
    pub fn json(&self, value: &impl Serialize) -> Result<(), OperationError> {
        self.write(|out| {
            serde_json::to_writer(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Writes through a buffer that is flushed at the end.
    ///
    /// # Errors
    /// As for [`Output::line`].
    pub fn write(&self, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OperationError> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        match body(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| {
                OperationError::Environment(format!("cannot write to standard output: {error}"))
            }),
        }
    }

    /// Something for the person beside the result, on standard error; nothing where JSON was asked for.
    pub fn note(&self, text: &str) {
        if !self.is_json() {
            let _ = writeln!(io::stderr(), "{}", printable(text));
        }
    }

    /// Asks for one line.
    ///
    /// # Errors
    /// Standard input cannot be read.
    pub fn ask(&self, question: &str) -> Result<String, OperationError> {
        let mut answer = String::new();
        let _ = write!(io::stderr(), "{question} ");
        io::stdin()
            .read_line(&mut answer)
            .map_err(|error| OperationError::Environment(format!("cannot read standard input: {error}")))?;
        Ok(answer.trim().to_owned())
    }
}

/// The text without what would steer a terminal: escape sequences lose their escape, tabs stay.
fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(|c| c.is_control() && c != '\t' && c != '\n') {
        text.chars()
            .map(|c| if c.is_control() && c != '\t' && c != '\n' { '\u{FFFD}' } else { c })
            .collect::<String>()
            .into()
    } else {
        text.into()
    }
}

/// A moment in local time, for people.
pub fn local_time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

/// Columns that line up, the last one ragged. Gives one line a row.
pub fn columns(rows: &[Vec<String>]) -> Vec<String> {
    use unicode_width::UnicodeWidthStr as _;
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
        })
        .collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (index, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if index + 1 < row.len() {
                    line.extend(std::iter::repeat_n(' ', widths[index] - cell.width() + 2));
                }
            }
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\u{9b}d"), "a\u{FFFD}[2Jb\tc\u{FFFD}d");
        assert!(matches!(printable("plain é"), Cow::Borrowed(_)));
    }

    #[test]
    fn columns_line_up_by_width_on_the_screen() {
        let rows = [vec!["日本".into(), "b".into()], vec!["c".into(), "d".into()]];
        assert_eq!(columns(&rows), ["日本  b", "c     d"]);
    }
}
