//! Records what happened to a session, one message a line, and reads it back.
//!
//! A recording holds what was typed and what was on the screen's data, so its file is for its owner alone (0600).
//! It never holds a secret: none is ever part of a message, but for what is typed while a code is asked for, and in
//! place of that the loop hands over [`crate::app::account::HIDDEN`].

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::app::Msg;

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder {
    to: BufWriter<File>,
}

impl Recorder {
    /// Begins a new file.
    ///
    /// # Errors
    /// When the file exists already or cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
                let more = match error.kind() {
                    io::ErrorKind::AlreadyExists => "; nothing is written over, so name a new file",
                    _ => "",
                };
                io::Error::new(error.kind(), format!("cannot record to {}: {error}{more}", path.display()))
            })?;
        Ok(Self { to: BufWriter::new(file) })
    }

    /// Adds a message. What cannot be written down (the result of a sort, which a replay does again) is left out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&mut self, msg: &Msg) -> io::Result<()> {
        if matches!(msg, Msg::Arranged(..)) {
            return Ok(());
        }
        serde_json::to_writer(&mut self.to, msg)?;
        self.to.write_all(b"\n")
    }

    /// Writes out what is still in memory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads a recording. A last line that was cut off by a crash is left out.
///
/// # Errors
/// When the file cannot be read or a line in its middle is no message.
pub fn read(path: &Path) -> io::Result<Vec<Msg>> {
    let lines: Vec<String> = BufReader::new(File::open(path)?).lines().collect::<io::Result<_>>()?;
    let mut messages = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(msg) => messages.push(msg),
            Err(_) if at + 1 == lines.len() => break,
            Err(error) => return Err(io::Error::other(format!("line {}: {error}", at + 1))),
        }
    }
    Ok(messages)
}
