//! `shepard stack up` and `shepard stack update`.

use serde::Serialize;
use shepard_cloud::stacks::{Change, Replacement, Stack};

use super::{Teller, follow_again, shown, site, until_stopped, wanted};
use crate::cli::{StackUp, StackUpdate};
use crate::commands::output::columns;
use crate::commands::{Context, Exit};
use crate::operations::stack::events::wait;
use crate::operations::stack::plan::{Finding, Plan, Weight, plan, plan_update};
use crate::operations::stack::up::{self, Begun, Proposal};
use crate::operations::stack::{Ended, Site, Watch};
use crate::operations::{OperationError, Result, equivalent};

#[derive(Serialize)]
struct Planned<'a> {
    dry_run: bool,
    #[serde(flatten)]
    plan: &'a Plan,
    sound: bool,
}

#[derive(Serialize)]
struct Changed<'a> {
    name: &'a str,
    id: &'a str,
    /// False while CloudFormation goes on.
    ended: bool,
    /// Something was changed.
    changed: bool,
    proposal: Option<&'a Proposal>,
    stack: Option<&'a Stack>,
}

pub(super) async fn up(context: &Context<'_>, arguments: &StackUp) -> Result<Exit> {
    let (named, place) = (&arguments.stack, &arguments.stack.place);
    let wanted = wanted(named, &arguments.values, arguments.protect)?;
    let site = site(place).await?;
    let teller = Teller::new(&context.out);
    let watch = |progress| teller.tell(progress);
    let plan = plan(&site, &wanted).await?;
    tell_plan(context, &plan)?;
    if arguments.dry_run {
        if context.out.is_json() {
            context.out.json(&Planned { dry_run: true, plan: &plan, sound: plan.is_sound() })?;
        }
        context.out.note("nothing was sent");
        return if plan.is_sound() { Ok(Exit::Ok) } else { Err(OperationError::Refused(plan.problems())) };
    }
    if !plan.is_sound() {
        return Err(OperationError::Refused(plan.problems()));
    }
    let what =
        format!("make the flock {} in account {}, {}", wanted.name, plan.here.account, plan.here.region);
    confirm(context, arguments.yes, &what)?;
    let argv = equivalent::stack_up(&wanted, &site.account);
    let begun = up::up(&site, &wanted, &plan, &watch).await;
    context.journal("stack up", &wanted.name, &[], &argv, &begun);
    let begun = begun?;
    if arguments.no_wait {
        return begun_only(context, &begun, None, &follow_again(&named.name, place));
    }
    let again = follow_again(&named.name, place);
    let ended = until_stopped(wait(&site, begun.follower.clone(), &watch), &again).await?;
    finished(context, &site, ended, None).await
}

pub(super) async fn update(context: &Context<'_>, arguments: &StackUpdate) -> Result<Exit> {
    let (named, place) = (&arguments.stack, &arguments.stack.place);
    let wanted = wanted(named, &arguments.values, false)?;
    let site = site(place).await?;
    let teller = Teller::new(&context.out);
    let watch: Watch<'_> = &|progress| teller.tell(progress);
    let plan = plan_update(&site, &wanted).await?;
    tell_plan(context, &plan)?;
    let proposal = up::propose(&site, &wanted, &plan, arguments.keep_template, watch).await?;
    tell_proposal(context, &proposal)?;
    if proposal.is_empty() {
        context.out.note(&format!("{} is as it is wanted; nothing was changed", proposal.name));
        return unchanged(context, &proposal);
    }
    let refused = proposal.loses() && !arguments.allow_replacement;
    if arguments.dry_run || refused || !agreed(context, arguments.yes, &proposal)? {
        up::reject(&site, &proposal).await?;
        if arguments.dry_run {
            context.out.note("nothing was changed");
            return unchanged(context, &proposal);
        }
        if !refused {
            return Err(OperationError::Refused("not confirmed; nothing was changed".into()));
        }
    }
    let argv = equivalent::stack_update(
        &wanted,
        &site.account,
        arguments.keep_template,
        arguments.allow_replacement,
    );
    let targets: Vec<String> = proposal.changes.iter().map(|change| change.logical.clone()).collect();
    let begun = up::accept(&site, &proposal, arguments.allow_replacement).await;
    context.journal("stack update", &proposal.name, &targets, &argv, &begun);
    let begun = begun?;
    if arguments.no_wait {
        return begun_only(context, &begun, Some(&proposal), &follow_again(&named.name, place));
    }
    let again = follow_again(&named.name, place);
    let ended = until_stopped(wait(&site, begun.follower.clone(), watch), &again).await?;
    finished(context, &site, ended, Some(&proposal)).await
}

