//! What dead workers and engines that came late left of a flock's jobs: containers, directories, secrets.
//!
//! An attempt that is followed to its end is cleaned up by whoever follows it. This is for what shows only later: a
//! container that an engine was making when its worker was killed, a folder that could not be removed at the time.

use std::sync::Arc;
use std::time::Duration;

use shepard_cloud::local::FlockDir;
use shepard_model::JobId;
use tokio_util::sync::CancellationToken;

use super::error::LocalError;
use super::supervise::Context;
use super::{containers, memory};

/// How often it is looked while something is done. An idle flock is left alone after one last look.
const EVERY: Duration = Duration::from_secs(30);

/// Looks now and then, until `round` ends.
pub(crate) async fn run(context: Arc<Context>, round: CancellationToken) {
    let mut looked_at = None;
    let mut failing = false;
    loop {
        let active = context.last_active();
        if looked_at != Some(active) {
            match once(&context).await {
                Ok(()) => (looked_at, failing) = (Some(active), false),
                // One line for all the while that an engine is away.
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!("what dead workers left cannot be looked for now: {error}");
                }
                Err(_) => {}
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = round.cancelled() => return,
        }
    }
}

/// Looks once and removes what nobody has in hand.
///
/// # Errors
/// An engine or the database does not answer.
pub(crate) async fn once(context: &Context) -> Result<(), LocalError> {
    // Seen first: what begins after that is none of it.
    let dir = context.dir.clone();
    let left = tokio::task::spawn_blocking(move || memory::jobs(&dir)).await.unwrap_or_default();
    let uses_one = context.settings.image.is_some();
    let removed = containers::sweep(&context.dir, uses_one, Some(&context.flock)).await;
    if !left.is_empty() {
        let active = containers::active(Some(&context.flock)).await?;
        // A container that may still run writes into its folder.
        let dir = context.dir.clone();
        let over: Vec<JobId> =
            left.into_iter().filter(|id| !active.contains(id) && !containers::may_be(&dir, id)).collect();
        let _ = tokio::task::spawn_blocking(move || {
            for id in over {
                if let Err(error) = memory::remove(&dir, &id) {
                    tracing::warn!("cannot remove what is left of job {id}: {error}");
                }
            }
        })
        .await;
    }
    let removed = removed?;
    if removed > 0 {
        tracing::info!("removed {removed} containers that dead workers left");
    }
    Ok(())
}

/// Removes what a flock that is about to be removed has outside its folder: containers and secrets. Its supervisor and
/// its workers are gone. Gives how many containers there were.
///
/// # Errors
/// A container may be there, and its engine does not answer.
pub async fn remove_leftovers(dir: &FlockDir) -> Result<usize, LocalError> {
    // A flock whose settings cannot be read must be removable all the same.
    let uses_one = dir.settings().is_ok_and(|settings| settings.image.is_some());
    let known = containers::may_be_any(dir);
    let removed = match containers::sweep(dir, uses_one, None).await {
        // No job of it is known to have a container, so the engine is not needed.
        Err(LocalError::Engine(_)) if !known => 0,
        removed => removed?,
    };
    memory::remove_bases(dir, true);
    Ok(removed)
}
