//! What the forms share: keys that go into fields, and paths that complete themselves.
//!
//! A field takes what types; everything that the keymap binds in a form stays an action. A path is completed from
//! answers to the very text that is typed, never from those to an earlier one.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::actions::Scope;
use crate::app::bar::common;
use crate::app::effect::{Effect, Request};
use crate::app::key::{Code, Key};
use crate::app::keymap::Keymap;
use crate::app::model::{Ctx, Model};
use crate::app::overlay;
use crate::ui::form::{Edit, Field, Form, Value};
use crate::ui::{Look, text};

/// Ways to go on that are shown below a path.
const SHOWN: usize = 5;
/// Columns that they may take; with what is around them that fits the narrowest of usual terminals.
const WIDE: usize = 34;
/// Characters of a paste that are taken: no path and no command line is longer.
const PASTED: usize = 4_096;

/// What a key did to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// It is not for a field.
    No,
    /// It moved the cursor, or did nothing there.
    Kept,
    /// The value is another one now.
    Changed,
}

/// Gives a key to the field that has the focus.
pub(super) fn typed(form: &mut Form, keymap: &Keymap, key: Key) -> Typed {
    let at = form.focus();
    form.fields.get_mut(at).map_or(Typed::No, |field| typed_into(field, &[Scope::Form], keymap, key))
}

/// Gives a key to a field, on a screen of these scopes.
pub(super) fn typed_into(field: &mut Field, scopes: &[Scope], keymap: &Keymap, key: Key) -> Typed {
    // A character always types; of the other keys the field gets those that no action of a form has.
    if key.typed().is_none() && keymap.action(scopes, key).is_some() {
        return Typed::No;
    }
    let changed = match &mut field.value {
        Value::Text(input) if edits(key) => {
            let changed = overlay::edit(input, key);
            if changed {
                field.error = None;
            }
            changed
        }
        Value::Text(_) => return Typed::No,
        Value::Choice { .. } | Value::Switch(_) => match key.code {
            Code::Left => field.edit(Edit::Left),
            Code::Right => field.edit(Edit::Right),
            Code::Char(' ') => field.edit(Edit::Char(' ')),
            // A letter typed where there is no text must not become an action that leaves the form.
            Code::Char(_) if key.typed().is_some() => false,
            _ => return Typed::No,
        },
    };
    if changed { Typed::Changed } else { Typed::Kept }
}

fn edits(key: Key) -> bool {
    match key.code {
        Code::Char(c) if key.ctrl => "aeukwh".contains(c),
        Code::Char(_) => !key.alt,
        code => {
            matches!(code, Code::Backspace | Code::Delete | Code::Left | Code::Right | Code::Home | Code::End)
        }
    }
}

/// Puts pasted text into the field that has the focus; true if it took it.
pub(super) fn pasted(form: &mut Form, text: &str) -> bool {
    let at = form.focus();
    form.fields.get_mut(at).is_some_and(|field| pasted_into(field, text))
}

/// Puts pasted text into a field; true if it took it.
pub(super) fn pasted_into(field: &mut Field, text: &str) -> bool {
    let Value::Text(input) = &mut field.value else { return false };
    let line: String = text.trim().chars().take(PASTED).collect();
    overlay::paste(input, &line);
    field.error = None;
    true
}

/// What the name of an image cannot be; the same is said when it is used.
pub(super) fn check_image(typed: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    if let Some(bad) = typed.chars().find(|c| !fits(*c)) {
        return Err(format!(
            "{bad:?} cannot be in the name of an image, which is REPOSITORY:TAG or sha256:\u{2026}"
        ));
    }
    if typed.starts_with(['-', '.', '/', ':', '@']) {
        return Err("the name of an image begins with a letter or a digit".to_owned());
    }
    if typed.len() > 512 {
        return Err(format!("{} characters are too many; 512 are the most", typed.len()));
    }
    Ok(())
}

/// Lines a form takes.
pub(super) fn height(form: &Form) -> u16 {
    let notes = form
        .fields
        .iter()
        .enumerate()
        .filter(|(at, field)| field.error.is_some() || (*at == form.focus() && !field.hint.is_empty()));
    u16::try_from(form.fields.len() + notes.count()).unwrap_or(u16::MAX)
}

/// Draws a form at the top of an area, with the cursor in it unless something lies over it; gives what is left.
pub(super) fn draw(form: &Form, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) -> Rect {
    let height = height(form).min(area.height);
    let cursor = form.render(look, Rect { height, ..area }, frame.buffer_mut());
    if let Some(cursor) = cursor.filter(|_| model.overlay.is_none()) {
        frame.set_cursor_position(cursor);
    }
    Rect { y: area.y + height, height: area.height - height, ..area }
}

