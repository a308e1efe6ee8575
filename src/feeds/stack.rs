//! What happens to a stack: all that is known of its last change, read again while it goes on.

use std::time::Duration;

use async_trait::async_trait;
use shepard_cloud::{CloudError, Kind};

use super::pump::Source;
use crate::app::Msg;
use crate::app::stack::{Happening, ResourceRow, StackCause, StackId, StackNews};
use crate::operations::stack::Site;
use crate::operations::stack::events::{Follower, Line, Scope};
use crate::operations::stack::policies::names_in;

/// Wait between two looks at a stack to which something happens.
const SOON: Duration = Duration::from_secs(3);
/// Wait between two looks at one to which nothing does.
const LATER: Duration = Duration::from_secs(15);
/// Wait between two looks for one that is not there yet, because what it needs is being prepared.
const BEFORE: Duration = Duration::from_secs(2);
/// Kind of the stack itself among its resources.
const STACK: &str = "AWS::CloudFormation::Stack";

/// Reads the events of one stack.
#[derive(Debug)]
pub struct Events {
    site: Site,
    stack: StackId,
    /// By its ARN once that is known: a stack that is removed is found by nothing else.
    follower: Option<(String, Follower)>,
    /// Resources of its template: the most that it can have.
    most: u64,
    told: Option<Happening>,
    pause: Duration,
}

impl Events {
    /// Of a stack.
    pub fn new(site: Site, stack: StackId) -> Self {
        Self { site, stack, follower: None, most: 0, told: None, pause: BEFORE }
    }

    async fn look(&mut self) -> Result<Happening, CloudError> {
        let stacks = self.site.ports.stacks.as_ref();
        let mut found = stacks.describe(&self.stack.stack).await?;
        if found.is_none()
            && let Some((id, _)) = &self.follower
        {
            found = stacks.describe(id).await?;
        }
        let Some(found) = found else { return Ok(Happening::default()) };
        // One that was made anew under the name is another one.
        if self.follower.as_ref().is_none_or(|(id, _)| *id != found.id) {
            self.follower = Some((found.id.clone(), Follower::new(&found.id, Scope::LastChange)));
            let text = stacks.template(&found.id).await.unwrap_or_default();
            self.most = names_in(&text, "Resources").len() as u64;
        }
        let Some((_, follower)) = &mut self.follower else { return Ok(Happening::default()) };
        match follower.look(stacks).await {
            // Just gone; what was known of it is what there is to know.
            Err(error) if error.kind == Kind::NotFound => {}
            looked => drop(looked?),
        }
        let resources = stacks.resources(&found.id).await.unwrap_or_default();
        let history = follower.history();
        Ok(happening(&found.status, &history.lines(), history.first_cause(), &resources, self.most))
    }
}

/// What is told of a change: the stack's own line says when it began, the others are its resources.
fn happening(
    status: &str,
    lines: &[Line],
    cause: Option<&shepard_cloud::stacks::StackEvent>,
    resources: &[shepard_cloud::stacks::Resource],
    most: u64,
) -> Happening {
    let own = lines.iter().find(|line| line.kind == STACK);
    let ended = |line: &Line| line.took_ms.map(|took| line.began_ms + took);
    let physical = |name: &str| {
        resources.iter().find(|one| one.logical == name).map(|one| one.physical.clone()).unwrap_or_default()
    };
    let rows: Vec<ResourceRow> = lines
        .iter()
        .filter(|line| line.kind != STACK)
        .map(|line| ResourceRow {
            logical: line.logical.clone(),
            kind: line.kind.clone(),
            physical: physical(&line.logical),
            status: line.status.clone(),
            reason: line.reason.clone(),
            began_ms: Some(line.began_ms),
            ended_ms: ended(line),
        })
        .collect();
    let over = !status.ends_with("_IN_PROGRESS");
    let done = rows.iter().filter(|row| row.ended_ms.is_some()).count() as u64;
    let last = rows.iter().filter_map(|row| row.ended_ms).max();
    let begun = rows.len() as u64;
    let total = match status {
        // What a condition leaves out is in the template all the same.
        "CREATE_IN_PROGRESS" => most.max(begun),
        status if status.starts_with("DELETE_") => (resources.len() as u64).max(begun),
        // Only what changes has events.
        _ => begun,
    };
    Happening {
        status: status.to_owned(),
        began_ms: own.map(|line| line.began_ms),
        ended_ms: if over { own.and_then(ended).or(last) } else { None },
        done,
        total,
        cause: cause.map(|cause| StackCause {
            logical: cause.logical.clone(),
            kind: cause.kind.clone(),
            reason: cause.reason.clone().unwrap_or_else(|| "no reason is given".to_owned()),
            at_ms: cause.at_ms,
        }),
        resources: rows,
    }
}

#[async_trait]
impl Source for Events {
    async fn read(&mut self) -> Result<Option<Msg>, CloudError> {
        let now = self.look().await?;
        self.pause = match (now.status.is_empty(), now.is_over()) {
            (true, _) => BEFORE,
            (false, true) => LATER,
            (false, false) => SOON,
        };
        if self.told.as_ref() == Some(&now) {
            return Ok(None);
        }
        self.told = Some(now.clone());
        Ok(Some(Msg::Stack(StackNews::Events { stack: self.stack.clone(), now: Box::new(now) })))
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(logical: &str, kind: &str, began_ms: i64, took_ms: Option<i64>) -> Line {
        let status = if took_ms.is_some() { "CREATE_COMPLETE" } else { "CREATE_IN_PROGRESS" };
        Line {
            logical: logical.into(),
            kind: kind.into(),
            status: status.into(),
            reason: None,
            began_ms,
            took_ms,
        }
    }

    #[test]
    fn the_stack_itself_is_no_row_and_says_when_it_began() {
        let lines = [
            line("genome", STACK, 10, None),
            line("Table", "AWS::DynamoDB::Table", 20, Some(5)),
            line("Queue", "AWS::SQS::Queue", 30, None),
        ];
        let now = happening("CREATE_IN_PROGRESS", &lines, None, &[], 7);
        assert_eq!((now.began_ms, now.ended_ms, now.done, now.total), (Some(10), None, 1, 7));
        assert_eq!(now.resources[0].ended_ms, Some(25));
        let lines = [line("genome", STACK, 10, Some(40)), line("Table", "AWS::DynamoDB::Table", 20, Some(5))];
        assert_eq!(happening("CREATE_COMPLETE", &lines, None, &[], 7).ended_ms, Some(50));
    }
}
