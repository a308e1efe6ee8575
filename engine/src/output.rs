//! What a container, or a command in one, writes: its two streams as the engine mixes them.

use std::pin::Pin;

use bollard::container::LogOutput;
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::error::{EngineError, Result};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes of one stream, as the engine read them: not lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which stream.
    pub stream: Stream,
    /// The bytes.
    pub bytes: Bytes,
}

type Frames =
    Pin<Box<dyn futures_util::Stream<Item = std::result::Result<LogOutput, bollard::errors::Error>> + Send>>;

/// The output, to be read to its end. Whoever reads slowly makes the engine wait, and it the program; what is unread when
/// this is dropped is gone.
pub struct Output {
    frames: Frames,
    target: String,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Output {
    pub(crate) fn new(frames: Frames, target: &str) -> Self {
        Self { frames, target: target.to_owned() }
    }

    /// The next bytes; None at the end. It may be dropped and asked again: nothing is lost.
    ///
    /// # Errors
    /// The engine went away.
    pub async fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            return match self.frames.next().await {
                None => Ok(None),
                Some(Err(error)) => {
                    Err(EngineError::of("read the output of the container", self.target.clone(), &error))
                }
                Some(Ok(LogOutput::StdIn { .. })) => continue,
                Some(Ok(LogOutput::StdErr { message })) => {
                    Ok(Some(Chunk { stream: Stream::Stderr, bytes: message }))
                }
                Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => {
                    Ok(Some(Chunk { stream: Stream::Stdout, bytes: message }))
                }
            };
        }
    }
}
