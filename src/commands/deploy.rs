//! `shepard deploy` and `shepard releases`.

use std::io::Write as _;

use serde::Serialize;
use shepard_cloud::Clock as _;
use shepard_cloud::ports::WallClock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use unicode_width::UnicodeWidthChar as _;

use super::output::{columns, local_time};
use super::{Context, Exit};
use crate::cli;
use crate::operations::deploy::{DeployProgress, Deployer, Registries, Request, Source, Target};
use crate::operations::releases::{self, Release, RolledBack};
use crate::operations::{OperationError, Result, equivalent};

/// Least time between two changes of the line on a terminal, in milliseconds.
const PAUSE_MS: i64 = 50;

impl Context<'_> {
    /// Where a deploy or a release is meant to be.
    async fn target(&self, place: &cli::DeployTo, to_change: bool) -> Result<Target> {
        if let Some(repository) = &place.repository {
            let account = place.account_number.as_deref();
            return Ok(Target::Repository(match account {
                Some(account) => in_account(account, repository)?,
                None => repository.clone(),
            }));
        }
        let variable = std::env::var("SHEPARD_FLOCK").ok().filter(|name| !name.is_empty());
        match place.flock.as_ref().or(variable.as_ref()).or(self.config.flock.as_ref()) {
            Some(name) if to_change => self.opener().open_to_change(name).await?.target(),
            Some(name) => self.opener().open(name).await?.target(),
            None => {
                Err(OperationError::Usage("where to? give --flock NAME, or --repository HOST/NAME".into()))
            }
        }
    }
}

/// A repository of another account of ECR, in the region that the environment names.
fn in_account(account: &str, repository: &str) -> Result<String> {
    if repository.contains('/') && shepard_cloud::images::Repository::parse(repository)?.0.is_some() {
        return Ok(repository.to_owned());
    }
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return Err(OperationError::Usage("an account number has 12 digits".into()));
    }
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| std::env::var(name).ok());
    match region.filter(|region| !region.is_empty()) {
        Some(region) => Ok(format!("{account}.dkr.ecr.{region}.amazonaws.com/{repository}")),
        None => Err(OperationError::Usage(
            "an account number needs a region beside it: set AWS_REGION, or write the repository's whole URI"
                .into(),
        )),
    }
}

pub(super) async fn deploy(context: &Context<'_>, arguments: cli::Deploy) -> Result<Exit> {
    let target = context.target(&arguments.to, true).await?;
    let source = match (arguments.image, arguments.path.or(arguments.folder)) {
        (Some(image), _) => Source::Image(image),
        (None, Some(path)) => Source::Folder(path),
        (None, None) => Source::Folder(".".into()),
    };
    let request = Request {
        nested: arguments.nested,
        platform: arguments.platform,
        no_cache: arguments.no_cache,
        network: arguments.network,
        build_args: arguments.build_args,
        worker: arguments.worker,
        ..Request::new(source, target)
    };
    let stop = CancellationToken::new();
    let listening = tokio::spawn(stop_on_signal(stop.clone()));
    let scratch = context.config.dirs.data.join("scratch");
    let mut line = Line::new(context);
    let result = match Deployer::of_this_person(scratch, &request.target).await {
        Ok(deployer) => deployer.deploy(&request, &mut |progress| line.show(progress), &stop).await,
        Err(error) => Err(error),
    };
    line.end();
    listening.abort();
    let targets: Vec<String> = result.iter().map(|done| done.release.clone()).collect();
    context.journal("deploy", request.target.called(), &targets, &equivalent::deploy(&request), &result);
    let done = result?;
    if context.out.is_json() {
        context.out.json(&done)?;
    } else {
        let mut rows = vec![
            vec!["release".to_owned(), done.release.clone()],
            vec!["image".to_owned(), done.image.clone()],
        ];
        rows.extend(done.digest.clone().map(|digest| vec!["digest".to_owned(), digest]));
        rows.push(vec!["payload".to_owned(), done.payload.clone()]);
        for line in columns(&rows) {
            context.out.line(&line)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a duration for a person")]
        let seconds = done.took_ms as f64 / 1000.0;
        context.out.note(&format!("{} runs it from now on; it took {seconds:.1} s", request.target.called()));
    }
    Ok(Exit::Ok)
}

/// Stops what listens when the person, or the system, says so.
async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
}

/// How far it is, on standard error: one line that is written over itself on a terminal, a line for each part and each
/// build step elsewhere.
struct Line<'a> {
    context: &'a Context<'a>,
    terminal: bool,
    last: Option<(usize, u64)>,
    shown_ms: i64,
    open: bool,
}

