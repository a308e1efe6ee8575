//! Taking a stack down: drain, empty, remove, and then what the template kept, where that is asked for.
//!
//! Each step reads from AWS what is left to do, so that one that was stopped is taken up by the next call, also after
//! the stack itself is gone. What people keep in a flock goes only by its own flag; a template that would not keep it
//! is refused without.

use serde::{Deserialize, Serialize};
use shepard_cloud::holdings::{LIVE, LiveJob, REMOVABLE};
use shepard_cloud::stacks::{Resource, Stack};

use super::events::{Follower, Scope, short, wait};
use super::policies::policies;
use super::{Ended, LOOK_MS, Progress, Site, Watch, is_end};
use crate::operations::error::{OperationError, Result};

/// Looks for jobs to end and mappings to stop before it is given up: ten minutes.
const LOOKS: u32 = 200;
/// Versions that one request removes.
const VERSIONS: usize = 1_000;
/// Images that one request removes.
const IMAGES: usize = 100;

/// What is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Name of the stack.
    pub name: String,
    /// Also what the template keeps, and what people keep in it: buckets, table, secret.
    pub delete_data: bool,
    /// Lift the stack's protection against removal first.
    pub unprotect: bool,
}

/// Something of a stack that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Name in the template.
    pub logical: String,
    /// `AWS::S3::Bucket`.
    pub kind: String,
    /// Its name or ARN.
    pub name: String,
    /// Why, where it was to go.
    pub why: Option<String>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// How the removal of the stack ended.
    pub ended: Ended,
    /// What was done, in order.
    pub done: Vec<String>,
    /// What stays.
    pub kept: Vec<Kept>,
}

/// What is known of a stack that is to go.
struct Target {
    stack: Stack,
    resources: Vec<Resource>,
    /// Logical names of what the template keeps.
    kept: Vec<String>,
}

impl Target {
    fn is_gone(&self) -> bool {
        self.stack.status == "DELETE_COMPLETE"
    }

    /// Resources of a kind that are still there.
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |one| {
            one.kind == kind && one.status != "DELETE_COMPLETE" && !one.physical.is_empty()
        })
    }

    fn keeps(&self, resource: &Resource) -> bool {
        self.kept.contains(&resource.logical) || resource.status == "DELETE_SKIPPED"
    }
}

/// Finds a stack by name, the one that was removed last where there is none any more.
async fn target(site: &Site, name: &str) -> Result<Target> {
    let stacks = site.ports.stacks.as_ref();
    let stack = match stacks.describe(name).await? {
        Some(stack) => stack,
        None => match stacks.removed(name).await? {
            Some(id) => site.stack(&id).await?,
            None => site.stack(name).await?,
        },
    };
    let resources = stacks.resources(&stack.id).await?;
    let policies = policies(&stacks.template(&stack.id).await.unwrap_or_default());
    let kept = policies.into_iter().filter(|(_, policy)| policy.kept_on_delete).map(|(name, _)| name);
    Ok(Target { stack, resources, kept: kept.collect() })
}

/// Takes a stack down, or goes on with it.
///
/// # Errors
/// `NotFound`; `Refused` where data would be lost that nobody said may be, or the stack is protected or in the midst of
/// a change; what AWS does not do, with the resource and why.
pub async fn down(site: &Site, request: &Request, watch: Watch<'_>) -> Result<Down> {
    let mut target = target(site, &request.name).await?;
    let mut done = Vec::new();
    if !target.is_gone() {
        if !is_end(&target.stack.status) && target.stack.status != "DELETE_IN_PROGRESS" {
            return Err(OperationError::Refused(format!(
                "stack {} is {}; wait until that is over (`shepard stack events {} --follow`)",
                target.stack.name, target.stack.status, target.stack.name
            )));
        }
        refuse_losses(&target, request)?;
        if target.stack.status != "DELETE_IN_PROGRESS" {
            if target.stack.protected {
                site.ports.stacks.protect(&target.stack.id, false).await?;
                say(&mut done, watch, "lifted the protection against removal".into());
            }
            drain(site, &target, &mut done, watch).await?;
            empty(site, &target, request.delete_data, &mut done, watch).await?;
        }
    }
    let ended = remove(site, &target, &mut done, watch).await?;
    if !ended.ok {
        return Err(failure(site, &ended).await);
    }
    // Its resources say now which of them were left.
    target.resources = site.ports.stacks.resources(&target.stack.id).await.unwrap_or(target.resources);
    let kept = leftovers(site, &target, request.delete_data, &mut done, watch).await?;
    Ok(Down { ended, done, kept })
}

fn say(done: &mut Vec<String>, watch: Watch<'_>, what: String) {
    watch(Progress::Done(what.clone()));
    done.push(what);
}

