//! `shepard flocks`: those of this machine and those on AWS, with where each is known from.

use serde::Serialize;
use shepard_model::Origin;

use super::output::columns;
use super::{Context, Exit};
use crate::cli;
use crate::operations::discovery::{Found, Register};
use crate::operations::{Result, flocks};

#[derive(Serialize)]
struct All {
    flocks: Vec<Row>,
    /// Accounts that could not be asked.
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// `local`, `outputs`, `parameters`.
    origin: &'static str,
    profile: Option<String>,
    region: Option<String>,
    stack: Option<String>,
    /// The stack's status; `running` or `stopped` of a flock of this machine.
    status: String,
    read_only: bool,
}

#[derive(Serialize)]
struct Failed {
    profile: Option<String>,
    region: Option<String>,
    kind: &'static str,
    reason: String,
}

pub(super) async fn run(context: &Context<'_>, arguments: &cli::Flocks) -> Result<Exit> {
    let mut all = All { flocks: Vec::new(), failed: Vec::new() };
    for flock in flocks::list(&context.home()).await? {
        all.flocks.push(Row {
            name: flock.name,
            origin: "local",
            profile: None,
            region: None,
            stack: None,
            status: if flock.running { "running" } else { "stopped" }.to_owned(),
            read_only: context.config.read_only,
        });
    }
    let register = Register::new(context.config);
    let found = if arguments.local { Vec::new() } else { register.flocks().await };
    for found in found {
        match found {
            Found::Flock(flock) => all.flocks.push(Row {
                origin: match flock.origin {
                    Origin::Outputs => "outputs",
                    Origin::Parameters => "parameters",
                    Origin::Profile => "profile",
                },
                read_only: context.config.read_only || register.standing(&flock.account).read_only,
                name: flock.name,
                profile: flock.account.profile,
                region: flock.account.region,
                stack: flock.stack,
                status: flock.status.unwrap_or_default(),
            }),
            Found::Failed { account, error } => all.failed.push(Failed {
                profile: account.profile,
                region: account.region,
                kind: error.kind.word(),
                reason: error.to_string(),
            }),
        }
    }
    let complete = all.failed.is_empty();
    if context.out.is_json() {
        context.out.json(&all)?;
    } else {
        print(context, &all)?;
    }
    Ok(if complete { Exit::Ok } else { Exit::Jobs })
}

fn print(context: &Context<'_>, all: &All) -> Result<()> {
    let row = |one: &Row| {
        let place = match (&one.profile, &one.region) {
            (Some(profile), Some(region)) => format!("{profile} {region}"),
            (None, Some(region)) => region.clone(),
            _ => "this machine".to_owned(),
        };
        let origin = match one.origin {
            "outputs" => "stack",
            "parameters" => "stack of the original",
            other => other,
        };
        let mode = if one.read_only { "read-only" } else { "" };
        vec![one.name.clone(), one.status.clone(), place, origin.to_owned(), mode.to_owned()]
    };
    for line in columns(&all.flocks.iter().map(row).collect::<Vec<_>>()) {
        context.out.line(line.trim_end())?;
    }
    for one in &all.failed {
        let place = [&one.profile, &one.region].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        let place = if place.is_empty() { "the environment's account".to_owned() } else { place };
        context.out.note(&format!("{place} could not be asked: {}", one.reason));
    }
    if all.flocks.is_empty() && all.failed.is_empty() {
        context.out.note("there is no flock yet; `shepard demo` makes one here");
    }
    Ok(())
}
