//! What was found before anything is done, drawn below a form: a sign, what it is about, and a sentence.

use crate::app::deploy::{Fact, Weight};
use crate::ui::text_view::Line;
use crate::ui::{Look, Role, text};

/// A line below a form. Everything foreign in it is harmless already.
pub(super) struct Shown {
    /// The sign and what it is about; the sentence goes on beside it.
    head: String,
    text: String,
    role: Role,
}

impl Shown {
    /// A sentence without a head.
    pub(super) fn plain(role: Role, said: &str) -> Self {
        Self { head: String::new(), text: text::clean(said).into_owned(), role }
    }

    pub(super) fn line(&self) -> Line<'_> {
        Line { prefix: &self.head, ..Line::of(self.role, &self.text) }
    }
}

/// The facts as lines, every sentence from the same column on. What is wrong with `half` is no mistake yet: a person is
/// still typing it.
pub(super) fn shown(facts: &[Fact], half: Option<&str>, look: &Look) -> Vec<Shown> {
    let about = |fact: &Fact| text::clean(&fact.about).into_owned();
    let widest = facts.iter().map(|fact| text::width(&about(fact))).max().unwrap_or(0);
    let one = |fact: &Fact| {
        let (sign, role) = match fact.weight {
            Weight::Good => (look.glyphs.succeeded, Role::Text),
            Weight::Odd => (look.glyphs.warning, Role::Warn),
            Weight::Wrong if half == Some(fact.about.as_str()) => (" ", Role::Muted),
            Weight::Wrong => (look.glyphs.failed, Role::Error),
        };
        let about = about(fact);
        let gap = " ".repeat(widest - text::width(&about) + 1);
        let word = if role == Role::Error { "error: " } else { "" };
        Shown {
            head: format!("{sign} {about}{gap}"),
            text: format!("{word}{}", text::clean(&fact.said)),
            role,
        }
    };
    facts.iter().map(one).collect()
}

/// Whether nothing found stands against it.
pub(super) fn is_good(facts: &[Fact]) -> bool {
    facts.iter().all(|fact| fact.weight != Weight::Wrong)
}
