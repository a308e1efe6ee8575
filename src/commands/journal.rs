//! `shepard journal`: what was done from this machine.

use super::output::columns;
use super::{Context, Exit};
use crate::cli;
use crate::operations::Result;
use crate::operations::journal::Journal;

pub(super) fn run(context: &Context<'_>, arguments: &cli::Journal) -> Result<Exit> {
    let entries = Journal::at(context.config.dirs.journal()).tail(arguments.tail)?;
    if context.out.is_json() {
        context.out.json(&entries)?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = entries
        .into_iter()
        .map(|entry| {
            let at = super::output::local_time(entry.at_ms);
            vec![at, entry.who, entry.action, entry.flock, entry.result, entry.command]
        })
        .collect();
    for line in columns(&rows) {
        context.out.line(&line)?;
    }
    Ok(Exit::Ok)
}
