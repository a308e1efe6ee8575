//! Looking at stacks: `list`, `describe`, `events`, `owned`.

use serde::Serialize;
use shepard_cloud::stacks::{Stack, StackEvent};

use super::{Teller, follow_again, lasted, local_time, shown, site, until_stopped};
use crate::cli::{Named, Place, StackEvents};
use crate::commands::output::columns;
use crate::commands::{Context, Exit};
use crate::operations::stack::events::{Follower, Happened, Line, Scope, wait};
use crate::operations::stack::owned::{Owned, Thing, owned as count};
use crate::operations::stack::{describe as what, is_end};
use crate::operations::{OperationError, Result};

/// Columns as lines.
fn table(context: &Context<'_>, rows: &[Vec<String>]) -> Result<()> {
    columns(rows).iter().try_for_each(|line| context.out.line(line))
}

pub(super) async fn list(context: &Context<'_>, place: &Place) -> Result<Exit> {
    let stacks = what::list(&site(place).await?).await?;
    if context.out.is_json() {
        context.out.json(&stacks)?;
        return Ok(Exit::Ok);
    }
    if stacks.is_empty() {
        context.out.note("there is no stack in this account and region; `shepard stack up NAME` makes one");
    }
    let row = |stack: &Stack| {
        let changed = stack.updated_ms.unwrap_or(stack.created_ms);
        vec![shown(&stack.name), shown(&stack.status), local_time(changed), whose(stack).to_owned()]
    };
    table(context, &stacks.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Ok)
}

/// Whether a stack is a flock, and by whose template.
fn whose(stack: &Stack) -> &'static str {
    if stack.outputs.contains_key(shepard_model::stack::output::TEMPLATE) {
        "flock"
    } else if crate::template::is_original(&stack.parameters) {
        "flock of the original template"
    } else {
        ""
    }
}

pub(in crate::commands) async fn describe(context: &Context<'_>, named: &Named) -> Result<Exit> {
    let found = what::describe(&site(&named.place).await?, &named.name).await?;
    if context.out.is_json() {
        context.out.json(&found)?;
        return Ok(Exit::Ok);
    }
    let stack = &found.stack;
    let head = [
        ("name", shown(&stack.name)),
        ("status", shown(&stack.status)),
        ("reason", shown(stack.reason.as_deref().unwrap_or_default())),
        ("arn", shown(&stack.id)),
        ("created", local_time(stack.created_ms)),
        ("updated", stack.updated_ms.map(local_time).unwrap_or_default()),
        ("protected", if stack.protected { "yes" } else { "no" }.to_owned()),
    ];
    let head = head.into_iter().filter(|(_, value)| !value.is_empty());
    table(context, &head.map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>())?;
    for (title, pairs) in [("Outputs", &stack.outputs), ("Parameters", &stack.parameters)] {
        if pairs.is_empty() {
            continue;
        }
        context.out.line(&format!("\n{title}"))?;
        let rows = pairs.iter().map(|(name, value)| vec![format!("  {}", shown(name)), shown(value)]);
        table(context, &rows.collect::<Vec<_>>())?;
    }
    match &found.resources_not_listed {
        Some(why) => context.out.note(&format!("the resources are not listed: {why}")),
        None => context.out.line(&format!("\nResources ({})", found.resources.len()))?,
    }
    let rows = found.resources.iter().map(|one| {
        let logical = format!("  {}", shown(&one.logical));
        vec![logical, shown(&one.kind), shown(&one.status), shown(&one.physical)]
    });
    table(context, &rows.collect::<Vec<_>>())?;
    Ok(Exit::Ok)
}

/// An event on one line.
pub(super) fn event_line(happened: &Happened) -> String {
    let Happened { event, took_ms } = happened;
    let mut line = format!(
        "{}  {}  {} ({})",
        local_time(event.at_ms),
        shown(&event.status),
        shown(&event.logical),
        shown(&event.kind)
    );
    if let Some(took) = took_ms {
        line.push_str(&format!("  {}", lasted(*took)));
    }
    if let Some(reason) = &event.reason {
        line.push_str(&format!("  {}", shown(reason)));
    }
    line
}

