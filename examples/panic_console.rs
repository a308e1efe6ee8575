//! Takes the terminal as the console does and panics, so that tests can see what is left of it.
//!
//! `panic_console drawing` panics on the thread that draws; `panic_console background` panics on another, goes on,
//! and ends when Enter is pressed.
#![allow(clippy::panic)]

use std::io::{self, Read as _};
use std::thread;

use shepard::shell::terminal::TerminalGuard;

fn main() -> io::Result<()> {
    let (_guard, mut tui) = TerminalGuard::take(false)?;
    tui.draw(|frame| frame.render_widget("the screen is taken", frame.area()))?;
    if std::env::args().nth(1).as_deref() == Some("drawing") {
        panic!("the drawing thread is at its end");
    }
    let other = thread::spawn(|| panic!("a thread in the background is at its end"));
    let ended = if other.join().is_err() { "it has panicked" } else { "it has not panicked" };
    tui.draw(|frame| frame.render_widget(format!("the screen is still taken: {ended}"), frame.area()))?;
    io::stdin().read_exact(&mut [0])
}