impl<'a> Line<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        let terminal = !context.out.is_json() && std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self { context, terminal, last: None, shown_ms: 0, open: false }
    }

    fn show(&mut self, at: &DeployProgress) {
        let counts = matches!(at.step, crate::operations::deploy::Step::Build);
        let place = (at.number, if counts { at.done } else { 0 });
        let new = self.last != Some(place);
        self.last = Some(place);
        if !self.terminal {
            if new {
                self.context.out.note(&words(at));
            }
            return;
        }
        let now = WallClock.now_ms();
        if !new && now - self.shown_ms < PAUSE_MS {
            return;
        }
        self.shown_ms = now;
        self.open = true;
        let width =
            rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| usize::from(size.ws_col));
        let text = fitting(&words(at), width.saturating_sub(1));
        let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
    }

    fn end(&mut self) {
        if self.open {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
            self.open = false;
        }
    }
}

/// `[2/5] pushing the payload: 3.1 of 9.9 MiB, 2 of 4 layers are there`
fn words(at: &DeployProgress) -> String {
    use crate::operations::deploy::Step;
    let mut text = format!("[{}/{}] {}", at.number, at.steps, at.step.words());
    match at.step {
        Step::Build if at.total > 0 => text.push_str(&format!(", step {} of {}", at.done + 1, at.total)),
        Step::Build | Step::Switch => {}
        _ if at.total > 0 => text.push_str(&format!(": {} of {} MiB", mib(at.done), mib(at.total))),
        _ if at.done > 0 => text.push_str(&format!(": {} MiB", mib(at.done))),
        _ => {}
    }
    if !at.note.is_empty() && at.note != at.step.words() {
        text.push_str(", ");
        text.push_str(&at.note);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "a size for a person")]
fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
}

/// As much of a line as a terminal of that width has room for, without what would steer it.
fn fitting(text: &str, width: usize) -> String {
    let (mut used, mut fits) = (0, String::new());
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        fits.push(c);
    }
    fits
}

#[derive(Serialize)]
struct Releases<'a> {
    releases: &'a [Release],
}

pub(super) async fn releases(context: &Context<'_>, command: cli::Releases) -> Result<Exit> {
    match command {
        cli::Releases::List { of } => {
            let target = context.target(&of, false).await?;
            let listed = releases::list(&target, &Registries::for_target(&target).await).await?;
            if context.out.is_json() {
                context.out.json(&Releases { releases: &listed })?;
            } else {
                let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
                for line in columns(&rows) {
                    context.out.line(line.trim_end())?;
                }
                if listed.is_empty() {
                    context.out.note("no release yet; `shepard deploy` makes one");
                }
            }
        }
        cli::Releases::Rollback { release, of } => {
            let target = context.target(&of, true).await?;
            let registries = Registries::for_target(&target).await;
            let result = releases::roll_back(&target, &registries, &release).await;
            let argv = equivalent::rollback(&target, &release);
            let targets = [release.clone()];
            context.journal("rollback", target.called(), &targets, &argv, &result);
            let done: RolledBack = result?;
            if context.out.is_json() {
                context.out.json(&done)?;
            } else {
                context.out.line(&format!("{} runs {release} from now on", target.called()))?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn row(release: &Release) -> Vec<String> {
    let mark = if release.current { "*" } else { " " };
    let image = release.image.clone().unwrap_or_else(|| "-".to_owned());
    vec![mark.to_owned(), release.name.clone(), local_time(release.at_ms), image]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::deploy::Step;

    #[test]
    fn progress_is_one_line_that_fits_and_steers_nothing() {
        let mut at = DeployProgress {
            step: Step::PushPayload,
            number: 2,
            steps: 5,
            done: 3 << 20,
            total: 10 << 20,
            note: "1 of 4 layers are there".into(),
        };
        assert_eq!(words(&at), "[2/5] pushing the payload: 3.0 of 10.0 MiB, 1 of 4 layers are there");
        at = DeployProgress {
            step: Step::Build,
            number: 1,
            done: 1,
            total: 7,
            note: "a\u{1b}[2J".into(),
            ..at
        };
        assert_eq!(words(&at), "[1/5] building the payload, step 2 of 7, a\u{1b}[2J");
        assert_eq!(fitting("a\u{1b}日本", 4), "a 日");
    }

    #[test]
    fn the_account_of_old_is_a_registry() {
        let uri = "r.test:5000/x";
        assert_eq!(in_account("012345678901", uri).expect("a whole URI"), uri);
        assert!(in_account("0123", "x").is_err());
    }
}
