//! Draws the form with what was found below it; or how far a deploy is, with the last lines of its builder.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{Deploy, NESTED, State};
use crate::app::actions::Action;
use crate::app::deploy::{Source, Wish};
use crate::app::effect::Command;
use crate::app::model::{Data, Model};
use crate::app::ops::Op;
use crate::screens::facts::{self, Shown};
use crate::screens::fields;
use crate::ui::text_view::{Line, TextView};
use crate::ui::{Look, Role, layout, sparkline, text, time};

/// Lines above the form: what it is, and a gap.
const ABOVE: u16 = 2;
/// Columns of the progress bar.
const BAR: usize = 24;

impl Deploy {
    /// What Enter would do, in a sentence.
    fn then(&self, data: &Data) -> String {
        let first = if self.is_folder() { "builds the folder, then " } else { "" };
        match (self.repository(), self.form.fields[NESTED].is_on()) {
            (None, _) => {
                // What the flock is to run stays; where it runs is what changes.
                let flock = data.flock(&self.flock);
                let own = flock.map(|flock| flock.payload.as_str()).filter(|own| !own.is_empty());
                let run = own.map_or("it".to_owned(), |own| format!("{own} in containers of it"));
                format!("Enter {first}has the next jobs of {} run {run}.", self.flock)
            }
            (Some(to), true) => {
                format!(
                    "Enter {first}pushes the flock's image with the payload in it to {to}, and moves latest."
                )
            }
            (Some(to), false) => {
                format!("Enter {first}pushes the payload and the flock's image to {to}, and moves latest.")
            }
        }
    }

    /// What is said below the form.
    fn below(&self, data: &Data, look: &Look) -> Vec<Shown> {
        if let Some(problem) = &self.problem {
            let mut lines = vec![
                Shown::plain(Role::Error, &format!("error: {problem}")),
                Shown::plain(Role::Muted, "Mend it and press enter again."),
            ];
            if !self.said.is_empty() {
                lines.push(Shown::plain(Role::Text, ""));
                lines.push(Shown::plain(Role::Muted, "The last that was said:"));
            }
            return lines;
        }
        let Some(found) = &self.found else {
            return match (self.value(super::SOURCE).is_empty(), self.pressed) {
                (true, _) => vec![Shown::plain(Role::Muted, &self.then(data))],
                (false, false) => {
                    vec![Shown::plain(Role::Muted, &format!("looking at it{}", look.glyphs.ellipsis))]
                }
                (false, true) => {
                    let said = format!("looking at it{} and then it is deployed", look.glyphs.ellipsis);
                    vec![Shown::plain(Role::Info, &said), Shown::plain(Role::Muted, "esc leaves it")]
                }
            };
        };
        // Half a path is no mistake as long as something that is there begins with it.
        let half = !self.insisted && self.is_folder() && !self.paths.leads_nowhere();
        let mut lines = facts::shown(found, half.then_some("folder"), look);
        lines.push(Shown::plain(Role::Text, ""));
        lines.push(if facts::is_good(found) {
            Shown::plain(Role::Muted, &self.then(data))
        } else {
            Shown::plain(Role::Muted, "Enter looks again.")
        });
        lines
    }
}

/// Draws into the area between header and footer.
pub(super) fn draw(deploy: &Deploy, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let title = format!("Deploy to {}", text::clean(&deploy.flock));
    layout::put(frame.buffer_mut(), area.x + 1, area.y, area.width, &title, look, Role::Title);
    let below =
        Rect { y: area.y + ABOVE.min(area.height), height: area.height.saturating_sub(ABOVE), ..area };
    match &deploy.state {
        State::Form => form(deploy, model, look, frame, below),
        State::UnderWay(command) => under_way(deploy, command, model, look, frame, below),
        State::Done(sentence) => {
            let lines = [
                Shown::plain(Role::Ok, sentence),
                Shown::plain(Role::Text, ""),
                Shown::plain(Role::Muted, "Enter shows the jobs; there, v shows the releases."),
            ];
            put(&lines, look, frame, inner(below));
        }
    }
}

fn form(deploy: &Deploy, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let below = fields::draw(&deploy.form, model, look, frame, area);
    let room = inner(Rect { y: below.y + 1, height: below.height.saturating_sub(1), ..below });
    let lines = deploy.below(&model.data, look);
    let used = put(&lines, look, frame, room);
    if deploy.problem.is_some() {
        let rest = Rect { y: room.y + used, height: room.height.saturating_sub(used), ..room };
        tail(deploy, look, frame, rest);
    }
}

fn under_way(
    deploy: &Deploy,
    command: &Command,
    model: &Model,
    look: &Look,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let op = model.ops.running.iter().find(|op| op.command == *command);
    let mut lines = Vec::new();
    if let Command::Deploy(wish) = command {
        lines.push(Shown::plain(Role::Text, &what(wish)));
    }
    lines.push(Shown::plain(Role::Info, &op.map(|op| far(op, model.now_ms, look)).unwrap_or_default()));
    let key = |action| model.session.keymap.keys(action).first().map(ToString::to_string).unwrap_or_default();
    let keys = format!("{} cancels it, {} leaves it running", key(Action::Interrupt), key(Action::Out));
    lines.push(Shown::plain(Role::Muted, &keys));
    lines.push(Shown::plain(Role::Text, ""));
    let room = inner(area);
    let used = put(&lines, look, frame, room);
    let rest = Rect { y: room.y + used, height: room.height.saturating_sub(used), ..room };
    tail(deploy, look, frame, rest);
}

/// What is deployed, and to where.
fn what(wish: &Wish) -> String {
    let source = match &wish.source {
        Source::Folder(path) => format!("the folder {path}"),
        Source::Image(name) => format!("the image {name}"),
    };
    match &wish.repository {
        None => format!("{source}, to be run on this machine"),
        Some(to) if wish.nested => format!("{source}, nested, to {to}"),
        Some(to) => format!("{source}, to {to}"),
    }
}

/// How far a command is, in a line.
fn far(op: &Op, now_ms: i64, look: &Look) -> String {
    let number = |n: u64| if op.bytes { time::size(n) } else { time::count(n) };
    let since = time::duration(now_ms - op.since_ms);
    let part = if op.part.is_empty() { "beginning" } else { &op.part };
    match (op.total, op.done) {
        (0, 0) => format!("{part}  {since}"),
        (0, done) => format!("{part}  {}  {since}", number(done)),
        (total, done) => {
            let bar = sparkline::progress(done, total, BAR, &look.glyphs);
            format!("{part}  {bar} {} of {}  {since}", number(done), number(total))
        }
    }
}

/// The last lines that were said, the newest lowest, right below what is above them.
fn tail(deploy: &Deploy, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let skip = deploy.said.len().saturating_sub(usize::from(area.height));
    let said: Vec<_> = deploy.said.iter().skip(skip).map(|line| text::clean(line)).collect();
    let lines: Vec<Line<'_>> = said.iter().map(|line| Line::of(Role::Muted, line)).collect();
    TextView::default().render(look, &lines, area, frame.buffer_mut());
}

fn inner(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }
}

/// Draws lines; gives how many rows they took.
fn put(lines: &[Shown], look: &Look, frame: &mut Frame<'_>, area: Rect) -> u16 {
    let lines: Vec<Line<'_>> = lines.iter().map(Shown::line).collect();
    TextView { wrap: true, ..TextView::default() }.render(look, &lines, area, frame.buffer_mut());
    let rows: usize = lines.iter().map(|line| crate::ui::text_view::rows(line, area.width, true)).sum();
    u16::try_from(rows).unwrap_or(u16::MAX).min(area.height)
}