/// Refuses to remove what people keep in a flock and its template would not keep.
fn refuse_losses(target: &Target, request: &Request) -> Result<()> {
    let name = &target.stack.name;
    if target.stack.protected && !request.unprotect {
        return Err(OperationError::Refused(format!(
            "stack {name} is protected against removal; `shepard stack down {name} --unprotect` lifts that"
        )));
    }
    let lost = target.resources.iter().filter(|one| {
        super::policies::is_data(&one.kind)
            && one.status != "DELETE_COMPLETE"
            && !one.physical.is_empty()
            && !target.keeps(one)
    });
    let lost: Vec<&str> = lost.map(|one| one.physical.as_str()).collect();
    // What a creation that failed has made holds nothing yet.
    let never_was =
        matches!(target.stack.status.as_str(), "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED");
    if lost.is_empty() || request.delete_data || never_was {
        return Ok(());
    }
    Err(OperationError::Refused(format!(
        "the template of stack {name} does not keep {}; everything in there would be lost; --delete-data says that it \
         may be, and `shepard stack update {name}` brings a template that keeps it",
        lost.join(", ")
    )))
}

/// Nothing new begins, and nothing runs any more.
async fn drain(site: &Site, target: &Target, done: &mut Vec<String>, watch: Watch<'_>) -> Result<()> {
    let holdings = site.ports.holdings.as_ref();
    for mapping in target.of("AWS::Lambda::EventSourceMapping") {
        watch(Progress::Begins("stop the scheduler taking uploads".into()));
        let mut looks = 0;
        while !holdings.stop_mapping(&mapping.physical).await? {
            looks += 1;
            if looks == LOOKS {
                return Err(OperationError::Environment(format!(
                    "the mapping {} does not stop; run the same again",
                    mapping.physical
                )));
            }
            site.clock.sleep_ms(LOOK_MS).await;
        }
        say(done, watch, "the scheduler takes no more uploads".into());
    }
    for queue in target.of("AWS::Batch::JobQueue") {
        let name = &queue.physical;
        watch(Progress::Begins(format!("close {name}")));
        holdings.close_queue(name).await?;
        let (mut ended, mut looks) = (0, 0);
        loop {
            let jobs = live(site, name).await?;
            if jobs.is_empty() {
                break;
            }
            looks += 1;
            if looks == LOOKS {
                return Err(OperationError::Environment(format!(
                    "{} jobs of {name} do not end; run the same again",
                    jobs.len()
                )));
            }
            // Asked again at each look, for those that were submitted meanwhile; once is enough for the others.
            for job in &jobs {
                holdings.end_job(&job.id, "the flock is taken down").await?;
            }
            ended = ended.max(jobs.iter().map(|job| job.jobs).sum());
            watch(Progress::Counts { what: format!("jobs of {name} to end"), so_far: ended });
            site.clock.sleep_ms(LOOK_MS).await;
        }
        say(done, watch, format!("{name} is closed, {ended} jobs were ended"));
    }
    Ok(())
}