/// Completes a path.
#[derive(Debug, Default)]
pub(super) struct Completion {
    asked: String,
    /// Ways to go on from what was asked; None until they are known.
    found: Option<Vec<String>>,
    /// Tab was pressed before they were.
    waiting: bool,
}

/// What Tab does in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tab {
    /// The text becomes this one.
    Complete(String),
    /// It leads on in several ways; the person has to type.
    Several,
    /// The answer is under way.
    Wait,
    /// There is nothing to complete.
    Next,
}

impl Completion {
    /// Asks how a text may go on.
    pub(super) fn ask(&mut self, ctx: &mut Ctx<'_>, text: &str) {
        *self = Self { asked: text.to_owned(), found: None, waiting: false };
        ctx.effect(Effect::Load(Request::Paths { text: text.to_owned() }));
    }

    /// Takes an answer; false if it is to another text. Tells whether Tab waits for it.
    pub(super) fn take(&mut self, text: &str, candidates: &[String]) -> Option<bool> {
        if text != self.asked || self.found.is_some() {
            return None;
        }
        let on = |path: &&String| path.starts_with(text) && path.len() > text.len();
        self.found = Some(candidates.iter().filter(on).cloned().collect());
        Some(std::mem::take(&mut self.waiting))
    }

    /// What Tab does.
    pub(super) fn tab(&mut self) -> Tab {
        let Some(found) = &self.found else {
            self.waiting = true;
            return Tab::Wait;
        };
        match (common(found, &self.asked), found.len()) {
            (Some(longer), _) => Tab::Complete(longer),
            (None, 0) => Tab::Next,
            (None, _) => Tab::Several,
        }
    }

    /// Nothing that is there begins with the text.
    pub(super) fn leads_nowhere(&self) -> bool {
        self.found.as_ref().is_some_and(Vec::is_empty)
    }

    /// The ways to go on, by the part that would be new, in a line; None if there are none.
    pub(super) fn line(&self) -> Option<String> {
        let found = self.found.as_ref().filter(|found| !found.is_empty())?;
        let mut line = String::new();
        let mut named = 0;
        for path in found.iter().take(SHOWN) {
            let end = path.trim_end_matches('/').rfind('/').map_or(0, |slash| slash + 1);
            let name = text::clean(&path[end..]);
            if named > 0 && text::width(&line) + text::width(&name) + 2 > WIDE {
                break;
            }
            line.push_str(if named > 0 { "  " } else { "" });
            line.push_str(&name);
            named += 1;
        }
        if found.len() > named {
            line.push_str(&format!("  and {} more", found.len() - named));
        }
        Some(format!("{}: {line}", if found.len() == 1 { "tab completes" } else { "goes on with" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str, candidates: &[&str]) -> Completion {
        let mut completion = Completion { asked: text.to_owned(), ..Completion::default() };
        let candidates: Vec<String> = candidates.iter().map(|&path| path.to_owned()).collect();
        assert_eq!(completion.take(text, &candidates), Some(false));
        completion
    }

    #[test]
    fn tab_takes_the_longest_common_part_and_a_single_way_whole() {
        let complete = |text: &str| Tab::Complete(text.to_owned());
        assert_eq!(answered("/d", &["/data/", "/data2/"]).tab(), complete("/data"));
        assert_eq!(answered("/d", &["/data/"]).tab(), complete("/data/"));
        assert_eq!(answered("/d/ä", &["/d/äu", "/d/äß"]).tab(), Tab::Several);
        assert_eq!(answered("/d/a", &["/d/a"]).tab(), Tab::Next);
        assert_eq!(answered("/d/a", &[]).tab(), Tab::Next);
    }

    #[test]
    fn an_answer_to_an_earlier_text_is_none() {
        let mut completion = Completion { asked: "/da".to_owned(), ..Completion::default() };
        assert_eq!(completion.take("/d", &["/dev/".to_owned()]), None);
        assert_eq!(completion.tab(), Tab::Wait);
        assert_eq!(completion.take("/da", &["/data/".to_owned()]), Some(true), "Tab was waiting");
    }

    #[test]
    fn names_are_harmless_and_few() {
        let line = answered("/x/", &["/x/a\u{1b}[31mb/", "/x/c"]).line();
        assert_eq!(line.as_deref(), Some("goes on with: ab/  c"));
        let many: Vec<String> = (0..9).map(|at| format!("/x/{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(answered("/x/", &many).line().is_some_and(|line| line.ends_with("4  and 4 more")));
        assert_eq!(answered("/x/", &[]).line(), None);
    }
}