#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    status: &'a str,
    ended: bool,
    cause: Option<&'a StackEvent>,
    resources: &'a [Line],
    events: &'a [StackEvent],
}

pub(super) async fn events(context: &Context<'_>, arguments: &StackEvents) -> Result<Exit> {
    let named = &arguments.stack;
    let site = site(&named.place).await?;
    let stack = site.stack(&named.name).await?;
    let scope = if arguments.all { Scope::All } else { Scope::LastChange };
    let mut follower = Follower::new(&stack.id, scope);
    let first = follower.look(site.ports.stacks.as_ref()).await?;
    let teller = Teller::new(&context.out);
    let cause = follower.history().first_cause().cloned();
    if !context.out.is_json() {
        if let Some(cause) = cause.as_ref().filter(|_| !arguments.follow || is_end(&stack.status)) {
            context.out.line(&cause_line(cause))?;
        }
        for happened in &first {
            context.out.line(&event_line(happened))?;
        }
    }
    let (mut status, mut ok) = (stack.status.clone(), true);
    let mut history = follower.history().clone();
    if arguments.follow && !is_end(&stack.status) {
        let watch = |progress| teller.tell(progress);
        let again = follow_again(&named.name, &named.place);
        let watching = async {
            let ended = wait(&site, follower.clone(), &watch).await?;
            follower.look(site.ports.stacks.as_ref()).await?;
            Ok(ended)
        };
        let ended = until_stopped(watching, &again).await?;
        history = follower.history().clone();
        (status, ok) = (ended.status.clone(), ended.ok);
        if let Some(problem) = ended.problem()
            && !context.out.is_json()
        {
            context.out.line(&shown(&problem))?;
        }
    }
    if context.out.is_json() {
        let events = if arguments.all { history.events() } else { history.last_change() };
        context.out.json(&Told {
            name: &stack.name,
            status: &status,
            ended: is_end(&status),
            cause: history.first_cause(),
            resources: &history.lines(),
            events,
        })?;
    } else {
        context.out.note(&format!("{} is {}", shown(&stack.name), shown(&status)));
    }
    if ok {
        Ok(Exit::Ok)
    } else {
        Err(OperationError::Environment(format!("stack {} is {status}", stack.name)))
    }
}

fn cause_line(cause: &StackEvent) -> String {
    let reason = cause.reason.as_deref().unwrap_or("no reason is given");
    format!("first cause: {} ({}): {}", shown(&cause.logical), shown(&cause.kind), shown(reason))
}

pub(super) async fn owned(context: &Context<'_>, named: &Named) -> Result<Exit> {
    let site = site(&named.place).await?;
    let teller = Teller::new(&context.out);
    let found = count(&site, &named.name, &|progress| teller.tell(progress)).await?;
    if context.out.is_json() {
        context.out.json(&found)?;
    } else {
        tell_owned(context, &found)?;
    }
    Ok(Exit::Ok)
}

/// What a stack holds, one thing a line.
pub(super) fn tell_owned(context: &Context<'_>, found: &Owned) -> Result<()> {
    let row = |thing: &Thing| {
        let holds = match (&thing.contents, &thing.not_counted) {
            (Some(contents), _) => contents.words(),
            (None, why) => format!("not counted: {}", why.as_deref().unwrap_or_default()),
        };
        let stays = if thing.kept { "the template keeps it" } else { "" };
        vec![shown(&thing.kind), shown(&thing.name), shown(&holds), stays.to_owned()]
    };
    table(context, &found.things.iter().map(row).collect::<Vec<_>>())?;
    context.out.note(&format!("and {} resources that hold nothing", found.others));
    Ok(())
}
