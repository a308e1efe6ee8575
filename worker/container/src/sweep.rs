//! Containers that nobody owns any more: their worker was killed before it could remove them.

use std::collections::BTreeSet;

use shepard_engine::{ContainerInfo, Engine, Result};
use shepard_model::JobId;
use shepard_model::names::container::{LABEL_JOB, LABEL_OWNER};

/// Removes the containers of payloads whose owner is gone, and gives the ids of their jobs. `gone` decides by the label
/// of the owner. One that cannot be removed is logged and left for the next time.
///
/// # Errors
/// The engine cannot be asked.
pub async fn of_owners(engine: &Engine, gone: impl Fn(&str) -> bool + Send) -> Result<Vec<JobId>> {
    let all = engine.labelled(LABEL_JOB, None).await?;
    let left = all.into_iter().filter(|one| one.labels.get(LABEL_OWNER).is_some_and(|owner| gone(owner)));
    Ok(remove(engine, left.collect()).await)
}

/// Removes the containers of payloads whose owner is a container that does not run any more, or is not there.
/// Owners that are no ids of containers (the folders of local flocks) are somebody else's to judge.
///
/// # Errors
/// The engine cannot be asked.
pub async fn of_containers(engine: &Engine) -> Result<Vec<JobId>> {
    let all = engine.labelled(LABEL_JOB, None).await?;
    let owners: BTreeSet<String> = all
        .iter()
        .filter_map(|one| one.labels.get(LABEL_OWNER))
        .filter(|owner| is_container_id(owner))
        .cloned()
        .collect();
    let mut gone = BTreeSet::new();
    for owner in owners {
        if !engine.container(&owner).await?.is_some_and(|info| info.running) {
            gone.insert(owner);
        }
    }
    let left =
        all.into_iter().filter(|one| one.labels.get(LABEL_OWNER).is_some_and(|owner| gone.contains(owner)));
    Ok(remove(engine, left.collect()).await)
}

/// Removes the containers of one job of one owner: before its next attempt begins. Gives how many there were.
///
/// # Errors
/// The engine cannot be asked, or does not remove one.
pub async fn of_job(engine: &Engine, owner: &str, id: &JobId) -> Result<usize> {
    let mut removed = 0;
    for one in engine.labelled(LABEL_JOB, Some(id.as_str())).await? {
        if one.labels.get(LABEL_OWNER).is_some_and(|known| known == owner) {
            engine.remove(&one.id).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_container_id(owner: &str) -> bool {
    owner.len() == 64 && owner.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn remove(engine: &Engine, left: Vec<ContainerInfo>) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for one in left {
        match engine.remove(&one.id).await {
            Ok(()) => jobs.extend(one.labels.get(LABEL_JOB).and_then(|id| JobId::parse(id))),
            Err(error) => tracing::warn!(%error, "a container that nobody owns stays"),
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_no_container() {
        assert!(is_container_id(&"0123456789abcdef".repeat(4)));
        assert!(
            !is_container_id("/home/me/flocks/x")
                && !is_container_id(&"x".repeat(64))
                && !is_container_id("")
        );
    }
}
