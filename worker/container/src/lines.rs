//! What a container writes, as lines.

use std::collections::VecDeque;

use shepard_cloud::ports::{Clock, LogSource};
use shepard_engine::{EngineError, Output, Stream};
use shepard_worker::Line;
use shepard_worker::readers::Cutter;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes of output that are held for a log that is slow. More makes the engine wait, and with it the payload. An engine
/// that waits for more than two seconds when a payload ends throws away what it has not read yet, so this has to last
/// over the pauses of a log.
const HELD_BYTES: usize = 8 << 20;
/// Bytes that are put together in one piece.
const PIECE: usize = 64 * 1024;
/// How long an engine may stay silent about the output of a container that has ended, in milliseconds.
const SILENCE_MS: u64 = 5_000;

/// Reads an output to its end and sends its lines in the engine's order; once `ended` is cancelled, only what is still
/// there.
///
/// # Errors
/// The engine went away in the middle. What came before is sent.
pub async fn pump(
    mut output: Output,
    lines: &mpsc::Sender<Line>,
    ended: &CancellationToken,
    clock: &dyn Clock,
) -> Result<(), EngineError> {
    let mut held = Held::default();
    let mut open = true;
    let mut result = Ok(());
    loop {
        let line = held.line(!open);
        if line.is_none() && !open {
            return result;
        }
        let over = ended.is_cancelled();
        // What an engine still has of a container that ended is little, and gone unless it is read now.
        let room = open && (over || held.bytes < HELD_BYTES);
        tokio::select! {
            chunk = output.next(), if room => {
                held.next = line;
                match chunk {
                    Ok(Some(chunk)) => held.add(chunk.stream, &chunk.bytes),
                    Ok(None) => open = false,
                    Err(error) => (open, result) = (false, Err(error)),
                }
            }
            permit = lines.reserve(), if line.is_some() => {
                // Nobody listening is no reason to let the payload wait: read on.
                if let (Ok(permit), Some(line)) = (permit, line) {
                    permit.send(line);
                }
            }
            () = ended.cancelled(), if !over => held.next = line,
            () = clock.sleep_ms(SILENCE_MS), if over && open => {
                held.next = line;
                open = false;
            }
        }
    }
}

/// Output that is read and not sent yet.
#[derive(Default)]
struct Held {
    pieces: VecDeque<(Stream, Vec<u8>, usize)>,
    bytes: usize,
    cutters: [Cutter; 2],
    /// A line that was taken out and not sent.
    next: Option<Line>,
}

impl Held {
    fn add(&mut self, stream: Stream, bytes: &[u8]) {
        self.bytes += bytes.len();
        match self.pieces.back_mut() {
            Some((same, piece, _)) if *same == stream && piece.len() + bytes.len() <= PIECE => {
                piece.extend_from_slice(bytes);
            }
            _ => self.pieces.push_back((stream, bytes.to_vec(), 0)),
        }
    }

    /// The next line; at the `last`, those without an end as well.
    fn line(&mut self, last: bool) -> Option<Line> {
        if let Some(line) = self.next.take() {
            return Some(line);
        }
        while let Some((stream, piece, from)) = self.pieces.front_mut() {
            let mut rest = &piece[*from..];
            let before = rest.len();
            let text = self.cutters[index(*stream)].next(&mut rest);
            let used = before - rest.len();
            *from += used;
            self.bytes -= used;
            if let Some(text) = text {
                return Some(Line { source: source(*stream), text });
            }
            self.pieces.pop_front();
        }
        let ends = last.then_some([Stream::Stdout, Stream::Stderr]).into_iter().flatten();
        ends.filter_map(|stream| {
            let text = self.cutters[index(stream)].finish()?;
            Some(Line { source: source(stream), text })
        })
        .next()
    }
}

fn index(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

fn source(stream: Stream) -> LogSource {
    match stream {
        Stream::Stdout => LogSource::Stdout,
        Stream::Stderr => LogSource::Stderr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(held: &mut Held, last: bool) -> Vec<(bool, String)> {
        std::iter::from_fn(|| held.line(last))
            .map(|line| (line.source == LogSource::Stderr, line.text))
            .collect()
    }

    #[test]
    fn the_streams_keep_their_order_and_their_own_lines() {
        let mut held = Held::default();
        held.add(Stream::Stdout, b"one\ntw");
        held.add(Stream::Stderr, b"bad\nhalf");
        held.add(Stream::Stdout, b"o\n");
        let said = |words: &[(bool, &str)]| -> Vec<(bool, String)> {
            words.iter().map(|(err, text)| (*err, (*text).to_owned())).collect()
        };
        assert_eq!(all(&mut held, false), said(&[(false, "one"), (true, "bad"), (false, "two")]));
        assert_eq!(held.bytes, 0);
        assert_eq!(all(&mut held, true), said(&[(true, "half")]));
        assert!(all(&mut held, true).is_empty());
    }

    #[test]
    fn small_pieces_are_put_together_and_counted() {
        let mut held = Held::default();
        for _ in 0..10_000 {
            held.add(Stream::Stdout, b"0123456789\n");
        }
        assert_eq!((held.pieces.len(), held.bytes), (2, 110_000));
        assert_eq!(all(&mut held, true).len(), 10_000);
        assert_eq!((held.pieces.len(), held.bytes), (0, 0));
    }
}
