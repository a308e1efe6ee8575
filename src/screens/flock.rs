//! Where a flock keeps its things: whether it runs, what it runs, what waits, and its folders.

use ratatui::Frame;
use ratatui::layout::Rect;
use shepard_model::{Isolation, State};

use super::{Behaviour, scroll};
use crate::app::actions::{Action, Scope};
use crate::app::aws::OnAws;
use crate::app::model::{Ctx, Data, Model};
use crate::app::msg::FlockRow;
use crate::app::nav::Place;
use crate::ui::text_view::{self, Line, TextView};
use crate::ui::{Look, Role, layout, text, time};

/// Lines of the terminal that are not the text's: header, title, gap, footer.
const AROUND: u16 = 4;

/// The screen's state.
#[derive(Debug)]
pub struct Flock {
    flock: String,
    top: usize,
}

/// A line: what it is, and its value. A title has no value, a gap neither.
struct Said {
    name: String,
    value: String,
    role: Role,
}

impl Said {
    fn line(&self) -> Line<'_> {
        Line { prefix: &self.name, ..Line::of(self.role, &self.value) }
    }
}

impl Flock {
    /// For a flock.
    pub fn new(flock: &str) -> Self {
        Self { flock: flock.to_owned(), top: 0 }
    }

    fn said(&self, data: &Data) -> Vec<Said> {
        let mut said = Vec::new();
        let mut add = |name: &str, value: String, role| {
            said.push(Said {
                name: text::clean(name).into_owned(),
                value: text::clean(&value).into_owned(),
                role,
            });
        };
        if let Some(problem) = &data.flocks.problem {
            add("", format!("this may be out of date: {}", problem.text), Role::Warn);
        }
        let Some(flock) = data.flock(&self.flock) else {
            let (text, role) = if data.flocks.value.is_none() {
                ("reading it", Role::Muted)
            } else {
                ("there is no flock of this name any more", Role::Error)
            };
            add("", text.to_owned(), role);
            return said;
        };
        if let Some(problem) = &flock.problem {
            add("problem", problem.clone(), Role::Error);
        }
        settings(flock, &mut add);
        // Every value begins in the same column.
        let names = said.iter().map(|line| text::width(&line.name)).max().unwrap_or(0);
        for line in said.iter_mut().filter(|line| !line.name.is_empty()) {
            line.name.push_str(&" ".repeat(names + 1 - text::width(&line.name)));
        }
        said
    }

    fn scroll(&mut self, ctx: &Ctx<'_>, by: isize) {
        let lines = self.said(ctx.data);
        let rows =
            lines.iter().rev().map(|line| text_view::rows(&line.line(), ctx.size.0.saturating_sub(2), true));
        let last = scroll::last_top(lines.len(), usize::from(ctx.size.1.saturating_sub(AROUND)), rows);
        self.top = self.top.saturating_add_signed(by).min(last);
    }
}

/// What is lifted of a container's isolation, and what is put on it.
fn isolation(granted: &Isolation, add: &mut impl FnMut(&str, String, Role)) {
    let mut lifted = Vec::new();
    let mut lift = |is_granted: bool, said: String| lifted.extend(is_granted.then_some(said));
    lift(granted.privileged, "privileged: it can do to this machine what root can".to_owned());
    lift(granted.docker_socket, "the Docker socket: it can do to this machine what root can".to_owned());
    lift(granted.host_network, "this machine's network".to_owned());
    lift(!granted.devices.is_empty(), format!("the devices {}", granted.devices.join(", ")));
    lift(!granted.gpus.is_empty(), format!("the GPUs {}", granted.gpus.join(", ")));
    if lifted.is_empty() {
        add("granted", "nothing of this machine".to_owned(), Role::Text);
    }
    for (at, said) in lifted.into_iter().enumerate() {
        add(if at == 0 { "granted" } else { "also" }, said, Role::Warn);
    }
    let mut limits = Vec::new();
    limits.extend(granted.memory_mib.map(|mib| format!("{} MiB of memory", time::count(mib.into()))));
    limits.extend(granted.cpu_milli.map(|milli| format!("{} processors", f64::from(milli) / 1000.0)));
    limits.extend(granted.shm_mib.map(|mib| format!("{} MiB of /dev/shm", time::count(mib.into()))));
    if !limits.is_empty() {
        add("at most", limits.join(", "), Role::Text);
    }
}

