//! The terminal: taken at the start, given back whatever happens.
//!
//! It asks the terminal nothing at start-up, so nothing can wait for an answer that a multiplexer swallows. It is
//! given back on return, on error, on panic of the drawing thread, on SIGTERM and SIGHUP, and before Ctrl-Z
//! stops the process. A panic on another thread is written to the log and leaves the screen alone.

use std::io::{self, BufWriter, Stdout, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};

/// The terminal as the loop draws on it. A frame is collected whole and written at once, so that it crosses a
/// slow line in one piece.
pub type Tui = ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// Bytes a frame may have before it is written in two pieces: a full redraw of 200×60 cells with colours.
const FRAME_BYTES: usize = 64 * 1024;

/// Empties the screen, so that the next frame is drawn whole.
///
/// Not with the library's own `clear`: that one asks the terminal where the cursor is and waits for the answer, which
/// the event stream may take from it, and a multiplexer swallow.
///
/// # Errors
/// When the terminal is gone.
pub fn clear(tui: &mut Tui) -> io::Result<()> {
    let size = tui.size()?;
    tui.resize(Rect::from((Position::ORIGIN, size)))
}

static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Holds the terminal; gives it back when dropped.
#[derive(Debug)]
pub struct TerminalGuard {
    mouse: bool,
}

impl TerminalGuard {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard output is no terminal, or refuses.
    pub fn take(mouse: bool) -> io::Result<(Self, Tui)> {
        give_back_on_panic_of(thread::current().id());
        let mut guard = Self { mouse };
        guard.enter()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, io::stdout()));
        Ok((guard, ratatui::Terminal::new(backend)?))
    }

    /// Takes the terminal again after [`Self::leave`].
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        crossterm::execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        self.set_mouse(self.mouse)
    }

    /// Gives the terminal back for a while.
    pub fn leave(&mut self) {
        restore();
    }

    /// Takes the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        if on {
            crossterm::execute!(io::stdout(), EnableMouseCapture)?;
        } else if self.mouse {
            crossterm::execute!(io::stdout(), DisableMouseCapture)?;
        }
        self.mouse = on;
        Ok(())
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back; does nothing if it is not taken. Failures are ignored: the terminal may be gone.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = crossterm::execute!(
            io::stdout(),
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        );
        let _ = disable_raw_mode();
        let _ = io::stdout().flush();
    }
}

/// Installs a panic hook that restores the terminal before the message is printed, and only for a panic of the
/// drawing thread: one in the background must not tear the screen down under a person.
fn give_back_on_panic_of(drawing: ThreadId) {
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(%place, "a thread panicked");
            if thread::current().id() == drawing {
                restore();
                print(info);
            }
        }));
    });
}
