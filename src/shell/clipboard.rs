//! Copies through the terminal with OSC 52, which works over ssh where a clipboard library cannot; what is too
//! large for that goes to a file.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Most bytes sent through the terminal. Terminals and multiplexers cut or drop longer sequences: tmux and
/// screen take about 75 kB of base64, some terminals 100 kB.
pub const CAP: usize = 48 * 1024;

/// What became of a copy.
#[derive(Debug, PartialEq, Eq)]
pub enum Copied {
    /// The terminal has it, if it lets programs copy.
    Terminal,
    /// It was too large; it is in this file.
    File(PathBuf),
}

/// Copies a text.
///
/// # Errors
/// When the terminal or the file cannot be written.
pub fn copy(text: &str, to: &mut impl Write, folder: &Path) -> io::Result<Copied> {
    if text.len() <= CAP {
        write!(to, "\x1b]52;c;{}\x07", STANDARD.encode(text))?;
        to.flush()?;
        return Ok(Copied::Terminal);
    }
    let path = folder.join("clipboard.txt");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(Copied::File(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_texts_go_through_the_terminal_and_large_ones_to_a_file() {
        let folder = tempfile::tempdir().expect("folder");
        let mut out = Vec::new();
        assert_eq!(copy("hi", &mut out, folder.path()).expect("copy"), Copied::Terminal);
        assert_eq!(out, b"\x1b]52;c;aGk=\x07");
        let large = "x".repeat(CAP + 1);
        let copied = copy(&large, &mut Vec::new(), folder.path()).expect("copy");
        let Copied::File(path) = copied else { panic!("{copied:?}") };
        assert_eq!(fs::read_to_string(path).expect("file"), large);
    }
}
