//! What the terminal library says, as the core's messages.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};

use crate::app::Msg;
use crate::app::key::{Code, Key};
use crate::app::msg::{Mouse, MouseKind};

/// The message of an event; None for what the console has no use for.
pub fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(event) => key(event).map(Msg::Key),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(width, height) => Some(Msg::Resize { width, height }),
        Event::Mouse(event) => {
            let kind = match event.kind {
                MouseEventKind::Down(MouseButton::Left) => MouseKind::Press,
                MouseEventKind::ScrollDown => MouseKind::ScrollDown,
                MouseEventKind::ScrollUp => MouseKind::ScrollUp,
                _ => return None,
            };
            Some(Msg::Mouse(Mouse { x: event.column, y: event.row, kind }))
        }
        Event::FocusGained | Event::FocusLost => None,
    }
}

fn key(event: KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let code = match event.code {
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Insert => Code::Insert,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        _ => return None,
    };
    Some(Key {
        code,
        ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
        alt: event.modifiers.contains(KeyModifiers::ALT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shift_is_in_the_character_and_control_beside_it() {
        let press = |code, modifiers| message(Event::Key(KeyEvent::new(code, modifiers)));
        let shown = |msg| match msg {
            Some(Msg::Key(key)) => format!("{key}"),
            other => format!("{other:?}"),
        };
        assert_eq!(shown(press(KeyCode::Char('G'), KeyModifiers::SHIFT)), "G");
        assert_eq!(shown(press(KeyCode::Char('c'), KeyModifiers::CONTROL)), "ctrl-c");
        assert_eq!(shown(press(KeyCode::BackTab, KeyModifiers::SHIFT)), "backtab");
        assert_eq!(shown(press(KeyCode::F(1), KeyModifiers::NONE)), "None");
    }
}