fn on_aws(flock: &FlockRow, aws: &OnAws, add: &mut impl FnMut(&str, String, Role)) {
    add("where", format!("AWS, {}", aws.place), Role::Text);
    if aws.read_only {
        add("changes", "refused: config.toml makes this account read-only".to_owned(), Role::Warn);
    }
    add("", String::new(), Role::Text);
    for (state, count) in State::ALL.iter().zip(flock.counts).filter(|_| aws.counted) {
        let role = if count == 0 { Role::Muted } else { Role::of_state(state.word()) };
        add(state.word(), time::count(count), role);
    }
    if !aws.counted {
        add("jobs", "not counted: open the flock to read its table".to_owned(), Role::Muted);
    }
    match (aws.has_queue, aws.measured) {
        (true, true) => {
            add("queue", time::count(flock.waiting), Role::Text);
            let role = if flock.dead == 0 { Role::Muted } else { Role::Error };
            add("dead letters", time::count(flock.dead), role);
        }
        (true, false) => add("queue", "not asked yet".to_owned(), Role::Muted),
        (false, _) => add("queue", "nothing is known of it".to_owned(), Role::Muted),
    }
    add("", String::new(), Role::Text);
    for (what, place) in &flock.places {
        add(what, place.clone(), Role::Text);
    }
}

fn settings(flock: &FlockRow, add: &mut impl FnMut(&str, String, Role)) {
    if let Some(aws) = &flock.aws {
        return on_aws(flock, aws, add);
    }
    let (state, role) = match (flock.running, flock.pid) {
        (true, Some(pid)) => (format!("running, process {pid}"), Role::Ok),
        (true, None) => ("running".to_owned(), Role::Ok),
        (false, _) => ("stopped; jobs wait until it is started".to_owned(), Role::Warn),
    };
    add("supervisor", state, role);
    let what = if flock.payload.is_empty() { "the image's own program" } else { &flock.payload };
    add("jobs run", what.to_owned(), Role::Text);
    match &flock.image {
        None => add("way", "process of this machine, not isolated from it".to_owned(), Role::Text),
        Some(image) => {
            add("way", format!("container image {image}"), Role::Text);
            isolation(&flock.isolation, add);
        }
    }
    add("at once", time::count(u64::from(flock.max_jobs)), Role::Text);
    add("", String::new(), Role::Text);
    for (state, count) in State::ALL.iter().zip(flock.counts) {
        let role = if count == 0 { Role::Muted } else { Role::of_state(state.word()) };
        add(state.word(), time::count(count), role);
    }
    add("", String::new(), Role::Text);
    let waiting = match flock.waiting {
        0 => "nothing waits to become a job".to_owned(),
        1 => "1 upload waits to become a job".to_owned(),
        many => format!("{} uploads wait to become jobs", time::count(many)),
    };
    add("queue", waiting, Role::Text);
    let (dead, role) = match flock.dead {
        0 => ("none".to_owned(), Role::Muted),
        1 => ("1 upload; supervisor.log says why".to_owned(), Role::Error),
        dead => (format!("{} uploads; supervisor.log says why", time::count(dead)), Role::Error),
    };
    add("given up", dead, role);
    add("", String::new(), Role::Text);
    for (what, path) in &flock.places {
        add(what, path.clone(), Role::Text);
    }
}

