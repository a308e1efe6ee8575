//! What the subcommands share: the flock that is meant, opened, with its supervisor where that is needed.

use std::sync::Arc;

use shepard_cloud::Ports;
use shepard_cloud::local::Home;
use shepard_cloud::ports::WallClock;

use super::Context;
use crate::operations::discovery::Register;
use crate::operations::flock::{Flock, Opener};
use crate::operations::journal::Journal;
use crate::operations::{OperationError, Result, jobs};

/// After this long without a change the supervisor is looked after, in milliseconds.
const SILENCE_MS: u64 = 2_000;
/// Least time between two looks at the table, in milliseconds.
const PAUSE_MS: u64 = 50;

/// A flock that a subcommand works on.
pub(super) struct Opened {
    pub(super) flock: Flock,
    pub(super) ports: Ports,
}

impl Opened {
    pub(super) fn name(&self) -> &str {
        self.flock.name()
    }

    /// A flock of this machine has no one else who would take up what was just asked for.
    pub(super) async fn wake(&self) -> Result<()> {
        self.flock.wake().await.map(drop)
    }
}

impl Context<'_> {
    pub(super) fn home(&self) -> Home {
        Home::new(&self.config.dirs.data)
    }

    /// What opens flocks by name, here and on AWS.
    pub(super) fn opener(&self) -> Opener {
        Opener::new(self.home(), Arc::new(Register::with(self.config, self.given.clone())))
    }

    /// Opens the flock that was named, or the one of the configuration.
    pub(super) async fn open(&self, named: Option<&String>) -> Result<Opened> {
        let Some(name) = named.or(self.config.flock.as_ref()) else {
            let names: Vec<String> =
                self.home().list()?.iter().map(|flock| flock.name().to_owned()).collect();
            let there = if names.is_empty() { "there is none yet".to_owned() } else { names.join(", ") };
            return Err(OperationError::Usage(format!(
                "which flock? give --flock NAME, or set flock in config.toml ({there})"
            )));
        };
        let flock = self.opener().open(name).await?;
        Ok(Opened { ports: flock.ports(), flock })
    }

    /// The same, in order to change it.
    pub(super) async fn open_to_change(&self, named: Option<&String>) -> Result<Opened> {
        let opened = self.open(named).await?;
        opened.flock.may_change()?;
        Ok(opened)
    }

    /// Writes down what was done.
    pub(super) fn journal<T>(
        &self,
        action: &str,
        flock: &str,
        targets: &[String],
        argv: &[String],
        result: &Result<T>,
    ) {
        let journal = Journal::at(self.config.dirs.journal());
        // Only its words go on; the error itself is still wanted by the caller.
        let result = match result {
            Ok(_) => Ok(()),
            Err(error) => Err(OperationError::Environment(error.to_string())),
        };
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        journal.record(&WallClock, action, flock, targets, &argv, &result);
    }

    /// Waits until jobs have ended, and says on standard error how far it is.
    pub(super) async fn wait(&self, flock: &Opened, mut wait: jobs::Wait) -> Result<()> {
        let mut signs = flock.flock.signs();
        let (mut told, mut silent) = (None, true);
        loop {
            if silent {
                // A supervisor that was killed is the one thing that no change would ever tell of.
                flock.wake().await?;
            }
            wait.step(&flock.ports).await?;
            let (ended, open) = wait.counts();
            // A line for every twentieth part is enough to see that it moves.
            let part = ended * 20 / (ended + open).max(1);
            if told != Some(part) {
                self.out.note(&format!("{ended} of {} ended", ended + open));
                told = Some(part);
            }
            if wait.is_over() {
                break;
            }
            silent = tokio::select! {
                () = signs.changed() => false,
                () = flock.ports.clock.sleep_ms(SILENCE_MS) => true,
            };
            // A busy flock changes all the time; looking this often is soon enough.
            flock.ports.clock.sleep_ms(PAUSE_MS).await;
        }
        Ok(())
    }
}