/// What is said of a plan, on standard error: the result is the stack.
fn tell_plan(context: &Context<'_>, plan: &Plan) -> Result<()> {
    let here = &plan.here;
    context.out.note(&format!("{} in account {}, {}", plan.name, here.account, here.region));
    for finding in plan.findings.iter().filter(|finding| finding.weight != Weight::Good) {
        context.out.note(&finding_line(finding));
    }
    for line in &plan.cost {
        context.out.note(&format!("  {:>8.2} USD a month  {}", line.monthly, shown(&line.what)));
    }
    context.out.note(&format!(
        "  {:>8.2} USD a month while it does nothing; {}",
        plan.monthly,
        crate::template::cost::NOTE
    ));
    Ok(())
}

fn finding_line(finding: &Finding) -> String {
    let word = match finding.weight {
        Weight::Wrong => "wrong",
        Weight::Odd => "odd",
        Weight::NotChecked => "not checked",
        Weight::Good => "good",
    };
    format!("{word}: {}: {}", shown(&finding.about), shown(&finding.said))
}

fn tell_proposal(context: &Context<'_>, proposal: &Proposal) -> Result<()> {
    let row = |change: &Change| {
        let replaced = match change.replacement {
            Replacement::Yes => "REPLACED",
            Replacement::Maybe => "may be replaced",
            Replacement::No => "",
        };
        let causes = change.causes.join(", ");
        [&change.action, &change.logical, &change.kind, replaced, &causes].map(shown).to_vec()
    };
    for line in columns(&proposal.changes.iter().map(row).collect::<Vec<_>>()) {
        context.out.note(&line);
    }
    for finding in &proposal.findings {
        context.out.note(&finding_line(finding));
    }
    Ok(())
}

fn confirm(context: &Context<'_>, yes: bool, what: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !context.out.can_ask() {
        return Err(OperationError::Refused(format!("this would {what}; to do it, say --yes")));
    }
    match context.out.ask(&format!("{what}? [y/N]"))?.as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(OperationError::Refused("not confirmed; nothing was sent".into())),
    }
}

fn agreed(context: &Context<'_>, yes: bool, proposal: &Proposal) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !context.out.can_ask() {
        context.out.note("to carry it out, say --yes");
        return Ok(false);
    }
    // What holds data takes more than a letter.
    if proposal.loses() {
        let question = format!("to let that go, type {}:", proposal.name);
        return Ok(context.out.ask(&question)? == proposal.name);
    }
    Ok(matches!(context.out.ask("carry it out? [y/N]")?.as_str(), "y" | "Y" | "yes"))
}

fn unchanged(context: &Context<'_>, proposal: &Proposal) -> Result<Exit> {
    if context.out.is_json() {
        let (name, id) = (proposal.name.as_str(), proposal.stack.as_str());
        let proposal = Some(proposal);
        context.out.json(&Changed { name, id, ended: true, changed: false, proposal, stack: None })?;
    }
    Ok(Exit::Ok)
}

fn begun_only(
    context: &Context<'_>,
    begun: &Begun,
    proposal: Option<&Proposal>,
    again: &str,
) -> Result<Exit> {
    if context.out.is_json() {
        let Begun { name, id, .. } = begun;
        context.out.json(&Changed { name, id, ended: false, changed: true, proposal, stack: None })?;
    } else {
        context.out.line(&shown(&begun.id))?;
        context.out.note(again);
    }
    Ok(Exit::Ok)
}

async fn finished(
    context: &Context<'_>,
    site: &Site,
    ended: Ended,
    proposal: Option<&Proposal>,
) -> Result<Exit> {
    if let Some(problem) = ended.problem() {
        return Err(OperationError::Environment(problem));
    }
    let stack = site.stack(&ended.id).await?;
    if context.out.is_json() {
        let (name, id, stack) = (stack.name.as_str(), stack.id.as_str(), Some(&stack));
        context.out.json(&Changed { name, id, ended: true, changed: true, proposal, stack })?;
        return Ok(Exit::Ok);
    }
    let rows = stack.outputs.iter().map(|(name, value)| vec![shown(name), shown(value)]);
    for line in columns(&rows.collect::<Vec<_>>()) {
        context.out.line(&line)?;
    }
    context.out.note(&format!("{} is {}", shown(&stack.name), shown(&stack.status)));
    Ok(Exit::Ok)
}
