//! Help: every key that works here, from the one table of actions. Nothing on it is written by hand.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::actions::Scope;
use crate::app::model::Model;
use crate::app::offered::without;
use crate::app::update::scopes;
use crate::ui::{Look, Role, layout, text};

/// Most columns for the keys of a line; what is longer is cut.
const KEYS: usize = 27;

/// One line of help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The title of a group.
    Title(&'static str),
    /// Keys, and what they do.
    Keys(String, &'static str),
    /// Nothing.
    Gap,
}

/// The help for where the console is: its own keys first, then what works everywhere.
pub fn lines(model: &Model) -> Vec<Line> {
    let here = scopes(model);
    let mut lines = Vec::new();
    for scope in &here {
        lines.extend(group(model, *scope, &here));
    }
    lines
}

/// How many lines that is.
pub fn line_count(model: &Model) -> usize {
    lines(model).len()
}

fn group(model: &Model, scope: Scope, here: &[Scope]) -> Vec<Line> {
    let map = &model.session.keymap;
    let listed: Vec<Line> = map
        .listed(&[scope])
        .filter(|(spec, _)| !without(model).contains(&spec.action))
        .map(|(spec, keys)| {
            // A key that a nearer scope has taken means something else here.
            let keys: Vec<String> = keys
                .iter()
                .filter(|key| map.action(here, **key) == Some(spec.action))
                .map(ToString::to_string)
                .collect();
            let keys = if keys.is_empty() { format!(":{}", spec.name) } else { keys.join("  ") };
            Line::Keys(keys, spec.help)
        })
        .collect();
    if listed.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::Title(scope.title())];
    lines.extend(listed);
    lines.push(Line::Gap);
    lines
}

/// Draws help over the body, from line `top` on.
pub fn draw(model: &Model, look: &Look, top: usize, body: Rect, buf: &mut Buffer) {
    let lines = lines(model);
    let title = format!("keys {} {}", look.glyphs.separator, model.nav.place().crumb());
    let inner = layout::framed(look, body, &title, Role::Title, buf);
    let rows = usize::from(inner.height);
    // The last page is shown whole: scrolling past the end would show nothing.
    let top = top.min(lines.len().saturating_sub(rows));
    let keys = lines
        .iter()
        .filter_map(|line| if let Line::Keys(keys, _) = line { Some(text::width(keys)) } else { None })
        .max()
        .unwrap_or(0)
        .min(KEYS);
    let indent = u16::try_from(keys).unwrap_or(0) + 3;
    for (line, y) in lines.iter().skip(top).zip(inner.top()..inner.bottom()) {
        let width = inner.width.saturating_sub(1);
        match line {
            Line::Title(title) => {
                layout::put(buf, inner.x + 1, y, width, title, look, Role::Header);
            }
            Line::Keys(keys, help) => {
                layout::put(buf, inner.x + 2, y, indent.saturating_sub(2), keys, look, Role::Key);
                let left = inner.width.saturating_sub(indent);
                layout::put(buf, inner.x + indent, y, left, help, look, Role::Text);
            }
            Line::Gap => {}
        }
    }
    if lines.len() > top + rows {
        let more = format!(" {} {} more ", look.glyphs.more_below, lines.len() - top - rows);
        let x = body.right().saturating_sub(u16::try_from(text::width(&more)).unwrap_or(0) + 2);
        layout::put(buf, x, body.bottom().saturating_sub(1), body.width, &more, look, Role::Muted);
    }
}