impl Behaviour for Flock {
    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Flock, Scope::Text]
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, action: Action) -> bool {
        let page = isize::try_from(ctx.size.1.saturating_sub(AROUND)).unwrap_or(0).max(1);
        match action {
            Action::DescribeDeploy => ctx.go(Place::Deploy { flock: self.flock.clone() }),
            Action::DescribeReleases => ctx.go(Place::Releases { flock: self.flock.clone() }),
            Action::TextDown => self.scroll(ctx, 1),
            Action::TextUp => self.scroll(ctx, -1),
            Action::TextPageDown => self.scroll(ctx, page),
            Action::TextPageUp => self.scroll(ctx, -page),
            Action::TextFirst => self.top = 0,
            Action::TextLast => self.scroll(ctx, isize::MAX),
            _ => return false,
        }
        true
    }

    fn draw(&self, model: &Model, look: &Look, frame: &mut Frame<'_>, area: Rect) {
        let said = self.said(&model.data);
        let title = format!("Flock {}", text::clean(&self.flock));
        let buf = frame.buffer_mut();
        layout::put(buf, area.x + 1, area.y, area.width, &title, look, Role::Title);
        let room = Rect {
            x: area.x + 1,
            y: area.y + 2,
            width: area.width.saturating_sub(2),
            height: area.height.saturating_sub(2),
        };
        let lines: Vec<Line<'_>> = said.iter().skip(self.top).map(Said::line).collect();
        let drawn = TextView { wrap: true, ..TextView::default() }.render(look, &lines, room, buf);
        let below = said.len().saturating_sub(self.top + drawn);
        let more = scroll::out_of_sight(look, self.top, below, ["", ""]);
        let width = u16::try_from(text::width(&more)).unwrap_or(u16::MAX);
        layout::put(buf, area.right().saturating_sub(width + 1), area.y, width, &more, look, Role::Muted);
    }

    fn note(&self, model: &Model) -> String {
        match model.data.flock(&self.flock) {
            Some(flock) if !flock.running => "stopped".to_owned(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use shepard_model::Isolation;

    use crate::app::msg::{FlockRow, Msg};
    use crate::app::nav::Place;
    use crate::app::remote::{Problem, ProblemKind};
    use crate::screens::drive::{Drive, demo};

    fn full() -> FlockRow {
        let at = "/home/ann/.local/share/shepard/flocks/demo";
        let place = |what: &str, path: &str| (what.to_owned(), format!("{at}/{path}"));
        FlockRow {
            pid: Some(4242),
            counts: [3, 0, 2, 1_240, 7, 1, 0],
            waiting: 12,
            dead: 1,
            payload: "python3 /home/ann/job.py --threads 4".to_owned(),
            places: vec![
                place("inputs", "inputs"),
                place("results", "outputs"),
                place("errors", "errors"),
                place("quick deploy", "quick_deploy"),
                place("logs", "logs"),
                place("supervisor log", "supervisor.log"),
                place("settings", "flock.json"),
            ],
            ..demo()
        }
    }

    fn details(row: FlockRow) -> Drive {
        let mut drive = Drive::at(Place::Flock { flock: "demo".to_owned() });
        drive.say(Msg::Flocks(vec![row]));
        drive
    }

    #[test]
    fn it_scrolls_to_its_end_and_back() {
        let mut drive = details(full());
        let first = drive.picture(60, 14);
        assert!(first.contains("process 4242") && !first.contains("flock.json"));
        drive.press("G");
        let last = drive.picture(60, 14);
        assert!(last.contains("flock.json") && !last.contains("process 4242"), "{last}");
        drive.press("jjj<pgdn>");
        assert_eq!(drive.picture(60, 14), last, "and not beyond");
        drive.press("<pgup><pgup><pgup>k");
        assert_eq!(drive.picture(60, 14), first);
        drive.press("<esc>");
        assert_eq!(drive.model.nav.place(), &Place::Flocks);
    }

    #[test]
    fn foreign_text_is_harmless_and_trouble_is_said() {
        let row = FlockRow { payload: "x\u{1b}[2Jy\u{7}".to_owned(), running: false, ..full() };
        let picture = details(row).picture(80, 24);
        assert!(picture.contains("xy·") && picture.contains("stopped; jobs wait"), "{picture}");
        let row = FlockRow { problem: Some("the settings cannot be read: denied".to_owned()), ..demo() };
        assert!(details(row).picture(80, 24).contains("settings cannot be read"));
        let mut drive = details(full());
        let problem = Problem::new(ProblemKind::Other, "the folder of the flocks is gone");
        drive.say(Msg::FeedFailed(crate::app::Sub::Flocks, problem));
        assert!(drive.picture(80, 24).contains("may be out of date: the folder"));
        drive.say(Msg::Flocks(Vec::new()));
        assert!(drive.picture(80, 24).contains("no flock of this name any more"));
    }

    #[test]
    fn it_says_which_way_jobs_run_and_what_is_granted() {
        let contained = FlockRow { image: Some("busybox:1".to_owned()), payload: String::new(), ..full() };
        let picture = details(contained.clone()).picture(80, 40);
        assert!(picture.contains("the image's own program"), "{picture}");
        assert!(picture.contains("container image busybox:1") && picture.contains("nothing of this machine"));
        let isolation = Isolation {
            privileged: true,
            docker_socket: true,
            host_network: true,
            devices: vec!["/dev/fuse".to_owned(), "/dev/kvm".to_owned()],
            gpus: vec!["all".to_owned()],
            shm_mib: Some(2_048),
            memory_mib: Some(512),
            cpu_milli: Some(1_500),
        };
        let picture = details(FlockRow { isolation, ..contained }).picture(80, 40);
        for said in [
            "privileged",
            "Docker socket",
            "this machine's network",
            "/dev/fuse, /dev/kvm",
            "the GPUs all",
            "512 MiB of memory, 1.5 processors, 2,048 MiB of /dev/shm",
        ] {
            assert!(picture.contains(said), "{said}: {picture}");
        }
        assert!(!picture.contains("nothing of this machine"));
        insta::assert_snapshot!("flock_granted_80", picture);
    }

    #[test]
    fn pictures() {
        for (width, height) in [(80, 24), (120, 40)] {
            insta::assert_snapshot!(format!("flock_{width}"), details(full()).picture(width, height));
        }
    }
}
