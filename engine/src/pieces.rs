//! What a thread writes, in pieces for a connection: the way of an archive to the engine.
//!
//! An archive is made by a thread that may block, and taken by a connection that must not. Between them lie a few pieces
//! and no more, so that an archive of any size costs the memory of those.

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, watch};

/// Bytes of one piece.
pub(crate) const PIECE: usize = 256 * 1024;
/// Pieces between the thread and the connection. Full, the thread waits.
const PIECES: usize = 4;

/// The writing end.
pub(crate) struct Pieces {
    to: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

/// The two ends; the watch says how many bytes the connection has taken.
pub(crate) fn pieces()
-> (Pieces, impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static, watch::Receiver<u64>) {
    let (to, from) = mpsc::channel(PIECES);
    let (sent, taken) = watch::channel(0);
    (Pieces { to, piece: Vec::with_capacity(PIECE) }, counted(from, sent), taken)
}

impl Pieces {
    /// Breaks the archive off, so that it never looks whole. A connection that is gone hears nothing of it.
    pub(crate) fn fail(self, error: &io::Error) {
        let _ = self.to.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        if piece.is_empty() {
            return Ok(());
        }
        self.to
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the engine took no more of it"))
    }
}

fn counted(
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    sent: watch::Sender<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    futures_util::stream::unfold((pieces, sent), async |(mut pieces, sent)| {
        let piece = pieces.recv().await?;
        if let Ok(piece) = &piece {
            sent.send_modify(|bytes| *bytes += piece.len() as u64);
        }
        Some((piece, (pieces, sent)))
    })
}