async fn live(site: &Site, queue: &str) -> Result<Vec<LiveJob>> {
    let mut jobs = Vec::new();
    for status in LIVE {
        let mut from = None;
        loop {
            let page = site.ports.holdings.jobs(queue, status, from.as_deref()).await?;
            jobs.extend(page.items);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    Ok(jobs)
}

/// Empties what would stand in the way of the stack's removal, and what is to go after it.
async fn empty(
    site: &Site,
    target: &Target,
    delete_data: bool,
    done: &mut Vec<String>,
    watch: Watch<'_>,
) -> Result<()> {
    for repository in target.of("AWS::ECR::Repository").filter(|one| delete_data || !target.keeps(one)) {
        let removed = images(site, &repository.physical, watch).await?;
        if removed > 0 {
            say(done, watch, format!("removed {removed} images of {}", repository.physical));
        }
    }
    for bucket in target.of("AWS::S3::Bucket").filter(|_| delete_data) {
        let removed = objects(site, &bucket.physical, watch).await?;
        if removed > 0 {
            say(done, watch, format!("removed {removed} versions and uploads of {}", bucket.physical));
        }
    }
    Ok(())
}

async fn images(site: &Site, repository: &str, watch: Watch<'_>) -> Result<u64> {
    let holdings = site.ports.holdings.as_ref();
    let (mut removed, mut rounds) = (0, 0);
    watch(Progress::Begins(format!("empty {repository}")));
    loop {
        let page = match holdings.images(repository, None).await {
            Err(error) if error.kind == shepard_cloud::Kind::NotFound => return Ok(removed),
            other => other?,
        };
        if page.items.is_empty() {
            return Ok(removed);
        }
        for digests in page.items.chunks(IMAGES) {
            holdings.remove_images(repository, digests).await?;
            removed += digests.len() as u64;
            watch(Progress::Counts { what: format!("images of {repository} removed"), so_far: removed });
        }
        rounds += 1;
        if rounds == LOOKS {
            return Err(OperationError::Environment(format!(
                "{repository} does not get empty; run the same again"
            )));
        }
    }
}

/// Removes every version, marker and unfinished upload of a bucket.
async fn objects(site: &Site, bucket: &str, watch: Watch<'_>) -> Result<u64> {
    let holdings = site.ports.holdings.as_ref();
    let mut removed = 0;
    watch(Progress::Begins(format!("empty {bucket}")));
    loop {
        // From the beginning each time: what was there is gone.
        let page = match holdings.versions(bucket, None).await {
            Err(error) if error.kind == shepard_cloud::Kind::NotFound => return Ok(removed),
            other => other?,
        };
        if page.items.is_empty() {
            break;
        }
        for versions in page.items.chunks(VERSIONS) {
            holdings.remove_versions(bucket, versions).await?;
            removed += versions.len() as u64;
            watch(Progress::Counts { what: format!("versions of {bucket} removed"), so_far: removed });
        }
    }
    let mut from = None;
    loop {
        let page = holdings.unfinished(bucket, from.as_deref()).await?;
        for upload in &page.items {
            holdings.abort(bucket, upload).await?;
            removed += 1;
        }
        from = page.next;
        if from.is_none() {
            return Ok(removed);
        }
    }
}

/// Removes the stack itself and waits for it.
async fn remove(site: &Site, target: &Target, done: &mut Vec<String>, watch: Watch<'_>) -> Result<Ended> {
    let Stack { id, name, status, .. } = &target.stack;
    let ended =
        |cause| Ended { name: short(id), id: id.clone(), status: "DELETE_COMPLETE".into(), ok: true, cause };
    if target.is_gone() {
        return Ok(ended(None));
    }
    watch(Progress::Begins(format!("remove the stack {name}")));
    let mut follower = Follower::new(id, Scope::LastChange);
    if status != "DELETE_IN_PROGRESS" {
        // What was before is known, so that only what comes now is told.
        follower.look(site.ports.stacks.as_ref()).await?;
        let token = format!("down-{}", site.clock.now_ms());
        site.ports.stacks.delete(id, &[], &token).await?;
    }
    let ended = wait(site, follower, watch).await?;
    if ended.ok {
        say(done, watch, format!("the stack {name} is removed"));
    }
    Ok(ended)
}

/// Why a removal failed: the resources that could not go.
async fn failure(site: &Site, ended: &Ended) -> OperationError {
    let resources = site.ports.stacks.resources(&ended.id).await.unwrap_or_default();
    let stuck: Vec<String> = resources
        .iter()
        .filter(|one| one.status == "DELETE_FAILED")
        .map(|one| {
            let reason = one.reason.as_deref().unwrap_or("no reason is given");
            format!("{} ({}, {}): {reason}", one.logical, one.kind, one.physical)
        })
        .collect();
    let why = match stuck.as_slice() {
        [] => ended.problem().unwrap_or_default(),
        stuck => stuck.join("; "),
    };
    OperationError::Environment(format!(
        "stack {} is {} and not removed: {why}; once that is solved, the same command goes on",
        ended.name, ended.status
    ))
}

/// What the removal of the stack left. Its events say so for as long as CloudFormation remembers it; so does its list of
/// resources, where it still has them.
async fn left_behind(site: &Site, target: &Target) -> Result<Vec<Resource>> {
    let mut follower = Follower::new(&target.stack.id, Scope::All);
    follower.look(site.ports.stacks.as_ref()).await?;
    let events = follower.history().events();
    let removal = events
        .iter()
        .position(|event| event.physical == target.stack.id && event.status == "DELETE_IN_PROGRESS");
    let skipped = events.iter().skip(removal.unwrap_or(events.len()));
    let skipped = skipped.filter(|event| event.status == "DELETE_SKIPPED").map(|event| Resource {
        logical: event.logical.clone(),
        physical: event.physical.clone(),
        kind: event.kind.clone(),
        status: event.status.clone(),
        reason: event.reason.clone(),
        updated_ms: event.at_ms,
    });
    let listed = target
        .resources
        .iter()
        .filter(|one| one.status == "DELETE_SKIPPED" || one.status != "DELETE_COMPLETE" && target.keeps(one));
    let mut left: Vec<Resource> = Vec::new();
    for one in listed.cloned().chain(skipped).filter(|one| !one.physical.is_empty()) {
        if !left.iter().any(|known| known.physical == one.physical && known.kind == one.kind) {
            left.push(one);
        }
    }
    Ok(left)
}

/// What the stack left, which is removed where that is asked for.
async fn leftovers(
    site: &Site,
    target: &Target,
    delete_data: bool,
    done: &mut Vec<String>,
    watch: Watch<'_>,
) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    let left = left_behind(site, target).await?;
    for one in left {
        let stays = |why| Kept {
            logical: one.logical.clone(),
            kind: one.kind.clone(),
            name: one.physical.clone(),
            why,
        };
        if !delete_data {
            kept.push(stays(None));
            continue;
        }
        if !REMOVABLE.contains(&one.kind.as_str()) {
            kept.push(stays(Some("this program cannot remove it; the console of AWS can".into())));
            continue;
        }
        if one.kind == "AWS::S3::Bucket" {
            // What came after the bucket was emptied.
            objects(site, &one.physical, watch).await?;
        }
        site.ports.holdings.remove(&one.kind, &one.physical).await?;
        say(done, watch, format!("removed {}", one.physical));
    }
    Ok(kept)
}
